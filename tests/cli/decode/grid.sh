# teaching on the grid: what is written, that it knows what the receiver knew, zeros, refusals
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
teacher
student
tokens
learn -r "$refs" -o float.onnx tokens.tsr
known=$(right float.onnx)
on_grid() { expect 0 tessera-decode --grid-only --grid-steps 60 -m float.onnx -r "$refs" "$@" tokens.tsr; }
for grid in int8 w4a8 int4 w4a4; do
    on_grid --grid $grid --report r.json -o $grid.onnx
    says r.json '"schema":"tessera-decode.grid/1"'
    says r.json "\"grid\":\"$grid\""
    ! grep -q 'tessera-decode.result/1' r.json || not_ok "--grid-only teaches in float"
    expect 0 tessera-inspect $grid.onnx
    says out DequantizeLinear
    at_least $((known - 8)) $grid.onnx
    case $grid in int4) ;; *) tessera-inspect -v $grid.onnx | grep -q '  QuantizeLinear$' || not_ok "$grid has float activations" ;; esac
done
expect 0 tessera-inspect --prove int8.onnx
on_grid --grid int8 -T 2 -o again.onnx
same again.onnx int8.onnx
on_grid --grid int8 --target tflm -o tflm.onnx
! cmp -s tflm.onnx int8.onnx || not_ok "--target does nothing"
on_grid --grid f16 -o half.onnx
expect 0 tessera-inspect half.onnx
says out 'Cast '
on_grid --grid w4a4 --grid-lr 1e-9 -o still.onnx
! cmp -s still.onnx w4a4.onnx || not_ok "--grid-lr does nothing"
# both lessons at once are one after the other
learn -r "$refs" --grid int8 --grid-steps 60 --report r.json -o both.onnx tokens.tsr
test "$(grep -c '"schema"' r.json)" -eq 2 || not_ok "two reports are due"
same both.onnx int8.onnx
# a pruned receiver stays pruned: no more integers differ from zero than before
tessera-quantize -q --to f32 --prune 2:4 -m float.onnx -o pruned.onnx
expect 0 tessera-decode --grid-only --grid int8 --grid-steps 60 --keep-zeros -m pruned.onnx -r "$refs" -o kept.onnx tokens.tsr
expect 0 tessera-decode --grid-only --grid int8 --grid-steps 60 -m pruned.onnx -r "$refs" -o grown.onnx tokens.tsr
expect 0 tessera-inspect --prove --json kept.onnx
terms() { tessera-inspect --prove --json "$1" | sed -n 's/.*"terms_at_high":\([0-9]*\),"terms_at_low":\([0-9]*\),.*/\1 \2/p' | awk '{ n += $1 + $2 } END { print n }'; }
test "$(terms kept.onnx)" -lt "$(($(terms grown.onnx) * 6 / 10))" || not_ok "zeros grew: $(terms kept.onnx) terms, $(terms grown.onnx) without --keep-zeros"
# refusals
expect 2 tessera-decode --grid int3 -m float.onnx -r "$refs" -o no.onnx tokens.tsr
expect 2 tessera-decode --grid-only -m float.onnx -r "$refs" -o no.onnx tokens.tsr
says err '--grid'
expect 2 tessera-decode --grid-steps 5 -m float.onnx -r "$refs" -o no.onnx tokens.tsr
expect 2 tessera-decode --grid-lr 1 -m float.onnx -r "$refs" -o no.onnx tokens.tsr
says err '--grid-lr'
expect 2 tessera-decode --grid int8 --grid-lr fast -m float.onnx -r "$refs" -o no.onnx tokens.tsr
says err "option '--grid-lr'"
expect 2 tessera-decode --grid int8 --grid-only --lr 0.1 -m float.onnx -r "$refs" -o no.onnx tokens.tsr
says err '--grid-lr'
expect 2 tessera-decode --grid int8 --grid-only --steps 3 -m float.onnx -r "$refs" -o no.onnx tokens.tsr
expect 2 tessera-decode --target tflm -m float.onnx -r "$refs" -o no.onnx tokens.tsr
expect 2 tessera-decode --stitch --grid int8 -m float.onnx -r "$refs" -o no.onnx tokens.tsr
says err '--stitch'
expect 3 tessera-decode --grid int8 -m int8.onnx -r "$refs" -o no.onnx tokens.tsr
nothing_left no.onnx
