# samples.sh - how each program is called on small files, for the tests of this directory; sourced.
# variants PROGRAM names the ways it is tried. sample PROGRAM VARIANT makes the files it needs in the
# working directory and sets
#   args    arguments without --output
#   input   the file it reads as standard input, or nothing
#   files   input files named in args
#   binary  yes when a terminal must be refused
#   mends   yes when damaged input is not an error
#   draws   no when there is no progress to show
#   output  no when --output does not apply
# It fails where nobody has written a sample yet, or where another program needed is not there.
variants() {
    case $1 in
    tessera-train) echo train eval ;;
    tessera-extract) echo model foreign views ;;
    tessera-decode) echo teach stitch ;;
    tessera-merge) echo stream files partial from ;;
    tessera-drift) echo text html gate pipe predict ;;
    tessera-quantize) echo stream model ;;
    tessera-inspect) echo view json check export salvage model ;;
    *) echo all ;;
    esac
}
sample() {
    args= input= files= binary=yes output=yes mends=no draws=yes
    case $1-$2 in
    tessera-model-all) args="mlp input=16 classes=4 width=16 depth=1" ;;
    tessera-train-train)
        models && data && files="student.onnx ref.npy labels.npy" &&
            args="-m student.onnx -x ref.npy -y labels.npy --steps 20 --lr 0.01 --batch 16" ;;
    tessera-train-eval)
        models && data && files="student.onnx ref.npy labels.npy" binary=no output=no draws=no &&
            args="--eval -m student.onnx -x ref.npy -y labels.npy" ;;
    tessera-extract-model) models && data && args="-m teacher.onnx ref.npy" files="teacher.onnx ref.npy" ;;
    tessera-extract-foreign)
        models && data && npy_f4 answers.npy 64 4 && npy_f4 inner.npy 64 8 &&
            args="--outputs answers.npy --activations inner=inner.npy ref.npy" files="answers.npy ref.npy" ;;
    tessera-extract-views)
        models && data && args="-m teacher.onnx --views 2 --with-inputs --to int8 ref.npy" files="teacher.onnx ref.npy" ;;
    tessera-encode-all)
        need tessera-extract && models && data && tessera-extract -m teacher.onnx ref.npy > acts.tsr && input=acts.tsr ;;
    tessera-merge-stream) token && input=teacher.tsr draws=no ;;
    tessera-merge-files) token && two && args="--rule median teacher.tsr other.tsr" files="teacher.tsr other.tsr" draws=no ;;
    tessera-merge-partial) token && args=--partial input=teacher.tsr draws=no ;;
    tessera-merge-from)
        token && two && tessera-merge teacher.tsr > before.tsr &&
            args="--from before.tsr other.tsr" files="before.tsr other.tsr" draws=no ;;
    tessera-drift-text)
        drifted && args="-y labels.npy teacher.tsr int8=int8.tsr" files="teacher.tsr int8.tsr" binary=no draws=no ;;
    tessera-drift-html) drifted && args="--html teacher.tsr int8.tsr student.tsr" files=student.tsr binary=no draws=no ;;
    tessera-drift-gate)
        drifted && args="--tap --gate kl<=1 --gate top1>=0.5 teacher.tsr int8.tsr" files=int8.tsr binary=no draws=no ;;
    tessera-drift-predict)
        token && args="--predict -m student.onnx -r ref.npy" input=teacher.tsr files="student.onnx ref.npy" binary=no draws=no ;;
    tessera-drift-pipe) drifted && args="--json teacher.tsr -" input=student.tsr files=teacher.tsr binary=no draws=no ;;
    tessera-quantize-stream) token && args="--to int8" input=teacher.tsr draws=no ;;
    tessera-quantize-model)
        models && data && tessera-extract -m teacher.onnx --with-inputs ref.npy > acts.tsr &&
            args="-m teacher.onnx --to int8" files=teacher.onnx input=acts.tsr ;;
    tessera-inspect-view) token && input=teacher.tsr binary=no output=no ;;
    tessera-inspect-json) token && args=--json input=teacher.tsr binary=no output=no ;;
    tessera-inspect-check) token && args=--check input=teacher.tsr binary=no output=no ;;
    tessera-inspect-export) token && args="--export outputs" input=teacher.tsr ;;
    tessera-inspect-salvage) token && args=--salvage input=teacher.tsr mends=yes ;;
    tessera-inspect-model) models && args="teacher.onnx" files=teacher.onnx binary=no output=no ;;
    tessera-decode-teach)
        token && args="-m student.onnx -r ref.npy --steps 20 --lr 0.01" files="student.onnx ref.npy" input=teacher.tsr ;;
    tessera-decode-stitch)
        token && args="--stitch -m teacher.onnx -r ref.npy" files="teacher.onnx ref.npy" input=teacher.tsr draws=no ;;
    *) return 1 ;;
    esac
}
need() { for p; do command -v "$p" > /dev/null || return 1; done; }
models() {
    need tessera-model && tessera-model mlp input=16 classes=4 width=16 depth=1 seed=1 -o teacher.onnx &&
        tessera-model mlp input=16 classes=4 width=8 depth=1 seed=2 -o student.onnx
}
data() {
    npy_f4 ref.npy 64 16
    labels labels.npy 64
}
# labels FILE N: class numbers 0 1 2 3 0 ... as u1
labels() {
    {
        printf '\223NUMPY\001\000v\000'
        printf '%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': ($2,), }"
        awk -v n="$2" 'BEGIN {for (i = 0; i < n; i++) printf "\\%03o", i % 4; print ""}' | { read -r row; printf "$row"; }
    } > "$1"
}
two() { tessera-extract -m student.onnx ref.npy | tessera-encode > other.tsr; }
drifted() {
    token && need tessera-quantize && tessera-quantize --to int8 < teacher.tsr > int8.tsr &&
        tessera-extract -m student.onnx ref.npy > student.tsr
}
token() {
    need tessera-extract tessera-encode && models && data &&
        tessera-extract -m teacher.onnx ref.npy | tessera-encode > teacher.tsr
}
