# Of a model that does not end in a linear layer the answers alone are taken, unless activations were asked for.
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
npy_f4 x3.npy 40 3
soft=$TESSERA_ROOT/testdata/onnx/good-softmax.onnx
expect 0 tessera-extract -m "$soft" --views 2 -o t.tsr x3.npy
says err "does not end in a linear layer, so no activations are extracted, only its outputs"
expect 0 tessera-extract -m "$soft" --views 2 --mode b -o b.tsr x3.npy
same t.tsr b.tsr
expect 0 tessera-encode -o tokens.tsr t.tsr
for mode in a both; do
    expect 2 tessera-extract -m "$soft" --mode $mode -o no.tsr x3.npy
    says err "name a layer with --layer, or take the outputs alone with --mode b"
done
expect 3 tessera-decode -m "$soft" -r x3.npy --mode both -o no.onnx tokens.tsr
says err "the stream carries no hub tokens; teach from outputs with --mode b"
