# what grids will do to a model, foretold from samples and tokens
. "$TESSERA_ROOT/tests/cli/lib.sh"
. "$TESSERA_ROOT/tests/cli/every/samples.sh"
set -e
token
p="tessera-drift --predict -m student.onnx -r ref.npy"
expect 0 $p teacher.tsr
says out 'from 64 samples, for what will be measured on 64; intervals of 95 %'
for g in f16 int8 int4; do grep -q "^$g " out || not_ok "no line for $g"; done
! grep -q accuracy out || not_ok "accuracy without labels"
expect 0 $p -y labels.npy --grid int8 --grid w4a8 --on 5000 --confidence 0.9 --json teacher.tsr
says out '"schema":"tessera-drift.prediction/1"'
says out '"confidence":0.9,"grids":[{"accuracy":{'
says out '"grid":"w4a8"'
says out '"on":5000,"samples":64'
says out '"teacher.kl":{"high":'
# the same whatever the threads
$p -T 1 teacher.tsr > a && $p -T 3 teacher.tsr > b || not_ok "threads"
same a b
# of a teacher that tells classes alone there is no divergence
tessera-extract -m teacher.onnx --mode b --kind argmax ref.npy > class.tsr
expect 0 $p class.tsr
says out "teacher's class"
! grep -q 'KL from teacher' out || not_ok "a divergence from class numbers"
# samples that the teacher has not answered are left out, and said so
awk 'BEGIN {for (i = 0; i < 30; i++) {for (j = 0; j < 16; j++) printf "%s%d", j ? "," : "", i * j % 7; print ""}}' > more.csv
expect 0 tessera-drift --predict -m student.onnx -r ref.npy -r more.csv teacher.tsr
says err 'has not answered'
# what makes no sense
expect 3 tessera-drift --predict -m student.onnx -r more.csv teacher.tsr; says err 'none of the 30 samples is among the 64'
expect 2 tessera-drift --predict -m student.onnx teacher.tsr; says err '--refs FILE'
expect 2 tessera-drift --predict -r ref.npy teacher.tsr; says err '--model FILE'
expect 2 $p --gate 'kl<=1' teacher.tsr; says err "'--gate' does not go with --predict"
expect 2 $p --html teacher.tsr; says err "'--html' does not go with --predict"
expect 2 $p --grid int7 teacher.tsr; says err "'--grid' wants"
expect 2 $p teacher.tsr teacher.tsr; says err 'takes one stream'
expect 2 tessera-drift -m student.onnx teacher.tsr teacher.tsr; says err "'--model' goes with --predict"
expect 2 tessera-drift --on 5 teacher.tsr teacher.tsr; says err "'--on' goes with --predict"
labels few.npy 63
expect 3 $p -y few.npy teacher.tsr; says err '63 labels for 64 samples'
tessera-model mlp input=16 classes=3 width=8 depth=1 -o three.onnx
expect 3 tessera-drift --predict -m three.onnx -r ref.npy teacher.tsr; says err 'the model has 3 classes, the teacher has 4'
tessera-quantize -m student.onnx --to int8 -r ref.npy -o quantised.onnx
expect 3 tessera-drift --predict -m quantised.onnx -r ref.npy teacher.tsr
# what overflows on a grid is no drift
awk 'BEGIN {for (i = 0; i < 30; i++) {for (j = 0; j < 4; j++) printf "%s%d", j ? "," : "", (i + j) * 100000; print ""}}' > large.csv
tessera-model mlp input=4 classes=3 width=8 depth=1 -o large.onnx
tessera-extract -m large.onnx --mode b --views 0 large.csv > large.tsr
expect 3 tessera-drift --predict -m large.onnx -r large.csv --grid f16 large.tsr; says err "on the grid 'f16' the model's answer to sample"
expect 0 tessera-drift --predict -m large.onnx -r large.csv --grid bf16 large.tsr
