# the Makefile template that users copy: a sweep, its reports, a build that fails on drift; and the
# snippets for continuous integration call it as it is
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
cp "$TESSERA_ROOT/scripts/templates/sweep.mk" .
tessera-model mlp input=16 classes=4 width=16 depth=1 seed=1 -o model.onnx
npy_f4 ref.npy 40 16
awk 'BEGIN {srand(7); for (i = 0; i < 300; i++) {for (j = 0; j < 16; j++) printf "%s%.3f", j ? "," : "", 2 * rand() - 1; print ""}}' > test.csv
sweep() { env -u MAKEFLAGS -u MAKELEVEL make -f sweep.mk TEST=test.csv "$@"; }
status_of sweep GATES_f16='top1>=0.9' GATES='kl<=0.5' GATES_int4='kl<=0.5' > out 2> err
test $status = 0 || { cat out err >&2; not_ok "make -f sweep.mk: $status"; }
for g in f16 int8 w4a8 int4; do
    tessera-inspect --check "sweep/model.$g.onnx" > /dev/null || not_ok "no model of $g"
    says "sweep/$g.xml" "<testsuite name=\"$g\""
    says sweep/drift.html "$g"
done
says sweep/drift.json '"bits":16'
# nothing to do the second time but the verdicts
sweep GATES='kl<=0.5' GATES_f16= GATES_int4= > out 2> err || not_ok "a second time"
! grep -qE 'tessera-(quantize|extract)' out || not_ok "done twice: $(cat out)"
# a gate that is not met, and one that cannot be: both fail the build, after all grids were judged
status_of sweep GATES='kl<=0.5' GATES_f16='top1>=0.9999' GATES_int4='kl<=0' > out 2> err
test $status = 2 || not_ok "drift does not fail the build: $status"
says err 'drifted too far, or not decided: f16 int4'
says sweep/f16.xml '<error type="inconclusive">'
says sweep/int4.xml '<failure type="fail">'
# layers, labels, a prediction
awk 'BEGIN {for (i = 0; i < 300; i++) print i % 4}' > y.csv
sweep OUT=other GRIDS=int8 LAYERS=features LABELS=y.csv GATES='accuracy.drop<=0.5 layer:features.cka>=0.5' > out 2> err ||
    { cat err >&2; not_ok "layers and labels"; }
tessera-extract -m model.onnx test.csv > tokens.tsr
sweep predict GRIDS='f16 int8' CALIBRATE=test.csv TOKENS=tokens.tsr > out 2> err || { cat err >&2; not_ok "predict"; }
says out 'int8'
sweep clean-sweep > out 2> err && test ! -e sweep || not_ok "clean-sweep"
# the snippets
for f in github-workflow.yml gitlab-ci.yml; do
    line=$(grep -o 'make -f sweep.mk.*' "$TESSERA_ROOT/scripts/templates/$f") || not_ok "$f"
    cp test.csv test.npy # chosen by content, not by name
    env -u MAKEFLAGS -u MAKELEVEL sh -c "$line GATES='kl<=0.5' GATES_f16= GATES_int4= GRIDS='f16 int8'" > out 2> err || { cat err >&2; not_ok "$f"; }
    for made in sweep/drift.html sweep/drift.json; do
        grep -q "$made" "$TESSERA_ROOT/scripts/templates/$f" && test -s $made || not_ok "$f: $made"
    done
    rm -r sweep
done
