#!/usr/bin/env bash
# bench-swarm.sh - `make bench-swarm`: many devices, one model. Every device (a writer of glyphs, or a speaker of the
# spoken digits) trains a small network of its own kind on its own few samples, answers a shared unlabelled
# reference set, and leaves its answers as an INT8 token stream. The streams are merged by several rules, without
# attackers and with some; a fresh full-precision network learns from the aggregate, and the devices learn back
# from it. Everything is measured on test data of all devices; JSON lines go to $BENCH/swarm.jsonl.
#
# Settings from the environment:
#   TASK=glyphs|spoken  DEVICES=10  SAMPLES=120  REFS=600  SEED=1  STEPS=600  JOBS=2  BUILD=build  BENCH=build/bench-swarm
#   RULES="mean cclip ..."  TAUGHT="mean cclip spectral" (rules whose aggregates a fresh network learns from)
#   OUTPUTS="max-confidence ..." (how the answers are also merged: see --outputs of tessera-merge)
#   ATTACKS="flip ipm ..."  SHARES="10 20 30 40"  FRESH="conv1d width=64 depth=2"  BUDGET="--budget quality"
#   TESSERA_SHARED=directory of the spoken digits
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
BUILD=${BUILD:-build} TASK=${TASK:-glyphs} SAMPLES=${SAMPLES:-120} REFS=${REFS:-600} SEED=${SEED:-1} STEPS=${STEPS:-600}
BENCH=${BENCH:-$BUILD/bench-swarm} JOBS=${JOBS:-2} BUDGET=${BUDGET:---budget quality}
RULES=${RULES:-mean cclip median trim geomed huber spectral multikrum nnm+cclip} TAUGHT=${TAUGHT:-mean cclip spectral}
ATTACKS=${ATTACKS:-flip ipm alie mimic minmax gaussian labelflip scaling nan replay} SHARES=${SHARES:-10 20 30 40}
OUTPUTS=${OUTPUTS:-standardised-mean max-confidence}
FRESH=${FRESH:-conv1d width=64 depth=2}
shared=${TESSERA_SHARED:-$PWD/../shared}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
case $BENCH in /*) ;; *) BENCH=$PWD/$BENCH ;; esac
PATH=$BUILD/bin:$BUILD/tools:$PATH
mkdir -p "$BENCH"
cd "$BENCH"
families=("mlp width=36 depth=2" "conv1d width=40 depth=2" "lstm width=44 depth=2" "transformer width=48 depth=2"
    "dscnn width=32 depth=2" "resnet width=12 depth=2" "gru width=60 depth=2" "mlp width=64 depth=1" "conv1d width=68 depth=2"
    "transformer width=72 depth=2" "mlp width=96 depth=3" "gru width=40 depth=1")
case $TASK in
glyphs) shape="input=1x16x16 classes=10" DEVICES=${DEVICES:-10} ;;
spoken)
    shape="input=1x40x64 classes=10"
    speakers=($(ls "$shared/data/spoken-digits" | sed -n 's/-train-x.npy$//p'))
    DEVICES=${DEVICES:-${#speakers[@]}} ;;
*) echo "bench-swarm: there is no task '$TASK'" >&2; exit 2 ;;
esac

accuracy() { tessera-train -T1 --eval "$@" 2>> log | awk '$1 == "accuracy" {print $2}'; }
on_test() { accuracy -m "$1" -x test-x.npy -y test-y.npy; }
# of the aggregate itself, on the references, whose labels nobody else is shown
of_answers() {
    tessera-inspect --export outputs "$1" > answers.npy
    accuracy --outputs answers.npy -y ref-y.npy
}
say() { echo "$1" | tee -a swarm.jsonl; }

data() {
    local i
    if test "$TASK" = glyphs; then
        make-data glyphs --split ref --count "$REFS" --seed "$SEED" -x ref-x.npy -y ref-y.npy
        make-data glyphs --split test --count 2000 --seed "$SEED" -x test-x.npy -y test-y.npy
        for ((i = 1; i <= DEVICES; i++)); do
            make-data glyphs --split train --count "$SAMPLES" --writer $(((i - 1) % 12 + 1)) --seed $((SEED * 100 + i)) -x "x$i.npy" -y "y$i.npy"
        done
    else # half of every speaker's recordings are references, the rest is what its device trains on
        local d=$shared/data/spoken-digits s
        i=0
        for s in "${speakers[@]:0:$DEVICES}"; do
            i=$((i + 1))
            npy-cat --sample "$SAMPLES" --seed $((SEED + 1)) -o "x$i.npy" "$d/$s-train-x.npy"
            npy-cat --sample "$SAMPLES" --seed $((SEED + 1)) -o "y$i.npy" "$d/$s-train-y.npy"
        done
        for s in x y; do
            npy-cat --sample "$REFS" --seed "$SEED" -o "ref-$s.npy" "$d"/*-train-$s.npy
            npy-cat -o "test-$s.npy" "$d"/*-test-$s.npy
        done
    fi
}

device() { # NUMBER
    tessera-model "${families[$((($1 - 1) % ${#families[@]}))]} $shape seed=$1" -o "fresh$1.onnx"
    tessera-train -T1 -m "fresh$1.onnx" -x "x$1.npy" -y "y$1.npy" --val-split 0 --views 30 --steps "$STEPS" --seed "$1" -o "device$1.onnx"
    tessera-extract -T1 -m "device$1.onnx" --contributor "device$1" --round now --mode b --views auto --seed "$SEED" ref-x.npy |
        tessera-quantize --to int8 > "device$1.tsr"
}
teach() { # AGGREGATE MODEL OUT
    # shellcheck disable=SC2086 # several options
    tessera-decode -T1 -m "$2" -r ref-x.npy $BUDGET --seed "$SEED" -o "$3" "$1" 2>> log
}

devices_alone() {
    local i each=() sum=0 best=0
    for ((i = 1; i <= DEVICES; i++)); do each+=("$(on_test "device$i.onnx")"); done
    best=$(printf '%s\n' "${each[@]}" | sort -g | tail -n 1)
    sum=$(printf '%s\n' "${each[@]}" | awk '{s += $1} END {printf "%.4f", s / NR}')
    say "{\"task\":\"$TASK\",\"devices\":$DEVICES,\"samples_each\":$SAMPLES,\"references\":$REFS,\"best_device\":$best,\"mean_device\":$sum}"
}
central() {
    npy-cat -o all-x.npy $(seq -f 'x%g.npy' "$DEVICES")
    npy-cat -o all-y.npy $(seq -f 'y%g.npy' "$DEVICES")
    tessera-train -T1 -m fresh.onnx -x all-x.npy -y all-y.npy --val-split 0 --views 30 --steps 2000 --seed "$SEED" -o central.onnx 2>> log
    say "{\"centralised\":$(on_test central.onnx)}"
}

# merged NAME RULE OPTION... : one line of answers, taught, refused
merged() {
    local name=$1 rule=$2 taught=null refused
    shift 2
    if ! tessera-merge --rule "$rule" --round now --report report -o "merged.tsr" "$@" 2>> log; then
        say "{\"merge\":\"$name\",\"rule\":\"$rule\",\"refused_to_merge\":true}"
        return
    fi
    refused=$(tail -n 1 report | sed 's/.*"refused":\([0-9]*\).*/\1/')
    case " $TAUGHT " in
    *" $rule "*)
        teach merged.tsr fresh.onnx taught.onnx
        taught=$(on_test taught.onnx) ;;
    esac
    say "{\"merge\":\"$name\",\"rule\":\"$rule\",\"answers\":$(of_answers merged.tsr),\"taught\":$taught,\"refused\":$refused}"
}

hostile() { # ATTACK COUNT: hostile.K.tsr
    local k
    rm -f hostile.*.tsr
    for ((k = 1; k <= $2; k++)); do
        case $1 in
        replay) # what devices said in an earlier round, under other names
            tessera-extract -T1 -m "fresh$(((k - 1) % DEVICES + 1)).onnx" --contributor "evil$k" --round before --mode b \
                --views auto --seed "$SEED" ref-x.npy > "hostile.$k.tsr" ;;
        *) attack-streams -a "$1" -c "evil$k" --seed "$k" -o "hostile.$k.tsr" "device$(((k - 1) % DEVICES + 1)).tsr" "${honest[@]}" ;;
        esac
    done
}

: > swarm.jsonl
: > log
data
for ((i = 1; i <= DEVICES; i++)); do
    device "$i" 2>> log &
    test $((i % JOBS)) != 0 || wait
done
wait
mapfile -t honest < <(seq -f 'device%g.tsr' "$DEVICES")
tessera-model "$FRESH $shape seed=77" -o fresh.onnx
devices_alone
central
for rule in $RULES; do merged clean "$rule" "${honest[@]}"; done
for kind in $OUTPUTS; do merged "clean, $kind" cclip --outputs="$kind" "${honest[@]}"; done
tessera-merge --round now -o before.tsr "${honest[@]}" # what a round before would have left: the centre of the next one
for share in $SHARES; do
    count=$(((share * DEVICES + (100 - share) - 1) / (100 - share))) # so many more make at least that share of all
    for attack in $ATTACKS; do
        hostile "$attack" "$count"
        for rule in $TAUGHT; do
            merged "$attack $share" "$rule" "${honest[@]}" hostile.*.tsr
            test "$rule" = mean || merged "$attack $share, later round" "$rule" --from before.tsr "${honest[@]}" hostile.*.tsr
        done
        for kind in $OUTPUTS; do merged "$attack $share, $kind" cclip --outputs="$kind" "${honest[@]}" hostile.*.tsr; done
    done
done
# the devices learn back from the broadcast
for ((i = 1; i <= DEVICES; i++)); do
    teach before.tsr "device$i.onnx" "back$i.onnx"
    say "{\"device\":$i,\"alone\":$(on_test "device$i.onnx"),\"after_broadcast\":$(on_test "back$i.onnx")}"
done
