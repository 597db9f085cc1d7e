# the hexadecimal example of tessera-stream(5) is the stream it says it is
. "$TESSERA_ROOT/tests/cli/lib.sh"
awk '/^\.SH EXAMPLE/ {on = 1} on && /^ *[0-9]+  [0-9A-F][0-9A-F] / {for (i = 2; i <= NF; i++) print $i}' \
    "$TESSERA_ROOT/man/tessera-stream.5" > page.hex
od -A n -v -t x1 "$TESSERA_ROOT/testdata/stream/good-example.tsr" | tr 'a-f ' 'A-F\n' | grep . > file.hex
test "$(grep -c . page.hex)" -gt 400 || not_ok "no example in the page"
same page.hex file.hex
