# --external puts large weights into a file beside the model; everything else stays the same.
. "$TESSERA_ROOT/tests/cli/lib.sh"
spec='transformer width=64 depth=2 ff=256 input=6x16 classes=5'
mkdir plain there
tessera-model $spec -o plain/outside.onnx
tessera-model $spec --external -o there/outside.onnx
test "$(ls there)" = "outside.onnx
outside.onnx.data" || not_ok "other files: $(ls there)"
test "$(wc -c < there/outside.onnx)" -lt 20000 || not_ok "the weights are still in the model"
(cd plain && tessera-inspect outside.onnx) > a
(cd there && tessera-inspect outside.onnx) > b
same a b

# The same answers, whoever reads it and from wherever.
npy_f4 x.npy 7 96
LC_ALL=C sed "s/(7, 96), } /(7,6,16), }/" x.npy > y.npy
tessera-extract -m plain/outside.onnx --views 0 -o a.tsr y.npy
tessera-extract -m there/outside.onnx --views 0 -o b.tsr y.npy
same a.tsr b.tsr
cd there; tessera-extract -m outside.onnx --views 0 -o ../c.tsr ../y.npy; cd ..
same b.tsr c.tsr

# In place: the old weights are read to the end before the new ones take their name.
cp -r there again
printf 'label\n0\n1\n2\n3\n4\n0\n1\n' > y.csv
tessera-train -q --loss ce -m again/outside.onnx -x y.npy -y y.csv --epochs 1 --external -o again/outside.onnx 2> err ||
    { cat err >&2; not_ok "training failed"; }
tessera-extract -m again/outside.onnx --views 0 -o d.tsr y.npy
! cmp -s b.tsr d.tsr || not_ok "training changed nothing"

expect 2 tessera-model $spec --external
says err "--output"
expect 2 tessera-train --eval --external -o z.onnx -m plain/outside.onnx -x y.npy -y y.csv
says err "--eval"
expect 2 tessera-decode --stitch --external -o z.npy -m plain/outside.onnx -r y.npy
says err "--stitch"
expect 4 tessera-model $spec --external -o nowhere/m.onnx

# Without its weights, or with some of them, it is refused; nothing is read beyond their end.
head -c 9000 there/outside.onnx.data > short
mv short there/outside.onnx.data
expect 3 tessera-inspect there/outside.onnx
says err outside.onnx.data
rm there/outside.onnx.data
expect 4 tessera-inspect there/outside.onnx
says err outside.onnx.data
