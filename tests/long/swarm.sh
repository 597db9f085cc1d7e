# a small swarm: the merged network knows more than any device, and hostile ones do little harm
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
BENCH=$PWD BUILD=$TESSERA_BUILD DEVICES=4 SAMPLES=80 REFS=200 STEPS=200 RULES="mean cclip" TAUGHT="spectral" ATTACKS="ipm nan replay" \
    SHARES="20" BUDGET="--steps 400 --lr 0.005" "$TESSERA_ROOT/scripts/bench-swarm.sh" > lines 2> err || { cat err log; exit 1; }
value() { grep "$1" lines | head -n 1 | sed "s/.*\"$2\":\([0-9.]*\).*/\1/"; }
best=$(value best_device best_device)
for what in '"merge":"clean","rule":"cclip"' '"merge":"ipm 20, later round"' '"merge":"nan 20"' '"merge":"replay 20"'; do
    got=$(value "$what" answers)
    awk -v a="$got" -v b="$best" 'BEGIN {exit !(a > b)}' || { cat lines >&2; not_ok "$what: $got, the best device has $best"; }
done
for what in nan replay; do
    test "$(value "\"merge\":\"$what 20\"" refused)" = 1 || not_ok "$what is not refused"
done
