# A softmax at the end of a model is taken once, whatever stands before it.
. "$TESSERA_ROOT/tests/cli/lib.sh"
model=$TESSERA_ROOT/testdata/onnx/good-softmax.onnx
npy_f4 x.npy 200 3
tessera-extract -m "$model" --mode b --views 2 -o self.tsr x.npy
tessera-inspect self.tsr > self.txt
grep -q 'outputs  *logits, 3 a sample' self.txt || not_ok "$(cat self.txt)"
# taught by itself it has nothing to learn, alone and where it holds on to its own answers
for retain in 0 1; do
    expect 0 tessera-decode -v --steps 1 --lr 1e-6 --retain $retain --no-head-refit -m "$model" -r x.npy -o t.onnx self.tsr
    grep -qE 'before -?0\.00000$' err || not_ok "a loss where there is none: $(cat err)"
done
# what is trained and judged is what a model without the softmax gives
tessera-extract -m "$model" --mode b --views 0 x.npy | tessera-inspect --export outputs -o z.npy
awk 'BEGIN { for (i = 0; i < 200; i++) print i % 3 }' > y.csv
expect 0 tessera-train --eval --outputs z.npy -y y.csv
mv out by-outputs
expect 0 tessera-train --eval -m "$model" -x x.npy -y y.csv
same out by-outputs
expect 0 tessera-train -m "$model" -x x.npy -y y.csv --steps 60 --lr 0.05 --val-split 0 -o trained.onnx
tessera-train --eval -m trained.onnx -x x.npy -y y.csv > after
awk '{ print $4 }' by-outputs after | { read -r before; read -r after; awk "BEGIN { exit !($after < $before) }"; } || not_ok "training does not lower the loss"
