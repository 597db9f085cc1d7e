# --check gives every fixture the verdict its name says, in one sentence
. "$TESSERA_ROOT/tests/cli/lib.sh"
for f in "$TESSERA_ROOT"/testdata/stream/*.tsr; do
    name=${f##*/}
    case $name in good-*) code=0 ;; *) code=3 ;; esac
    expect $code tessera-inspect --check "$f"
    case $name in
    good-*) says out ": sound: " ;;
    *) test ! -s out || not_ok "a verdict for $name on stdout"
       test "$(wc -l < err)" -eq 1 || not_ok "$name: more than one line" ;;
    esac
done
expect 0 tessera-inspect -q --check "$TESSERA_ROOT/testdata/stream/good-outputs.tsr"
test ! -s out || not_ok "--quiet speaks"
# a concatenation of sound streams is sound, a file cut anywhere is not
cat "$TESSERA_ROOT"/testdata/stream/good-outputs.tsr "$TESSERA_ROOT"/testdata/stream/good-all-types.tsr > both.tsr
expect 0 tessera-inspect --check both.tsr
says out 'sound: 2 segments'
size=$(wc -c < both.tsr)
n=1
while test $n -lt "$size"; do
    dd if=both.tsr of=cut.tsr bs=1 count=$n 2>/dev/null
    if test $n -eq "$(wc -c < "$TESSERA_ROOT/testdata/stream/good-outputs.tsr")"; then expect 0 tessera-inspect --check cut.tsr
    else expect 3 tessera-inspect --check cut.tsr; fi
    n=$((n + 211))
done
