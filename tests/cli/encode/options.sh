# layers, precisions, ranks and anchors, and what passes through
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
# encoded a second time, tokens stay as they are
expect 0 tessera-encode -o again.tsr kept.tsr
says err "1 layer had tokens already"
expect 0 tessera-inspect --check again.tsr
learn --mode a -r "$refs" -o again.onnx again.tsr
same again.onnx one.onnx
expect 2 tessera-inspect --export features -o c.npy again.tsr
expect 0 tessera-encode --rank 4 --keep-activations -q -o again.tsr kept.tsr
test ! -s err || not_ok "--quiet speaks"
expect 0 tessera-inspect --check again.tsr
tessera-inspect --export features -o c.npy again.tsr
same c.npy a.npy
tessera-extract -m teacher.onnx --views 0 --mode b "$refs" > outputs.tsr
expect 0 tessera-encode -o passed.tsr outputs.tsr
tessera-inspect --export outputs -o b.npy outputs.tsr
tessera-inspect --export outputs -o c.npy passed.tsr
same b.npy c.npy
# raw activations keep their shape
tessera-extract -m teacher.onnx --views 0 --mode a --raw -l input "$refs" | tessera-inspect --export input -o raw.npy
head -c 128 raw.npy | grep -q '(400, 6, 32)' || not_ok "raw activations have lost their shape"
