# samples.sh - how each program is called on small files, for the tests of this directory; sourced.
# sample PROGRAM makes the files it needs in the working directory and sets
#   args    arguments without --output
#   input   the file it reads as standard input, or nothing
#   files   input files named in args
#   binary  yes when a terminal must be refused
# It fails where nobody has written a sample yet, or where another program needed is not there.
sample() {
    args= input= files= binary=yes
    case $1 in
    tessera-model) args="mlp input=16 classes=4 width=16 depth=1" ;;
    tessera-train)
        need tessera-model && models && data && args="-m student.onnx -x ref.npy -y labels.npy --steps 20 --lr 0.01 --batch 16"
        files="student.onnx ref.npy labels.npy" ;;
    tessera-extract)
        need tessera-model && models && data && args="-m teacher.onnx ref.npy" files="teacher.onnx ref.npy" ;;
    tessera-encode)
        need tessera-model tessera-extract && models && data &&
            tessera-extract -m teacher.onnx ref.npy > acts.tsr && input=acts.tsr ;;
    tessera-quantize) token && args="--to int8" input=teacher.tsr ;;
    tessera-inspect) token && input=teacher.tsr binary=no ;;
    tessera-decode)
        token && args="-m student.onnx -r ref.npy --quick" files="student.onnx ref.npy" input=teacher.tsr ;;
    *) return 1 ;;
    esac
}
need() { for p; do command -v "$p" > /dev/null || return 1; done; }
models() {
    tessera-model mlp input=16 classes=4 width=16 depth=1 seed=1 -o teacher.onnx &&
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
        awk -v n="$2" 'BEGIN {for (i = 0; i < n; i++) printf "\\%03o", i % 4}' | { read -r row; printf "$row"; }
    } > "$1"
}
token() {
    need tessera-model tessera-extract tessera-encode && models && data &&
        tessera-extract -m teacher.onnx ref.npy | tessera-encode > teacher.tsr
}
