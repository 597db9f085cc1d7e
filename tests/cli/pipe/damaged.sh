# whatever is wrong with a stream, a model or samples is named in a sentence, and nothing half-written stays
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
tessera-model mlp input=16 classes=4 width=8 depth=1 seed=1 -o student.onnx
npy_f4 refs.npy 32 16
tessera-extract -m student.onnx --views 2 refs.npy > acts.tsr
tessera-encode < acts.tsr > tokens.tsr
decode() { tessera-decode -m student.onnx -r refs.npy --steps 5 --lr 0.01 -o no "$@"; }
encode() { tessera-encode -o no "$@"; }

for f in acts tokens; do
    command=encode
    test $f = acts || command=decode
    size=$(wc -c < $f.tsr)
    # cut short anywhere, and a bit changed anywhere
    n=0
    while test $n -lt "$size"; do
        head -c $n $f.tsr > cut.tsr
        expect 3 $command cut.tsr
        nothing_left no
        { head -c $n $f.tsr; tail -c +$((n + 1)) $f.tsr | head -c 1 | LC_ALL=C tr '\000-\377' '\001-\377\000'
          tail -c +$((n + 2)) $f.tsr; } > flipped.tsr
        expect 3 $command flipped.tsr
        nothing_left no
        n=$((n + 1 + size / 24))
    done
done
# streams that contradict themselves, that are newer, or that are none at all
for f in "$TESSERA_ROOT"/testdata/stream/bad-*.tsr "$TESSERA_ROOT"/testdata/stream/unsupported-*.tsr; do
    case $f in
    # encode does not look into what it passes on; tessera-inspect --check does
    *bad-keys-repeated* | *bad-rows-* | *bad-levels-* | *bad-set* | *bad-view-* | *bad-claims-* | *code.tsr | *element-type*) ;;
    *) expect 3 encode "$f" ;;
    esac
    nothing_left no
    expect 3 decode "$f"
    nothing_left no
done
for f in refs.npy student.onnx /dev/null; do
    expect 3 encode $f
    expect 3 decode $f
    nothing_left no
done
cat tokens.tsr tokens.tsr > two.tsr
expect 3 decode two.tsr
says err "more than one stream"
expect 0 tessera-encode -o two-tokens.tsr two.tsr
cat tokens.tsr refs.npy > tail.tsr
expect 3 decode tail.tsr
for command in encode decode; do
    expect 4 $command missing.tsr
    says err "missing.tsr"
done

# models and samples for the transmitter
extract() { tessera-extract -o no "$@"; }
for f in "$TESSERA_ROOT"/testdata/onnx/bad-*.onnx "$TESSERA_ROOT"/testdata/onnx/unsupported-*.onnx; do
    status_of tessera-extract -m "$f" -o no refs.npy 2> err
    case $status in 3 | 4 | 5) ;; *) not_ok "exit $status for $f" ;; esac
    nothing_left no
done
expect 3 extract -m "$TESSERA_ROOT/testdata/onnx/unsupported-operators.onnx" refs.npy
expect 4 extract -m missing.onnx refs.npy
expect 4 extract -m student.onnx missing.npy
npy_f4 wide.npy 32 17
expect 3 extract -m student.onnx wide.npy
says err "wide.npy holds samples of shape [17], but input 'input' wants [16]"
npy_header '<f4' '0, 16' > empty.npy
expect 3 extract -m student.onnx empty.npy
says err "empty"
expect 3 extract -m student.onnx "$TESSERA_ROOT/testdata/npy/bad-truncated-data.npy"
expect 3 extract -m student.onnx /dev/null
npy_f4 one.npy 1 16
tessera-extract -m student.onnx one.npy > one.tsr
expect 3 encode one.tsr
says err "2 to 2048 anchors"
expect 2 extract -m student.onnx --layer nowhere refs.npy
says err "no tensor 'nowhere'"
expect 2 extract -m student.onnx --mode b --layer input refs.npy
expect 2 extract -m student.onnx --views many refs.npy
expect 2 extract -m student.onnx --views -1 refs.npy
tessera-model transformer vocab=16 length=16 classes=4 width=8 depth=1 -o text.onnx
expect 3 extract -m text.onnx refs.npy
says err "wants int"
nothing_left no
