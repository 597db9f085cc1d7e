# families, keys, seeds, and what is said about wrong ones
. "$TESSERA_ROOT/tests/cli/lib.sh"
expect 0 tessera-model --list
test "$(wc -l < out)" -eq 12 || not_ok "twelve families"
expect 0 tessera-model --list cct
says out 'heads=1..1024'
says out '(default: 64)'
expect 0 tessera-model --list bert
says out 'ff=1..262144  hidden features inside a block (default: 4 width)'
expect 2 tessera-model --list perceptron
expect 2 tessera-model
expect 2 tessera-model perceptron input=3 classes=2
says err 'mlp, conv1d'
says err 'bert and cct'
expect 2 tessera-model mobilenetv2 input=3x32x32 classes=2 depth=18
says err 'depth=18: mobilenetv2 has 17 blocks'
expect 2 tessera-model lstm input=6x32 classes=2 heads=2
says err 'its keys are input, width, depth'
expect 2 tessera-model mlp input=3 classes=two
says err "classes= wants a whole number from 1 to 1048576, not 'two'"
expect 5 tessera-model mlp input=1048576 classes=2 width=60000
# quoted or not, on stdout or in a file: the same bytes
tessera-model 'gru input=6x32 classes=4 width=8 seed=3' > a.onnx
tessera-model gru seed=3 width=8 classes=4 input=6x32 -o b.onnx
tessera-model gru width=8 classes=4 input=6x32 --seed 3 -o c.onnx
tessera-model gru width=8 classes=4 input=6x32 -o d.onnx
same a.onnx b.onnx
same a.onnx c.onnx
! cmp -s a.onnx d.onnx || not_ok "another seed, the same weights"
