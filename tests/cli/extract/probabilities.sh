# Outputs that are called probabilities are: a model's softmax, or the softmax of its logits; what others gave is looked at.
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
npy_f4 x3.npy 200 3
tessera-model mlp input=3 classes=5 width=8 depth=1 -o linear.onnx
soft=$TESSERA_ROOT/testdata/onnx/good-softmax.onnx
values() { tail -c +129 "$1" | od -An -v -tf4 -w$(($2 * 4)); } # FILE COLUMNS
for m in linear.onnx "$soft"; do
    tessera-extract -m "$m" --mode b --views 0 -o logits.tsr x3.npy
    expect 0 tessera-extract -m "$m" --mode b --views 0 --kind probabilities -o p.tsr x3.npy
    tessera-inspect p.tsr | grep -q 'outputs  *probabilities' || not_ok "p.tsr has no probabilities"
    tessera-inspect --export outputs -o z.npy logits.tsr
    tessera-inspect --export outputs -o p.npy p.tsr
    columns=5
    test "$m" = linear.onnx || columns=3
    values z.npy $columns > z
    values p.npy $columns | paste z - | awk -v n=$columns '{
        sum = 0
        for (i = 1; i <= n; i++) sum += exp($i)
        for (i = 1; i <= n; i++) { d = $(n + i) - exp($i) / sum; if (d > 1e-6 || d < -1e-6) exit 1 }
    }' || not_ok "these are not the probabilities of $m"
    # the same answers, whatever they are sent as
    expect 0 tessera-drift --gate 'top1>=0.9' logits.tsr p.tsr
done
# another framework's are held to what they are called
expect 0 tessera-extract --outputs p.npy --kind probabilities -o foreign.tsr x3.npy
expect 3 tessera-extract --outputs z.npy --kind probabilities -o no.tsr x3.npy
says err "z.npy: row "
says err "--kind"
awk 'BEGIN { for (i = 0; i < 200; i++) print i == 7 ? "0.5,0.502" : "0.25,0.7505" }' > sum.csv
expect 3 tessera-extract --outputs sum.csv --kind probabilities -o no.tsr x3.npy
says err "sum.csv: the probabilities of row 7 add up to 1.002, not 1"
awk 'BEGIN { for (i = 0; i < 600; i++) print i == 599 ? "-0.25,1.25" : "0.25,0.75" }' > sign.csv
expect 3 tessera-extract --outputs sign.csv --views 2 --kind probabilities -o no.tsr x3.npy
says err "sign.csv: row 599 has -0.25"
awk 'BEGIN { for (i = 0; i < 200; i++) print i == 3 ? "1.5" : "0.75" }' > one.csv
expect 3 tessera-extract --outputs one.csv --kind probabilities -o no.tsr x3.npy
says err "one.csv: the probabilities of row 3"
# a model that ends in neither must give them itself
expect 3 tessera-extract -m "$TESSERA_ROOT/testdata/onnx/good-smallest.onnx" --mode b --views 0 --kind probabilities -o no.tsr x3.npy
says err "y: "
test ! -e no.tsr || not_ok "a refusal left a file behind"
