# which references a receiver holds: all, some, none, in another shape or type, or in the stream
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
teacher
student
tokens

# some of them: the rest is used, and said
{ npy_header '<f2' '250, 6, 32'; samples 150 250; } > some.npy
expect 0 learn -r some.npy -o some.onnx tokens.tsr
says err "150 of the stream's 400 samples are not among the references"
at_least 30 some.onnx
expect 0 learn -q -r some.npy -o quiet.onnx tokens.tsr
test ! -s err || not_ok "--quiet speaks"
same some.onnx quiet.onnx
# strangers among them do no harm
{ npy_header '<f2' '1200, 6, 32'; tail -c +129 "$sensors/train-x.npy"; } > strangers.npy
expect 0 learn -r strangers.npy -r "$refs" -o with.onnx tokens.tsr
test ! -s err || not_ok "a warning although all samples were there: $(cat err)"
expect 0 learn -r "$refs" -o all.onnx tokens.tsr
same with.onnx all.onnx

# none of them
expect 3 learn -r strangers.npy -o wrong.onnx tokens.tsr
says err "none of the stream's 400 samples is in the reference set"
expect 3 learn -r "$TESSERA_ROOT/testdata/glyphs/ref-x.npy" -o wrong.onnx tokens.tsr
says err "shape"
npy_header '<f4' '0, 6, 32' > empty.npy
expect 3 learn -r empty.npy -o wrong.onnx tokens.tsr
says err "the reference set is empty"
expect 2 learn -o wrong.onnx tokens.tsr
says err "does not carry the reference inputs"
expect 4 learn -r missing.npy -o wrong.onnx tokens.tsr
says err "missing.npy"
nothing_left wrong.onnx

# in the stream
tessera-extract -m teacher.onnx --views 4 --with-inputs "$refs" | tessera-encode > whole.tsr
expect 0 learn -o whole.onnx whole.tsr
same whole.onnx all.onnx

# a receiver that takes its samples flat
tessera-model mlp input=192 classes=10 width=32 depth=1 seed=2 -o flat.onnx
{ npy_header '<f2' '400, 192'; samples 0 400; } > flat.npy
for r in flat.npy "$refs"; do
    expect 0 tessera-decode -m flat.onnx -r "$r" --steps 120 --lr 0.01 -o flat-taught.onnx tokens.tsr
done
at_least 35 flat-taught.onnx
tessera-model mlp input=191 classes=10 width=8 depth=1 -o narrow.onnx
expect 3 tessera-decode -m narrow.onnx -r "$refs" -o wrong.onnx tokens.tsr
says err "wants"

# receivers that do not fit
tessera-model mlp input=6x32 classes=9 width=8 depth=1 -o nine.onnx
expect 3 tessera-decode -m nine.onnx -r "$refs" -o wrong.onnx tokens.tsr
says err "10 outputs a sample"
expect 0 tessera-decode --mode a --steps 20 --lr 0.01 -m nine.onnx -r "$refs" -o hub-only.onnx tokens.tsr
tessera-model transformer vocab=256 length=192 classes=10 width=16 depth=1 -o text.onnx
expect 3 tessera-decode -m text.onnx -r "$refs" -o wrong.onnx tokens.tsr
expect 2 tessera-decode -r "$refs" -o wrong.onnx tokens.tsr
says err "--model"
expect 4 tessera-decode -m missing.onnx -r "$refs" -o wrong.onnx tokens.tsr
expect 3 tessera-decode -m "$TESSERA_ROOT/testdata/onnx/unsupported-operators.onnx" -r "$refs" -o wrong.onnx tokens.tsr
expect 2 learn --lr fast -r "$refs" -o wrong.onnx tokens.tsr
says err "--lr"
# streams without what a mode needs
tessera-extract -m teacher.onnx --views 0 --mode a "$refs" | tessera-encode > a.tsr
tessera-extract -m teacher.onnx --views 0 --mode b "$refs" > b.tsr
expect 3 learn --mode b -r "$refs" -o wrong.onnx a.tsr
says err "no outputs"
expect 3 learn --mode a -r "$refs" -o wrong.onnx b.tsr
says err "no hub tokens"
expect 3 learn --stitch -r "$refs" -o wrong.onnx b.tsr
nothing_left wrong.onnx
expect 0 learn -r "$refs" -o from-a.onnx a.tsr
