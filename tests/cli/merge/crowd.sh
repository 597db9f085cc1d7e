# contributions that are rows: many contributors, one vector
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
crowd() { make-contributions --dim 32 --seed 3 --block 50 "$@"; }
crowd --count 1000 > all.tsr
for i in 0 1 2 3; do crowd --first $((i * 250)) --count 250 > part$i.tsr; done
root() { tessera-inspect --export outputs "$1" > "$1.npy"; }
for rule in mean median trim huber geomed cclip spectral multikrum nnm+trim; do
    expect 0 tessera-merge --rule $rule --report report all.tsr; cp out whole.tsr
    test $rule = spectral || tail -n 1 report | grep -q '"contributors":1000,' || not_ok "not all count"
    cat part2.tsr part0.tsr part3.tsr part1.tsr > shuffled.tsr
    expect 0 tessera-merge --rule $rule part3.tsr part1.tsr part0.tsr part2.tsr; cp out parts.tsr
    expect 0 tessera-merge --rule $rule shuffled.tsr; same out parts.tsr
    root whole.tsr; root parts.tsr; same whole.tsr.npy parts.tsr.npy
done
for i in 0 1 2 3; do tessera-merge --from whole.tsr --partial part$i.tsr > p$i; done
expect 0 tessera-merge --from whole.tsr part0.tsr part1.tsr part2.tsr part3.tsr; cp out one.tsr
cat p3 p1 | tessera-merge --partial > p31
expect 0 tessera-merge --shards 4 p0 p31 p2; same out one.tsr
refused "3 of 4 shards" tessera-merge --shards 4 p31 p2
# shards that are not neighbours
tessera-merge --from whole.tsr --partial part0.tsr part2.tsr > p02
expect 0 tessera-merge p02 p1 p3; same out one.tsr
test "$(wc -c < p0)" -lt 65536 || not_ok "a partial aggregate has $(wc -c < p0) bytes"
# the spectral filter finds colluders, and nobody else
long() { make-contributions --dim 512 --seed 3 --block 50 "$@"; }
long --count 400 --attack ipm --hostile 0.3 > hostile.tsr
long --count 400 --first 1000 > honest.tsr
tessera-merge honest.tsr > before.tsr
expect 0 tessera-merge --rule spectral --from before.tsr --report report hostile.tsr
n=$(grep -c '"reason":"outlier"' report)
test "$n" -gt 90 && test "$n" -lt 150 || not_ok "$n of 400 are outliers"
expect 0 tessera-merge --rule spectral --from before.tsr --report report honest.tsr
test "$(grep -c '"reason":"outlier"' report)" -lt 12 || not_ok "honest ones are outliers"
# nobody twice
refused "overlapping ranges" tessera-merge p0 p0
expect 0 tessera-merge --report report part0.tsr part0.tsr
test "$(grep -c '"reason":"duplicate"' report)" = 250 || not_ok "duplicates are not refused"
# rows that cannot be merged
crowd --count 200 --type float32 --attack nan --hostile 0.1 > nan.tsr
expect 0 tessera-merge --report report nan.tsr
n=$(grep -c '"reason":"numbers"' report)
test "$n" -gt 5 && tail -n 1 report | grep -q "\"contributors\":$((200 - n))," || not_ok "NaN: $n"
crowd --count 200 --type float32 --attack zero --hostile 0.1 > zero.tsr
expect 0 tessera-merge --report report zero.tsr
test "$(grep -c '"reason":"zero"' report)" = "$n" || not_ok "zero vectors are not refused"
crowd --count 200 --type float32 --attack zero --hostile 1 > zero.tsr
refused "all 200 contributions were refused" tessera-merge zero.tsr
# lists name the keys
expect 0 tessera-inspect --export keys all.tsr
tail -c +129 out | head -c 32 | od -An -v -tx1 | tr -d ' \n' | cut -c 1-32 > allow
expect 0 tessera-merge --allow allow --report report all.tsr
tail -n 1 report | grep -q '"contributors":1,' || not_ok "the list of keys does not work"
# samples and contributors do not mix, nor do lengths
references 16; device a
expect 3 tessera-merge a.tsr all.tsr; says err "contributions of their own"
make-contributions --dim 33 --count 5 --first 5000 > other.tsr
expect 3 tessera-merge all.tsr other.tsr; says err "33"
expect 0 tessera-merge --from whole.tsr --report report part1.tsr other.tsr
tail -n 1 report | grep -q '"contributors":250,' || not_ok "another length counts"
grep -q '"reason":"mismatch"' report || not_ok "another length is not reported"
expect 3 tessera-decode -m a.onnx -r ref.npy all.tsr; says err "of contributors"
