#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# types.sh [CHUNKS [RUNS]]: time and own peak memory of `types`, beside that of `leaks`, on processes with debug
# info: a hash table, and one long list. Let nothing else run meanwhile.

set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=$PWD/build}"
[ -x "$BUILD/meminspect" ] || { echo "types.sh: build first: make" >&2; exit 1; }
n=${1:-10000000} runs=${2:-3}
"${CC:-gcc}" -std=gnu11 -O1 -g -Wall -Wextra -o "$BUILD/types-victim" scripts/bench/types-victim.c
for shape in table list; do
	exec {from}< <(exec "$BUILD/types-victim" "$shape" "$n")
	victim=$!
	read -r _ <&"$from"
	for command in leaks types; do
		for ((i = 0; i < runs; i++)); do
			/usr/bin/time -f '%e %M' "$BUILD/meminspect" $command --max-pause 1min "$victim" \
				2>&1 >/dev/null | tail -n 1
		done | sort -n | awk -v what="$shape, $n chunks: $command" '
			{t[NR] = $1; m = $2 > m ? $2 : m}
			END {printf "%-40s %6.2f s  %5d MiB\n", what, t[int((NR + 1) / 2)], m / 1024}'
	done
	kill "$victim"
	exec {from}<&-
done
