#!/usr/bin/env bash
# bench-merge.sh - `make bench-merge`: what merging withstands, how fast it is and what memory it takes, as JSON lines.
# Everything is also written to $BENCH/merge.jsonl. Settings from the environment:
#   BUILD=build  BENCH=build/bench-merge  CONTRIBUTORS=10000000  TASKS=64  JOBS=2  TREES=100  WHAT="kappa core ..."
set -euo pipefail
LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."
BUILD=${BUILD:-build} BENCH=${BENCH:-$BUILD/bench-merge} CONTRIBUTORS=${CONTRIBUTORS:-10000000} TASKS=${TASKS:-64}
JOBS=${JOBS:-2} TREES=${TREES:-100} WHAT=${WHAT:-kappa core stream memory partial trees tasks}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
case $BENCH in /*) ;; *) BENCH=$PWD/$BENCH ;; esac
PATH=$BUILD/bin:$BUILD/tools:$PATH
scripts=$PWD/scripts
mkdir -p "$BENCH"
cd "$BENCH"
wanted() { case " $WHAT " in *" $1 "*) return 0 ;; esac; return 1; }
# cost COMMAND...: $user seconds, $kib of memory at most
cost() {
    /usr/bin/time -f '%U %M' -o cost "$@"
    read -r user kib < cost
}
rate() { awk -v n="$1" -v s="$2" 'BEGIN {printf "%.0f", n / (s > 0 ? s : 0.01)}'; }

measure() {
    if wanted kappa; then "$BUILD/tests/bench_merge" kappa; fi
    if wanted core; then "$BUILD/tests/bench_merge" core; fi
    if wanted stream; then # from a file of zstd frames to the aggregate; the centre is there; the best of three
        for form in 64:1000000 512:200000 2048:50000; do
            d=${form%:*} n=${form#*:} best=
            make-contributions -d "$d" -n "$n" -o rows.tsr
            tessera-merge --rule mean -o centre.tsr rows.tsr
            for _ in 1 2 3; do
                cost tessera-merge --from centre.tsr -o out.tsr rows.tsr
                best=$(printf '%s\n' "$user" $best | sort -g | head -n 1)
            done
            printf '{"stream":"int8 rows a second","numbers":%s,"rate":%s}\n' "$d" "$(rate "$n" "$best")"
        done
    fi
    if wanted memory; then
        for n in 1000 10000 100000 1000000 10000000; do
            test "$n" -le "$CONTRIBUTORS" || continue
            make-contributions -d 16 -n "$n" --block 2048 -o rows.tsr
            test "$n" != 1000 || tessera-merge --rule mean -o centre.tsr rows.tsr
            cost tessera-merge --from centre.tsr -o out.tsr rows.tsr
            printf '{"memory":"KiB","contributors":%s,"numbers":16,"peak":%s}\n' "$n" "$kib"
            cost tessera-merge --rule mean -o out.tsr - < rows.tsr
            printf '{"memory":"KiB, mean","contributors":%s,"numbers":16,"peak":%s}\n' "$n" "$kib"
        done
        make-contributions -d 2048 -n 20000 -o rows.tsr
        tessera-merge --rule mean -o centre.tsr rows.tsr
        cost tessera-merge --from centre.tsr -o out.tsr rows.tsr
        printf '{"memory":"KiB","contributors":20000,"numbers":2048,"peak":%s}\n' "$kib"
    fi
    if wanted partial; then
        make-contributions -d 2048 -n 20000 -o rows.tsr
        tessera-merge --rule mean -o centre.tsr rows.tsr
        tessera-merge --from centre.tsr --partial -o part rows.tsr
        printf '{"partial":"bytes","numbers":2048,"contributors":20000,"size":%s}\n' "$(wc -c < part)"
    fi
    if wanted trees; then trees; fi
    if wanted tasks; then tasks; fi
}

# TREES random permutations and trees of partial aggregates: how many different outcomes?
trees() {
    local i k
    for ((i = 0; i < 24; i++)); do make-contributions -d 2048 --first $((i * 50)) -n 50 -o "leaf.$i"; done
    tessera-merge --rule mean -o centre.tsr leaf.*
    tessera-merge --from centre.tsr leaf.* | sha256sum > sums
    for ((k = 0; k < TREES; k++)); do
        RANDOM=$((k + 1))
        rm -f node.*
        for i in $(shuf -i 0-23 --random-source=<(yes $k)); do echo "leaf.$i" >> "node.$((RANDOM % (RANDOM % 12 + 1)))"; done
        for i in node.*; do tessera-merge --from centre.tsr --partial -o "$i.part" $(cat "$i"); done
        while set -- node.*.part && test $# -gt 2; do # two nodes become one
            set -- $(printf '%s\n' "$@" | shuf --random-source=<(yes $k))
            cat "$1" "$2" | tessera-merge --partial > joint
            rm "$1" "$2"
            mv joint "node.$RANDOM.$RANDOM.part"
        done
        cat node.*.part | tessera-merge | sha256sum >> sums
    done
    printf '{"trees":%s,"outcomes":%s}\n' "$TREES" "$(sort -u sums | wc -l)"
    rm -f leaf.* node.*
}

# CONTRIBUTORS in TASKS tasks of GNU parallel (or make), against one process
tasks() {
    local each=$(((CONTRIBUTORS + TASKS - 1) / TASKS)) i engine=make
    ! command -v parallel > /dev/null || engine=parallel
    mkdir -p shards
    seq 0 $((TASKS - 1)) | xargs -P "$JOBS" -I {} sh -c \
        'make-contributions -d 16 --first $(($1 * $2)) -n $2 --block 2048 -o shards/$1.tsr' sh {} $each
    tessera-merge --rule mean -o centre.tsr shards/0.tsr
    cost tessera-merge --from centre.tsr -o one.tsr --report one.jsonl shards/*.tsr
    rm -rf tasks.tsr.shards
    MERGE="--from $PWD/centre.tsr" JOBS=$JOBS "$scripts/merge-shards.sh" $engine tasks.tsr shards/*.tsr
    printf '{"contributors":%s,"tasks":%s,"engine":"%s","identical":%s,"root":%s,"one_process_seconds":%s,"one_process_kib":%s}\n' \
        $((each * TASKS)) "$TASKS" $engine "$(cmp -s one.tsr tasks.tsr && echo true || echo false)" \
        "$(tail -n 1 one.jsonl | sed 's/.*"inputs":\("[0-9a-f]*"\).*/\1/')" "$user" "$kib"
    rm -rf shards
}

measure | tee merge.jsonl
