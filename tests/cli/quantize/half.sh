# Half precision is looked over with the samples that are given; a model's warnings are told; weights may lie apart.
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
npy_f4 x.npy 80 3
awk 'BEGIN { for (i = 0; i < 20; i++) print i % 2 ? "1e6,-2e6,3e6" : "1,2,3" }' > big.csv
tessera-model mlp input=3 classes=5 width=8 depth=1 -o m.onnx
expect 0 tessera-quantize -m m.onnx --to f16 -r x.npy --report r.json -o q.onnx
grep -q '"kl":[0-9.e-]*,' r.json || not_ok "no divergence was measured"
test ! -s err || not_ok "there is nothing to warn of"
tessera-quantize -m m.onnx --to f16 -o without.onnx
same q.onnx without.onnx
expect 0 tessera-quantize -m m.onnx --to f16 -r big.csv -o q.onnx
says err "outputs of the samples are no finite numbers in f16"
expect 0 tessera-quantize -m m.onnx --to bf16 -r big.csv -o q.onnx
test ! -s err || not_ok "bf16 takes them"
# what is wrong with the model
expect 0 tessera-quantize -m "$TESSERA_ROOT/testdata/onnx/good-warned-training.onnx" --to f16 -o q.onnx
says err "was exported for training"
# half precision cannot go to integers
expect 0 tessera-quantize -m without.onnx --to int8 -r x.npy -o q.onnx
says err "its weights are not a float32 matrix"
says err "nothing of the model is on the grid int8"
# apart
expect 0 tessera-quantize -m m.onnx --to f32 --external -o apart.onnx
test -e apart.onnx.data || not_ok "no apart.onnx.data"
tessera-extract -q -m apart.onnx --views 0 -o a.tsr x.npy
tessera-extract -q -m m.onnx --views 0 -o b.tsr x.npy
expect 0 tessera-drift --gate 'kl<=1e-9' b.tsr a.tsr
expect 2 tessera-quantize -m m.onnx --to f32 --external
says err "name the model with --output"
expect 2 tessera-quantize --to int8 --external -o no.tsr b.tsr
says err "external"
