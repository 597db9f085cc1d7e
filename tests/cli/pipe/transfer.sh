# the whole pipe: an untrained network of another architecture learns from tokens alone, and the
# same input gives the same bytes whatever the threads, the run, and the order of the references
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
teacher
student
at_least 50 teacher.onnx
test "$(right student.onnx)" -le 25 || not_ok "the untrained student knows too much"
tessera-extract -m teacher.onnx --views 8 "$refs" | tessera-encode | tessera-quantize --to int8 > teacher.tsr
expect 0 tessera-inspect --check teacher.tsr
learn --steps 300 -r "$refs" < teacher.tsr > taught.onnx
at_least 45 taught.onnx

# bytes
teacher_again() { tessera-train -T "$1" -m untrained.onnx -x "$sensors/train-x.npy" -y "$sensors/train-y.npy" --steps 60; }
for t in 1 2; do
    tessera-extract -T $t -m teacher.onnx --views 4 "$refs" > acts-$t.tsr
    tessera-encode -o tokens-$t.tsr acts-$t.tsr
    learn -T $t -r "$refs" -o taught-$t.onnx tokens-$t.tsr
    teacher_again $t > trained-$t.onnx
done
same acts-1.tsr acts-2.tsr
same tokens-1.tsr tokens-2.tsr
same taught-1.onnx taught-2.onnx
same trained-1.onnx trained-2.onnx
tessera-extract -m teacher.onnx --views 4 "$refs" | tessera-encode | learn -r "$refs" > again.onnx
same again.onnx taught-1.onnx
teacher_again 1 > again.onnx
same again.onnx trained-1.onnx
learn --seed 2 -r "$refs" -o other.onnx tokens-1.tsr
! cmp -s other.onnx taught-1.onnx || not_ok "the seed changes nothing"

# references in another order are the same references
{ head -c 128 "$refs"; samples 300 100; samples 0 120; samples 120 180; } > shuffled.npy
learn -r shuffled.npy -o shuffled.onnx tokens-1.tsr
same shuffled.onnx taught-1.onnx
# ... and from several files
{ npy_header '<f2' '150, 6, 32'; samples 250 150; } > late.npy
{ npy_header '<f2' '250, 6, 32'; samples 0 250; } > early.npy
learn -r late.npy -r early.npy -o parts.onnx tokens-1.tsr
same parts.onnx taught-1.onnx

# every mode teaches; the report tells
for mode in a b both auto; do
    learn --mode $mode -r "$refs" --report report.json -o $mode.onnx tokens-1.tsr
    test "$(grep -c '"schema":"tessera-decode.result/1"' report.json)" -eq 1 || not_ok "report of mode $mode"
    rm report.json
done
same b.onnx auto.onnx
at_least 40 both.onnx
! cmp -s a.onnx b.onnx || not_ok "modes a and b are the same"
learn --retain 1 --keep-zeros --temperature 2 --batch 32 -r "$refs" -o kept.onnx tokens-1.tsr
expect 0 tessera-decode --budget quick --no-head-refit -v -m student.onnx -r "$refs" -o quick.onnx teacher.tsr
says err 'held-out loss'
at_least 45 quick.onnx
# a trained receiver does not become worse
tessera-decode --budget quick -m taught.onnx -r "$refs" -o further.onnx teacher.tsr
at_least $(($(right taught.onnx) - 3)) further.onnx
