# a stream in every element type
. "$TESSERA_ROOT/tests/cli/lib.sh"
s=$TESSERA_ROOT/testdata/stream
for type in f32 f16 bf16 int8 int4; do
    expect 0 tessera-quantize --to $type -o $type.tsr "$s/good-all-types.tsr"
    expect 0 tessera-inspect --check $type.tsr
    says out '19 records'
    tessera-quantize --to $type < "$s/good-all-types.tsr" > piped.tsr || not_ok "standard input"
    same $type.tsr piped.tsr
    # once so, always so: only the lineage grows
    expect 0 tessera-quantize --to $type --report again.json -o again.tsr $type.tsr
    test ! -s again.json || not_ok "$type again"
    for what in outputs hub basis fc1; do
        tessera-inspect --export $what -o a.npy $type.tsr && tessera-inspect --export $what -o b.npy again.tsr || not_ok "$what"
        same a.npy b.npy
    done
done
expect 0 tessera-inspect int8.tsr
says out 'tessera-quantize'
says out 'lineage'
expect 0 tessera-quantize --to int8 --report - -o x.tsr "$s/good-outputs.tsr"
says out '"schema":"tessera-quantize.record/1"'
says out '"from":"float32"'
# segments stay segments, what is not understood but may pass does
cat "$s/good-unknown-ancillary.tsr" "$s/good-outputs.tsr" | tessera-quantize --to f16 > two.tsr || not_ok "two segments"
expect 0 tessera-inspect two.tsr
says out 'xtra'
says out 'segment 2'
rm -f x.tsr
for bad in bad-root bad-cut-in-body unsupported-critical-type bad-rows-nan; do
    expect 3 tessera-quantize --to int8 -o x.tsr "$s/$bad.tsr"
    test ! -e x.tsr || not_ok "half a stream from $bad"
done
expect 2 tessera-quantize "$s/good-outputs.tsr"
says err "'--to' is required"
expect 2 tessera-quantize --to int7 "$s/good-outputs.tsr"
