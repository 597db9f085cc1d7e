# for each program: a standard output that is full, closed or gone is noticed
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
full() { "$PROGRAM" "$1" > /dev/full; }
closed() { "$PROGRAM" "$1" >&-; }
gone() { { sleep 0.2; status_of "$PROGRAM" "$1"; echo $status > status; } | true; }
for option in --help --version --help=table; do
    if test -w /dev/full; then
        expect 4 full $option
        says err "No space left on device"
    fi
    expect 4 closed $option
    says err "standard output"
    gone $option 2> err
    test "$(cat status)" = 141 || not_ok "closed pipe: exit $(cat status) instead of SIGPIPE"
    test ! -s err || not_ok "closed pipe: $(cat err)"
    # where SIGPIPE is ignored from outside, the write error is an error like any other
    (trap '' PIPE; gone $option 2> err)
    test "$(cat status)" = 4 || not_ok "closed pipe, SIGPIPE ignored: exit $(cat status)"
    says err "Broken pipe"
done
