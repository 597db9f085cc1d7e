# what is in an ONNX model
. "$TESSERA_ROOT/tests/cli/lib.sh"
tessera-model mlp input=16 classes=4 width=8 depth=1 -o m.onnx || not_ok "no model"
expect 0 tessera-inspect m.onnx
for text in 'ONNX model, ' 'input float32 [batch,16]' 'logits float32 [batch,4]' 'opset       ai.onnx ' 'Gemm '; do says out "$text"; done
expect 0 tessera-inspect -v m.onnx
says out 'logits  Gemm'
expect 0 tessera-inspect --json m.onnx
says out '"schema":"tessera-inspect.model/1"'
tessera-inspect --json < m.onnx > piped || not_ok "standard input"
same out piped
expect 0 tessera-inspect --check m.onnx
expect 2 tessera-inspect --export outputs m.onnx
head -c 200 m.onnx > cut.onnx
expect 3 tessera-inspect cut.onnx
