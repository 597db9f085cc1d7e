# a budget is met, or nothing is written
. "$TESSERA_ROOT/tests/cli/lib.sh"
tessera-model dscnn input=1x8x8 classes=4 width=16 depth=1 -o m.onnx
npy_f4 x.npy 64 64
for budget in 0.001 0.0000001; do
    expect 0 tessera-quantize -m m.onnx --to w4a4 --budget "kl<=$budget" --report r.json -r x.npy -o a.onnx
    sed -n 's/.*"kl":\([^,]*\),.*/\1/p' r.json | awk -v b=$budget '{ n++; bad += !($1 <= b) } END { exit n != 1 || bad }' || not_ok "more than $budget"
done
expect 0 tessera-quantize -m m.onnx --to int8 --budget 'kl<=0.0000000001' --report r.json -r x.npy -o a.onnx
says err 'stays float: the budget asks for it'
grep '"why":"the budget asks for it"' r.json | grep '"weight_bits":32' | grep -q '"sensitivity":' || not_ok "what went to float is not in the report"
expect 5 tessera-quantize -m m.onnx --to int8 --prune 0.9 --budget 'kl<=0.0000001' -r x.npy -o x.onnx
says err 'prune less'
expect 2 tessera-quantize -m m.onnx --to f16 --budget 'kl<=0.1' -o x.onnx
says err '--to f16'
test ! -e x.onnx || not_ok "a model beyond its budget"
