#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# gdb.sh: what `heap summary` costs inside GDB, beside the command line on the same process and core,
# and, behind a gdbserver, beside GDB's own `dump memory` of the heap.
#
# Environment: RUNS (5), CHUNKS (10000000), REMOTE_CHUNKS (200000), PEER_CHUNKS (10000), BUILD,
# MEMINSPECT, GDB; GEF and PWNDBG: their scripts (gef.py, gdbinit.py), else they are left out. Prints a
# table; exit 1 when a limit is crossed. Let nothing else run meanwhile.

# shellcheck disable=SC2317 # functions are called by name

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${MEMINSPECT:=$BUILD/meminspect}" "${RUNS:=5}" "${CHUNKS:=10000000}"
: "${REMOTE_CHUNKS:=200000}" "${PEER_CHUNKS:=10000}" "${GDB:=gdb}"
script=$BUILD/meminspect.gdb
for need in "$GDB" gdbserver gcore; do
	command -v "$need" >/dev/null || { echo "bench: $need is not installed" >&2; exit 77; }
done
T=$(mktemp -d) || exit 1
pids=''
# shellcheck disable=SC2086 # a list
trap 'exec 2>/dev/null; kill -9 $pids; rm -rf "$T"' EXIT
trap 'exit 130' INT TERM
crossed=0
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -g -fno-optimize-sibling-calls -o "$BUILD/bench-victim" \
	scripts/bench/bench-victim.c -lpthread || exit 1

start()
{
	local _
	exec {from}< <(exec "$BUILD/bench-victim" "$@")
	pid=$!
	pids="$pids $pid"
	IFS= read -r -t 300 _ <&"$from" || { echo "bench: the victim did not start" >&2; exit 1; }
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# outside TARGET: ns of the command line, start of the program included
outside()
{
	local t
	t=$(date +%s%N)
	"$MEMINSPECT" heap summary --max-pause 60s "$@" >"$T/out" 2>"$T/err" || { cat "$T/err" >&2; exit 1; }
	echo $(($(date +%s%N) - t))
}

# inside COMMAND GDB-ARGUMENT...: ns of a command at the prompt of a GDB that is attached already: the
# first of a session, and so with a snapshot of its own.
inside()
{
	local command=$1
	shift
	rm -f "$T/begin" "$T/end"
	timeout -k 5 600 "$GDB" -q -nx -batch -iex 'set auto-load no' -iex 'set debuginfod enabled off' "$@" -x "$script" \
		-ex "shell date +%s%N >$T/begin" -ex "$command" -ex "shell date +%s%N >$T/end" \
		>"$T/out" 2>"$T/err" </dev/null
	[ -s "$T/end" ] || { cat "$T/out" "$T/err" >&2; exit 1; }
	echo $(($(cat "$T/end") - $(cat "$T/begin")))
}

# in_turn A B: medians of RUNS runs of two functions, one after the other each time, so that caches and
# whatever else goes on are the same for both. One run before does not count.
in_turn()
{
	local i
	"$1" >/dev/null && "$2" >/dev/null || exit 1
	for ((i = 0; i < RUNS; i++)); do
		"$1" >>"$T/a" && "$2" >>"$T/b" || exit 1
	done
	echo "$(median <"$T/a") $(median <"$T/b")"
	rm -f "$T/a" "$T/b"
}

# row WHAT NS NS LIMIT
row()
{
	local holds
	holds=$(awk -v a="$2" -v b="$3" -v l="$4" 'BEGIN { print l == "-" ? "-" : a <= l * b ? "yes" : "NO" }')
	[ "$holds" != NO ] || crossed=1
	awk -v w="$1" -v a="$2" -v b="$3" -v l="$4" -v h="$holds" 'BEGIN {
		printf "| %s | %.3f s | %.3f s | %.2f | %s | %s |\n", w, a / 1e9, b / 1e9, a / b, l, h }'
}

live_in() { inside 'heap summary' -p "$pid"; }
live_out() { outside "$pid"; }
core_in() { inside 'heap summary' "$BUILD/bench-victim" "$core"; }
core_out() { outside "$core"; }
remote_in() { inside 'heap summary' "${remote[@]}"; }
remote_dump() { inside "dump binary memory $T/dump $from $to" "${remote[@]}"; }
chunks_in() { inside "heap chunks -o $T/rows" -p "$pid"; }

printf '| heap summary | in GDB | compared with | ratio | limit | holds |\n|---|---|---|---|---|---|\n'
start chunks "$CHUNKS"
read -r a b < <(in_turn live_in live_out) || exit 1
row "live, $CHUNKS chunks; the command line" "$a" "$b" 1.5
gcore -o "$T/core" "$pid" >/dev/null 2>&1
kill -9 "$pid"
core=$T/core.$pid
read -r a b < <(in_turn core_in core_out) || exit 1
row "core, $CHUNKS chunks; the command line" "$a" "$b" 1.2
rm -f "$core"

start chunks "$REMOTE_CHUNKS"
read -r from to < <(awk '$6 == "[heap]" { split($1, a, "-"); print "0x" a[1], "0x" a[2] }' "/proc/$pid/maps")
gdbserver --multi localhost:0 >"$T/server" 2>&1 &
pids="$pids $!"
for ((i = 0; i < 200; i++)); do
	port=$(sed -n 's/^Listening on port //p' "$T/server")
	[ -z "$port" ] || break
	sleep 0.05
done
[ -n "$port" ] || { echo "bench: gdbserver does not listen: $(tail -n 1 "$T/server")" >&2; exit 1; }
remote=(-ex "target extended-remote localhost:$port" -ex "attach $pid")
read -r a b < <(in_turn remote_in remote_dump) || exit 1
row "gdbserver, $REMOTE_CHUNKS chunks; GDB's dump memory of the heap" "$a" "$b" -

# The heap commands of others for GDB, in Python, one run each: they take minutes for a million.
start chunks "$PEER_CHUNKS"
# peer NAME FILE VARIABLE COMMAND
peer()
{
	local ours theirs
	if [ -z "$2" ] || [ ! -r "$2" ]; then
		echo "skipped: $1 is not installed ($3=FILE says where its script is)"
		return
	fi
	ours=$(chunks_in) || exit 1
	theirs=$(script=$2 inside "$4" -p "$pid") || exit 1
	if [ "$(wc -l <"$T/out")" -lt "$PEER_CHUNKS" ]; then
		echo "bench: \`$4\` of $1 does not list the chunks: $(tail -n 1 "$T/err")" >&2
		exit 1
	fi
	row "live, $PEER_CHUNKS chunks, each listed; $1, $4" "$ours" "$theirs" -
}
peer GEF "${GEF:-}" GEF 'heap chunks'
peer pwndbg "${PWNDBG:-}" PWNDBG 'heap'
exit $crossed
