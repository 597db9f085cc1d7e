#!/usr/bin/env bash
# demo.sh - the main job on real input: `make demo`. For two kinds of data it trains a teacher, lets it
# answer a reference set, and teaches three networks of other architectures from the token stream alone.
# usage: scripts/demo.sh BUILD-DIRECTORY
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(cd "${1:-build}" && pwd)
export PATH="$build/bin:$PATH"
work=$build/demo
unset "${!OPENBLAS_@}"
rm -rf "$work"
mkdir -p "$work"

# accuracy MODEL TASK: percent of the test samples
accuracy() {
    tessera-train --eval -m "$1" -x "testdata/$2/test-x.npy" -y "testdata/$2/test-y.npy" |
        awk '{ printf "%.1f", 100 * $2 }'
}

now() { date +%s.%N; }

# show TASK SHAPE TEACHER STUDENT...: one line of the table for each student, in $work/TASK.rows
show() {
    local task=$1 shape=$2 teacher=$3 data=testdata/$1 d=$work/$1 student n=0 begin end
    shift 3
    mkdir -p "$d"
    exec 2> "$d/log"
    tessera-model "$teacher input=$shape classes=10 seed=1" -o "$d/teacher0.onnx"
    tessera-train -T1 -m "$d/teacher0.onnx" -x "$data/train-x.npy" -y "$data/train-y.npy" --views 20 --steps 1200 \
        --seed 1 -o "$d/teacher.onnx"
    local teacher_accuracy
    teacher_accuracy=$(accuracy "$d/teacher.onnx" "$task")
    for student in "$@"; do
        n=$((n + 1))
        tessera-model "$student input=$shape classes=10 seed=$((n + 10))" -o "$d/before$n.onnx"
        tessera-train -T1 -m "$d/before$n.onnx" -x "$data/ref-x.npy" -y "$data/ref-y.npy" --val-split 0 --lr 5e-3 \
            --steps 600 --seed 1 -o "$d/labels$n.onnx"
        begin=$(now)
        tessera-extract -T1 -m "$d/teacher.onnx" --views 40 --seed 1 "$data/ref-x.npy" |
            tessera-encode | tessera-quantize --to int8 > "$d/tokens$n.tsr"
        tessera-decode -T1 -m "$d/before$n.onnx" -r "$data/ref-x.npy" --steps 1200 --seed 1 \
            -o "$d/taught$n.onnx" < "$d/tokens$n.tsr"
        end=$(now)
        printf '%s|%s|%s|%s|%s|%s|%s|%s|%s\n' "$task" "$teacher" "$student" "$teacher_accuracy" \
            "$(accuracy "$d/before$n.onnx" "$task")" "$(accuracy "$d/labels$n.onnx" "$task")" \
            "$(accuracy "$d/taught$n.onnx" "$task")" "$(wc -c < "$d/tokens$n.tsr")" "$begin $end" >> "$work/$task.rows"
    done
}

began=$(now)
echo "Training a teacher on each of two kinds of data and moving what it learnt into three other architectures ..."
show glyphs 1x16x16 'conv1d width=64 depth=2' 'mlp width=128 depth=4' 'lstm width=64 depth=2' \
    'transformer width=64 depth=2' &
first=$!
show sensors 6x32 'lstm width=64 depth=2' 'conv1d width=64 depth=2' 'mlp width=128 depth=4' \
    'gru width=64 depth=2' &
second=$!
failed=0
wait $first || failed=1
wait $second || failed=1
if test $failed = 1; then
    cat "$work"/*/log >&2
    exit 1
fi

cat << 'END'

  teacher  trained with 1200 labelled samples
  before   the student, untrained: guessing among ten classes
  labels   the student trained with the true labels of the 400 reference samples
  taught   the student taught by the teacher's token stream on the same 400 samples, without labels
           (all in percent of 400 test samples that no network has seen)
  stream   the INT8 token stream: everything that passes from the teacher to the student
  seconds  from the teacher's first answer to the taught student

END
{
    echo 'data|teacher|student|teacher|before|labels|taught|stream|seconds'
    cat "$work"/glyphs.rows "$work"/sensors.rows
} | awk -F'|' '{
    gsub(/ width=/, " "); gsub(/ depth=/, "x")
    if (NR > 1) { split($9, t, " "); $9 = sprintf("%.1f", t[2] - t[1]); $8 = sprintf("%.0f KiB", $8 / 1024) }
    printf "  %-8s %-12s %-2s %-18s %7s %7s %7s %7s %9s %8s\n", $1, $2, (NR > 1 ? "->" : ""), $3, $4, $5, $6, $7, $8, $9
}'
printf '\n%.0f seconds in all. The models and streams are in %s; tessera-inspect shows what is in them.\n' \
    "$(echo "$began $(now)" | awk '{ print $2 - $1 }')" "${work#"$PWD"/}"
