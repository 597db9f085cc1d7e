# prepare.sh - fills the working directory with the small files that the EXAMPLES of the man pages
# use, made by the programs themselves; run once by scripts/check-docs.
#   ref.npy       64 unlabelled samples of 16 numbers     train-x.npy, train-y.npy   256 with labels
#   test-x.npy, test-y.npy   64 others with labels
#   teacher.onnx  a network for them, four classes        student.onnx  a smaller one, untrained
#   acts.tsr      what tessera-extract says of teacher.onnx on ref.npy, four views a sample
#   teacher.tsr   the same after tessera-encode
#   answers.npy, inner.npy   outputs and a tensor "inner" that another framework computed for ref.npy
set -e
. "$TESSERA_ROOT/tests/cli/lib.sh"
. "$TESSERA_ROOT/tests/cli/every/samples.sh"
npy_f4 ref.npy 64 16
npy_f4 train-x.npy 256 16
npy_f4 test-x.npy 64 16
labels train-y.npy 256
labels test-y.npy 64
npy_f4 answers.npy 64 4
npy_f4 inner.npy 64 8
tessera-model mlp input=16 classes=4 width=16 depth=2 seed=1 -o teacher.onnx
tessera-model mlp input=16 classes=4 width=8 depth=1 seed=2 -o student.onnx
tessera-extract -m teacher.onnx --views 4 ref.npy > acts.tsr
tessera-encode < acts.tsr > teacher.tsr
