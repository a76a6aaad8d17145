#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# graph.sh [CHUNKS [POINTERS_PER_CHUNK]]: times and own memory of leaks and dominators on heaps made up
# in memory: pointers to anywhere, to chunks nearby, and one long list. Let nothing else run meanwhile.

set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=$PWD/build}"
[ -e "$BUILD/libmeminspect.so" ] || { echo "graph.sh: build first: make" >&2; exit 1; }
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinspector -Iinclude -o "$BUILD/bench-graph" \
	scripts/bench/graph.c "$BUILD/libmeminspect.a" -ldw -lelf -lunwind-ptrace -lunwind-generic -lunwind \
	-lzstd -lz -liberty -lpthread -lm -ldl -lstdc++
for shape in random near list; do
	echo "# pointers: $shape"
	"$BUILD/bench-graph" "${1:-10000000}" "${2:-3}" $shape
done
