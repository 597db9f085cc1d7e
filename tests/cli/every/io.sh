# for each program: whatever happens to its input and output is noticed, named and cleaned up
. "$TESSERA_ROOT/tests/cli/lib.sh"
. "$TESSERA_ROOT/tests/cli/every/samples.sh"
set -e
torture() { # VARIANT, in an empty directory
sample "$PROGRAM" "$1" || skip "no sample of $PROGRAM ($1) in samples.sh works here"
takes() {
    test "$1/$output" != output/no && "$PROGRAM" --help=table | grep -q "^$1	"
}
go() { "$PROGRAM" $args "$@" < "${input:-/dev/null}"; }
expect 0 go
cp out product
test -s product || not_ok "no product"

# --- the same bytes again, and in a file, and with other threads
expect 0 go; same out product
if takes output; then
    expect 0 go -o file; same file product
    test ! -s out || not_ok "writes to stdout in spite of --output"
    echo old > file; expect 0 go -o file; same file product
fi
if takes threads; then
    expect 0 go -T 2; same out product
    TESSERA_THREADS=3; export TESSERA_THREADS; expect 0 go; same out product; unset TESSERA_THREADS
fi

# --- what goes elsewhere changes nothing of the product
if takes progress; then
    expect 0 go --progress=never; same out product; test ! -s err || not_ok "--progress=never: $(cat err)"
    expect 0 go; test ! -s err || not_ok "progress without a terminal: $(cat err)"
    expect 0 go --progress=always; same out product
    test $draws = no || test -s err || not_ok "--progress=always draws nothing"
fi
expect 0 go -q; test ! -s err || not_ok "--quiet: $(cat err)"
test $output = no || same out product # --quiet may leave out words, never data
if takes report; then
    expect 0 go --report report; same out product
    test -s report || not_ok "no report"
    ! grep -vE '^\{.*"schema":"tessera-[a-z]+\.[a-z]+/[0-9]+".*\}$' report >&2 || not_ok "a line of the report"
    cp report first; expect 0 go --report report
    expect 4 go --report nowhere/report; says err "nowhere/report"
fi

# --- the output
full() { go "$@" > /dev/full; }
closed() { go "$@" >&-; }
gone() { { sleep 0.2; status_of go; echo $status > status; } | true; }
if test -w /dev/full; then expect 4 full; says err "No space left on device"; fi
expect 4 closed
gone 2> err
test "$(cat status)" = 141 || not_ok "closed pipe: exit $(cat status) instead of SIGPIPE"
test ! -s err || not_ok "closed pipe: $(cat err)"
no_leftovers() { test -z "$(ls -A where)" || not_ok "leaves $(ls -A where)"; }
mkdir -p where
if takes output; then
    expect 4 go -o nowhere/file; says err "nowhere/file"
    expect 4 go -o where; says err "where"
    expect 0 closed -o file; same file product
    if test -w /dev/full; then expect 4 go -o /dev/full; says err "/dev/full"; fi
    if test "$(wc -c < product)" -gt 1024; then # the limit counts in 512 or 1024 bytes
        limited() { (ulimit -f 1; exec "$PROGRAM" $args -o where/file) < "${input:-/dev/null}"; }
        (ulimit -c 0; expect 4 limited)
        says err "File too large"
        no_leftovers
    fi
fi
if test $binary = yes && command -v script > /dev/null && script -qec true /dev/null > /dev/null 2>&1; then
    status_of script -qec "$PROGRAM $args < ${input:-/dev/null}" /dev/null > out
    test $status = 2 || not_ok "binary to a terminal: exit $status"
    says out "terminal"
fi

# --- the input
failed() { # nothing on stdout, and under the name of the output what was there before
    if ! takes output; then expect "$@"; return; fi
    echo old > where/file
    expect "$@" -o where/file
    test "$(cat where/file)" = old || not_ok "a failure replaced the old file"
    rm where/file; no_leftovers
}
for f in $files; do
    mv "$f" kept
    failed 4 go; says err "'$f'"; says err "No such file or directory"
    mkdir "$f"; failed 4 go; says err "'$f'"; rmdir "$f"
    : > "$f"; failed 3 go; says err "$f"
    head -c 100 kept > "$f"; failed 3 go; says err "$f"
    head -c "$(($(wc -c < kept) - 1))" kept > "$f"; failed 3 go; says err "$f"
    head -c 5000 /dev/urandom > "$f"; failed 3 go; says err "$f"
    mv kept "$f"
done
if test -n "$input" && test $mends = no; then
    no_stdin() { "$PROGRAM" $args "$@" <&-; }
    failed 4 no_stdin; says err "standard input"
    directory() { "$PROGRAM" $args "$@" < where; }
    expect 4 directory; says err "standard input"
    cp "$input" kept
    size=$(wc -c < kept)
    for cut in 0 1 7 8 50 $((size / 2)) $((size - 1)); do
        head -c "$cut" kept > "$input"
        failed 3 go; says err "standard input"
    done
    { head -c $((size / 2)) kept; printf X; tail -c +$((size / 2 + 2)) kept; } > "$input"
    cmp -s "$input" kept || { failed 3 go; says err "standard input"; }
    head -c 5000 /dev/urandom > "$input"; failed 3 go; says err "standard input"
    { printf '\211'; head -c 100 kept; } > "$input"; failed 3 go; says err "standard input"
    cp kept "$input"
    if script -qec true /dev/null > /dev/null 2>&1; then
        status_of script -qec "$PROGRAM $args > where/file" /dev/null > out < /dev/null
        test $status = 2 || not_ok "input from a terminal: exit $status"
        says out "terminal"; rm -f where/file
    fi
    # a signal while it waits for input: no half file, and a true death by that signal
    if takes output && env --default-signal=INT true 2> err; then
        for signal in TERM INT HUP; do
            mkfifo fifo
            # a background job of sh ignores INT unless env undoes that
            env --default-signal=INT,HUP "$PROGRAM" $args -o where/file < fifo 2> err & pid=$!
            { head -c $((size / 2)) kept; sleep 1; kill -$signal $pid; sleep 1; } > fifo || true
            status_of wait $pid
            case $signal in TERM) want=143 ;; INT) want=130 ;; HUP) want=129 ;; esac
            test $status = $want || not_ok "SIG$signal: exit $status instead of $want"
            test ! -s err || not_ok "SIG$signal: $(cat err)"
            rm fifo; no_leftovers
        done
    fi
fi
}
for variant in $(variants "$PROGRAM"); do
    echo "variant: $variant" >&2
    mkdir "$variant"
    (cd "$variant" && torture "$variant")
done
