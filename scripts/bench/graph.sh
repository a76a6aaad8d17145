#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# graph.sh [CHUNKS [POINTERS_PER_CHUNK]]: times and own memory of leaks and dominators on heaps made up
# in memory: pointers to anywhere, to chunks nearby, and one long list. All that comes after the capture
# counts: who points where, the verdicts, the groups; or the verdicts, the dominators, the tree.
#
# Environment: RUNS (3), BUILD. Let nothing else run meanwhile. Prints a table; exit 1 when a limit is
# crossed; the limits are those for 10 million chunks and 30 million pointers.

set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=$PWD/build}" "${RUNS:=3}"
[ -e "$BUILD/libmeminspect.a" ] || { echo "graph.sh: build first: make" >&2; exit 1; }
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
# shellcheck disable=SC2046 # words on purpose
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinspector -Iinclude -o "$BUILD/bench-graph" \
	scripts/bench/graph.c "$BUILD/libmeminspect.a" $(pkg-config --libs $(sed -n 's/^PKGS[[:space:]]*:= //p' Makefile)) \
	-liberty -lpthread -lm -ldl -lstdc++
crossed=0

# seconds SHAPE PHASE...: median over the runs of the sum of these phases; PHASE is an extended regular expression
median()
{
	local shape=$1 phases=$2 field=$3
	for ((i = 0; i < RUNS; i++)); do
		awk -F, -v p="^($phases)$" -v f="$field" '$1 ~ p { s += $f } END { print s }' "$T/$shape.$i"
	done | sort -n | awk '{ v[NR] = $1 } END { printf "%.2f\n", v[int((NR + 1) / 2)] }'
}

# row WHAT VALUE UNIT LIMIT
row()
{
	local verdict=yes
	awk -v v="$2" -v l="$4" 'BEGIN { exit !(v <= l) }' || { verdict=NO; crossed=1; }
	printf '| %s | %s %s | %s %s | %s |\n' "$1" "$2" "$3" "$4" "$3" "$verdict"
}

for shape in random near list; do
	for ((i = 0; i < RUNS; i++)); do
		"$BUILD/bench-graph" "${1:-10000000}" "${2:-3}" $shape >"$T/$shape.$i"
	done
done
echo "$(date -u +%F), $(uname -sr), $(nproc) x $(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1); medians of $RUNS runs"
sed -n 's/^# \(.*heap bytes\)/\1/p' "$T/random.0"
echo
echo '| what | median | limit | holds |'
echo '|---|---|---|---|'
for shape in random near list; do
	row "pointers: $shape; leaks" "$(median $shape 'graph on 2 threads|leaks|leaks grouped' 2)" s 3
	row "pointers: $shape; dominators and retained sizes" \
		"$(median $shape 'graph on 2 threads|leaks and dominators|tree of dominators' 2)" s 6
	row "pointers: $shape; peak of own memory, beside 8 a pointer" "$(median $shape peak 5)" B/chunk 48
done
exit $crossed
