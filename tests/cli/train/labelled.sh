# training on labels: classes and values, validation, and every way in which data do not fit
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
tessera-model mlp input=6x32 classes=10 width=32 depth=1 seed=2 -o new.onnx
x=$sensors/train-x.npy y=$sensors/train-y.npy
train() { tessera-train -m new.onnx -x "$x" -y "$y" -o no.onnx "$@"; }

expect 0 tessera-train -v -m new.onnx -x "$x" -y "$y" --epochs 2 --views 1 --report report.json -o trained.onnx
says err "held-out loss"
grep -q '"schema":"tessera-train.result/1"' report.json || not_ok "no report"
at_least 30 trained.onnx
expect 0 tessera-train -m new.onnx -x "$x" -y "$y" --steps 40 --lr 0.01 --val-split 0 --ema 0 --weight-decay 0 -o plain.onnx
expect 0 tessera-train -m new.onnx -x "$x" -y "$y" --steps 40 --lr 0.01 --patience 1 --batch 8 \
    --val-inputs "$sensors/test-x.npy" --val-labels "$sensors/test-y.npy" -o validated.onnx
# what --eval says
expect 0 tessera-train --eval -m trained.onnx -x "$sensors/test-x.npy" -y "$sensors/test-y.npy" --report report.json
says out "samples 400"
grep -q '"schema":"tessera-train.eval/1"' report.json || not_ok "no report"
tessera-extract -m trained.onnx --mode b --views 0 "$sensors/test-x.npy" | tessera-inspect --export outputs -o z.npy
tessera-train --eval --outputs z.npy -y "$sensors/test-y.npy" > by-outputs
same out by-outputs
expect 0 tessera-train --eval --from 100 --outputs z.npy -y "$sensors/test-y.npy"
says out "samples 300"
expect 2 tessera-train --eval --from 400 --outputs z.npy -y "$sensors/test-y.npy"
# values: a linear map is learnt
npy_f4 vx.npy 64 8
npy_f4 vy.npy 64 3
tessera-model mlp input=8 classes=3 width=16 depth=1 -o values.onnx
expect 0 tessera-train --loss mse -m values.onnx -x vx.npy -y vy.npy --steps 300 --lr 0.01 --val-split 0 -o fitted.onnx
expect 0 tessera-train --eval --loss mse -m fitted.onnx -x vx.npy -y vy.npy
grep -qE '^loss [0-9.e-]+  samples 64$' out || not_ok "what --eval says of values"
awk '{exit !($2 < 0.05)}' out || not_ok "squared error: $(cat out)"
# labels may be of any type
npy_f4 cx.npy 8 8
printf '0\n1\n2\n0\n1\n2\n0\n1\n' > labels.csv
expect 0 tessera-train --eval -m values.onnx -x cx.npy -y labels.csv

# what does not fit
expect 3 tessera-train --eval -m values.onnx -x vx.npy -y labels.csv
says err "64 samples but 8 labels"
printf '0\n1\n2\n3\n1\n2\n0\n1\n' > bad.csv
expect 3 tessera-train --eval -m values.onnx -x cx.npy -y bad.csv
says err "label 3 is 3, not a class from 0 to 2"
printf '0\n1\n2\n0.5\n1\n2\n0\n1\n' > bad.csv
expect 3 tessera-train -m values.onnx -x cx.npy -y bad.csv -o no.onnx
says err "label 3 is 0.5"
expect 3 tessera-train --loss mse -m values.onnx -x cx.npy -y labels.csv -o no.onnx
says err "label values a sample"
{ npy_header '<f4' '1, 8'; printf '\0\0\300\177\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0'; } > nan.npy
printf '1\n' > one.csv
expect 3 tessera-train -m values.onnx -x nan.npy -y one.csv -o no.onnx
says err "NaN"
npy_header '<f4' '0, 8' > empty.npy
expect 3 tessera-train -m values.onnx -x empty.npy -y one.csv -o no.onnx
expect 3 train --val-inputs "$TESSERA_ROOT/testdata/glyphs/test-x.npy" --val-labels "$sensors/test-y.npy"
expect 2 train --val-inputs "$sensors/test-x.npy"
says err "belong together"
expect 2 tessera-train -m new.onnx -x "$x" -o no.onnx
says err "--labels"
expect 2 tessera-train -x "$x" -y "$y" -o no.onnx
says err "--model"
expect 2 train --outputs z.npy
expect 2 train --lr 0
expect 2 train --val-split 1
expect 4 tessera-train -m missing.onnx -x "$x" -y "$y" -o no.onnx
expect 4 tessera-train -m new.onnx -x missing.npy -y "$y" -o no.onnx
expect 4 tessera-train -m new.onnx -x "$x" -y missing.npy -o no.onnx
expect 3 tessera-train -m "$TESSERA_ROOT/testdata/onnx/unsupported-operators.onnx" -x "$x" -y "$y" -o no.onnx
expect 3 tessera-train --steps 50 --lr 100 --ema 0 --val-split 0 --views 1 --loss mse -m values.onnx -x vx.npy -y cx.npy -o no.onnx
nothing_left no.onnx
