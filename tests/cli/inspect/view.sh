# what is in a stream, for people and as JSON
. "$TESSERA_ROOT/tests/cli/lib.sh"
s=$TESSERA_ROOT/testdata/stream
expect 0 tessera-inspect "$s/good-all-types.tsr"
for text in 'token stream 1.0, segment 1' 'producer    make-stream-fixtures 1' 'x float32 [4]' 'logits, 3 a sample' \
    '12 keys in 2 blocks' 'hub 777777777777 of 2048 dimensions' 'fc1, 2 views' '24 x 3'; do says out "$text"; done
test "$(grep -c . out)" -eq 21 || not_ok "another number of lines"
tessera-inspect < "$s/good-all-types.tsr" > piped || not_ok "standard input"
same out piped
expect 0 tessera-inspect - < "$s/good-two-segments.tsr"
says out 'segment 2'
expect 0 tessera-inspect --json "$s/good-two-segments.tsr"
test "$(wc -l < out)" -eq 2 || not_ok "one line per segment"
says out '"schema":"tessera-inspect.segment/1"'
says out '"dtype":"int4"'
says out '"segment":1'
