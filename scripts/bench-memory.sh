#!/bin/sh
# bench-memory.sh - peak memory of tessera-extract on a transformer of 200 million parameters, and of tessera-quantize
# calibrating BERT-base and writing it as INT8: a JSON line each. Fails where a peak exceeds the weights by 300 MB.
# Everything lies in $BUILD/bench-memory.
# Settings: BUILD (build), PARTS (extract calibrate), THREADS (1),
#   of extract: MODEL (a specification over tokens below 11000, 128 of them), ROWS (256), VIEWS (0),
#   of calibrate: CALIBRATED (a specification over tokens below 11000, 64 of them), SAMPLES (512).
set -eu
cd "$(dirname "$0")/.."
build=${BUILD:-build} parts=${PARTS:-extract calibrate} threads=${THREADS:-1}
dir=$build/bench-memory
mkdir -p "$dir"

# tokens ROWS LENGTH
tokens() {
    awk -v rows="$1" -v columns="$2" 'BEGIN {
        for (r = 0; r < rows; r++) {
            line = ""
            for (c = 0; c < columns; c++) line = line (c ? "," : "") (r * 7919 + c * 104729) % 11000
            print line
        }
    }'
}

# part NAME SPECIFICATION ROWS LENGTH COMMAND...: the command on the model, whose weights lie outside its file, and
# on the tokens
part() {
    name=$1 model=$2 rows=$3
    test "$(cat "$dir/$name.specification" 2> /dev/null)" = "$model" || {
        "$build/bin/tessera-model" "$model" --external -o "$dir/$name.onnx"
        printf '%s' "$model" > "$dir/$name.specification"
    }
    tokens "$rows" "$4" > "$dir/$name.csv"
    shift 4
    weights=$(wc -c < "$dir/$name.onnx.data")
    line=$("$build/tools/peak-memory" part="\"$name\"" weight_bytes="$weights" rows="$rows" threads="$threads" -- "$@")
    echo "$line"
    peak=${line##*\"peak_bytes\":} peak=${peak%%,*}
    test "$peak" -lt $((weights + 300000000)) || {
        echo "bench-memory: $name: the peak is $((peak - weights)) bytes above the weights; 300000000 is allowed" >&2
        failed=yes
    }
}

failed=
for p in $parts; do
    case $p in
    extract)
        part extract "${MODEL:-transformer width=1024 depth=15 heads=16 ff=4096 vocab=11000 length=128 classes=10}" "${ROWS:-256}" 128 \
            "$build/bin/tessera-extract" -q -T "$threads" -m "$dir/extract.onnx" --views "${VIEWS:-0}" -o "$dir/out.tsr" "$dir/extract.csv"
        ;;
    calibrate)
        part calibrate "${CALIBRATED:-bert width=768 depth=12 heads=12 vocab=30522 length=64 classes=2}" "${SAMPLES:-512}" 64 \
            "$build/bin/tessera-quantize" -q -T "$threads" -m "$dir/calibrate.onnx" --to int8 -r "$dir/calibrate.csv" -o "$dir/int8.onnx"
        ;;
    *) echo "bench-memory: there is no part '$p'" >&2; exit 2 ;;
    esac
done
test -z "$failed"
