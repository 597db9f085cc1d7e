#!/bin/sh
# merge-shards.sh ENGINE OUT SHARD... - merges token streams in shards, each as a task of its own, with an
# engine that is there:
#     serial    one after the other            make      make -j, JOBS at a time
#     parallel  GNU parallel, JOBS at a time   slurm     a job array of Slurm, one task a shard
# A shard is one file. The outcome has the same bytes as those of `tessera-merge SHARD... > OUT`, whatever the
# engine: rules of several steps go from state to state, and a task that failed leaves no partial aggregate, so
# that the last merge refuses (--shards).
# Environment: MERGE, options for tessera-merge ("--rule huber --allow list"); JOBS (default: processors); WORK,
# a directory that all tasks see, which must not exist (default: OUT.shards).
set -eu
engine=$1 out=$2
shift 2
case $out in /*) ;; *) out=$PWD/$out ;; esac
merge=${MERGE:-} jobs=${JOBS:-$(nproc)} work=${WORK:-$out.shards}
case $work in /*) ;; *) work=$PWD/$work ;; esac
count=$#
mkdir "$work"
trap 'rm -rf "$work"' EXIT
n=0
for shard; do # numbered links, so that a task knows its shard by its number
    n=$((n + 1))
    case $shard in /*) ;; *) shard=$PWD/$shard ;; esac
    ln -s "$shard" "$work/shard.$n"
done

# One task: task NUMBER, in $work. A partial aggregate appears under its name only when it is complete.
cat > "$work/task" <<'END'
set -eu
from=; test ! -e state || from='--from state'
exec tessera-merge $(cat options) $from --partial -o "part.$1" "shard.$1"
END
echo "$merge" > "$work/options"

run_tasks() {
    case $engine in
    serial) for i in $(seq "$count"); do sh task "$i"; done ;;
    parallel) seq "$count" | parallel --will-cite -j "$jobs" --halt now,fail=1 sh task ;;
    make)
        { printf 'all: %s\n' "$(seq -s ' ' -f 'part.%g' "$count")"; printf 'part.%%: shard.%%\n\tsh task $*\n'; } > tasks.mk
        make -s -j "$jobs" -f tasks.mk ;;
    slurm)
        printf '#!/bin/sh\nexec sh task "$SLURM_ARRAY_TASK_ID"\n' > array
        sbatch --quiet --wait --array=1-"$count" --chdir="$PWD" --output=log.%a --export=ALL array ||
            { cat log.* >&2; return 1; } ;;
    *) echo "merge-shards: there is no engine '$engine'" >&2; return 2 ;;
    esac
}

cd "$work"
for step in $(seq 100); do
    rm -f part.*
    run_tasks
    # as many arguments as there are shards may be too many for one command: a stream of streams is one, too
    find . -name 'part.*' -exec cat {} + | tessera-merge --shards "$count" --report report -o next -
    tail -n 1 report | grep -q '"schema":"tessera-merge.state/' || break
    mv next state
done
mv next "$out"
