#!/usr/bin/env bash
# bench-ort.sh - `make bench-ort`: our forward pass against ONNX Runtime's, same model, same batch, same number of
# threads, in turn, warm; the same models on INT8 (tessera-quantize, ranges from random samples), and how many times
# as quick as float they are; and whole processes over 256 samples, tessera-extract against node.
#
# JSON lines go to standard output while it runs, a table at the end. Needs node and the package
# onnxruntime-node, found through NODE_PATH or in ORT_DIR/node_modules; says "skipped" without them.
# Settings from the environment:
#   THREADS="1 2"  BATCH=64  ROUNDS=21  NETWORKS="dscnn bert-mini ..."  PROCESSES=9 (0: none)  KERNEL=avx2
#   INT8=yes (no: float alone)
#   BUILD=build  TESSERA_SHARED=directory with models/*/model.onnx
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset "${!OPENBLAS_@}" TESSERA_THREADS
build=${BUILD:-build} shared=${TESSERA_SHARED:-../shared} rounds=${ROUNDS:-21} batch=${BATCH:-64} processes=${PROCESSES:-9}
networks=${NETWORKS:-dscnn bilstm kwt tcn mlp mobilenetv2 resnet18 bert-mini ds-cnn}
test -z "${ORT_DIR:-}" || NODE_PATH=$ORT_DIR/node_modules
export NODE_PATH="${NODE_PATH:-}"
command -v node > /dev/null || { echo "skipped: ONNX Runtime: there is no node"; exit 0; }
code=0
library=$(node scripts/ort-run.js --library) || code=$?
test $code -ne 77 || { echo "skipped: ONNX Runtime: node does not find onnxruntime-node (set NODE_PATH or ORT_DIR)"; exit 0; }
test $code -eq 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Networks of our zoo; the others are those of the shared folder.
specification() {
    case $1 in
    mobilenetv2) echo mobilenetv2 input=3x96x96 classes=10 ;;
    resnet18) echo resnet18 input=3x64x64 classes=10 ;;
    bert-mini) echo bert vocab=30522 length=64 classes=2 ;;
    ds-cnn) echo dscnn width=64 depth=4 input=1x49x10 classes=12 ;;
    esac
}

models=()
for n in $networks; do
    spec=$(specification "$n")
    if test -n "$spec"; then "$build/bin/tessera-model" "$spec" -o "$work/$n.onnx"
    elif test -f "$shared/models/$n/model.onnx"; then cp "$shared/models/$n/model.onnx" "$work/$n.onnx"
    else echo "skipped: $n: there is no $shared/models/$n/model.onnx" >&2; continue
    fi
    models+=("$n.onnx")
done
quantised=()
for m in "${models[@]}"; do
    test "${INT8:-yes}" = yes || break
    mkdir -p "$work/in"
    "$build/tools/run-onnx" "$work/$m" "$work/in" 64
    "$build/bin/tessera-quantize" -q -m "$work/$m" --to int8 -r "$work/in/input.npy" -o "$work/${m%.onnx}.int8.onnx"
    quantised+=("${m%.onnx}.int8.onnx")
done
test ${#models[@]} -gt 0 || { echo "skipped: none of the networks is there"; exit 0; }
tool=$PWD/$build/tests/bench_forward
for t in ${THREADS:-1 2}; do
    for m in "${models[@]}" ${quantised[@]+"${quantised[@]}"}; do
        (cd "$work" && "$tool" -t "$t" -b "$batch" -r "$rounds" ${KERNEL:+-k "$KERNEL"} -o "$library" "$m") | tee -a "$work/forward"
    done
done

# Wall milliseconds of a command.
elapsed() {
    local from=$EPOCHREALTIME
    "$@"
    local to=$EPOCHREALTIME
    echo $(((${to/./} - ${from/./}))) | awk '{ printf "%.1f\n", $1 / 1000 }'
}
median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

: > "$work/process"
for m in "${models[@]}"; do
    test "$processes" -gt 0 || break
    n=${m%.onnx} dir=$work/$n
    mkdir -p "$dir"
    "$build/tools/run-onnx" "$work/$m" "$dir" 256
    for ((i = 0; i <= processes; i++)); do # the first round warms the disk's cache
        ours=$(elapsed "$build/bin/tessera-extract" -T 1 --mode b --views 0 -m "$work/$m" -o "$dir/out.tsr" "$dir/input.npy")
        theirs=$(elapsed node scripts/ort-run.js --forward "$dir/out" 1 "$work/$m" "$dir/input.npy")
        test $i -eq 0 || echo "$ours $theirs" >> "$dir/times"
    done
    awk '{ print $1 }' "$dir/times" | median > "$dir/ours"
    awk '{ print $2 }' "$dir/times" | median > "$dir/theirs"
    awk '{ print $2 / $1 }' "$dir/times" | median > "$dir/ratio"
    printf '{"model": "%s", "samples": 256, "process_ms": %s, "node_ms": %s, "ratio": %.3f}\n' "$m" "$(cat "$dir/ours")" \
        "$(cat "$dir/theirs")" "$(cat "$dir/ratio")" | tee -a "$work/process"
    rm -r "$dir"
done

# One value of a JSON line.
awk '
function field(name,  s) {
    s = $0
    if (!sub(".*\"" name "\": \"?", "", s)) return ""
    sub("[\",}].*", "", s)
    return s
}
function line(what, a, b, r) { printf "%-24s %10.2f %10.2f %7.2f\n", what, a, b, r; sum += log(r); n++ }
function gain(   i) {
    if (gains > 0) printf "%-24s %10s %10s %7s\n", "INT8 over float, ours", "float ms", "INT8 ms", "ratio"
    for (i = 1; i <= gains; i++) printf "%-24s %10.2f %10.2f %7.2f\n", who[i], before[i], after[i], before[i] / after[i]
    if (gains > 0) print ""
    gains = 0
}
function mean() { if (n > 0) printf "%-24s %10s %10s %7.2f\n\n", "geometric mean", "", "", exp(sum / n); sum = n = 0 }
FNR == 1 && FILENAME ~ /forward$/ { kernel = field("kernel"); version = field("ort") }
FILENAME ~ /forward$/ {
    t = field("threads")
    if (t != last) {
        mean()
        gain()
        printf "\n%-24s %10s %10s %7s\n", "forward, " t " thread" (t > 1 ? "s" : ""), kernel " ms", "ORT ms", "ratio"
        last = t
    }
    m = field("model"); sub("[.]onnx$", "", m)
    line(m, field("ours_ms"), field("ort_ms"), field("ratio"))
    small = m ~ /[.]int8$/ # a step of the grid may fall to either side
    if (small) { sub("[.]int8$", "", m); who[++gains] = m; before[gains] = float_ms[m]; after[gains] = field("ours_ms") }
    else float_ms[m] = field("ours_ms")
    if (field("difference") + 0 > (small ? 0.1 : 1e-4) || field("difference") ~ /n/) { print "the outputs differ by " field("difference"); bad = 1 }
}
FILENAME ~ /process$/ {
    if (FNR == 1) { mean(); gain(); printf "%-24s %10s %10s %7s\n", "process, 256 samples", "ours ms", "node ms", "ratio" }
    m = field("model"); sub("[.]onnx$", "", m)
    line(m, field("process_ms"), field("node_ms"), field("ratio"))
}
END { mean(); gain(); print "ONNX Runtime " version "; a ratio above 1: ours is quicker"; exit bad }
' "$work/forward" "$work/process"
