# credit for contributions, round by round
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
references 24
device a --round 1 --time 1000
device b --round 1 --time 2000
npy-cat --sample 12 -o half.npy ref.npy
make-data sensors --split test --count 12 -x rare.npy
npy-cat -o both.npy half.npy rare.npy
tessera-extract -m b.onnx --contributor c --round 1 --time 2000 --mode b --views 0 both.npy > c.tsr
expect 0 tessera-merge --round 1 --until 2000 --half-life 1000 --ledger ledger -o one.tsr a.tsr b.tsr c.tsr
field() { # CONTRIBUTOR NAME, of the last line
    grep "\"contributor\":\"$1\"" ledger | tail -n 1 | sed "s/.*\"$2\":\([^,}]*\).*/\1/"
}
near() { awk -v a="$1" -v b="$2" 'BEGIN {exit !(a - b < 1e-6 && b - a < 1e-6)}' || not_ok "$1 instead of $2"; }
test "$(wc -l < ledger)" = 3 || not_ok "not three lines"
near "$(field a freshness)" 0.5; near "$(field b freshness)" 1; near "$(field a reliability)" 0.5
near "$(field a novelty)" 0.4166666667 # half of the samples by three, half by two
near "$(field c novelty)" 0.6666666667 # half by three, half by nobody else
near "$(field a utility)" "$(awk -v q="$(field a quality)" -v n="$(field a novelty)" 'BEGIN {print 0.4 * q + 0.2 * (n + 0.5 + 0.5)}')"
# the next round knows the one before
cp ledger before
device b --round 2 --time 3000
expect 0 tessera-merge --round 2 --until 3000 --ledger ledger -o two.tsr a.tsr b.tsr
head -n 3 ledger > start; same start before
near "$(field a reliability)" 0.6666666667; near "$(field a utility)" 0
grep '"contributor":"a"' ledger | tail -n 1 | grep -q '"counts":false.*"reason":"round"' || not_ok "a counts"
expect 0 tessera-merge --round 2 --ledger ledger -o two.tsr a.tsr b.tsr
near "$(field a reliability)" 0.5; near "$(field b reliability)" 0.75
# a failure adds nothing, and what is no ledger is left alone
cp ledger before
refused "are needed" tessera-merge --round 2 --min-contributors 9 --ledger ledger a.tsr b.tsr; same ledger before
echo '{"schema":"something/1"}' > other; cp other kept
expect 3 tessera-merge --ledger other a.tsr; says err "line 1"; same other kept
printf '{"schema"' > other
expect 3 tessera-merge --ledger other a.tsr; says err "other"
