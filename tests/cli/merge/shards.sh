# shards as tasks of make and GNU parallel: the same bytes as one process, and a failed task is an error
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
shards=$TESSERA_ROOT/scripts/merge-shards.sh
for i in 0 1 2 3 4 5 6; do make-contributions --dim 16 --first $((i * 100)) --count 100 > s$i.tsr; done
tessera-merge s?.tsr > whole.tsr
for engine in serial make parallel; do
    if test $engine = parallel && ! parallel --version > /dev/null 2>&1; then
        echo "GNU parallel is not installed" > left_out; continue
    fi
    JOBS=2 "$shards" $engine $engine.tsr s3.tsr s1.tsr s0.tsr s6.tsr s2.tsr s5.tsr s4.tsr
    same $engine.tsr whole.tsr
    MERGE='--rule trim --assume 0.2' "$shards" $engine $engine.tsr s?.tsr
    tessera-merge --rule trim --assume 0.2 s?.tsr > trim.tsr
    same $engine.tsr trim.tsr
    head -c 3000 s2.tsr > torn.tsr
    status_of "$shards" $engine bad.tsr s0.tsr torn.tsr s1.tsr 2> err
    test $status != 0 && test ! -e bad.tsr || not_ok "$engine: a shard that is torn goes unnoticed"
    test ! -e bad.tsr.shards || not_ok "$engine leaves its work behind"
done
test ! -e left_out || skip "$(cat left_out); serial and make were fine"
