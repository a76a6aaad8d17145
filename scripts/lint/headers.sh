#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# headers.sh: every header compiles alone; the public ones also as C99 and as C++.

set -u
cd "$(dirname "$0")/../.." || exit 1
CC=${CC:-gcc} CXX=${CXX:-g++}
flags="-Iinspector -Iinclude -D_GNU_SOURCE -Wall -Wextra -Wno-unused-function -Wno-missing-field-initializers -Werror -fsyntax-only"
flags="$flags $(pkg-config --cflags libdw libelf 2>/dev/null)"
rc=0

# compiles COMPILER... HEADER
compiles()
{
	for header in "$@"; do :; done
	# An include of it, for a guard would otherwise hide that it is missing; twice, for the guard.
	path=${header#inspector/}
	path=${path#include/}
	# shellcheck disable=SC2086
	set -- $1
	if ! printf '#include "%s"\n#include "%s"\n' "$path" "$path" | $compiler $flags - 2>&1; then
		echo "$header: does not compile alone ($compiler)"
		rc=1
	fi
}

for header in $(find inspector include -name "*.h" 2>/dev/null | sort); do
	compiler="$CC -std=gnu11 -x c"
	compiles "$header"
	case $header in
	include/*)
		compiler="$CC -std=c99 -pedantic -x c"
		compiles "$header"
		compiler="$CXX -std=c++11 -x c++"
		compiles "$header"
		;;
	esac
done
exit $rc
