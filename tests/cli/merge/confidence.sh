# experts that know different classes, merged by how sure they are
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
make-data sensors --split ref --count 60 -x ref.npy -y labels.npy
# expert NAME FIRST LAST: logits for the sensors' classes, which are 0 1 2 ... in every ten samples as labels.npy
# says; sure where the class is one of its own, else unsure among these
od -An -v -tu1 -w8 -j128 labels.npy | awk '{print $1}' > labels
expert() {
    awk -v a="$2" -v b="$3" '{
        for (c = 0; c < 10; c++) {
            v = -6
            if (c >= a && c <= b) v = ($1 >= a && $1 <= b) ? (c == $1 ? 7 : 0) : (c == (NR % (b - a + 1)) + a ? 1.5 : 0.5)
            printf "%s%g", c ? "," : "", v
        }
        print ""
    }' labels > "$1.csv"
    tessera-extract --outputs "$1.csv" --contributor "$1" --views 0 ref.npy > "$1.tsr"
}
expert low 0 4
expert high 5 9
expert odd 3 7
right() { # FILE: how many of the samples have their class as the likeliest
    tessera-inspect --export outputs "$1" > outputs.npy
    tail -c 2400 outputs.npy | od -An -v -tf4 -w40 | paste - labels | awk '{
        top = 1; for (c = 2; c <= 10; c++) if ($c > $top) top = c
        n += top - 1 == $11
    } END {print n}'
}
for how in standardised-mean max-confidence energy; do
    expect 0 tessera-merge --outputs $how low.tsr high.tsr odd.tsr; cp out $how.tsr
    test "$(right $how.tsr)" -ge 58 || not_ok "$how: $(right $how.tsr) of 60"
    expect 0 tessera-merge --outputs $how odd.tsr low.tsr high.tsr; same out $how.tsr
    tessera-merge --outputs $how --rule mean --partial high.tsr > p1
    tessera-merge --outputs $how --rule mean --partial odd.tsr low.tsr > p2
    expect 0 tessera-merge --outputs $how --rule mean low.tsr high.tsr odd.tsr; cp out mean.tsr
    expect 0 tessera-merge p2 p1; same out mean.tsr
done
expect 3 tessera-merge --rule mean p1; says err "another setting of 'confidence'"
# codes that keep differences of logits only have no energy
tessera-quantize --to int8 low.tsr > int8.tsr
expect 0 tessera-merge --outputs energy --report report int8.tsr high.tsr; reason low record
expect 0 tessera-merge --outputs max-confidence int8.tsr high.tsr
expect 2 tessera-merge --outputs energy --rule krum low.tsr high.tsr; says err "does not go with"
