# files that are wrong, but clear, are read with a warning
. "$TESSERA_ROOT/tests/cli/lib.sh"
models=$TESSERA_ROOT/testdata/onnx
expect 0 tessera-inspect "$models/good-warned-newer-operators.onnx"
says err "tessera-inspect: '$models/good-warned-newer-operators.onnx': the model declares version 11 "
says err 'Gelu (20), HardSwish (14)'
expect 0 tessera-inspect -q "$models/good-warned-newer-operators.onnx"
test ! -s err || not_ok "a warning in spite of --quiet"
expect 0 tessera-inspect --json "$models/good-warned-no-version.onnx"
says out '"warnings":["the model does not say which version of the format it has"]'
expect 0 tessera-inspect --json "$models/good-smallest.onnx"
says out '"warnings":[]'
test ! -s err || not_ok "a warning for nothing"
npy_f4 x.npy 4 3
expect 0 tessera-extract -m "$models/good-warned-older-form.onnx" -l y -o x.tsr x.npy
says err 'Clip (10)'
