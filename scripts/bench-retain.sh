#!/usr/bin/env bash
# bench-retain.sh - `make bench-retain`: trained receivers taught by a better and by a worse teacher of another family.
# A good network has learnt from 6000 labels, a weak one from 300. JSON lines on stdout, one a transfer: where the
# receiver began, where it ended without and with --retain (accuracy on 2000 test samples); the last two lines sum up
# each direction: means and the worst change.
# Settings from the environment: BUILD=build  RETAIN=2  SEEDS="1 2 3"  TASKS="glyphs sensors"  MODELS="..."  BENCH=build/bench-retain
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/bench-lib.sh
unset "${!OPENBLAS_@}"
build=${BUILD:-build} bench=${BENCH:-${BUILD:-build}/bench-retain} models=${MODELS:-mlp-128x2 conv1d-64x2 lstm-64x2}
PATH=$PWD/$build/bin:$PWD/$build/tools:$PATH
rm -rf "$bench"
mkdir -p "$bench"
log=$bench/log
trap 'test $? = 0 || cat "$log" >&2' EXIT

declare -A shape=([glyphs]=input=1x16x16 [sensors]=input=6x32)
on_test() { accuracy -m "$1" -x "$d/test-x.npy" -y "$d/test-y.npy"; }

train() { # MODEL weak|good
    local set=train views=0
    test "$2" = good || set=few views=20
    tessera-model "$(specification "$1") ${shape[$task]} classes=10 seed=$seed" -o "$d/new.onnx"
    tessera-train -T1 -m "$d/new.onnx" -x "$d/$set-x.npy" -y "$d/$set-y.npy" --views $views --steps 1200 --seed "$seed" \
        -o "$d/$2-$1.onnx" 2>> "$log"
}
taught() { # TOKENS RECEIVER OPTION...: the accuracy it ends with
    local tokens=$1 receiver=$2
    shift 2
    tessera-decode -T1 -m "$receiver" -r "$d/ref-x.npy" --seed "$seed" "$@" -o "$d/taught.onnx" < "$tokens" 2>> "$log"
    on_test "$d/taught.onnx"
}
transfer() { # better|worse TX RX
    local tx=good rx=weak
    test "$1" = better || { tx=weak rx=good; }
    tessera-extract -T1 -m "$d/$tx-$2.onnx" --mode b --seed "$seed" "$d/ref-x.npy" > "$d/tokens.tsr"
    printf '{"began":%s,"from":"%s","kept":%s,"plain":%s,"seed":%s,"task":"%s","teacher":%s,"teacher_is":"%s","to":"%s"}\n' \
        "$(on_test "$d/$rx-$3.onnx")" "$2" "$(taught "$d/tokens.tsr" "$d/$rx-$3.onnx" --retain "${RETAIN:-2}")" \
        "$(taught "$d/tokens.tsr" "$d/$rx-$3.onnx")" "$seed" "$task" "$(on_test "$d/$tx-$2.onnx")" "$1" "$3" |
        tee -a "$bench/results.jsonl"
}

for task in ${TASKS:-glyphs sensors}; do
    for seed in ${SEEDS:-1 2 3}; do
        d=$bench/$task-$seed
        mkdir -p "$d"
        for split in train:6000 ref:400 test:2000; do
            make-data "$task" --split "${split%:*}" --count "${split#*:}" --seed "$seed" \
                -x "$d/${split%:*}-x.npy" -y "$d/${split%:*}-y.npy"
        done
        for a in x y; do npy-cat --sample 300 --seed "$seed" -o "$d/few-$a.npy" "$d/train-$a.npy"; done
        for m in $models; do
            train "$m" good
            train "$m" weak
        done
        for tx in $models; do
            for rx in $models; do
                test "$tx" = "$rx" || { transfer better "$tx" "$rx"; transfer worse "$tx" "$rx"; }
            done
        done
    done
done
awk -F'[:,"]+' -v points=100 '
    function field(n,   i) { for (i = 1; i <= NF; i++) if ($i == n) return $(i + 1) }
    {
        t = field("teacher_is"); n[t]++
        p = points * (field("plain") - field("began")); k = points * (field("kept") - field("began"))
        plain[t] += p; kept[t] += k
        if (!(t in wp) || p < wp[t]) wp[t] = p
        if (!(t in wk) || k < wk[t]) wk[t] = k
    }
    END {
        for (t in n)
            printf "{\"kept_mean\":%.2f,\"kept_worst\":%.2f,\"plain_mean\":%.2f,\"plain_worst\":%.2f,\"teacher_is\":\"%s\",\"transfers\":%d,\"unit\":\"points\"}\n",
                kept[t] / n[t], wk[t], plain[t] / n[t], wp[t], t, n[t]
    }' "$bench/results.jsonl" | sort
