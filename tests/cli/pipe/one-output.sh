# A model with one output: its values are taught, and nobody takes them for the logits of one class.
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
npy_f4 x.npy 300 4
tessera-model mlp input=4 classes=1 width=16 depth=1 seed=1 -o tx.onnx
tessera-model mlp input=4 classes=1 width=16 depth=1 seed=2 -o rx.onnx
kind() { tessera-inspect "$1" | sed -n 's/^ *outputs *\([a-z]*\), 1 a sample$/\1/p'; }

expect 0 tessera-extract -m tx.onnx --mode b --views 2 -o values.tsr x.npy
says err "--kind regression"
test "$(kind values.tsr)" = regression || not_ok "one output is taken for $(kind values.tsr)"
expect 0 tessera-extract -m tx.onnx --mode b --views 2 --kind regression -o told.tsr x.npy
test ! -s err || not_ok "told what they are, it still says: $(cat err)"
same values.tsr told.tsr
expect 0 tessera-decode -v --steps 200 --lr 0.01 -m rx.onnx -r x.npy -o taught.onnx values.tsr
sed -n 's/.*held-out loss \([0-9.]*\), before \([0-9.]*\).*/\1 \2/p' err | awk '{ exit !($1 < $2 / 4 && $2 > 0) }' || not_ok "nothing was learnt: $(cat err)"
# a model that answers yes or no is compared as before, where that is said
for k in logits probabilities; do
    tessera-extract -m tx.onnx --mode b --views 0 --kind $k -o tx.tsr x.npy
    expect 0 tessera-drift tx.tsr tx.tsr
    expect 3 tessera-decode -m rx.onnx -r x.npy -o no.onnx tx.tsr
    says err "--kind regression"
    expect 3 tessera-merge --min-contributors 1 -o no.tsr tx.tsr
    says err "--kind regression"
done
expect 3 tessera-extract -m tx.onnx --mode b --views 0 --kind argmax -o no.tsr x.npy
says err "--kind regression"
# the same of answers that another framework gave
tessera-extract -m tx.onnx --mode b --views 0 --kind regression x.npy | tessera-inspect --export outputs -o z.npy
expect 0 tessera-extract --outputs z.npy -o foreign.tsr x.npy
says err "--kind regression"
test "$(kind foreign.tsr)" = regression || not_ok "one foreign output is taken for $(kind foreign.tsr)"
expect 0 tessera-extract --outputs z.npy --kind logits -o foreign.tsr x.npy
test "$(kind foreign.tsr)" = logits || not_ok "what --kind says is not heard"
# labels cannot be classes
awk 'BEGIN { for (i = 0; i < 300; i++) print 0 }' > y.csv
expect 3 tessera-train -m tx.onnx -x x.npy -y y.csv -o no.onnx
says err "--loss=mse"
expect 3 tessera-train --eval -m tx.onnx -x x.npy -y y.csv
expect 0 tessera-train --eval --loss mse -m tx.onnx -x x.npy -y y.csv
test ! -e no.onnx && test ! -e no.tsr || not_ok "a refusal left a file behind"
