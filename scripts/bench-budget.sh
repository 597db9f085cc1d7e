#!/usr/bin/env bash
# bench-budget.sh - `make bench-budget`: what a transfer costs. JSON lines on stdout:
#   calibration  milliseconds of CPU time to calibrate a model for the hub
#   quick        the whole transfer of 400 sequences of 16 tokens from a transformer 128x4 to one of 64x2 with the
#                quick budget: CPU seconds of all its processes, and whether it arrives
#   stream       bytes of the tokens of 400 references with 40 views each and ten classes, INT4
# Settings from the environment: BUILD=build  RUNS=5
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/bench-lib.sh
unset "${!OPENBLAS_@}"
build=${BUILD:-build} runs=${RUNS:-5}
PATH=$PWD/$build/bin:$PWD/$build/tools:$PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
trap 'test $? = 0 || cat "$log" >&2; rm -rf "$work"' EXIT

"$build/tests/bench_hub"

for split in train:400 test:2000; do
    make-data tokens --split "${split%:*}" --count "${split#*:}" --seed 1 -x "$work/${split%:*}-x.npy" -y "$work/${split%:*}-y.npy"
done
tessera-model "$(specification transformer-128x4) vocab=256 length=16 classes=2 seed=1" -o "$work/teacher0.onnx"
tessera-model "$(specification transformer-64x2) vocab=256 length=16 classes=2 seed=101" -o "$work/student.onnx"
tessera-train -m "$work/teacher0.onnx" -x "$work/train-x.npy" -y "$work/train-y.npy" --val-split 0 --views 40 --steps 600 \
    --lr 2e-3 -o "$work/teacher.onnx" 2>> "$log"
on_test() { accuracy -m "$1" -x "$work/test-x.npy" -y "$work/test-y.npy"; }
transfer() {
    tessera-extract -T1 -m "$work/teacher.onnx" --views 8 --seed 1 "$work/train-x.npy" | tessera-encode |
        tessera-decode -T1 -m "$work/student.onnx" -r "$work/train-x.npy" --budget quick --seed 1 -o "$work/taught.onnx"
}
for ((i = 0; i < runs; i++)); do
    measure transfer
    echo "$cpu" >> "$work/cpu"
done
printf '{"before":%s,"cpu_seconds":%s,"runs":%s,"student":%s,"teacher":%s,"what":"quick"}\n' \
    "$(on_test "$work/student.onnx")" "$(median < "$work/cpu")" "$runs" "$(on_test "$work/taught.onnx")" \
    "$(on_test "$work/teacher.onnx")"

tessera-model "conv1d width=64 depth=2 input=1x16x16 classes=10 seed=1" -o "$work/glyphs0.onnx"
tessera-train -m "$work/glyphs0.onnx" -x testdata/glyphs/train-x.npy -y testdata/glyphs/train-y.npy --steps 600 \
    -o "$work/glyphs.onnx" 2>> "$log"
bytes=$(tessera-extract -m "$work/glyphs.onnx" --mode b --views 40 testdata/glyphs/ref-x.npy | tessera-quantize --to int4 | wc -c)
printf '{"bytes":%s,"classes":10,"references":400,"type":"int4","views":40,"what":"stream"}\n' "$bytes"
