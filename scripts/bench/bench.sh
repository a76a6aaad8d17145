#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# bench.sh: the figures of speed and memory in the README, as ratios taken in one run.
#
# Environment: RUNS (5), CHUNKS (10000000), BUILD, MEMINSPECT. Let nothing else run meanwhile.
# Prints a table: what, the measured median, what it is compared with, the limit, and whether it
# holds; exit 1 when a limit is crossed.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${MEMINSPECT:=$BUILD/meminspect}" "${RUNS:=5}" "${CHUNKS:=10000000}"
command -v jq >/dev/null || { echo "bench: jq is not installed" >&2; exit 77; }
[ -x "$MEMINSPECT" ] || { echo "bench: $MEMINSPECT is not built" >&2; exit 1; }
T=$(mktemp -d) || exit 1
pid=''
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$T"' EXIT
trap 'exit 130' INT TERM
crossed=0

for source in bench-tool bench-victim; do
	"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -g -fno-optimize-sibling-calls -Wall -Wextra \
		-o "$BUILD/$source" "scripts/bench/$source.c" -lpthread || exit 1
done
tool=$BUILD/bench-tool

# start ARG...: a victim; pid
start()
{
	local line
	exec {from}< <(exec "$BUILD/bench-victim" "$@")
	pid=$!
	IFS= read -r -t 300 line <&"$from" || { echo "bench: the victim did not start" >&2; exit 1; }
}

stop()
{
	kill -9 "$pid" 2>/dev/null
	pid=''
	exec {from}<&-
}

median()
{
	sort -n | awk '{ v[NR] = $1 } END { if (NR) printf "%.0f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# measure NAME COMMAND...: RUNS runs of meminspect with JSON output; fills NAME.wall, .peak, .stop
measure()
{
	local name=$1
	shift
	"$tool" run "$MEMINSPECT" "$@" --format json >"$T/out" 2>"$T/err"
	jq -e . "$T/out" 2>/dev/null | grep -q . || { cat "$T/err" >&2; echo "bench: meminspect $* gave no JSON" >&2; exit 1; }
	tail -n 1 "$T/err" | jq .wall_ns >>"$T/$name.wall"
	tail -n 1 "$T/err" | jq .peak_kb >>"$T/$name.peak"
	jq '[.. | objects | .stopped_ns? // empty] | first' "$T/out" >>"$T/$name.stop"
	cp "$T/out" "$T/$name.json"
}

of() { median <"$T/$1"; }
ms() { awk -v ns="$1" 'BEGIN { printf "%.1f ms", ns / 1e6 }'; }

# row WHAT VALUE COMPARED LIMIT OK
row()
{
	local verdict=yes
	[ "$5" = 1 ] || { verdict=NO; crossed=1; }
	printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$4" "$verdict"
}

# ratio WHAT NS NS LIMIT
ratio()
{
	row "$1" "$(ms "$2")" "$(awk -v a="$2" -v b="$3" 'BEGIN { printf "%.2f x raw read", a / b }')" \
		"$4 x" "$(awk -v a="$2" -v b="$3" -v l="$4" 'BEGIN { print (a <= l * b) ? 1 : 0 }')"
}

below()
{
	row "$1" "$(ms "$2")" '' "$(ms "$3")" "$([ "$2" -le "$3" ] && echo 1 || echo 0)"
}

cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
echo "$(date -u +%F), $(uname -sr), $(nproc) x ${cpu:-unknown}, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo); medians of $RUNS runs"
echo

start chunks "$CHUNKS"
for ((i = 0; i < RUNS; i++)); do
	"$tool" raw "$pid" >"$T/raw" || exit 1
	jq .ns <"$T/raw" >>"$T/raw.ns"
	jq .bytes <"$T/raw" >"$T/raw.bytes"
	measure big heap summary "$pid"
done
stop
start chunks 40000
for ((i = 0; i < RUNS; i++)); do
	measure small heap summary "$pid"
done
stop
start threads 500 20
for ((i = 0; i < RUNS; i++)); do
	measure threads threads "$pid"
done
stop

raw=$(of raw.ns)
bytes=$(cat "$T/raw.bytes")
peak=$(of big.peak)
limit_kb=$((CHUNKS * 24 / 1024 + 64 * 1024))
rate=$(awk -v n="$CHUNKS" -v ns="$(of big.wall)" 'BEGIN { printf "%.1f", n / ns * 1e3 }')
echo '| what | median | compared | limit | holds |'
echo '|---|---|---|---|---|'
printf '| raw process_vm_readv of %s, 1 MiB blocks | %s | 1.00 x | | |\n' \
	"$(awk -v b="$bytes" 'BEGIN { printf "%.2f GiB", b / 1073741824 }')" "$(ms "$raw")"
ratio "$CHUNKS chunks: pause of \`heap summary\`" "$(of big.stop)" "$raw" 1.5
ratio "$CHUNKS chunks: \`heap summary\`, all in" "$(of big.wall)" "$raw" 2
row "$CHUNKS chunks: rate" "$rate M chunks/s" '' '25 M chunks/s' "$(awk -v r="$rate" 'BEGIN { print (r >= 25) ? 1 : 0 }')"
row "$CHUNKS chunks: own peak memory" "$((peak / 1024)) MiB" "$(awk -v k="$peak" -v n="$CHUNKS" 'BEGIN { printf "%.1f B/chunk", k * 1024 / n }')" \
	"$((limit_kb / 1024)) MiB" "$([ "$peak" -le "$limit_kb" ] && echo 1 || echo 0)"
below '5 MB heap: `heap summary`, all in' "$(of small.wall)" 50000000
below '5 MB heap: pause' "$(of small.stop)" 5000000
below '500 threads, depth 20: `threads`, all in' "$(of threads.wall)" 1000000000
below '500 threads, depth 20: pause' "$(of threads.stop)" 20000000
exit $crossed
