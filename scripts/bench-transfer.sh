#!/usr/bin/env bash
# bench-transfer.sh - `make bench-transfer`: how much of a teacher reaches students of other architectures.
#
# Five architectures, every ordered pair of two different ones, on four tasks; for each pair the teacher, the
# student before, trained with labels on the same references (alone and with views), distilled plainly, taught by
# the full method, and the teacher's tokens stitched to a trained network of the student's kind.
#
# Everything is kept in $BENCH and an interrupted run goes on where it stopped; remove the directory to start
# anew. Settings from the environment:
#   SEEDS="1 2 3"  TASKS="tokens glyphs sensors spoken"  JOBS=2  BUILD=build  BENCH=build/bench
#   MODELS="transformer-64x2 ..."  WHAT="labels views plain full stitch"  GLYPH_REFS="400 100 25"
#   SPOKEN_TEACHERS="dscnn"  DECODE="--budget quality"  VIEWS=rich  TESSERA_SHARED=directory of the spoken digits
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/bench-lib.sh
unset "${!OPENBLAS_@}"
export BUILD=${BUILD:-build} SEEDS=${SEEDS:-1 2 3} TASKS=${TASKS:-tokens glyphs sensors spoken} JOBS=${JOBS:-2}
export BENCH=${BENCH:-$BUILD/bench} WHAT=${WHAT:-labels views plain full stitch} GLYPH_REFS=${GLYPH_REFS:-400 100 25}
export MODELS=${MODELS:-transformer-64x2 transformer-128x4 mlp-128x4 conv1d-64x2 lstm-64x2}
export SPOKEN_TEACHERS=${SPOKEN_TEACHERS:-dscnn} DECODE=${DECODE:---budget quality} VIEWS=${VIEWS:-rich}
export SPOKEN_STUDENTS=${SPOKEN_STUDENTS:-mlp-128x2 conv1d-64x3 dscnn-64x4 resnet-16x4 bilstm-64x2 gru-64x2 transformer-64x2 cct-64x2}
shared=${TESSERA_SHARED:-../shared}
PATH=$BUILD/bin:$BUILD/tools:$PATH

# The input of a task, for tessera-model; and how many references it is run with.
shape() {
    case $1 in
    tokens) echo vocab=256 length=16 classes=2 ;;
    glyphs) echo input=1x16x16 classes=10 ;;
    sensors) echo input=6x32 classes=10 ;;
    spoken) echo input=1x40x64 classes=10 ;;
    esac
}
reference_counts() {
    case $1 in
    glyphs) echo "$GLYPH_REFS" ;;
    spoken) echo 1800 180 ;;
    *) echo 400 ;;
    esac
}
# Names of what a PyTorch network of the spoken digits is called in our zoo.
family() {
    case $1 in
    kwt) echo transformer ;;
    tcn) echo conv1d ;;
    lstm* | gru* | bilstm*) echo recurrent ;;
    *) echo "${1%-*}" ;;
    esac
}
teachers() { if test "$1" = spoken; then echo "$SPOKEN_TEACHERS"; else echo "$MODELS"; fi; }
students() { if test "$1" = spoken; then echo "$SPOKEN_STUDENTS"; else echo "$MODELS"; fi; }

on_test() { accuracy -m "$1" -x "$dir/test-x.npy" -y "$dir/test-y.npy"; }

# put ACCURACY BYTES CPU: the job's result
put() {
    printf '{"accuracy":%s,"bytes":%s,"cpu":%s,"refs":%s,"seed":%s,"student":"%s","task":"%s","teacher":"%s","what":"%s"}\n' \
        "$1" "$2" "$3" "${refs/#-/null}" "$seed" "$rx" "$task" "$tx" "$what" > "$result.new"
    mv "$result.new" "$result"
}

make_data() {
    local split
    case $task in
    spoken)
        local d=$shared/data/spoken-digits a
        for a in x y; do
            npy-cat -o "$dir/ref-$a.npy" "$d"/{george,jackson,nicolas,theo}-train-$a.npy
            npy-cat -o "$dir/test-$a.npy" "$d"/{george,jackson,nicolas,theo}-test-$a.npy
        done
        ;;
    tokens) # as tessera-core has it: the references are the teacher's training sequences
        make-data tokens --split train --count 400 --seed "$seed" -x "$dir/train-x.npy" -y "$dir/train-y.npy"
        cp "$dir/train-x.npy" "$dir/ref-x.npy"
        cp "$dir/train-y.npy" "$dir/ref-y.npy"
        make-data tokens --split test --count 2000 --seed "$seed" -x "$dir/test-x.npy" -y "$dir/test-y.npy"
        ;;
    *)
        for split in train:6000 ref:400 test:2000; do
            make-data "$task" --split "${split%:*}" --count "${split#*:}" --seed "$seed" \
                -x "$dir/${split%:*}-x.npy" -y "$dir/${split%:*}-y.npy"
        done
        ;;
    esac
    local n
    for n in $(reference_counts "$task"); do # by chance: each speaker's digits come in the same order
        npy-cat --sample "$n" --seed "$seed" -o "$dir/ref$n-x.npy" "$dir/ref-x.npy"
        npy-cat --sample "$n" --seed "$seed" -o "$dir/ref$n-y.npy" "$dir/ref-y.npy"
    done
    npy-cat -o "$dir/all-x.npy" "$dir/ref-x.npy" "$dir/test-x.npy" # for stitching
    npy-cat -o "$dir/all-y.npy" "$dir/ref-y.npy" "$dir/test-y.npy"
}

train_teacher() {
    local out=$dir/teacher-$tx.onnx
    case $task in
    spoken) cp "$shared/models/$tx/model.onnx" "$out"; return ;;
    tokens) set -- --val-split 0 --views 40 --steps 600 --lr 2e-3 ;; # 400 samples: without views an MLP learns nothing
    *) set -- ;;
    esac
    tessera-model "$(specification "$tx") $(shape "$task") seed=$seed" -o "$dir/teacher0-$tx.onnx"
    tessera-train -T1 -m "$dir/teacher0-$tx.onnx" -x "$dir/train-x.npy" -y "$dir/train-y.npy" "$@" --seed "$seed" -o "$out"
}
# Labels without a held-out part: 600 steps at two rates; the one that does better on the TEST set counts, in favour
# of the comparison.
train_labels() {
    tessera-train -T1 -m "$dir/student-$rx.onnx" -x "$dir/ref$refs-x.npy" -y "$dir/ref$refs-y.npy" --val-split 0 \
        --steps 600 --lr "$1" --seed "$seed" -o "$dir/labels$refs-$rx-$1.onnx"
}
train_views() {
    tessera-train -T1 -m "$dir/student-$rx.onnx" -x "$dir/ref$refs-x.npy" -y "$dir/ref$refs-y.npy" --views "$(view_count)" \
        --steps 2000 --patience 0 --seed "$seed" -o "$dir/views$refs-$rx.onnx"
}
view_count() { # as tessera-extract --views auto and rich
    local k=16000
    test "$VIEWS" != rich || k=64000
    k=$((k / refs))
    echo $((k < 8 ? 8 : k > 640 ? 640 : k))
}

transmit() { # full | plain
    local views=0
    test "$1" = plain || views=$VIEWS
    tessera-extract -T1 -m "$dir/teacher-$tx.onnx" --mode b --views $views --seed "$seed" "$dir/ref$refs-x.npy" |
        tessera-quantize --to int4 > "$dir/$1$refs-$tx.tsr"
}
transmit_hub() {
    tessera-extract -T1 -m "$dir/teacher-$tx.onnx" --mode a "$dir/all-x.npy" |
        tessera-encode --anchors "$(reference_counts "$task" | awk '{ print $1 }')" > "$dir/hub-$tx.tsr"
}
teach() { # full | plain
    local options=$DECODE
    test "$1" = full || options='--steps 1000 --temperature 2'
    # shellcheck disable=SC2086 # several options
    tessera-decode -T1 -m "$dir/student-$rx.onnx" -r "$dir/ref$refs-x.npy" $options --seed "$seed" \
        -o "$dir/$1$refs-$tx-$rx.onnx" < "$dir/$1$refs-$tx.tsr"
}
stitch() {
    tessera-decode -T1 --stitch -m "$dir/teacher-$rx.onnx" -r "$dir/all-x.npy" -o "$dir/stitch-$tx-$rx.npy" < "$dir/hub-$tx.tsr"
}

# job TASK SEED WHAT REFS TX RX ('-' where it has none)
job() {
    task=$1 seed=$2 what=$3 refs=$4 tx=$5 rx=$6
    dir=$BENCH/$task/$seed
    mkdir -p "$dir/results"
    result=$dir/results/$what-$refs-$tx-$rx.json
    log=$dir/results/$what-$refs-$tx-$rx.log
    test ! -s "$result" || return 0
    exec 9>&2 # where the trap speaks: it may run while standard error is the log
    trap 'test $? = 0 || { echo "bench-transfer: failed: $task $seed $what $refs $tx $rx"; cat "$log"; } >&9' EXIT
    : > "$log"
    case $what in
    data) make_data 2>> "$log"; put null null null ;;
    teacher)
        measure train_teacher
        put "$(on_test "$dir/teacher-$tx.onnx")" null "$cpu"
        ;;
    before)
        tessera-model "$(specification "$rx") $(shape "$task") seed=$((100 + seed))" -o "$dir/student-$rx.onnx"
        put "$(on_test "$dir/student-$rx.onnx")" null null
        ;;
    labels)
        local slow fast
        measure train_labels 2e-3
        slow=$(on_test "$dir/labels$refs-$rx-2e-3.onnx")
        measure train_labels 1e-2
        fast=$(on_test "$dir/labels$refs-$rx-1e-2.onnx")
        put "$(printf '%s\n' "$slow" "$fast" | sort -g | tail -n 1)" null "$cpu"
        ;;
    views)
        measure train_views
        put "$(on_test "$dir/views$refs-$rx.onnx")" null "$cpu"
        ;;
    tokens-full | tokens-plain)
        measure transmit "${what#tokens-}"
        put null "$(wc -c < "$dir/${what#tokens-}$refs-$tx.tsr")" "$cpu"
        ;;
    tokens-stitch)
        measure transmit_hub
        put null null "$cpu"
        ;;
    full | plain)
        measure teach "$what"
        put "$(on_test "$dir/$what$refs-$tx-$rx.onnx")" null "$cpu"
        ;;
    stitch)
        measure stitch
        put "$(accuracy --outputs "$dir/stitch-$tx-$rx.npy" -y "$dir/all-y.npy" --from "$refs")" null "$cpu"
        rm -f "$dir/stitch-$tx-$rx.npy"
        ;;
    esac
    echo "done: $(cat "$result")"
}
if test "${1:-}" = --job; then
    shift
    # shellcheck disable=SC2086 # one word a field
    job $*
    exit
fi

wanted() { case " $WHAT " in *" $1 "*) return 0 ;; esac; return 1; }

# The jobs of a stage, one a line. Those of a stage need only what earlier stages made.
list() { # STAGE TASK SEED
    local most n t s
    most=$(reference_counts "$2")
    most=${most%% *}
    case $1 in
    1) echo "$2 $3 data - - -" ;;
    2)
        for t in $(teachers "$2"); do echo "$2 $3 teacher - $t -"; done
        for s in $(students "$2"); do echo "$2 $3 before - - $s"; done
        ;;
    3)
        for n in $(reference_counts "$2"); do
            for t in $(teachers "$2"); do
                ! wanted full || echo "$2 $3 tokens-full $n $t -"
                ! wanted plain || test "$n" -ne "$most" || echo "$2 $3 tokens-plain $n $t -"
            done
            for s in $(students "$2"); do
                ! wanted labels || echo "$2 $3 labels $n - $s"
                ! wanted views || test "$n" -ne "$most" || echo "$2 $3 views $n - $s"
            done
        done
        wanted stitch && test "$2" != spoken || return 0
        for t in $(teachers "$2"); do echo "$2 $3 tokens-stitch $most $t -"; done
        ;;
    4)
        for t in $(teachers "$2"); do
            for s in $(students "$2"); do
                if test "$2" = spoken; then
                    test "$(family "$t")" != "$(family "$s")" || continue
                else
                    test "$t" != "$s" || continue
                fi
                for n in $(reference_counts "$2"); do
                    ! wanted full || echo "$2 $3 full $n $t $s"
                    ! wanted plain || test "$n" -ne "$most" || echo "$2 $3 plain $n $t $s"
                done
                ! wanted stitch || test "$2" = spoken || echo "$2 $3 stitch $most $t $s"
            done
        done
        ;;
    esac
}

tasks=
for task in $TASKS; do
    if test "$task" = spoken && test ! -e "$shared/models/dscnn/model.onnx"; then
        echo "skipped: spoken (there is no '$shared/models'; set TESSERA_SHARED)" >&2
    else
        tasks="$tasks $task"
    fi
done
mkdir -p "$BENCH"
programs=$(cat "$BUILD"/bin/tessera-* | sha256sum | cut -c 1-16)
test ! -e "$BENCH/programs" || test "$(cat "$BENCH/programs")" = "$programs" ||
    echo "note: some results in $BENCH are of other builds of the programs; remove it to measure all anew" >&2
echo "$programs" > "$BENCH/programs"
kernel=$(tessera-train --version | tr '\n' ' ')
echo "programs $programs; $kernel" >&2

for stage in 1 2 3 4; do
    for seed in $SEEDS; do
        for task in $tasks; do list $stage "$task" "$seed"; done
    done | xargs -P "$JOBS" -I '{}' "$0" --job '{}' >&2 || {
        echo "bench-transfer: stopped: some jobs failed" >&2
        exit 1
    }
done
find "$BENCH" -name '*.json' -path '*/results/*' -exec cat '{}' + | LC_ALL=C sort > "$BENCH/results.jsonl"
bench-summary --programs "$programs" --kernel "$kernel" -o "$BENCH/summary.json" "$BENCH/results.jsonl"
