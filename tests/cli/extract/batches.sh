# Which samples run together does not show: neither in a model with a fixed batch, nor where the
# batch happens to have as many samples as a series has steps.
. "$TESSERA_ROOT/tests/cli/lib.sh"
series() { # ROWS: as many series of three features and six steps
    npy_f4 flat.npy "$1" 18
    {
        head -c 10 flat.npy
        printf '%-117s\n' "{'descr': '<f4', 'fortran_order': False, 'shape': ($1, 3, 6), }"
        tail -c +129 flat.npy
    } > "x$1.npy"
}
series 6; series 7
tessera-model lstm width=8 depth=2 input=3x6 classes=4 -o m.onnx
for n in 6 7; do
    tessera-extract -m m.onnx -l block1 -l block2 --views 0 -o $n.tsr x$n.npy
    for name in block1 block2 outputs; do
        tessera-inspect --export $name -o $n.$name.npy $n.tsr
        tail -c +129 $n.$name.npy > $n.$name
    done
done
for name in block1 block2 outputs; do
    head -c "$(wc -c < 6.$name)" 7.$name > first
    same 6.$name first
done
