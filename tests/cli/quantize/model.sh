# models on every grid, from a stream and from files
. "$TESSERA_ROOT/tests/cli/lib.sh"
tessera-model dscnn input=1x8x8 classes=4 width=16 depth=1 -o m.onnx
npy_f4 x.npy 64 64
tessera-extract -m m.onnx --with-inputs --mode b --views 0 x.npy > cal.tsr || not_ok extract
for grid in int8 w4a8 w4a4; do
    expect 0 tessera-quantize -m m.onnx --to $grid -o a.onnx cal.tsr
    tessera-quantize -m m.onnx --to $grid < cal.tsr > b.onnx || not_ok "standard input"
    same a.onnx b.onnx
    expect 0 tessera-quantize -m m.onnx --to $grid -r x.npy -T 2 -o b.onnx
    same a.onnx b.onnx
    expect 0 tessera-inspect a.onnx
    says out QuantizeLinear
    tessera-extract -m a.onnx --mode b --views 0 x.npy > q.tsr || not_ok "running $grid"
done
for grid in 'int4 --rounding nearest' f16 bf16 f32; do # nothing is read
    expect 0 tessera-quantize -m m.onnx --to $grid -o a.onnx
    tessera-extract -m a.onnx --mode b --views 0 x.npy > q.tsr || not_ok "running $grid"
done
for how in minmax percentile mse entropy; do
    expect 0 tessera-quantize -m m.onnx --to int8 --calibrate $how -o $how.onnx cal.tsr
done
! cmp -s minmax.onnx percentile.onnx || not_ok "minmax is percentile"
expect 0 tessera-quantize -m m.onnx --to int8 --calibrate percentile --percentile 100 -o a.onnx cal.tsr
expect 0 tessera-quantize -m m.onnx --to int8 --calibrate percentile --percentile 90 -o b.onnx cal.tsr
! cmp -s a.onnx b.onnx || not_ok "--percentile does nothing"
for target in ort xnnpack tflm ncnn; do
    expect 0 tessera-quantize -m m.onnx --to int8 --target $target -o $target.onnx cal.tsr
done
! cmp -s xnnpack.onnx ncnn.onnx || not_ok "--target does nothing"
expect 0 tessera-quantize -m m.onnx --to int4 --rounding nearest --block 16 -o a.onnx
expect 0 tessera-quantize -m m.onnx --to int8 --seed 7 -v -o b.onnx cal.tsr
says err 'divergence of the outputs'
same mse.onnx b.onnx
expect 0 tessera-quantize -m m.onnx --to int8 --report r.json -o a.onnx cal.tsr
says r.json '"schema":"tessera-quantize.node/1"'
says r.json '"samples":64'
# refinements, and none of them; a budget
expect 0 tessera-quantize -m m.onnx --to w4a8 --equalise no --correct-bias no --report learned.json -o learned.onnx cal.tsr
expect 0 tessera-quantize -m m.onnx --to w4a8 --equalise no --correct-bias no --rounding nearest --report r.json -o nearest.onnx cal.tsr
says r.json '"rounded":false'
says r.json '"bias_corrected":false'
says r.json '"equalised":0'
says learned.json '"rounded":true'
! cmp -s learned.onnx nearest.onnx || not_ok "--rounding does nothing"
expect 0 tessera-quantize -m m.onnx --to w4a8 --rounding nearest --equalise no --report shifted.json -o shifted.onnx cal.tsr
says shifted.json '"bias_corrected":true'
! cmp -s shifted.onnx nearest.onnx || not_ok "--correct-bias does nothing"
expect 0 tessera-quantize -m m.onnx --to w4a4 --budget 'kl<=0.000001' --report r.json -o budget.onnx cal.tsr
says r.json '"sensitivity":'
says r.json '"activation_bits":8'
expect 2 tessera-quantize -m m.onnx --to w4a4 --budget 'kl<0' -o x.onnx cal.tsr
says err 'kl<='
expect 0 tessera-quantize -m m.onnx --to f32 --prune 0.5 --report r.json -o half.onnx
says r.json '"zeros":'
expect 0 tessera-quantize -m m.onnx --to f32 --prune 2:4 -o nm.onnx
! cmp -s half.onnx nm.onnx || not_ok "--prune is one and the same"
expect 0 tessera-quantize -m m.onnx --to int8 --exclude logits -o a.onnx cal.tsr
says err "stays float: it was asked to stay"
expect 2 tessera-quantize -m m.onnx --to int8 --exclude nobody -o x.onnx cal.tsr
says err "no node 'nobody'"
# what cannot be
tessera-extract -m m.onnx --mode b --views 0 x.npy > bare.tsr || not_ok extract
expect 2 tessera-quantize -m m.onnx --to int8 -o x.onnx bare.tsr
says err '--with-inputs'
expect 3 tessera-quantize -m minmax.onnx --to int8 -o x.onnx cal.tsr
says err 'quantised already'
expect 2 tessera-quantize -m m.onnx --to f32 --prune 2 -o x.onnx
says err 'n:m'
expect 2 tessera-quantize --to w4a8 -o x.tsr cal.tsr
says err 'for models'
expect 2 tessera-quantize --to int8 --target tflm -o x.tsr cal.tsr
says err '--target goes with --model'
expect 2 tessera-quantize --to int8 --budget 'kl<=1' -o x.tsr cal.tsr
says err '--budget goes with --model'
expect 3 tessera-quantize -m cal.tsr --to int8 -o x.onnx cal.tsr
head -c $(($(wc -c < cal.tsr) - 40)) cal.tsr > cut.tsr
expect 3 tessera-quantize -m m.onnx --to int8 -o x.onnx cut.tsr
tessera-model mlp input=7 classes=4 width=8 depth=1 -o other.onnx
expect 3 tessera-quantize -m other.onnx --to int8 -o x.onnx cal.tsr
test ! -e x.onnx || not_ok "half a model"
# layers of a model in half precision are told as float32
tessera-quantize -m m.onnx --to f16 -o a.onnx || not_ok f16
tessera-extract -m m.onnx --views 0 -l features x.npy > m.tsr || not_ok "layers of float32"
tessera-extract -m a.onnx --views 0 -l features x.npy > a.tsr || not_ok "layers of float16"
expect 0 tessera-drift --gate 'layer:features.sqnr>=40' m.tsr f16=a.tsr
