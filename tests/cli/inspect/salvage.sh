# what is left of a damaged stream is a sound stream
. "$TESSERA_ROOT/tests/cli/lib.sh"
s=$TESSERA_ROOT/testdata/stream/good-all-types.tsr
size=$(wc -c < "$s")
expect 0 tessera-inspect --salvage -o saved.tsr "$s"
expect 0 tessera-inspect --check saved.tsr
says out '19 records'
n=3
while test $n -lt "$size"; do # one byte damaged
    { head -c $n "$s"; printf '\252'; tail -c +$((n + 2)) "$s"; } > damaged.tsr
    cmp -s "$s" damaged.tsr || {
        expect 3 tessera-inspect --check damaged.tsr
        expect 1 tessera-inspect --salvage -o saved.tsr damaged.tsr
        says err 'lost '
        expect 0 tessera-inspect --check saved.tsr
    }
    n=$((n + 149))
done
n=100
while test $n -lt "$size"; do # cut short
    head -c $n "$s" > damaged.tsr
    status_of tessera-inspect --salvage -o saved.tsr damaged.tsr 2> err
    case $status in
    1) expect 0 tessera-inspect --check saved.tsr ;;
    3) test $n -lt 300 || not_ok "nothing saved of $n bytes" ;;
    *) not_ok "exit $status" ;;
    esac
    n=$((n + 311))
done
rm -f saved.tsr
expect 3 tessera-inspect --salvage -o saved.tsr "$TESSERA_ROOT/testdata/stream/bad-foreign.tsr"
says err 'nothing of it could be read'
test ! -e saved.tsr || not_ok "a stream of nothing"
