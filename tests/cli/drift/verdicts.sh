# exit codes and what is said: a gate that passes, fails, cannot be decided
. "$TESSERA_ROOT/tests/cli/lib.sh"
. "$TESSERA_ROOT/tests/cli/every/samples.sh"
set -e
drifted
# nothing drifts from itself
expect 0 tessera-drift teacher.tsr teacher.tsr
says out 'KL mean                             0 ± 0 nats'
says out 'inf dB'
expect 0 tessera-drift --gate 'kl<=0' --gate 'sqnr>=100' --gate 'kl.max<=0' teacher.tsr teacher.tsr
says out 'verdict: pass'
# the streams of another network
expect 1 tessera-drift --gate 'top1>=0.9' teacher.tsr student.tsr
says out 'fail          top1>=0.9: '
says out 'verdict: fail'
# 64 samples without a miss do not prove 99 %
expect 6 tessera-drift --gate 'top1>=99%' teacher.tsr teacher.tsr
says out 'inconclusive  top1>=99%: 100.00 % in ['
says out '; about 528 samples like these would decide it' # (0.005)^(1/n) >= 0.99
# one gate that fails decides, whatever the others are
expect 1 tessera-drift --gate 'top1>=0.99' --gate 'kl>=1' teacher.tsr teacher.tsr
says out 'verdict: fail'
# several candidates: all must pass
expect 1 tessera-drift --gate 'top1>=0.8' teacher.tsr int8=int8.tsr student.tsr
says out 'pass          int8: top1>=0.8'
says out 'fail          student.tsr: top1>=0.8'
# labels, in the order of the reference
expect 0 tessera-drift -y labels.npy --gate 'accuracy.drop<=0.5' teacher.tsr int8.tsr
says out 'mean PPL(Q)/PPL(base)'
says out 'accuracy of the reference'
# standard input may be either
tessera-drift teacher.tsr - < int8.tsr > a && tessera-drift - int8.tsr < teacher.tsr > b || not_ok "standard input"
grep 'KL mean' a > a1; grep 'KL mean' b > b1; same a1 b1
# layers by gate; hub tokens are a layer, too
tessera-extract -m teacher.onnx ref.npy > acts.tsr
tessera-quantize --to int8 < acts.tsr > acts8.tsr
expect 0 tessera-drift --gate 'layer:features.cka>=0.9' --gate 'layer:features.sqnr>=25' acts.tsr acts8.tsr
expect 0 tessera-drift --gate 'layer:hub:features.cka>=0.9' --gate 'layer:hub:features.sqnr>=20' teacher.tsr int8.tsr
tessera-encode --anchors 32 < acts.tsr > other.tsr # another hub: its dimensions are others
expect 0 tessera-drift --json teacher.tsr other.tsr
says out '"sqnr":{"value":null,"why":"the two have different units"}'
