set -e
. "$TESSERA_ROOT/tests/cli/lib.sh"
npy_f4 ref.npy 64 16
