# What is stored quantised cannot learn: that is refused, or said where something beside it can.
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
set -e
tessera-model mlp input=6x32 classes=10 width=32 depth=1 seed=1 -o tx.onnx
student
tessera-extract -m tx.onnx --mode b --views 1 -o tx.tsr "$refs"
for grid in int8 int4 bf16; do tessera-quantize -q -m student.onnx --to $grid -r "$refs" -o $grid.onnx; done
labels="-x $sensors/train-x.npy -y $sensors/train-y.npy"
# activations on a grid: no gradient comes through
expect 3 tessera-decode --steps 5 --lr 0.01 -m int8.onnx -r "$refs" -o no.onnx tx.tsr
says err "--grid"
expect 3 tessera-train --steps 5 --lr 0.01 --val-split 0 -m int8.onnx $labels -o no.onnx
says err "--grid"
nothing_left no.onnx
# weights alone: what is left in float learns, and it is said how little that is
for grid in int4 bf16; do
    expect 0 tessera-decode --steps 5 --lr 0.01 -m $grid.onnx -r "$refs" -o some.onnx tx.tsr
    says err "float32 parameters learn"
    expect 0 tessera-train --steps 5 --lr 0.01 --val-split 0 -m $grid.onnx $labels -o some.onnx
    says err "float32 parameters learn"
done
# the float model, and the float model on a grid, learn without a word
expect 0 learn -r "$refs" --steps 5 -o taught.onnx tx.tsr
test ! -s err || not_ok "of a float model: $(cat err)"
expect 0 learn -r "$refs" --steps 5 --grid int8 --grid-steps 2 -o grid.onnx tx.tsr
test ! -s err || not_ok "of a float model on a grid: $(cat err)"
expect 0 tessera-train --eval -m int8.onnx $labels
