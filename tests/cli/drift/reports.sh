# the report in every form, names with markup in them, pairs of layers, views
. "$TESSERA_ROOT/tests/cli/lib.sh"
. "$TESSERA_ROOT/tests/cli/every/samples.sh"
set -e
drifted
tessera-quantize --to int4 < teacher.tsr > int4.tsr
evil='<script>"&'"'"'<b> int4'
expect 1 tessera-drift --gate 'top1>=0.5' --gate 'kl<=-1' --also r.json --also r.xml --also r.tap --also r.html --also r.txt \
    teacher.tsr int8.tsr "$evil=int4.tsr"
same out r.txt
says r.txt 'CANDIDATE                    BITS         KL   SAME TOP'
# JSON: one object that our own reader takes, with every statistic
test "$(wc -l < r.json)" = 1 || not_ok "not one line"
says r.json '"schema":"tessera-drift.report/1"'
says r.json '"verdict":"fail"'
says r.json '"bits":4,'
for name in kl kl.p99.9 kl.median tv top1 topk accuracy.drop ppl.ratio dp.rms sqnr cosine mse cka cka.p knn gauss gauss.full frechet; do
    says r.json "\"$name\":{"
done
says r.json '"accuracy":{"value":null,"why":"no labels were given"}'
expect 0 tessera-drift --json teacher.tsr teacher.tsr
says out '"sqnr":{"error":0,"high":null,"infinite":true,"low":null,"samples":64,"value":null}'
says out '"verdict":null'
# markup is text
! grep -qi '<script' r.html r.xml || not_ok "markup was passed through"
says r.html '&lt;script&gt;&quot;&amp;'"'"'&lt;b&gt; int4'
says r.xml '&lt;script&gt;&quot;&amp;'
# nothing is fetched, nothing runs
! grep -qiE 'https?:|src=|href=|@import|url\(|<script|onload' r.html || not_ok "the page is not on its own"
says r.html '<svg'
says r.html 'Signal to noise, layer by layer'
says r.html 'class in the candidate'
# well-formed, where somebody can tell
if command -v xmllint > /dev/null; then
    xmllint --noout r.xml || not_ok "r.xml"
fi
says r.xml '<testsuite name="int8.tsr" tests="2" failures="1" errors="0" skipped="0">'
says r.xml '<failure type="fail">'
test "$(head -n 2 r.tap)" = 'TAP version 13
1..4' || not_ok "TAP plan"
says r.tap 'ok 1 - int8.tsr: top1>=0.5'
says r.tap 'not ok 3 - int8.tsr: kl<=-1'
expect 6 tessera-drift --tap --gate 'top1>=0.999' teacher.tsr teacher.tsr
says out 'not ok 1 - '
says out 'verdict: inconclusive'
says out 'samples_needed: '
expect 6 tessera-drift --junit --gate 'top1>=0.999' teacher.tsr teacher.tsr
says out 'errors="1"'
says out '<error type="inconclusive">'
# layers with other names
tessera-extract -m student.onnx -l block0 ref.npy > block.tsr
tessera-extract -m teacher.onnx -l features ref.npy > features.tsr
expect 0 tessera-drift features.tsr block.tsr
! grep -q 'LAYER' out || not_ok "layers of different names were compared"
expect 0 tessera-drift --pair features=block0 features.tsr block.tsr
says out 'LAYER'
says out 'features'
# where both have both, layers are compared with themselves, too
tessera-extract -m teacher.onnx --views 0 -l features -l block0 ref.npy > layers.tsr
expect 0 tessera-drift --json --pair features=block0 --pair block0=features layers.tsr layers.tsr
for layer in features block0; do
    says out "\"$layer\":{"
done
says out '"features=block0":{'
says out '"block0=features":{'
expect 0 tessera-drift --pair features=block0 --gate 'layer:features.sqnr>=60' --gate 'layer:block0.sqnr>=60' layers.tsr layers.tsr
expect 1 tessera-drift --pair features=block0 --gate 'layer:features=block0.sqnr>=60' layers.tsr layers.tsr
expect 0 tessera-drift --pair features=block0 layers.tsr block.tsr
# a name that is not there
expect 2 tessera-drift --pair features=block0 --pair features=nowhere layers.tsr layers.tsr
says err "'layers.tsr' has no layer 'nowhere'"
expect 2 tessera-drift --pair nowhere=block0 layers.tsr layers.tsr
says err "'layers.tsr' has no layer 'nowhere'"
expect 2 tessera-drift --pair features=block0 features.tsr features.tsr features.tsr
says err "no candidate has a layer 'block0'"
expect 2 tessera-drift --pair a=b --pair a=b layers.tsr layers.tsr
says err 'twice'
# views: the same samples, more rows
tessera-extract -m teacher.onnx --views 3 --view-activations ref.npy > v.tsr
tessera-extract -m teacher.onnx --views 3 --view-activations --seed 7 ref.npy > w.tsr
tessera-quantize --to int4 < v.tsr > v4.tsr
expect 0 tessera-drift v.tsr v4.tsr; says out 'outputs: 64 rows'
expect 0 tessera-drift --views v.tsr v4.tsr; says out 'outputs: 256 rows'
says out '64 samples with 3 views each'
expect 0 tessera-drift v.tsr w.tsr; says out 'KL mean                             0 ± 0 nats'
expect 3 tessera-drift --views v.tsr w.tsr; says err 'another recipe or seed'
# the order of the samples is no drift, and waits only as long as it must
tessera-drift --top-k 2 --memory 1MiB v.tsr v4.tsr > a || not_ok "memory"
says a 'top class among the 2 likeliest'
# names that are no text
odd=$(printf 'a\377b\tc')
expect 0 tessera-drift --json teacher.tsr "$odd=int8.tsr"
says out '"name":"a?b?c"'
