#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# files.sh: times and sizes of saved snapshots and cores of a heap of CHUNKS (10000000) chunks. CPU time
# (user and system) stands beside wall time: it is the steadier one. Let nothing else run meanwhile.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${MEMINSPECT:=$BUILD/meminspect}" "${CHUNKS:=10000000}"
T=$(mktemp -d "${TMPDIR:-/var/tmp}/meminspect-bench.XXXXXX") || exit 1
pid=''
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$T"' EXIT
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -o "$BUILD/bench-victim" \
	scripts/bench/bench-victim.c -lpthread || exit 1
exec {from}< <(exec "$BUILD/bench-victim" chunks "$CHUNKS")
pid=$!
IFS= read -r -t 300 _ <&"$from" || { echo 'files.sh: the victim did not start' >&2; exit 1; }
TIMEFORMAT='%R s, CPU %U + %S s'

# timed WHAT COMMAND...
timed()
{
	printf '%-40s ' "$1"
	shift
	{ time "$@" >/dev/null 2>"$T/err"; } 2>&1 || { cat "$T/err" >&2; exit 1; }
}
bytes() { awk -v b="$(stat -c %s "$1")" -v n="$CHUNKS" 'BEGIN { printf "%40s %.2f bytes a chunk\n", "", b / n }'; }

timed 'heap summary' "$MEMINSPECT" heap summary --max-pause 60s "$pid"
timed 'save --no-pointers' "$MEMINSPECT" save --no-pointers --max-pause 60s "$T/lean.mi" "$pid"
bytes "$T/lean.mi"
timed 'save' "$MEMINSPECT" save --max-pause 60s "$T/all.mi" "$pid"
bytes "$T/all.mi"
timed 'heap summary of the file' "$MEMINSPECT" heap summary "$T/all.mi"
timed 'diff of two files' "$MEMINSPECT" diff "$T/lean.mi" "$T/all.mi"
timed 'save --contents' "$MEMINSPECT" save --contents --max-pause 60s "$T/bytes.mi" "$pid"
timed 'core' "$MEMINSPECT" core --max-pause 60s -o "$T/core" "$pid"
timed 'cat of the core' cat "$T/core"
timed 'heap summary of the core' "$MEMINSPECT" heap summary "$T/core"
