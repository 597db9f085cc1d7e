# bench-lib.sh - what the bench scripts share; sourced by them with $log, a file for what the programs say.

# measure COMMAND...: runs it; $cpu is what it took in seconds, user and system, with all its children.
measure() {
    local TIMEFORMAT='%3U %3S' spent
    { spent=$({ time "$@" 2>> "$log" >&3; } 2>&1); } 3>&1
    cpu=$(echo "$spent" | awk '{ printf "%.3f", $1 + $2 }')
}

# accuracy ARGUMENTS of tessera-train --eval
accuracy() { tessera-train -T1 --eval "$@" 2>> "$log" | awk '$1 == "accuracy" { print $2 }'; }

# specification transformer-64x2 -> transformer width=64 depth=2
specification() {
    local family=${1%-*} size=${1##*-}
    echo "$family width=${size%x*} depth=${size#*x}"
}

# median of numbers, one a line
median() { sort -g | awk '{ x[NR] = $1 } END { print (NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2) }'; }
