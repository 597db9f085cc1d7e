# who counts: lists, weights, rounds, times, what was sent twice; and what the whole must have
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
references 24
device a --round 7 --time 1000
device b --round 7 --time 2000
device c --round 8 --time 3000
device d
counted() { # N OPTION...: so many count
    n=$1; shift
    expect 0 tessera-merge --report report -o merged.tsr "$@"
    tail -n 1 report | grep -q "\"contributors\":$n," || { cat report >&2; not_ok "$n do not count: $*"; }
}
all='a.tsr b.tsr c.tsr d.tsr'
# rounds
expect 3 tessera-merge $all; says err "rounds '8' and '7'"
counted 2 --round 7 $all; reason a none; reason c round; reason d round
counted 3 a.tsr b.tsr d.tsr
# times
counted 1 --round 7 --since 1500 $all; reason a time; reason b none
counted 1 --round 7 --since 500 --until 1500 $all; reason b time
counted 1 --until 1500 a.tsr b.tsr d.tsr; reason d time
# lists and weights; what the streams say of themselves is no weight
printf '# those of round 7\n a\nb 3 # heavier\n\n' > allow
counted 2 --allow allow a.tsr b.tsr d.tsr; reason d unlisted
tail -n 1 report | grep -q '"weight":4}' || not_ok "the weight is not 4"
echo 'a 0' > weights
counted 1 --allow allow --weights weights a.tsr b.tsr; reason a weight
# a weight of 2 is two contributors of 1
tessera-extract -m a.onnx --contributor e --round 7 --views 2 ref.npy | tessera-encode --rank 5 > e.tsr
counted 3 --rule mean a.tsr e.tsr b.tsr
tessera-inspect --export outputs merged.tsr > twice.npy
echo 'a 2' > weights
counted 2 --rule mean --weights weights a.tsr b.tsr
tessera-inspect --export outputs merged.tsr > once.npy; same once.npy twice.npy
printf 'a 1\na 2\n' > bad; expect 3 tessera-merge --allow bad a.tsr; says err "listed twice"
echo 'a -1' > bad; expect 3 tessera-merge --weights bad a.tsr; says err "line 1: '-1' is no weight"
echo 'a much' > bad; expect 3 tessera-merge --weights bad a.tsr; says err "no weight"
expect 4 tessera-merge --weights nowhere a.tsr; says err nowhere
# duplicates, equivocation, replay
counted 2 a.tsr b.tsr a.tsr; reason a duplicate
tessera-extract -m b.onnx --contributor a --round 7 --views 2 ref.npy | tessera-encode --rank 5 > other.tsr
refused "'a' sent two different streams" tessera-merge a.tsr other.tsr
echo 'a 0' > weights; counted 1 --weights weights a.tsr other.tsr b.tsr
counted 2 a.tsr b.tsr
sed -n 's/.*"contributor":"a".*"stream":"\([0-9a-f]*\)".*/\1/p' report > seen
counted 1 --seen seen a.tsr b.tsr; reason a replay
# without a name a contributor is its model, and the same model twice is one
tessera-extract -m a.onnx --views 2 ref.npy > n1.tsr
tessera-extract -m a.onnx --views 2 --to int8 ref.npy > n2.tsr
refused "two different streams" tessera-merge n1.tsr n2.tsr
# the whole
refused "2 contributors count, 3 are needed" tessera-merge --min-contributors 3 a.tsr b.tsr
refused "more than the 0.6" tessera-merge --max-weight 0.6 --allow allow a.tsr b.tsr
counted 2 --max-weight 0.75 --allow allow a.tsr b.tsr
# the report tells the reasons also of what policy forbids
echo nobody > allow; rm report; refused "all 1 contributions were refused" tessera-merge --allow allow --report report a.tsr
reason a unlisted
# samples that few answered
npy-cat --sample 12 -o half.npy ref.npy
tessera-extract -m b.onnx --contributor half --mode b --views 0 half.npy > half.tsr
tessera-extract -m a.onnx --contributor full --mode b --views 0 ref.npy > full.tsr
counted 2 half.tsr full.tsr; tail -n 1 report | grep -q '"samples":24' || not_ok "not all samples"
counted 2 --min-answers 2 half.tsr full.tsr; tail -n 1 report | grep -q '"left_out":12.*"samples":12' || not_ok "not half"
refused "no sample has answers of 3" tessera-merge --min-answers 3 half.tsr full.tsr
# unlike the others: an error, unless an earlier aggregate says who is right
tessera-model mlp input=6x32 classes=4 width=8 depth=1 -o four.onnx
tessera-extract -m four.onnx --contributor four --views 2 ref.npy > four.tsr
expect 3 tessera-merge a.tsr four.tsr; says err "four.tsr: contributor 'four'"; says err "the outputs are"
tessera-merge a.tsr b.tsr > before.tsr
counted 2 --from before.tsr a.tsr four.tsr b.tsr; reason four mismatch
make-data sensors --split test --count 24 -x others.npy
tessera-extract -m a.onnx --contributor anchors --views 2 others.npy | tessera-encode --rank 5 > anchors.tsr
expect 3 tessera-merge a.tsr anchors.tsr; says err "contributor 'anchors'"
counted 1 --from before.tsr anchors.tsr a.tsr; reason anchors mismatch
# options that want each other
expect 2 tessera-merge --rule fltrust a.tsr; says err "--from"
counted 2 --rule fltrust --from before.tsr a.tsr b.tsr
# names
expect 2 tessera-extract -m a.onnx --contributor "$(printf '%0201d' 0)" ref.npy; says err "at most 200"
