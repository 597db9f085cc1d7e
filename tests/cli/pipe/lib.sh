# lib.sh - a trained teacher, an untrained student of another architecture, and references; sourced.
#   teacher.onnx   conv1d on testdata/sensors, trained for a moment: about 70 of 100 right, chance is 10
#   student.onnx   an mlp
#   $refs          400 unlabelled samples of 6 x 32 float16 numbers, a header of 128 bytes
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
sensors=$TESSERA_ROOT/testdata/sensors
refs=$sensors/ref-x.npy
row=384 # bytes of a reference sample
teacher() {
    tessera-model conv1d input=6x32 classes=10 width=16 depth=2 seed=1 -o untrained.onnx
    tessera-train -m untrained.onnx -x "$sensors/train-x.npy" -y "$sensors/train-y.npy" --steps 200 --lr 0.01 -o teacher.onnx
}
student() { tessera-model mlp input=6x32 classes=10 width=32 depth=1 seed=2 -o student.onnx; }
# tokens.tsr: outputs and hub tokens for the references and four views of each
tokens() { tessera-extract -m teacher.onnx --views 4 "$refs" | tessera-encode > tokens.tsr; }
# learn OPTION...: a short lesson with a fixed rate
learn() { tessera-decode -m student.onnx --steps 120 --lr 0.01 "$@"; }
# right MODEL: percentage of the test samples it gets right
right() {
    tessera-train --eval -m "$1" -x "$sensors/test-x.npy" -y "$sensors/test-y.npy" |
        sed -n 's/^accuracy \([01]\)\.\([0-9][0-9]\).*/\1\2/p' | sed 's/^0*\(.\)/\1/'
}
at_least() { # PERCENT MODEL
    got=$(right "$2")
    test "$got" -ge "$1" || not_ok "$2 has $got % right, at least $1 are due"
}
npy_header() { # DTYPE SHAPE, for example '<f2' '400, 6, 32'
    printf '\223NUMPY\001\000v\000'
    printf '%-117s\n' "{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"
}
# samples FROM COUNT: the elements of that many references
samples() { tail -c +$((129 + $1 * row)) "$refs" | head -c $(($2 * row)); }
nothing_left() { for left; do test ! -e "$left" || not_ok "$left was left behind"; done; }
