# contents as .npy, to a file and to a pipe
. "$TESSERA_ROOT/tests/cli/lib.sh"
s=$TESSERA_ROOT/testdata/stream/good-all-types.tsr
shape() { # FILE DESCR SHAPE
    head -c 128 "$1" | tr -d '\0' | grep -qF "'descr': '$2', 'fortran_order': False, 'shape': $3" ||
        { head -c 128 "$1" | cat -v >&2; not_ok "$1 is not $2 $3"; }
}
export_both() { # NAME DESCR SHAPE [OPTION...]
    name=$1 descr=$2 want=$3; shift 3
    expect 0 tessera-inspect --export "$name" "$@" -o file.npy "$s"
    shape file.npy "$descr" "$want"
    tessera-inspect --export "$name" "$@" "$s" | cat > piped.npy
    same file.npy piped.npy
}
export_both keys '|u1' '(12, 16)'
export_both outputs '<f4' '(12, 3)'
export_both outputs '<f4' '(24, 3)' --rows view
export_both fc1 '<f4' '(12, 4)'
export_both layer:fc1 '<f4' '(24, 4)' --rows=view
export_both inputs '<f4' '(6, 4)'
export_both inputs:x '<f4' '(6, 4)'
export_both hub '<f4' '(12, 2)'
export_both basis '<f4' '(6, 2)'
test "$(wc -c < file.npy)" -eq $((128 + 6 * 2 * 4)) || not_ok "size of the basis"
rm file.npy
expect 2 tessera-inspect --export nowhere -o file.npy "$s"
says err "'nowhere'"
test ! -e file.npy || not_ok "a file for nothing"
expect 3 tessera-inspect --export outputs -o file.npy "$TESSERA_ROOT/testdata/stream/bad-no-end.tsr"
test ! -e file.npy || not_ok "half an array"
expect 3 tessera-inspect --export keys -o file.npy "$TESSERA_ROOT/testdata/stream/bad-root.tsr"
test ! -e file.npy || not_ok "an array from a damaged stream"
expect 2 tessera-inspect --export keys --check "$s"
expect 2 tessera-inspect --rows view "$s"
expect 2 tessera-inspect -o x "$s"
