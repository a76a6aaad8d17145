#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# install.sh: make install puts everything where it belongs, and uninstall takes it all away.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
[ -z "${SAN:-}" ] || { echo "the plain build is the one that is installed"; exit 77; }
need make pkg-config jq
cd "$(dirname "$0")/../.." || exit 1
D=$T/destination

silent() { "$@" >"$T/log" 2>&1 || { cat "$T/log"; return 1; }; }
there() { [ -s "$D/usr/$1" ]; }

check 'make install' silent make install BUILD="$BUILD" DESTDIR="$D" PREFIX=/usr
for f in bin/meminspect lib/libmeminspect.a lib/libmeminspect.so lib/libmeminspect.so.0 \
	lib/pkgconfig/meminspect.pc share/man/man1/meminspect.1 \
	share/bash-completion/completions/meminspect share/zsh/site-functions/_meminspect; do
	check "installed: $f" there "$f"
done
for h in include/meminspect/*.h; do
	[ -e "$h" ] && check "installed: $h" there "$h"
done
check 'the installed tool runs' silent "$D/usr/bin/meminspect" --version
if command -v man >/dev/null; then
	check 'the man page has no errors' \
		[ -z "$(man -l --warnings "$D/usr/share/man/man1/meminspect.1" 2>&1 >/dev/null | grep -v 'cannot adjust line')" ]
else
	skip 'the man page has no errors' 'man is not installed'
fi
check 'the bash completion is bash' silent bash -n "$D/usr/share/bash-completion/completions/meminspect"
export PKG_CONFIG_PATH=$D/usr/lib/pkgconfig
check 'pkg-config knows it' [ "$(pkg-config --modversion meminspect)" = "$("$D/usr/bin/meminspect" --version | sed 's/.* //')" ]
# A program of somebody else, built with what was installed and nothing else; as C and as C++.
cat >"$T/user.c" <<'END'
#include <meminspect/meminspect.h>
#include <stdio.h>

static int to_stdout(void *ctx, const char *bytes, size_t size)
{
	(void)ctx;
	return fwrite(bytes, 1, size, stdout) == size ? 0 : -1;
}

int main(int argc, char **argv)
{
	static struct meminspect_output out; /* zeroes */
	struct meminspect *m;
	char error[256];
	int rc = argc == 3 ? meminspect_open(argv[1], &m, error, sizeof(error)) : 2;

	if (rc != MEMINSPECT_OK)
		return rc;
	out.size_bytes = sizeof(out);
	out.write = to_stdout;
	rc = meminspect_run(m, argv[2], &out);
	if (rc != MEMINSPECT_OK)
		fprintf(stderr, "%s\n", meminspect_error(m));
	meminspect_close(m);
	return rc;
}
END
victim mix
for language in "${CC:-gcc} -std=c99" "${CXX:-g++} -std=c++11 -x c++"; do
	what=${language%% -*}
	command -v "${what%% *}" >/dev/null || { skip "a program of others, by $what" 'it is not installed'; continue; }
	# shellcheck disable=SC2046,SC2086 # words on purpose
	check "a program of others builds: $language" silent $language -Wall -Wextra -pedantic -Werror -o "$T/user" "$T/user.c" \
		$(PKG_CONFIG_SYSROOT_DIR=$D pkg-config --cflags --libs meminspect) -Wl,-rpath,"$D/usr/lib"
	"$T/user" "$PID" 'heap summary --format json' >"$T/out" 2>"$T/err"
	check "it says what the command line says: $language" json ".target.pid == $PID and .totals.in_use_bytes > 0"
	"$T/user" "$PID" 'heap nonsense' >"$T/out" 2>"$T/err"
	check "wrong words are its 2 and one line: $language" [ "$?-$(grep -c . "$T/err")" = 2-1 ]
done
check 'the process works on' alive
exported=$(nm -D --defined-only "$D/usr/lib/libmeminspect.so" | awk '{ print $3 }' | grep -v '^meminspect_')
check 'only meminspect_* leaves the library' [ -z "$exported" ]
needed=$(readelf -d "$D/usr/lib/libmeminspect.so" "$D"/usr/lib/meminspect/meminspect-gdb.so 2>/dev/null |
	grep NEEDED | grep -E 'sqlite|microhttpd')
check 'the library and the plugin need nothing that only the tool needs' [ -z "$needed" ]

if [ -e "$BUILD/meminspect-gdb.so" ]; then
	script=$D/usr/share/meminspect/meminspect.gdb
	check 'the script of GDB names the plugin where PREFIX has it' \
		grep -q ' jit-reader-load /usr/lib/meminspect/meminspect-gdb.so$' "$script"
	check 'the plugin is where the script names it' there lib/meminspect/meminspect-gdb.so
	if command -v gdb >/dev/null; then
		gdb -q -nx -batch -x "$script" -ex 'help heap summary' >"$T/help" 2>&1
		check 'GDB takes the script' grep -q '^Usage: heap summary' "$T/help"
	fi
fi

check 'make uninstall' silent make uninstall BUILD="$BUILD" DESTDIR="$D" PREFIX=/usr
check 'nothing is left' [ -z "$(find "$D" ! -type d)" ]
finish
