# The weights are in memory once, whether they are mapped or read, and a batch is as large as fits.
. "$TESSERA_ROOT/tests/cli/lib.sh"
test -z "${TESSERA_SANITIZE:-}" || skip "sanitizers need memory of their own"
spec='transformer width=512 depth=8 heads=8 ff=2048 vocab=1000 length=32 classes=10'
tessera-model $spec --external -o apart.onnx
tessera-model $spec -o whole.onnx
awk 'BEGIN { for (r = 0; r < 300; r++) { line = ""; for (c = 0; c < 32; c++) line = line (c ? "," : "") (r * 79 + c * 31) % 1000; print line } }' > x.csv
weights=$(wc -c < apart.onnx.data)
test "$weights" -gt 100000000 || not_ok "the model is too small to tell: $weights bytes"
for m in apart whole; do
    "$TESSERA_BUILD/tools/peak-memory" -- tessera-extract -m $m.onnx --views 0 -o $m.tsr x.csv > line
    peak=$(sed 's/.*"peak_bytes":\([0-9]*\).*/\1/' line)
    # 64 MiB of values, scratch, libraries
    test "$peak" -lt $((weights + 130000000)) || not_ok "$m: peak of $peak bytes for $weights of weights"
done
