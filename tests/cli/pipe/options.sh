# layers, precisions, ranks and anchors; stitching
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
teacher
student
# several layers, one chosen
tessera-extract -m teacher.onnx --views 0 "$refs" > acts.tsr
tessera-extract -m teacher.onnx --views 0 -l features -l logits "$refs" > two.tsr
tessera-encode two.tsr > two-tokens.tsr
tessera-encode acts.tsr > tokens.tsr
learn --mode a -r "$refs" -o one.onnx tokens.tsr
learn --mode a -r "$refs" -o first.onnx two-tokens.tsr
learn --mode a -l features -r "$refs" -o named.onnx two-tokens.tsr
learn --mode a -l logits -r "$refs" -o second.onnx two-tokens.tsr
same first.onnx named.onnx
same one.onnx named.onnx
! cmp -s named.onnx second.onnx || not_ok "--layer changes nothing"
expect 2 learn --mode a -l nowhere -r "$refs" -o no.onnx two-tokens.tsr
says err "nowhere"

# precision, rank, anchors, and what passes through
size() { wc -c < "$1"; }
tessera-extract -m teacher.onnx --views 0 --to int4 "$refs" > small.tsr
test "$(size small.tsr)" -lt $(($(size acts.tsr) / 3)) || not_ok "int4 is not small"
expect 0 tessera-encode -v --rank 4 --anchors 50 --to int8 --report report.json -o rank4.tsr acts.tsr
says err "1 layers, 50 anchors"
grep -q '"schema":"tessera-encode.result/1"' report.json || not_ok "no report"
test "$(size rank4.tsr)" -lt "$(size tokens.tsr)" || not_ok "rank 4 is not smaller"
expect 0 tessera-inspect --check rank4.tsr
expect 0 tessera-encode --keep-activations -o kept.tsr acts.tsr
tessera-inspect --export features -o a.npy acts.tsr
tessera-inspect --export features -o b.npy kept.tsr
same a.npy b.npy
expect 2 tessera-inspect --export features -o c.npy tokens.tsr
tessera-extract -m teacher.onnx --views 0 --mode b "$refs" > outputs.tsr
expect 0 tessera-encode -o passed.tsr outputs.tsr
tessera-inspect --export outputs -o b.npy outputs.tsr
tessera-inspect --export outputs -o c.npy passed.tsr
same b.npy c.npy
# raw activations keep their shape
tessera-extract -m teacher.onnx --views 0 --mode a --raw -l input "$refs" | tessera-inspect --export input -o raw.npy
head -c 128 raw.npy | grep -q '(400, 6, 32)' || not_ok "raw activations have lost their shape"

# stitching: the head of a trained receiver on the transmitter's features
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
nothing_left no.npy no.onnx
