# for each program: help and version are printed, complete, alike, and nothing else happens
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
expect 0 "$PROGRAM" --help </dev/null
test ! -s err || not_ok "--help writes to stderr"
case $(head -n 1 out) in "Usage: $PROGRAM [OPTION]..."*) ;; *) not_ok "$(head -n 1 out)" ;; esac
awk 'length($0) > 80 {print; bad = 1} END {exit bad}' out >&2 || not_ok "--help is wider than 80 columns"
cp out help
expect 0 "$PROGRAM" -h; same out help
# help wins over what stands after it, and needs no input
expect 0 "$PROGRAM" --help --no-such-option; same out help

expect 0 "$PROGRAM" --help=table
head -n 1 out | grep -q "^program	$PROGRAM	" || not_ok "the table's first line"
awk -F'\t' 'NR > 1 && (NF != 6 || $6 == "" || $6 ~ /\.$/ || $1 !~ /^[a-z][a-z0-9-]*$/) {print; bad = 1}
    NR > 1 {if ($1 in seen) {print "twice: " $1; bad = 1} seen[$1] = 1
        if ($2 != "-" && ($2 in short)) {print "twice: -" $2; bad = 1} short[$2] = 1}
    END {exit bad}' out >&2 || not_ok "the table of options"
awk -F'\t' 'NR > 1 {print "--" $1}' out | while read -r name; do says help "$name"; done

expect 0 "$PROGRAM" --version
case $(head -n 1 out) in "$PROGRAM (Tessera) "[0-9]*) ;; *) not_ok "$(head -n 1 out)" ;; esac
says out "stream format"
cp out version
expect 0 "$PROGRAM" -V; same out version
