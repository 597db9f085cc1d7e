# shards as tasks of make and GNU parallel: the same bytes as one process, and a failed task is an error
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
shards=$TESSERA_ROOT/scripts/merge-shards.sh
for i in 0 1 2 3 4 5 6; do make-contributions --dim 16 --first $((i * 100)) --count 100 > s$i.tsr; done
tessera-merge s?.tsr > whole.tsr
# a step that is not the last misses a shard as well
for i in 0 1 2; do tessera-merge --rule median --partial s$i.tsr > p$i.tsr; done
expect 0 tessera-merge --shards 3 p0.tsr p1.tsr p2.tsr; cp out medians.tsr
refused "2 of 3 shards are there" tessera-merge --shards 3 p0.tsr p2.tsr
refused "300 contributors count, 301 are needed" tessera-merge --min-contributors 301 p0.tsr p1.tsr p2.tsr
for i in 0 1; do tessera-merge --from medians.tsr --partial s$i.tsr > p$i.tsr; done
refused "2 of 3 shards are there" tessera-merge --shards 3 p0.tsr p1.tsr
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
