# proofs of integer layers, and counterexamples
. "$TESSERA_ROOT/tests/cli/lib.sh"
onnx=$TESSERA_ROOT/testdata/onnx
tessera-model dscnn input=1x8x8 classes=4 width=16 depth=1 -o m.onnx
npy_f4 x.npy 64 64
for grid in int8 w4a8; do
    tessera-quantize -q -m m.onnx --to $grid -r x.npy -o q.onnx || not_ok "$grid"
    expect 0 tessera-inspect --prove q.onnx
    says out 'q.onnx: proven: '
done
tessera-quantize -q -m m.onnx --to int8 -r x.npy -o q.onnx || not_ok int8
expect 0 tessera-inspect --prove --json q.onnx
says out '"schema":"tessera-inspect.proof/1"'
! grep -v '"holds":true' out || not_ok "a layer that does not hold"
tessera-inspect --prove --json < q.onnx > piped || not_ok "standard input"
same out piped
expect 0 tessera-inspect --prove -q "$onnx/good-product.onnx"
expect 1 tessera-inspect --prove "$onnx/good-product-wraps.onnx"
says out 'channel 0 reaches 2147483648, beyond 32 bits: input 255 where'
expect 1 tessera-inspect --prove --json "$onnx/good-product-wraps.onnx"
says out '"wraps":true'
expect 1 tessera-inspect --prove "$onnx/good-product-underflows.onnx"
says out 'comes out where'
expect 1 tessera-inspect --prove --json "$onnx/good-product-underflows.onnx"
says out '"requantise_witness":'
expect 1 tessera-inspect --prove m.onnx # nothing in integers
says out 'nothing to prove'
expect 2 tessera-inspect --prove --check q.onnx
says err "'--prove' goes with --json alone"
tessera-extract -m m.onnx --views 0 x.npy > s.tsr || not_ok extract
expect 2 tessera-inspect --prove s.tsr
says err 'is no ONNX model'
