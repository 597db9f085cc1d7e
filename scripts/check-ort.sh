#!/bin/sh
# check-ort.sh [BUILD] - every network of the zoo with every form of input, operators of the domain
# com.microsoft (scripts/make-ort-models.c), and what else is given as MODELS="a.onnx b.onnx", must load
# in ONNX Runtime and give our outputs to 1e-4. Needs node and the
# package onnxruntime-node, found through NODE_PATH or in ORT_DIR/node_modules; says "skipped"
# without them. `make check-ort` runs it.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build}
test -z "${ORT_DIR:-}" || NODE_PATH=$ORT_DIR/node_modules
export NODE_PATH="${NODE_PATH:-}"
command -v node > /dev/null || { echo "skipped: ONNX Runtime: there is no node"; exit 0; }
code=0; node "$root/scripts/ort-run.js" || code=$?
test $code -ne 77 || { echo "skipped: ONNX Runtime: node does not find onnxruntime-node (set NODE_PATH or ORT_DIR)"; exit 0; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
run() { # NAME MODEL [INPUT]
    mkdir -p "$work/$1"
    "$build/tools/run-onnx" "$2" "$work/$1" ${3:+"$3"}
}
families=$("$build/bin/tessera-model" --list | awk '/^[a-z]/ {print $1}')
for family in $families; do
    for form in "vocab=40 length=16" input=24 input=6x32 input=1x16x16 input=1x40x64 input=3x11x7; do
        "$build/bin/tessera-model" $family width=32 depth=2 classes=4 $form -o "$work/m.onnx"
        run "$family $form" "$work/m.onnx"
    done
done
mkdir "$work/ms"
"$build/tools/make-ort-models" "$work/ms"
for m in "$work"/ms/*.onnx; do run "com.microsoft_$(basename "$m" .onnx)" "$m"; done
rm -r "$work/ms"
for m in ${MODELS:-}; do run "$(echo "$m" | tr '/.' '__')" "$m"; done
for m in "${TESSERA_SHARED:-$root/../shared}"/models/*/model.onnx; do
    test ! -f "$m" || run "shared_$(basename "${m%/*}")" "$m" "${m%/*}/input.npy"
done
rm -f "$work/m.onnx"
node "$root/scripts/ort-run.js" "$work"/*
