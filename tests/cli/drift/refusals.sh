# what is not to be compared, and gates that make no sense, are refused with a clear sentence
. "$TESSERA_ROOT/tests/cli/lib.sh"
. "$TESSERA_ROOT/tests/cli/every/samples.sh"
set -e
drifted
tessera-extract -m teacher.onnx ref.npy > acts.tsr
# other samples; a part of the samples
npy_f4 other.npy 50 16
tail -c 3200 other.npy | head -c 1600 > tail
{ head -c 128 other.npy | sed 's/(50, 16)/(25, 16)/'; cat tail; } > few.npy
awk 'BEGIN {printf "a,b,c,d\n"; for (i = 0; i < 40; i++) printf "%d.5,%d,1,2\n", i, i * i}' > far.csv
tessera-model mlp input=4 classes=4 width=8 depth=1 seed=2 -o far.onnx
tessera-extract -m far.onnx far.csv > far.tsr
tessera-extract -m teacher.onnx few.npy > few.tsr
expect 3 tessera-drift teacher.tsr far.tsr
says err "'far.tsr' answers another reference set than 'teacher.tsr'"
expect 3 tessera-drift acts.tsr few.tsr
says err '--common compares those that both have'
expect 0 tessera-drift --common acts.tsr few.tsr
says out 'only the reference has'
# other classes
tessera-model mlp input=16 classes=3 width=8 depth=1 seed=2 -o three.onnx
tessera-extract -m three.onnx ref.npy > three.tsr
expect 3 tessera-drift teacher.tsr three.tsr
says err "'three.tsr': it has 3 classes, the reference has 4"
# nothing in common
tessera-extract -m teacher.onnx --mode a ref.npy > a.tsr
tessera-extract -m teacher.onnx --mode b ref.npy > b.tsr
expect 3 tessera-drift a.tsr b.tsr
says err 'hold nothing that can be compared'
# a layer that is not there: those that are, are named
tessera-extract -m teacher.onnx -l block0 -l features ref.npy > layers.tsr
expect 2 tessera-drift --gate 'layer:conv3.sqnr>=20' layers.tsr layers.tsr
says err "there are 'block0', 'features'"
expect 2 tessera-drift --gate 'layer:conv3.sqnr>=20' b.tsr b.tsr
says err 'there is none'
# statistics that are not there, or cannot be judged
expect 2 tessera-drift --gate 'speed>=20' b.tsr b.tsr
says err "there is no statistic 'speed' of outputs; there are kl, tv, top1"
expect 2 tessera-drift --gate 'layer:features.kl<=1' layers.tsr layers.tsr
says err "there is no statistic 'kl' of a layer"
expect 2 tessera-drift --gate 'frechet<=1' b.tsr b.tsr
says err 'cannot be gated'
expect 2 tessera-drift --gate 'kl=1' b.tsr b.tsr
says err 'a gate is written'
expect 2 tessera-drift --gate 'accuracy>=0.9' b.tsr b.tsr
says err 'needs labels'
tessera-extract -m teacher.onnx --mode b --kind argmax ref.npy > class.tsr
expect 3 tessera-drift --gate 'kl<=1' b.tsr class.tsr
says err 'cannot be judged'
expect 0 tessera-drift b.tsr class.tsr
says out 'not measured, since the outputs are class numbers without probabilities: kl,'
# labels that do not fit
labels few-labels.npy 63
labels many-labels.npy 65
printf '1\n2\n7\n' > seven.csv
expect 3 tessera-drift -y few-labels.npy b.tsr b.tsr; says err 'but '"'b.tsr'"' has more samples'
expect 3 tessera-drift -y many-labels.npy b.tsr b.tsr; says err 'has more labels than'
expect 3 tessera-drift -y ref.npy b.tsr b.tsr; says err 'labels are class numbers'
awk 'BEGIN {for (i = 0; i < 64; i++) print i == 40 ? 4 : 0}' > bad.csv
expect 3 tessera-drift -y bad.csv b.tsr b.tsr; says err 'there is a class 4, but the outputs have 4 classes'
awk 'BEGIN {for (i = 0; i < 64; i++) print i == 40 ? -1 : 0}' > bad.csv
expect 3 tessera-drift -y bad.csv b.tsr b.tsr; says err 'for sample 40, which is no class number'
# damaged: see every/io.sh; numbers that are not finite: the reader of streams refuses them
expect 3 tessera-drift "$TESSERA_ROOT/testdata/stream/bad-rows-nan.tsr" b.tsr
expect 3 tessera-drift b.tsr "$TESSERA_ROOT/testdata/stream/bad-cut-in-body.tsr"
# options that make no sense
expect 2 tessera-drift b.tsr; says err 'operand'
expect 2 tessera-drift - -  < b.tsr; says err 'standard input is asked for twice'
expect 2 tessera-drift --tap b.tsr b.tsr; says err 'give at least one --gate'
expect 2 tessera-drift --json --html b.tsr b.tsr; says err 'only one of'
expect 2 tessera-drift --also x.doc b.tsr b.tsr; says err 'ends in .txt'
expect 2 tessera-drift --pair features b.tsr b.tsr; says err 'REFERENCE=CANDIDATE'
expect 4 tessera-drift --also nowhere/x.json b.tsr b.tsr; says err 'nowhere/x.json'
