#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# serve.sh: what `meminspect serve` costs a process of 1.4 GB in ten million chunks that is scraped every 15 s, and
# what it costs itself. Limits: the process loses less than 0.5 % of its time; meminspect takes less than 3 % of a
# core and less than 100 MB beside what a walk needs.
#
# Environment: BUILD; SECONDS_LONG (90) of scraping; CHUNKS (10000000); SOAK=1 prints a line for each scrape and
# judges growth instead: own RSS of the last quarter against the second one.
# Let nothing else run meanwhile, but for a soak.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${SECONDS_LONG:=90}" "${CHUNKS:=10000000}" "${SOAK:=0}"
T=$(mktemp -d) || exit 1
serve='' victim=''
trap '[ -z "$serve" ] || kill $serve; [ -z "$victim" ] || kill $victim; rm -rf "$T"' EXIT
trap 'exit 130' INT TERM
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -o "$T/bench-victim" scripts/bench/bench-victim.c -lpthread || exit 1
"$T/bench-victim" chunks "$CHUNKS" >"$T/victim" &
victim=$!
until grep -q ready "$T/victim"; do kill -0 $victim || exit 1; sleep 0.2; done
"$BUILD/meminspect" serve --listen 127.0.0.1:0 ${OPTIONS:-} v=$victim >"$T/url" 2>"$T/err" &
serve=$!
until [ -s "$T/url" ]; do kill -0 $serve || { cat "$T/err"; exit 1; }; sleep 0.1; done
url=$(cat "$T/url")
sleep 3 # the first walk, of every server once, and its symbols
ticks=$(getconf CLK_TCK)

cpu() { awk '{ print $14 + $15 }' "/proc/$serve/stat"; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$serve/status"; }
peak() { awk '/^VmHWM/ { print $2 }' "/proc/$serve/status"; }
stopped() { curl -s "${url}metrics" | awk '/^meminspect_stop_duration_seconds_sum/ { print $2 }'; }
walks() { curl -s "${url}metrics" | awk '/^meminspect_scans_total/ { print $2 }'; }

cpu0=$(cpu) stopped0=$(stopped) start=$(date +%s.%N) walks0=$(walks)
n=0
: >"$T/rss"
while [ "$(awk -v a="$start" -v b="$(date +%s.%N)" -v n="$SECONDS_LONG" 'BEGIN { print b - a < n }')" = 1 ]; do
	curl -s "${url}metrics" >"$T/metrics" || exit 1
	curl -s "${url}debug/pprof/allocs" >"$T/allocs" || exit 1
	n=$((n + 1))
	rss >>"$T/rss"
	[ "$SOAK" = 0 ] || echo "$(date +%T) rss $(rss) KiB, fds $(find /proc/$serve/fd -mindepth 1 | wc -l), walks $(walks)"
	sleep 15
done
took=$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')
echo "| what | measured | limit | holds |"
echo "|---|---|---|---|"
row()
{
	awk -v what="$1" -v v="$2" -v unit="$3" -v limit="$4" 'BEGIN {
		printf "| %s | %.3g %s | %s %s | %s |\n", what, v, unit, limit, unit, v < limit ? "yes" : "NO"
	}'
}
echo "# $n scrapes of /metrics and /debug/pprof/allocs in $took s, $(($(walks) - walks0)) walks" >&2
row "time that the process lost" "$(awk -v a="$stopped0" -v b="$(stopped)" -v t="$took" 'BEGIN { print 100 * (b - a) / t }')" % 0.5
row "own CPU, share of a core" "$(awk -v a="$cpu0" -v b="$(cpu)" -v t="$took" -v k="$ticks" 'BEGIN { print 100 * (b - a) / k / t }')" % 3
row "own RSS between walks" "$(awk -v k="$(rss)" 'BEGIN { print k / 1024 }')" MiB 100
row "own RSS at most, in a walk" "$(awk -v k="$(peak)" 'BEGIN { print k / 1024 }')" MiB 200
row "growth of own RSS, last quarter against the second" "$(awk '{ v[NR] = $1 } END {
	q = int(NR / 4); for (i = q + 1; i <= 2 * q; i++) a += v[i]; for (i = NR - q + 1; i <= NR; i++) b += v[i]
	print q ? 100 * (b - a) / a : 0 }' "$T/rss")" % 5
