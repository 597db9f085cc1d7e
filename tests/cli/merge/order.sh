# the same bytes for any order of the inputs, any number of shards and any tree of partial aggregates
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
references 40
for i in 1 2 3 4 5 6 7; do device d$i; done
# two that saw a part of the samples only, one of them another precision
npy-cat --sample 20 -o half.npy ref.npy
tessera-extract -m d1.onnx --contributor half --mode b --views 0 half.npy > half.tsr
tessera-extract -m d2.onnx --contributor int8 --mode b --views 2 ref.npy | tessera-quantize --to int8 > int8.tsr
all='d1 d2 d3 d4 d5 d6 d7 half int8'
files() { for f; do echo "$f.tsr"; done; }
shuffled() { # SEED WORD...: the words in another order
    s=$1; shift
    printf '%s\n' "$@" | awk -v s="$s" 'BEGIN {srand(s)} {print rand() "\t" $0}' | sort | cut -f2
}
for rule in mean cclip huber median trim geomed spectral krum multikrum bulyan nnm+median nnm+cclip; do
    assume=0.3; test $rule != bulyan || assume=0.15
    expect 0 tessera-merge --assume $assume --rule $rule $(files $all); cp out $rule.tsr
    expect 0 tessera-inspect --check $rule.tsr
    expect 0 tessera-merge --assume $assume --rule $rule $(files $(shuffled 1 $all)); same out $rule.tsr
    cat $(files $(shuffled 2 $all)) > joined.tsr
    piped() { cat joined.tsr | tessera-merge --assume $assume --rule $rule; }
    expect 0 piped; same out $rule.tsr
done
cmp -s mean.tsr cclip.tsr && not_ok "the mean and cclip are the same"

# tree SEED OPTION...: partial aggregates of random groups, joined two by two in random order
tree() {
    seed=$1; shift
    rm -f p.* leaf.*
    n=0
    for f in $(files $(shuffled "$seed" $all)); do
        n=$((n + 1))
        echo "$f" >> leaf.$((n * (seed % 7 + 1) % (seed % 4 + 2)))
    done
    for l in leaf.*; do tessera-merge "$@" --partial $(cat $l) > p.$l; done
    round=0
    while set -- "$@" && test "$(ls p.* | wc -l)" -gt 2; do
        round=$((round + 1))
        pair=$(shuffled $((seed + round)) p.* | head -n 2)
        cat $pair | tessera-merge --partial > joint
        rm $pair; mv joint p.$round
    done
    cat $(shuffled $seed p.*) > partials
}
for seed in 1 2 3 4 5 6 7 8; do
    tree $seed --rule mean
    expect 0 tessera-merge partials; same out mean.tsr
    tree $seed --from mean.tsr
    expect 0 tessera-merge partials
    test $seed = 1 && cp out clipped.tsr || same out clipped.tsr
done
expect 0 tessera-merge --from mean.tsr $(files $all); same out clipped.tsr

# a rule of several steps: from state to state
for rule in cclip huber median trim geomed spectral; do
    from=
    for step in 1 2 3 4 5 6 7 8; do
        tree $step --rule $rule $from
        expect 0 tessera-merge --report report partials
        grep -q 'merge.state/1' report || break
        cp out state.tsr
        from="--from state.tsr"
    done
    same out $rule.tsr
done

expect 2 tessera-merge --rule krum --partial d1.tsr; says err "makes no partial aggregates"
refused "too few for this rule" tessera-merge --rule krum d1.tsr d2.tsr
refused "bulyan needs" tessera-merge --rule bulyan $(files $all)

# one process that merges answers and partial aggregates
tessera-merge --rule mean --partial d1.tsr d2.tsr half.tsr > p1
expect 0 tessera-merge --rule mean d4.tsr p1 d3.tsr d5.tsr int8.tsr d6.tsr d7.tsr; same out mean.tsr

# what does not belong together
expect 3 tessera-merge --rule median p1; says err "another setting of 'rule'"
tessera-merge --rule mean --scale 2 --partial d3.tsr > p2
expect 3 tessera-merge p1 p2; says err "another setting of 'scale'"
tessera-merge --partial d1.tsr > q1
tessera-merge --from mean.tsr --partial d2.tsr > q2
expect 3 tessera-merge q1 q2; says err "different"
tessera-merge --from median.tsr --partial d3.tsr > q3
expect 3 tessera-merge q2 q3; says err "different"
refused "is counted in two partial aggregates" tessera-merge p1 p1
tessera-merge --rule mean --partial d4.tsr > p4
expect 3 tessera-merge p4 state.tsr; says err "given with --from"
expect 3 tessera-merge --from p1 d1.tsr; says err "no state to go on from"
expect 3 tessera-decode -m d1.onnx -r ref.npy p1; says err "partial aggregate"
expect 3 tessera-decode -m d1.onnx -r ref.npy state.tsr; says err "between two steps"

# a shard that is missing, or died half-way
tessera-merge --rule mean --partial d1.tsr > s1; tessera-merge --rule mean --partial d2.tsr > s2
tessera-merge s1 s2 --partial > s12
tessera-merge --rule mean --partial d3.tsr > s3
expect 0 tessera-merge --shards 3 s12 s3
refused "2 of 3 shards" tessera-merge --shards 3 s12
head -c $(($(wc -c < s3) / 2)) s3 > cut
expect 3 tessera-merge s12 cut; says err "cut"
cat s12 cut > torn
expect 3 tessera-merge torn; says err "torn"
