#!/bin/sh
# make-merge-corpus.sh [DIR] - writes what tests/fuzz/fuzz_merge begins with: small streams of answers and of
# contributions, partial aggregates and states of all kinds of steps.
set -eu
cd "$(dirname "$0")/.."
out=${1:-tests/fuzz/corpus/merge}
case $out in /*) ;; *) out=$PWD/$out ;; esac
PATH=${BUILD:-$PWD/build}/bin:${BUILD:-$PWD/build}/tools:$PATH
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
make-data sensors --split ref --count 3 -x ref.npy
tessera-model mlp input=6x32 classes=3 width=4 depth=1 -o m.onnx
tessera-extract -m m.onnx --views 1 ref.npy | tessera-encode --rank 1 > "$out/answers.tsr"
make-contributions --dim 3 --count 4 > "$out/contributions.tsr"
for what in answers contributions; do
    in=$out/$what.tsr
    tessera-merge --rule mean "$in" > "$out/$what-aggregate.tsr"
    tessera-merge --rule mean --partial "$in" > "$out/$what-mean.tsr"
    for rule in cclip trim huber spectral; do
        from= step=1
        while tessera-merge --rule $rule $from --partial "$in" > part; do
            # histograms of contributions are long, and like each other
            test $what = answers || test "$(wc -c < part)" -gt 4096 || cp part "$out/$what-$rule-$step.tsr"
            test $what = contributions || test $rule = huber || cp part "$out/$what-$rule-$step.tsr"
            tessera-merge --report report part > state
            tail -n 1 report | grep -q merge.state || break
            cp state state.$step
            test $rule != trim || cp state "$out/$what-$rule-state.tsr"
            from="--from state.$step" step=$((step + 1))
        done
    done
done
find "$out" -size +24k -exec rm {} +
