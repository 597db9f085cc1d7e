#!/bin/sh
# check-ort.sh [BUILD] - every network of the zoo with every form of input, operators of the domain
# com.microsoft (scripts/make-ort-models.c), and what else is given as MODELS="a.onnx b.onnx", must load
# in ONNX Runtime and give our outputs to 1e-4. What tessera-quantize and tessera-decode write for a grid must become
# operators on integers there. Needs node and the
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
code=0
node "$root/scripts/ort-run.js" "$work"/* || code=$?

# integers NAME MODEL KINDS [FLOAT]: once optimised, all convolutions and products are of these kinds, but for the
# kinds FLOAT; attention multiplies activations in float
integers() {
    node "$root/scripts/ort-run.js" --operators "$2" > "$work.operators" 2>&1 || { echo "FAIL $1: $(head -n 1 "$work.operators")"; code=1; return; }
    if awk -v ok=" $3 $4 " -v want=" $3 " '{ bad += !index(ok, " " $1 " "); n += index(want, " " $1 " ") > 0 } END { exit bad || !n }' "$work.operators"; then
        echo "PASS $1: $(tr '\n' ' ' < "$work.operators")"
    else
        echo "FAIL $1: $(tr '\n' ' ' < "$work.operators")"
        code=1
    fi
    rm -f "$work.operators"
}
rm -rf "$work"/*
sensors=$root/testdata/sensors
for family in conv1d mlp transformer dscnn; do
    form=input=6x32; test $family != dscnn || form=input=1x16x12
    "$build/bin/tessera-model" $family width=32 depth=2 classes=10 $form -o "$work/m.onnx"
    case $family in
    dscnn) mkdir -p "$work/in"; "$build/tools/run-onnx" "$work/m.onnx" "$work/in" 64; refs=$work/in/input.npy ;;
    *) refs=$sensors/ref-x.npy ;;
    esac
    test $family = transformer && attention="MatMul FusedMatMul" || attention=
    "$build/bin/tessera-quantize" -q -m "$work/m.onnx" --to int8 -r "$refs" -o "$work/q.onnx"
    integers "$family int8" "$work/q.onnx" "QLinearConv QGemm QLinearMatMul MatMulIntegerToFloat" "$attention"
    "$build/bin/tessera-quantize" -q -m "$work/m.onnx" --to int4 -r "$refs" -o "$work/q.onnx"
    integers "$family int4" "$work/q.onnx" MatMulNBits "Conv FusedConv $attention"
    test $family != dscnn || continue
    "$build/bin/tessera-extract" -q -m "$work/m.onnx" --views 2 --mode b "$refs" > "$work/t.tsr"
    "$build/bin/tessera-decode" -q -m "$work/m.onnx" -r "$refs" --grid-only --grid-steps 5 --grid int8 -o "$work/q.onnx" "$work/t.tsr"
    integers "$family int8, taught" "$work/q.onnx" "QLinearConv QGemm QLinearMatMul MatMulIntegerToFloat" "$attention"
done
exit $code
