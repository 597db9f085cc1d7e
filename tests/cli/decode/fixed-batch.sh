# receivers that take one sample at once, as exporters write them: taught and trained like any other, and no other after
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
teacher
tokens
# one NAME: the zoo's symbolic first dimension, in the same number of bytes, is 1
one() { LC_ALL=C sed 's/\x07\x12\x05batch/\x07\x08\x81\x80\x80\x80\x80\x00/g' "$1" > "one-$1"; }
# shaped MODEL: declares still that it takes one sample
shaped() {
    tessera-inspect "$1" > shape
    says shape "float32 [1,6,32]"
    says shape "float32 [1,10]"
}
for family in mlp conv1d transformer; do
    tessera-model $family input=6x32 classes=10 width=16 depth=1 seed=2 -o $family.onnx
    one $family.onnx
    shaped one-$family.onnx
done
expect 0 tessera-decode -m one-mlp.onnx -r "$refs" --steps 120 --lr 0.01 -o taught.onnx tokens.tsr
shaped taught.onnx
at_least 35 taught.onnx
expect 0 tessera-decode -m one-conv1d.onnx -r "$refs" --steps 120 --lr 0.01 --grid int8 --grid-steps 5 -o grid.onnx tokens.tsr
shaped grid.onnx
at_least 30 grid.onnx
expect 0 tessera-train -m one-transformer.onnx -x "$sensors/train-x.npy" -y "$sensors/train-y.npy" --steps 100 --lr 0.005 -o trained.onnx
shaped trained.onnx
at_least 30 trained.onnx
