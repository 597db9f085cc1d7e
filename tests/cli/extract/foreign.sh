# transmitters that are no ONNX model: answers by row, views written out for them, black boxes
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
teacher
student
export_of() { tessera-inspect --export "$1" -o "$3" "$2"; }

# what the views' answers are, whoever gave them: the model itself answers its own views
expect 0 tessera-extract --emit-views views.npy --views 3 "$refs"
tessera-extract -m teacher.onnx --views 3 "$refs" > own.tsr
tessera-extract -m teacher.onnx --views 0 views.npy > flat.tsr
export_of outputs flat.tsr answers.npy
expect 0 tessera-extract --outputs answers.npy --views 3 -o foreign.tsr "$refs"
export_of outputs own.tsr own.npy
export_of outputs foreign.tsr foreign.npy
same own.npy foreign.npy
expect 0 tessera-inspect --check foreign.tsr
# so a receiver learns the same
tessera-extract -m teacher.onnx --mode b --views 3 "$refs" | learn -r "$refs" -o own.onnx
learn -r "$refs" -o foreign.onnx foreign.tsr
same own.onnx foreign.onnx
# another seed, other views; no views, just the samples
tessera-extract --emit-views other.npy --views 3 --seed 2 "$refs"
! cmp -s views.npy other.npy || not_ok "the seed changes nothing"
tessera-extract --emit-views none.npy "$refs"
tessera-extract -m teacher.onnx --views 0 none.npy | tessera-inspect --export outputs -o a.npy
tessera-extract -m teacher.onnx --views 0 "$refs" | tessera-inspect --export outputs -o b.npy
same a.npy b.npy
# references in double precision are the same references
head -c 128 views.npy | grep -q '<f4' || not_ok "views are not float32"

# activations alone and together; for the views only where asked for
export_of features flat.tsr inner-all.npy
tessera-extract -m teacher.onnx --views 0 --mode a "$refs" | tessera-inspect --export features -o inner.npy
expect 0 tessera-extract --outputs answers.npy --activations inner=inner.npy --views 3 -o both.tsr "$refs"
expect 0 tessera-extract --outputs answers.npy --activations inner=inner-all.npy --views 3 --view-activations -o all.tsr "$refs"
expect 2 tessera-extract --activations a=inner.npy --activations a=inner.npy -o no.tsr "$refs"
says err "has 'a' twice"
expect 0 tessera-extract --activations a=inner.npy --activations b=inner.npy -o two.tsr "$refs"
for f in both all two; do
    expect 0 tessera-encode -o $f-tokens.tsr $f.tsr
    expect 0 learn -r "$refs" -o $f.onnx $f-tokens.tsr
done

# a black box that tells the class only
tessera-extract -m teacher.onnx --kind argmax --views 3 "$refs" > class.tsr
tessera-extract -m teacher.onnx --kind argmax --views 0 views.npy | tessera-inspect --export outputs -o class.npy
expect 0 tessera-extract --outputs class.npy --kind argmax --classes 10 --views 3 -o box.tsr "$refs"
export_of outputs class.tsr a.npy
export_of outputs box.tsr b.npy
same a.npy b.npy
learn -r "$refs" -o class.onnx class.tsr
learn -r "$refs" -o box.onnx box.tsr
same class.onnx box.onnx
at_least 35 box.onnx
expect 2 tessera-extract --outputs class.npy --kind argmax --views 3 -o no.tsr "$refs"
says err "--classes"
expect 3 tessera-extract --outputs class.npy --kind argmax --classes 5 --views 3 -o no.tsr "$refs"
says err "class"
expect 0 tessera-extract --outputs answers.npy --kind argmax --views 3 -o widths.tsr "$refs"

# what is wrong is named
expect 3 tessera-extract --outputs answers.npy --views 4 -o no.tsr "$refs"
says err "answers.npy has too few rows"
expect 3 tessera-extract --outputs answers.npy --views 2 -o no.tsr "$refs"
says err "answers.npy has more rows"
expect 3 tessera-extract --activations inner=inner.npy -o no.tsr "$sensors/test-x.npy" "$refs"
says err "inner.npy has too few rows"
nan='\000\000\300\177'
{ npy_header '<f4' '4, 2'; printf "\\0\\0\\0\\0$nan\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0\\0"; } > nan.npy
{ npy_header '<f2' '4, 6, 32'; samples 0 4; } > four.npy
expect 3 tessera-extract --activations inner=nan.npy -o no.tsr four.npy
says err "inner"
says err "sample 0"
expect 3 tessera-extract --activations inner=nan.npy --raw -o no.tsr four.npy
says err "inner"
expect 3 tessera-extract --outputs nan.npy -o no.tsr four.npy
says err "outputs for samples of block 0: row 0, column 1 is NaN"
npy_f4 ref4.npy 4 2
expect 3 tessera-extract --outputs ref4.npy -o no.tsr nan.npy
says err "sample 0 of input"
expect 2 tessera-extract --activations inner.npy -o no.tsr "$refs"
says err "NAME=FILE"
expect 2 tessera-extract -o no.tsr "$refs"
says err "which transmitter"
expect 2 tessera-extract -m teacher.onnx --outputs answers.npy -o no.tsr "$refs"
says err "which transmitter"
expect 4 tessera-extract --outputs missing.npy -o no.tsr "$refs"
expect 4 tessera-extract --emit-views no/views.npy "$refs"
expect 2 tessera-extract --emit-views no.tsr -m teacher.onnx "$refs"
expect 2 tessera-extract --outputs answers.npy --layer x -o no.tsr "$refs"
expect 2 tessera-extract --outputs answers.npy --mode a -o no.tsr "$refs"
expect 2 tessera-extract -m teacher.onnx --classes 10 -o no.tsr "$refs"
nothing_left no.tsr
# samples whose number is not known before: the same views on both sides
awk 'BEGIN { for (i = 0; i < 300; i++) print (i * 7 % 11) / 4 "," (i * 3 % 13) / 4 }' > refs.csv
expect 0 tessera-extract --emit-views views.npy --views auto refs.csv
tessera-model mlp input=2 classes=3 width=4 depth=1 -o small.onnx
tessera-extract -m small.onnx --views 0 views.npy | tessera-inspect --export outputs -o answers.npy
expect 0 tessera-extract --outputs answers.npy --views auto -o foreign.tsr refs.csv
tessera-extract -m small.onnx --mode b refs.csv > own.tsr
for f in own foreign; do tessera-inspect --export outputs --rows view -o $f.npy $f.tsr; done
same own.npy foreign.npy
# a layer that is asked for twice is there once
tessera-extract -m teacher.onnx --views 0 -l features -l features "$refs" > twice.tsr
tessera-extract -m teacher.onnx --views 0 -l features "$refs" > once.tsr
same twice.tsr once.tsr
# of an archive with several arrays one is chosen
two=$TESSERA_ROOT/testdata/npz/good-two.npz
tessera-model mlp input=3 classes=2 width=4 depth=1 -o three.onnx
expect 2 tessera-extract -m three.onnx --views 0 -o no.tsr "$two"
says err 'FILE.npz:NAME'
expect 0 tessera-extract -m three.onnx --views 0 -o chosen.tsr "input=$two:x"
expect 0 tessera-train --eval -m three.onnx -x "$two:x" -y "$two:labels"
says out 'samples 2'
expect 2 tessera-extract -m three.onnx --views 0 -o no.tsr "$two:y"
says err "has no array 'y'"
