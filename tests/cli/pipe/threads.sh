# The number of threads shows in no byte: every family of models is trained, judged, run, encoded and
# taught with one, two, three and all processors' threads.
. "$TESSERA_ROOT/tests/cli/pipe/lib.sh"
glyphs=$TESSERA_ROOT/testdata/glyphs
round() { # THREADS DATA: in a directory of its own
    tessera-train -q -T "$1" -m ../new.onnx -x "$2/train-x.npy" -y "$2/train-y.npy" --steps 3 --lr 0.01 --views 1 -o m.onnx
    tessera-train -q -T "$1" --eval -m m.onnx -x "$2/test-x.npy" -y "$2/test-y.npy" > judged
    tessera-extract -q -T "$1" -m m.onnx --view-activations --views 1 -o acts.tsr "$2/ref-x.npy"
    tessera-encode -q acts.tsr > tokens.tsr
    tessera-decode -q -T "$1" --mode both -m ../new.onnx --steps 3 --lr 0.01 -r "$2/ref-x.npy" -o taught.onnx tokens.tsr
}
family() { # DATA SPECIFICATION...
    data=$1; shift
    tessera-model "$@" classes=10 -o new.onnx
    for t in 1 2 3 0; do
        mkdir "$t"
        (cd "$t" && round "$t" "$data") || not_ok "$* with $t threads"
        for f in m.onnx judged acts.tsr tokens.tsr taught.onnx; do same "1/$f" "$t/$f"; done
    done
    rm -r 1 2 3 0
}
family "$sensors" mlp input=6x32 width=32 depth=2
family "$sensors" conv1d input=6x32 width=16 depth=1
family "$sensors" lstm input=6x32 width=16 depth=1
family "$sensors" gru input=6x32 width=16 depth=1
family "$sensors" transformer input=6x32 width=32 depth=1
family "$glyphs" dscnn input=1x16x16 width=16 depth=1
family "$glyphs" resnet input=1x16x16 width=8 depth=1
family "$glyphs" cct input=1x16x16 width=16 depth=1
