# lib.sh - for the tests of the commands: . "$TESSERA_ROOT/tests/cli/lib.sh"
# The working directory is fresh and empty, the programs are in PATH; see README.md.

not_ok() { echo "not as expected: $*" >&2; exit 1; }
skip() { echo "$*" >&2; exit 77; }

# expect CODE COMMAND...: runs it with stdout in ./out and stderr in ./err. The exit code must be
# exactly CODE, hence a crash never is. A failure must have said why in one line or two.
expect() {
    wanted=$1; shift
    code=0
    "$@" > out 2> err || code=$?
    if test $code -ne "$wanted"; then
        cat err >&2
        not_ok "exit $code instead of $wanted: $*"
    fi
    test "$wanted" -lt 2 || sober "$*"
}
# The messages in ./err begin with the program's name, are few, and hold no debris.
sober() {
    test -s err || not_ok "failed without a word: $*"
    test "$(wc -l < err)" -le 3 || { cat err >&2; not_ok "more than three lines of errors: $*"; }
    ! grep -v '^tessera-[a-z]*: ' err >&2 || not_ok "message without the program's name: $*"
    ! LC_ALL=C grep -n '[[:cntrl:]]' err >&2 || not_ok "control characters in a message: $*"
    ! grep -Ei '\(null\)|sanitizer|runtime error|[^.]\.$' err >&2 || not_ok "debris in a message: $*"
}
# says FILE TEXT: FILE (out or err) contains TEXT
says() {
    grep -qF -- "$2" "$1" || { cat "$1" >&2; not_ok "'$2' is not in $1"; }
}
same() { cmp -s "$1" "$2" || not_ok "$1 and $2 differ"; }
# A command's status without giving up under set -e: status_of COMMAND...; sets $status
status_of() { status=0; "$@" || status=$?; }

# npy_f4 FILE ROWS COLUMNS: a small .npy of float32, row-major: value = ((r * 7 + c * 3) % 11 - 5) / 4
npy_f4() {
    {
        printf '\223NUMPY\001\000v\000'
        printf '%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($2, $3), }"
        awk -v n="$2" -v m="$3" 'BEGIN {
            split("0 0 160 191|0 0 128 191|0 0 64 191|0 0 0 191|0 0 128 190|0 0 0 0|0 0 128 62|0 0 0 63|0 0 64 63|0 0 128 63|0 0 160 63", b, "|")
            for (r = 0; r < n; r++) {
                for (c = 0; c < m; c++) {
                    split(b[(r * 7 + c * 3) % 11 + 1], o, " ")
                    printf "\\%03o\\%03o\\%03o\\%03o", o[1], o[2], o[3], o[4]
                }
                print ""
            } }' | while read -r row; do printf "$row"; done
    } > "$1"
}
