# token streams as lines of text
. "$TESSERA_ROOT/tests/cli/merge/lib.sh"
references 16
device a; device b
line() { base64 < "$1" | tr -d '\n'; echo; }
line a.tsr > a.txt; line b.tsr > b.txt
expect 0 tessera-merge --rule mean a.tsr b.tsr; cp out mean.tsr
line mean.tsr > mean.txt
expect 0 tessera-merge --rule mean --armor both a.txt b.txt; same out mean.txt
cat b.txt a.txt > both.txt
piped() { tessera-merge --rule mean --armor in < both.txt; }
expect 0 piped; same out mean.tsr
# empty lines and carriage returns do no harm, and a last line without its end is as good as one with it
{ echo; sed 's/$/\r/' b.txt; echo; printf %s "$(cat a.txt)"; } > dos.txt
expect 0 tessera-merge --rule mean --armor in dos.txt; same out mean.tsr
expect 0 tessera-merge --rule mean --partial --armor both a.txt; cp out p1
expect 0 tessera-merge --rule mean --partial --armor both b.txt; cat out >> p1
expect 0 tessera-merge --armor in p1; same out mean.tsr
# damage
head -c 1001 a.txt > cut.txt; expect 3 tessera-merge --armor in cut.txt; says err "cut.txt"
sed 's/./!/100' a.txt > bad.txt; expect 3 tessera-merge --armor in bad.txt; says err "line 1 is no base64"
sed 's/^\(.\{101\}\)/\1=/' a.txt > bad.txt; expect 3 tessera-merge --armor in bad.txt; says err "line 1"
{ cat a.txt; echo 'QQ=='; } > bad.txt; expect 3 tessera-merge --armor in bad.txt; says err "bad.txt"
echo 'QR==' > bad.txt; expect 3 tessera-merge --armor in bad.txt; says err "bits are left over"
echo 'QQ=A' > bad.txt; expect 3 tessera-merge --armor in bad.txt; says err "follows the padding"
echo 'QQ==QQ==' > bad.txt; expect 3 tessera-merge --armor in bad.txt; says err "follows the padding"
echo 'Q===' > bad.txt; expect 3 tessera-merge --armor in bad.txt; says err "alphabet"
expect 3 tessera-merge a.txt; says err "a.txt"
expect 3 tessera-merge --armor in a.tsr; says err "no base64"
