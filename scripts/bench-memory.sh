#!/bin/sh
# bench-memory.sh - peak memory of tessera-extract on a transformer of 200 million parameters, one JSON
# line. Fails where the peak exceeds the weights by 300 MB. Everything lies in $BUILD/bench-memory.
# Settings: BUILD (build), MODEL (a specification over tokens below 11000, 128 of them), ROWS (256),
# VIEWS (0), THREADS (1).
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build} rows=${ROWS:-256} views=${VIEWS:-0} threads=${THREADS:-1}
model=${MODEL:-transformer width=1024 depth=15 heads=16 ff=4096 vocab=11000 length=128 classes=10}
dir=$build/bench-memory
mkdir -p "$dir"
test "$(cat "$dir/specification" 2>/dev/null)" = "$model" || {
    "$build/bin/tessera-model" $model --external -o "$dir/model.onnx"
    printf '%s' "$model" > "$dir/specification"
}
awk -v rows="$rows" 'BEGIN {
    for (r = 0; r < rows; r++) {
        line = ""
        for (c = 0; c < 128; c++) line = line (c ? "," : "") (r * 7919 + c * 104729) % 11000
        print line
    }
}' > "$dir/tokens.csv"
weights=$(wc -c < "$dir/model.onnx.data")
line=$("$build/tools/peak-memory" weight_bytes="$weights" rows="$rows" threads="$threads" -- \
    "$build/bin/tessera-extract" -q -T "$threads" -m "$dir/model.onnx" --views "$views" -o "$dir/out.tsr" "$dir/tokens.csv")
echo "$line"
peak=${line##*\"peak_bytes\":} peak=${peak%%,*}
test "$peak" -lt $((weights + 300000000)) || {
    echo "bench-memory: the peak is $((peak - weights)) bytes above the weights; 300000000 is allowed" >&2
    exit 1
}
