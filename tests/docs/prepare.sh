set -e
. "$TESSERA_ROOT/tests/cli/lib.sh"
npy_f4 ref.npy 64 16
cp "$TESSERA_ROOT/testdata/stream/good-all-types.tsr" teacher.tsr
