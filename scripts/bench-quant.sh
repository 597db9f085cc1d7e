#!/usr/bin/env bash
# bench-quant.sh - `make bench-quant`: what grids cost networks in accuracy, and how much of it comes back.
#
# Four parts, each a JSON line a cell in $BENCH/quant.jsonl, and a summary with the bars:
#   ptq    INT8 after training, the five networks of the spoken digits
#   round  4-bit weights rounded to nearest, and learned, with scales for 32 weights and for whole rows
#   rank   the sensitivity of layers as --budget ranks them against what each costs alone on other samples: Spearman
#   teach  students taught on the grid against their float twins, which were taught until they learnt no more
#
# An interrupted run goes on where it stopped; remove $BENCH to start anew. Settings from the environment:
#   PARTS="ptq teach round rank"  SEEDS="1"  GRIDS="int8 w4a8 w4a4"  BUILD=build  BENCH=build/bench-quant
#   STUDENTS="spoken:dscnn:mlp-128x2 ..." (task:teacher:student)  TRAINED="dscnn-24x4 ..." (on glyphs, for round and rank)
#   TESSERA_SHARED=directory of the spoken digits' networks
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/bench-lib.sh
unset "${!OPENBLAS_@}"
build=${BUILD:-build} bench=${BENCH:-${BUILD:-build}/bench-quant} parts=${PARTS:-ptq teach round rank} seeds=${SEEDS:-1}
grids=${GRIDS:-int8 w4a8 w4a4} shared=${TESSERA_SHARED:-../shared}
pairs=${STUDENTS:-spoken:dscnn:mlp-128x2 spoken:dscnn:conv1d-64x3 spoken:dscnn:dscnn-64x4 glyphs:conv1d-64x2:mlp-64x2 sensors:mlp-64x2:conv1d-64x2}
trained=${TRAINED:-dscnn-24x4 mobilenetv2-8x6}
PATH=$PWD/$build/bin:$PWD/$build/tools:$PATH
mkdir -p "$bench"
log=$bench/log
trap 'test $? = 0 || tail -n 5 "$log" >&2' EXIT
spoken=yes
test -d "$shared/models" || { spoken=; echo "skipped: spoken digits: there is no $shared/models" >&2; }

shape() {
    case $1 in
    glyphs) echo input=1x16x16 classes=10 ;;
    sensors) echo input=6x32 classes=10 ;;
    spoken) echo input=1x40x64 classes=10 ;;
    esac
}
# Training, reference (what is calibrated with, and taught) and test samples of the task in $dir.
data() {
    dir=$bench/$task-$seed
    test ! -e "$dir/few.npy" || return 0
    mkdir -p "$dir"
    local d=$shared/data/spoken-digits a split
    if test "$task" = spoken; then
        for a in x y; do
            npy-cat -o "$dir/ref-$a.npy" "$d"/{george,jackson,nicolas,theo}-train-$a.npy
            npy-cat -o "$dir/test-$a.npy" "$d"/{george,jackson,nicolas,theo}-test-$a.npy
        done
    else
        for split in train:6000 ref:400 test:2000; do
            make-data "$task" --split "${split%:*}" --count "${split#*:}" --seed "$seed" -x "$dir/${split%:*}-x.npy" -y "$dir/${split%:*}-y.npy"
        done
    fi
    npy-cat --sample 400 --seed "$seed" -o "$dir/new.npy" "$dir/ref-x.npy"
    mv "$dir/new.npy" "$dir/few.npy"
}
on_test() { accuracy -m "$1" -x "$dir/test-x.npy" -y "$dir/test-y.npy"; }
quantise() { tessera-quantize -q -T1 -m "$1" --to "$2" -r "$dir/few.npy" -o "$dir/q.onnx" "${@:3}" 2>> "$log"; } # MODEL GRID OPTION...
# cell FILE: standard input becomes the file, once it is whole
cell() { cat > "$1.new" && mv "$1.new" "$1"; }
# Networks with their float accuracy: those of the shared folder, and the students.
networks() {
    if test "$task" = spoken; then for net in dscnn bilstm kwt tcn mlp; do echo "$shared/models/$net/model.onnx"; done; fi
    find "$dir" -name 'float-*.onnx' | sort
}
name_of() { local n=${1%/model.onnx}; n=${n##*/}; echo "${n%.onnx}"; }

ptq() {
    task=spoken seed=1
    data
    local net model a b
    for net in dscnn bilstm kwt tcn mlp; do
        test ! -e "$dir/$net.ptq" || continue
        model=$shared/models/$net/model.onnx
        a=$(on_test "$model")
        quantise "$model" int8
        b=$(on_test "$dir/q.onnx")
        printf '{"accuracy":%s,"float":%s,"grid":"int8","model":"%s","part":"ptq"}\n' "$b" "$a" "$net" | cell "$dir/$net.ptq"
    done
}

# The float twin: taught by the default budget, then from there once more at a low rate, as long as teaching on the
# longest grid takes, so that more steps do not pass for fidelity.
twin() {
    local tx=$1 rx=$2 teacher=$dir/teacher-$1.onnx
    test ! -e "$dir/float-$tx-$rx.onnx" || return 0
    if test ! -e "$teacher"; then
        if test "$task" = spoken; then cp "$shared/models/$tx/model.onnx" "$teacher"
        else
            tessera-model "$(specification "$tx") $(shape "$task") seed=$seed" -o "$dir/untrained.onnx"
            tessera-train -T1 -m "$dir/untrained.onnx" -x "$dir/train-x.npy" -y "$dir/train-y.npy" --seed "$seed" -o "$dir/new.onnx" 2>> "$log"
            mv "$dir/new.onnx" "$teacher"
        fi
    fi
    if test ! -e "$dir/$tx.tsr"; then
        tessera-extract -T1 -m "$teacher" --mode b --views rich --seed "$seed" "$dir/ref-x.npy" 2>> "$log" | tessera-quantize --to int4 > "$dir/new.tsr"
        mv "$dir/new.tsr" "$dir/$tx.tsr"
    fi
    tessera-model "$(specification "$rx") $(shape "$task") seed=$seed" -o "$dir/student.onnx"
    tessera-decode -T1 -m "$dir/student.onnx" -r "$dir/ref-x.npy" --seed "$seed" -o "$dir/once.onnx" < "$dir/$tx.tsr" 2>> "$log"
    tessera-decode -T1 -m "$dir/once.onnx" -r "$dir/ref-x.npy" --steps 2400 --lr 5e-4 --seed "$seed" -o "$dir/new.onnx" < "$dir/$tx.tsr" 2>> "$log"
    mv "$dir/new.onnx" "$dir/float-$tx-$rx.onnx"
}
teach() {
    local pair tx rx grid a b c to
    for pair in $pairs; do
        IFS=: read -r task tx rx <<< "$pair"
        test "$task" != spoken || test -n "$spoken" || continue
        for seed in $seeds; do
            data
            twin "$tx" "$rx"
            for grid in $grids; do
                to=$dir/$tx-$rx.$grid
                test ! -e "$to.teach" || continue
                a=$(on_test "$dir/float-$tx-$rx.onnx")
                tessera-decode -T1 -m "$dir/float-$tx-$rx.onnx" -r "$dir/ref-x.npy" --grid-only --grid "$grid" --seed "$seed" -o "$to.onnx" \
                    < "$dir/$tx.tsr" 2>> "$log"
                b=$(on_test "$to.onnx")
                quantise "$dir/float-$tx-$rx.onnx" "$grid"
                c=$(on_test "$dir/q.onnx")
                printf '{"accuracy":%s,"float":%s,"grid":"%s","part":"teach","quantised":%s,"seed":%s,"student":"%s","task":"%s","teacher":"%s"}\n' \
                    "$b" "$a" "$grid" "$c" "$seed" "$rx" "$task" "$tx" | cell "$to.teach"
            done
        done
    done
}

# Networks of many narrow layers, which 4 bits hurt most, trained with labels.
train() {
    local net
    task=glyphs
    for seed in $seeds; do
        data
        for net in $trained; do
            test ! -e "$dir/float-$net.onnx" || continue
            tessera-model "$(specification "$net") $(shape glyphs) seed=$seed" -o "$dir/untrained.onnx"
            tessera-train -T1 -m "$dir/untrained.onnx" -x "$dir/train-x.npy" -y "$dir/train-y.npy" --steps 600 --seed "$seed" -o "$dir/new.onnx" 2>> "$log"
            mv "$dir/new.onnx" "$dir/float-$net.onnx"
        done
    done
}

each_task() { # COMMAND: for every task and seed that has samples
    local place
    for place in "$bench"/*-*/few.npy; do
        dir=${place%/few.npy}
        task=${dir##*/} seed=${dir##*-}
        task=${task%-*}
        "$1"
    done
}
round_task() {
    local model net grid block way a to options
    for model in $(networks); do
        net=$(name_of "$model")
        for grid in int4 w4a8; do
            for block in 32 65536; do
                to=$dir/$net.$grid.$block.round
                test ! -e "$to" || continue
                a=$(on_test "$model")
                for way in nearest learned; do
                    options=(--block "$block" --rounding "$way")
                    test $way = learned || options+=(--equalise no --correct-bias no)
                    quantise "$model" "$grid" "${options[@]}"
                    echo "$way $(on_test "$dir/q.onnx")"
                done | awk -v a="$a" -v net="$net" -v grid="$grid" -v block="$block" -v task="$task" '{ v[$1] = $2 } END {
                    printf "{\"block\":%s,\"float\":%s,\"grid\":\"%s\",\"learned\":%s,\"model\":\"%s\",\"nearest\":%s,\"part\":\"round\",\"task\":\"%s\"}\n",
                        block, a, grid, v["learned"], net, v["nearest"], task }' | cell "$to"
            done
        done
    done
}

# Sensitivity of each layer from the report of a run whose budget is half of what the grid costs; then each alone.
rank_task() {
    local model net grid to node others other kl
    if test ! -e "$dir/rest.npy"; then # of the spoken digits there are few test samples
        if test "$task" = spoken; then
            npy-cat --sample 400 --others --seed "$seed" -o "$dir/others.npy" "$dir/ref-x.npy"
            npy-cat -o "$dir/new.npy" "$dir/others.npy" "$dir/test-x.npy"
        else cp "$dir/test-x.npy" "$dir/new.npy"
        fi
        mv "$dir/new.npy" "$dir/rest.npy"
    fi
    for model in $(networks); do
        net=$(name_of "$model")
        for grid in int8 w4a8; do
            to=$dir/$net.$grid.rank
            test ! -e "$to" || continue
            local plain=(--rounding nearest --equalise no --correct-bias no)
            quantise "$model" "$grid" "${plain[@]}" --report "$dir/report"
            kl=$(sed -n 's/.*"kl":\([^,]*\),.*/\1/p' "$dir/report" | awk '{ print $1 / 2 }')
            quantise "$model" "$grid" "${plain[@]}" --budget "kl<=$kl" --report "$dir/report"
            sed -n 's/.*"node":"\([^"]*\)".*"sensitivity":\([^,}]*\)[,}].*/\1 \2/p' "$dir/report" > "$dir/ranked"
            tessera-extract -T1 -m "$model" --views 0 --mode b "$dir/rest.npy" > "$dir/float.tsr" 2>> "$log"
            while read -r node _; do
                others=()
                while read -r other _; do test "$other" = "$node" || others+=(--exclude "$other"); done < "$dir/ranked"
                quantise "$model" "$grid" "${plain[@]}" "${others[@]}"
                tessera-extract -T1 -m "$dir/q.onnx" --views 0 --mode b "$dir/rest.npy" > "$dir/q.tsr" 2>> "$log"
                tessera-drift --json "$dir/float.tsr" "$dir/q.tsr" | sed -n 's/.*"kl":{[^}]*"value":\([^,}]*\)}.*/\1/p'
            done < "$dir/ranked" > "$dir/alone"
            paste -d ' ' "$dir/ranked" "$dir/alone" | awk -v net="$net" -v grid="$grid" -v task="$task" '
                { a[NR] = $2; b[NR] = $3 }
                function rank(x, r,   i, j, low, same) { for (i = 1; i <= NR; i++) { low = same = 0
                    for (j = 1; j <= NR; j++) { low += x[j] + 0 < x[i] + 0; same += x[j] + 0 == x[i] + 0 }; r[i] = low + (same + 1) / 2 } }
                END { rank(a, r); rank(b, s); m = (NR + 1) / 2
                    for (i = 1; i <= NR; i++) { c += (r[i] - m) * (s[i] - m); u += (r[i] - m) ^ 2; v += (s[i] - m) ^ 2 }
                    if (NR > 3) printf "{\"grid\":\"%s\",\"layers\":%d,\"model\":\"%s\",\"part\":\"rank\",\"spearman\":%.4f,\"task\":\"%s\"}\n", grid, NR, net, c / sqrt(u * v), task }' |
                cell "$to"
        done
    done
}

for part in $parts; do
    case $part in
    ptq) test -z "$spoken" || ptq ;;
    teach) teach ;;
    round) train && each_task round_task ;;
    rank) train && each_task rank_task ;;
    *) echo "bench-quant: there is no part '$part'" >&2; exit 2 ;;
    esac
done
find "$bench" \( -name '*.ptq' -o -name '*.teach' -o -name '*.round' -o -name '*.rank' \) | sort | xargs cat > "$bench/quant.jsonl"
cat "$bench/quant.jsonl"
awk '
    function field(name,   s) { s = $0; if (!sub(".*\"" name "\":\"?", "", s)) return ""; sub("[\",}].*", "", s); return s }
    { part = field("part"); lost = 100 * (field("float") - field("accuracy")) }
    part == "ptq" { n++; if (lost > worst) worst = lost }
    part == "teach" { g = field("grid"); t[g]++; sum[g] += lost; q[g] += 100 * (field("float") - field("quantised")); if (!(g in most) || lost > most[g]) most[g] = lost }
    part == "round" { near = field("float") - field("nearest"); all++; lostn += near; lostl += field("float") - field("learned")
        if (near > 0.02) { hard++; back = (field("learned") - field("nearest")) / near; sumb += back; if (hard == 1 || back < least) least = back } }
    part == "rank" { r = field("spearman"); ranks++; sumr += r; if (ranks == 1 || r < lowest) lowest = r }
    END {
        if (n) printf "INT8 after training: the most that one of %d networks loses is %.2f points (bar: 0.5)\n", n, worst
        for (g in t) printf "taught on %s: %d students lose %.2f points in the mean, %.2f at most; only quantised %.2f in the mean (bar: %s)\n",
            g, t[g], sum[g] / t[g], most[g], q[g] / t[g], g == "int8" ? "0.3, 1 at most" : g == "w4a8" ? "0.3" : "1"
        if (all && !hard) printf "4-bit rounding: nearest loses more than 2 points in none of %d cells (bar: 90 %% of that)\n", all
        if (hard) printf "4-bit rounding: nearest loses more than 2 points in %d of %d cells; learned brings back %.0f %% in the mean, %.0f %% at least (bar: 90 %%)\n",
            hard, all, 100 * sumb / hard, 100 * least
        if (all) printf "4-bit rounding, all cells: nearest loses %.2f points in the mean, learned %.2f\n", 100 * lostn / all, 100 * lostl / all
        if (ranks) printf "sensitivity: Spearman %.3f in the mean of %d, %.3f at least (bar: 0.95)\n", sumr / ranks, ranks, lowest
    }' "$bench/quant.jsonl"
