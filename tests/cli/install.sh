# what make install puts under DESTDIR is complete: a program compiles against it, all goes again
. "$TESSERA_ROOT/tests/cli/lib.sh"
set -e
dest=$PWD/dest
make_install() {
    make -s -C "$TESSERA_ROOT" BUILD="${TESSERA_BUILD#"$TESSERA_ROOT"/}" DEPS=no SANITIZE="${TESSERA_SANITIZE:-}" PREFIX=/usr DESTDIR="$dest" "$1"
}
make_install install > log 2>&1 || { cat log >&2; not_ok "make install"; }
for p in "$TESSERA_BUILD"/bin/tessera-*; do
    test -x "$p" && test -e "$TESSERA_ROOT/cmd/${p##*/}.c" || continue
    test -x "$dest/usr/bin/${p##*/}" || not_ok "${p##*/} is not installed"
    bash -c '. "$1" && complete -p "$2"' - "$dest/usr/share/bash-completion/completions/${p##*/}" "${p##*/}" > /dev/null ||
        not_ok "completion of ${p##*/}"
done
for m in "$TESSERA_ROOT"/man/*.[1-8]; do
    installed=$dest/usr/share/man/man${m##*.}/${m##*/}
    test -f "$installed" || not_ok "${m##*/} is not installed"
    ! grep -n '@[A-Z]*@' "$installed" >&2 || not_ok "${m##*/} has places left to fill"
done
for t in "$TESSERA_ROOT"/scripts/templates/*; do
    cmp -s "$t" "$dest/usr/share/tessera/${t##*/}" || not_ok "${t##*/} is not installed"
done
cat > three.c <<'END'
#include <stdio.h>
#include <tessera.h>
int main(void) { return puts(tsr_status_name(TSR_E_CORRUPT)) < 0; }
END
PKG_CONFIG_PATH=$dest/usr/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=
export PKG_CONFIG_PATH
flags() { pkg-config --define-variable=prefix="$dest/usr" --define-variable=libdir="$dest/usr/lib" \
    --define-variable=includedir="$dest/usr/include/tessera" "$1" tessera; }
${CC:-cc} ${TESSERA_SANITIZE:+-fsanitize=$TESSERA_SANITIZE} -std=c11 -Wall -Wextra -Werror $(flags --cflags) -o three three.c $(flags --libs) ||
    not_ok "the three-line program does not compile"
test "$(./three)" = corrupt || not_ok "the three-line program does not run"
make_install uninstall > log 2>&1 || { cat log >&2; not_ok "make uninstall"; }
test -z "$(find dest -type f)" || not_ok "make uninstall leaves $(find dest -type f | head -n 3)"
