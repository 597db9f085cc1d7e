# lib.sh - small networks that answer the same references, each in a stream of its own; sourced.
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
PATH=$TESSERA_BUILD/tools:$PATH
# references N COLUMNS: ref.npy, samples that all differ
references() {
    make-data sensors --split ref --count "$1" -x ref.npy
}
# device NAME OPTION...: NAME.tsr, the answers of a network of NAME's own
device() {
    name=$1; shift
    seed=$(printf %s "$name" | cksum | cut -d' ' -f1)
    test -f "$name.onnx" ||
        tessera-model mlp input=6x32 classes=10 width=$((6 + seed % 5)) depth=1 seed=$((seed % 1000)) -o "$name.onnx"
    tessera-extract -m "$name.onnx" --contributor "$name" --views 2 "$@" ref.npy | tessera-encode --rank 5 > "$name.tsr"
}
# reason NAME REASON: the report says so of that contributor
reason() {
    grep "\"contributor\":\"$1\"" report | grep -qF "\"reason\":\"$2\"" || { cat report >&2; not_ok "$1: $2 is not reported"; }
}
refused() { # TEXT COMMAND...
    text=$1; shift
    expect 5 "$@"
    says err "$text"
}
