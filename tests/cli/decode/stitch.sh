# stitching: the head of a trained receiver on the transmitter's features
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
teacher
student
tessera-extract -m teacher.onnx --views 0 "$refs" | tessera-encode > tokens.tsr
tessera-train -m student.onnx -x "$sensors/train-x.npy" -y "$sensors/train-y.npy" --steps 200 --lr 0.01 -o trained.onnx
score() { tessera-train --eval --outputs "$1" -y "$sensors/ref-y.npy" | sed -n 's/^accuracy \([01]\)\.\([0-9][0-9]\).*/\1\2/p' | sed 's/^0*\(.\)/\1/'; }
for t in 1 2; do tessera-decode -T $t --stitch -m trained.onnx -r "$refs" -o stitched-$t.npy tokens.tsr; done
same stitched-1.npy stitched-2.npy
head -c 128 stitched-1.npy | grep -q '(400, 10)' || not_ok "the shape of stitched outputs"
test "$(score stitched-1.npy)" -ge 45 || not_ok "stitching has $(score stitched-1.npy) % right"
{ npy_header '<f2' '200, 6, 32'; samples 200 200; } > some.npy
expect 0 tessera-decode --stitch -m trained.onnx -r some.npy -o some-out.npy tokens.tsr
says err "200 of the stream's 400 anchors"
test "$(score some-out.npy)" -ge 40 || not_ok "stitching by regression has $(score some-out.npy) % right"
{ head -c 128 "$refs"; samples 200 200; samples 0 200; } > turned.npy
tessera-decode --stitch -m trained.onnx -r turned.npy -o turned-out.npy tokens.tsr
same turned-out.npy stitched-1.npy
{ npy_header '<f2' '1, 6, 32'; samples 0 1; } > one.npy
expect 3 tessera-decode --stitch -m trained.onnx -r one.npy -o no.npy tokens.tsr
# activations that were not encoded are no tokens
tessera-extract -m teacher.onnx --views 0 "$refs" > acts.tsr
expect 3 tessera-decode --stitch -m trained.onnx -r "$refs" -o no.npy acts.tsr
says err "tessera-encode makes them of the activations"
nothing_left no.npy no.onnx
