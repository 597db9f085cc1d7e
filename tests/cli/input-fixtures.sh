# The input files in testdata are what their generator makes, and each has its line in the README.
mkdir made
"$TESSERA_BUILD/tools/make-input-fixtures" made > lines || exit 1
for d in npy npz idx csv; do diff -r "made/$d" "$TESSERA_ROOT/testdata/$d" || exit 1; done
while read -r line; do
    grep -qxF -e "$line" "$TESSERA_ROOT/testdata/README.md" || { echo "not in testdata/README.md: $line" >&2; exit 1; }
done < lines
