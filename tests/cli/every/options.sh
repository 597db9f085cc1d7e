# for each program: nonsense on the command line is named, and exit is 2
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
refused() { # TEXT ARGUMENT...: with nothing on stdin and nothing on stdout
    text=$1; shift
    expect 2 "$PROGRAM" "$@" </dev/null
    test ! -s out || not_ok "writes to stdout: $*"
    says err "$text"
    says err "try '$PROGRAM --help'"
}
refused "unknown option '--no-such-option'" --no-such-option
refused "unknown option '--no-such-option'" --no-such-option=1
refused "unknown option '-%'" -%
refused "did you mean '--version'" --versoin
refused "option '--quiet' takes no value" --quiet=1
expect 0 "$PROGRAM" --help=table
tail -n +2 out > table
cut -f1,3 table | while read -r name kind; do
    case $kind in
    flag | count) continue ;;
    int | double | size)
        for value in abc '' 1x 0x10 nan inf 1e999 --help ' 1' 99999999999999999999; do
            refused "option '--$name' wants" "--$name=$value"
            refused "not '$value'" "--$name" "$value"
        done ;;
    choice) refused "option '--$name' wants" "--$name=no-such-choice" ;;
    string | list) refused "option '--$name' wants" "--$name=" ;;
    esac
    refused "option '--$name' wants" "--$name"
done
# the product and the report cannot share standard output: said before any work, whatever else is missing
if grep -q '^report' table && grep -q '^output' table; then refused "cannot both go to standard output" --report=-; fi
# the neighbours of the range; a table's numbers are exact for integers
awk -F'\t' '$3 == "int" {split($5, r, " "); print $1, r[1], r[2]}' table | while read -r name lo hi; do
    test "$lo" -le -9223372036854775807 || refused "option '--$name' wants" "--$name=$((lo - 1))"
    test "$hi" -ge 9223372036854775807 || refused "option '--$name' wants" "--$name=$((hi + 1))"
done
if grep -q '^threads' table; then
    export TESSERA_THREADS=many
    refused "TESSERA_THREADS wants" 
fi
