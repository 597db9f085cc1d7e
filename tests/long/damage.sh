# every cut and every changed byte of a small stream is noticed, and named as damage
. "$TESSERA_ROOT/tests/cli/lib.sh"
. "$TESSERA_ROOT/tests/cli/every/samples.sh"
set -e
need tessera-extract tessera-encode tessera-inspect tessera-model || skip "not all of the programs are there"
models
npy_f4 ref.npy 12 16
tessera-extract -m teacher.onnx --views 2 ref.npy | tessera-encode --rank 4 > whole.tsr
size=$(wc -c < whole.tsr)
damaged() {
    expect 3 tessera-inspect --check "$1"
    says err "$1"
}
n=0
while test $n -lt "$size"; do
    head -c $n whole.tsr > cut.tsr
    damaged cut.tsr
    {
        head -c $n whole.tsr
        # the byte with its lowest or highest bit turned
        byte=$(tail -c +$((n + 1)) whole.tsr | head -c 1 | od -An -tu1 | tr -d ' ')
        test $((n % 2)) = 0 && byte=$((byte ^ 1)) || byte=$((byte ^ 128))
        printf "\\$(printf %03o "$byte")"
        tail -c +$((n + 2)) whole.tsr
    } > flipped.tsr
    damaged flipped.tsr
    n=$((n + 1))
done
