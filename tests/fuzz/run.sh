#!/bin/sh
# run.sh BUILD SECONDS - each libFuzzer target of BUILD/fuzz for SECONDS. New inputs are kept in
# BUILD/corpus; copy what found a bug to tests/fuzz/corpus, where `make check` replays it.
set -u
build=$1 seconds=$2 failed=0
for target in "$build"/fuzz/fuzz_*; do
    test -x "$target" || continue
    name=${target##*/fuzz_}
    mkdir -p "$build/corpus/$name" "$build/crashes"
    echo "fuzz $name for $seconds s"
    "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/crashes/$name-" "$build/corpus/$name" \
        $(test -d "tests/fuzz/corpus/$name" && echo "tests/fuzz/corpus/$name") >"$build/$name.log" 2>&1 ||
        { echo "FAILED: $name"; tail -n 30 "$build/$name.log"; failed=1; }
    grep -E '^stat::(number_of_executed_units|new_units_added)' "$build/$name.log"
done
exit $failed
