#!/usr/bin/env bash
# bench-drift.sh - `make bench-drift`: does tessera-drift --predict foretell what is measured?
#
# For every network and grid: the prediction from a few samples, then the model brought to the grid with all
# references, and its drift on test samples that neither has seen. A JSON line for each cell (a network, a grid,
# a statistic) in $BENCH/drift.jsonl, and a summary: how many measured values lie within the interval of 95 %,
# and how wide the interval for the same class is.
#
# An interrupted run goes on where it stopped; remove $BENCH to start anew. Settings from the environment:
#   FEW=200  GRIDS="f16 int8 w4a8 int4 w4a4"  TASKS="glyphs sensors tokens spoken"  MODELS="mlp-64x2 ..."
#   SEEDS="1"  BUILD=build  BENCH=build/bench-drift  TESSERA_SHARED=directory of the spoken digits' networks
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/bench-lib.sh
unset "${!OPENBLAS_@}"
build=${BUILD:-build} bench=${BENCH:-${BUILD:-build}/bench-drift} few=${FEW:-200} seeds=${SEEDS:-1}
grids=${GRIDS:-f16 int8 w4a8 int4 w4a4} tasks=${TASKS:-glyphs sensors tokens spoken} shared=${TESSERA_SHARED:-../shared}
models=${MODELS:-conv1d-64x2 mlp-64x2 lstm-64x2 transformer-64x2}
PATH=$PWD/$build/bin:$PWD/$build/tools:$PATH
mkdir -p "$bench"
log=$bench/log
trap 'test $? = 0 || tail -n 5 "$log" >&2' EXIT

shape() {
    case $1 in
    tokens) echo vocab=256 length=16 classes=2 ;;
    glyphs) echo input=1x16x16 classes=10 ;;
    sensors) echo input=6x32 classes=10 ;;
    esac
}
networks() { if test "$1" = spoken; then echo dscnn mlp bilstm kwt tcn; else echo "$models"; fi; }

make_data() { # training, reference and test samples in $dir
    local d=$shared/data/spoken-digits a split
    if test "$task" = spoken; then # the networks know the training recordings by heart: half of the others are references
        for a in x y; do
            npy-cat -o "$dir/all-$a.npy" "$d"/{george,jackson,nicolas,theo}-test-$a.npy
            npy-cat --sample 100 --seed "$seed" -o "$dir/ref-$a.npy" "$dir/all-$a.npy"
            npy-cat --sample 100 --others --seed "$seed" -o "$dir/test-$a.npy" "$dir/all-$a.npy"
        done
    else
        for split in train:2000 ref:400 test:2000; do
            make-data "$task" --split "${split%:*}" --count "${split#*:}" --seed "$seed" -x "$dir/${split%:*}-x.npy" -y "$dir/${split%:*}-y.npy"
        done
    fi
    local n=$few
    test "$task" != spoken || n=100
    for a in x y; do npy-cat --sample "$n" --seed "$seed" -o "$dir/few-$a.npy" "$dir/ref-$a.npy"; done
}
train() { # NETWORK
    local out=$dir/$1.onnx
    if test "$task" = spoken; then cp "$shared/models/$1/model.onnx" "$out"; return; fi
    tessera-model "$(specification "$1") $(shape "$task") seed=$seed" -o "$dir/$1.before.onnx"
    tessera-train -T1 -m "$dir/$1.before.onnx" -x "$dir/train-x.npy" -y "$dir/train-y.npy" --views 10 --steps 500 --lr 2e-3 \
        --seed "$seed" -o "$out" 2>> "$log"
}
answers() { tessera-extract -T1 -m "$1" --views 0 --mode b "$2" 2>> "$log"; } # MODEL SAMPLES

# value FILE STATISTIC: of a report; interval FILE STATISTIC: "value low high" of a prediction
value() { sed -n 's/.*"'"${2//./\\.}"'":{[^}]*"value":\([^,}]*\)}.*/\1/p' "$1"; }
interval() { sed -n 's/.*"'"${2//./\\.}"'":{"high":\([^,]*\),"low":\([^,]*\),"value":\([^}]*\)}.*/\3 \2 \1/p' "$1"; }

cell() { # NETWORK GRID: five lines
    local net=$1 grid=$2 at=$dir/$1.$2 n what report statistic
    n=$(tessera-inspect --json "$dir/$net.tsr" | sed -n 's/.*"samples":\([0-9]*\).*/\1/p' | head -n 1)
    tessera-drift --predict -T1 -m "$dir/$net.onnx" -r "$dir/few-x.npy" -y "$dir/few-y.npy" --on "$n" --grid "$grid" --json \
        "$dir/teacher.tsr" > "$at.predicted" 2>> "$log"
    tessera-quantize -T1 -m "$dir/$net.onnx" --to "$grid" -r "$dir/ref-x.npy" -o "$at.onnx" 2>> "$log"
    answers "$at.onnx" "$dir/test-x.npy" > "$at.tsr"
    tessera-drift --json -y "$dir/test-y.npy" "$dir/$net.tsr" "$at.tsr" > "$at.self"
    tessera-drift --json "$dir/teacher-test.tsr" "$at.tsr" > "$at.teacher"
    for what in kl top1 teacher.kl teacher.top1 accuracy; do
        report=$at.self statistic=$what
        case $what in teacher.*) report=$at.teacher statistic=${what#teacher.} ;; esac
        echo "$task $seed $net $grid $what $(value "$report" "$statistic") $(interval "$at.predicted" "$what")"
    done | awk '{ printf "{\"grid\":\"%s\",\"high\":%s,\"inside\":%s,\"low\":%s,\"measured\":%s,\"model\":\"%s\",\"predicted\":%s,\"seed\":%s,\"task\":\"%s\",\"what\":\"%s\"}\n",
        $4, $9, ($6 >= $8 && $6 <= $9) ? "true" : "false", $8, $6, $3, $7, $2, $1, $5 }' > "$at.new"
    mv "$at.new" "$at.cells"
    rm -f "$at.tsr" "$at.onnx"
}

for seed in $seeds; do
    for task in $tasks; do
        dir=$bench/$task-$seed
        if test "$task" = spoken && ! test -d "$shared/models"; then echo "skipped: spoken digits: there is no $shared/models" >&2; continue; fi
        mkdir -p "$dir"
        test -e "$dir/few-y.npy" || make_data
        first=
        for net in $(networks "$task"); do
            test -e "$dir/$net.onnx" || train "$net"
            test -e "$dir/$net.tsr" || { answers "$dir/$net.onnx" "$dir/test-x.npy" > "$dir/new" && mv "$dir/new" "$dir/$net.tsr"; }
            if test -z "$first"; then # the first network teaches them all
                first=$net
                answers "$dir/$net.onnx" "$dir/ref-x.npy" > "$dir/teacher.tsr"
                cp "$dir/$net.tsr" "$dir/teacher-test.tsr"
            fi
            for grid in $grids; do test -e "$dir/$net.$grid.cells" || cell "$net" "$grid"; done
        done
    done
done
cat "$bench"/*/*.cells > "$bench/drift.jsonl"
awk -F'"' '
    { split($0, x, /"(high|low)":/); split(x[2], h, ","); split(x[3], l, ","); w = $(NF - 1); g = $4; inside = $0 ~ /"inside":true/
      n[w]++; ok[w] += inside; all++; good += inside; if (w == "top1") { width[++k] = h[1] - l[1]; by[g, ++m[g]] = h[1] - l[1] } }
    function median(a, c,   i, j, t) { for (i = 2; i <= c; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return c % 2 ? a[(c + 1) / 2] : (a[c / 2] + a[c / 2 + 1]) / 2 }
    END { for (w in n) printf "%-14s %3d of %3d measured values lie inside the interval, %.1f %%\n", w, ok[w], n[w], 100 * ok[w] / n[w] | "sort"
        close("sort"); printf "%-14s %3d of %3d, %.1f %%\n", "all", good, all, 100 * good / all
        printf "median width of the interval for the same class: %.2f points\n", 100 * median(width, k)
        for (g in m) { for (i = 1; i <= m[g]; i++) a[i] = by[g, i]; printf "  %-5s %.2f\n", g, 100 * median(a, m[g]) | "sort" } }' "$bench/drift.jsonl"
