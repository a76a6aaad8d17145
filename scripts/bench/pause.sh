#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# pause.sh [RUNS [GIB [heap|threads]]]: builds and runs pause.c, which see. Let nothing else run meanwhile.

set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=$PWD/build}" "${CC:=gcc}"
make --no-print-directory BUILD="$BUILD" "$BUILD/libmeminspect.a" >&2
# shellcheck disable=SC2046 # words are wanted
"$CC" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinspector -o "$BUILD/bench-pause" \
	scripts/bench/pause.c "$BUILD/libmeminspect.a" \
	$(pkg-config --libs libdw libelf libunwind-ptrace libunwind-generic readline zlib libzstd \
		liblz4 libxxhash) -liberty -lpthread -lm -ldl
exec "$BUILD/bench-pause" "$@"
