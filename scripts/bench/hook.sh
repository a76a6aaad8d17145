#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# hook.sh: what the companion hook costs its host: CPU time, wall time and peak memory as ratios to the
# plain program, beside heaptrack, gperftools' heap profiler and jemalloc's profiling where they are
# installed. Each round runs all of them once, every other one backwards; a ratio is that of two runs of one
# round, and the median of those is told, for machines that are not always equally fast.
#
# Environment: RUNS (15): rounds, three times as many for the loops; SLOW (1): runs of the tools that take many times as long; BUILD;
# ONLY=pattern of programs, VARIANTS=pattern. Let nothing else run meanwhile.
# Prints a table; "limit" is what sampled and full mode are held to: sampled mode above plain
# forwarding (off), in the loops as full mode above the plain program. Behind it stands that ratio with its
# noise: 1.58 times the distance of the quartiles by the root of the rounds, within which the medians of most
# repetitions lie. Exit 1 when a limit is crossed by more.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${RUNS:=15}" "${SLOW:=1}" "${ONLY:=*}" "${VARIANTS:=*}"
hook=$(realpath "$BUILD/libmeminspect-hook.so") || exit 1
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 130' INT TERM
for program in hook-loop hook-run; do
	"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -fno-optimize-sibling-calls \
		-o "$T/$program" scripts/bench/$program.c -lpthread || exit 1
done
crossed=0

library() { ldconfig -p | awk -v name="$1" 'index($1, name) == 1 && /x86-64/ {print $NF; exit}'; }
tcmalloc=$(library libtcmalloc.so) jemalloc=$(library libjemalloc.so)
# Behind the others: programs that bring an allocator along are to run on libc's.
libc=$(library libc.so.6)
heaptrack_preload=$(echo /usr/lib*/heaptrack/libheaptrack_preload.so /usr/lib/*/heaptrack/libheaptrack_preload.so |
	tr ' ' '\n' | while read -r f; do [ -r "$f" ] && echo "$f" && break; done)

# with VARIANT COMMAND...: runs it so; prints CPU, wall, memory
with()
{
	local variant=$1 after=${PRELOAD_AFTER:+:$PRELOAD_AFTER}
	shift
	case $variant in
	plain) "$T/hook-run" env LD_PRELOAD="${PRELOAD_AFTER:-}" "$@" ;;
	off | sampled | full) MEMINSPECT_HOOK=$variant "$T/hook-run" env LD_PRELOAD="$hook$after" "$@" ;;
	heaptrack) "$T/hook-run" heaptrack -o "$T/ht" "$@" ;;
	# its library alone, what it writes thrown away
	heaptrack-null) DUMP_HEAPTRACK_OUTPUT=/dev/null "$T/hook-run" env LD_PRELOAD="$heaptrack_preload$after" "$@" ;;
	gperftools) HEAPPROFILE=$T/gp "$T/hook-run" env LD_PRELOAD="$tcmalloc" "$@" ;;
	jemalloc) "$T/hook-run" env LD_PRELOAD="$jemalloc" "$@" ;;
	jemalloc-prof)
		MALLOC_CONF=prof:true,prof_active:true,lg_prof_sample:19 \
			"$T/hook-run" env LD_PRELOAD="$jemalloc" "$@" ;;
	esac
	rm -f "$T"/gp.* "$T"/ht.*
}

# ratio COLUMN VARIANT BASE: the median, and its noise
ratio()
{
	paste -d' ' "$T/t.$2" "$T/t.$3" |
		awk -v c="$1" 'NF == 6 && $(c + 3) > 0 {print $c / $(c + 3)}' | sort -n |
		awk '{v[NR] = $1} END {
			if (NR) printf("%.3f %.3f\n", v[int((NR + 1) / 2)],
				1.58 * (v[int((3 * NR + 3) / 4)] - v[int((NR + 3) / 4)]) / sqrt(NR))}'
}
median() { ratio "$@" | cut -d' ' -f1; }

variants='plain off sampled full'
command -v heaptrack >/dev/null && variants="$variants heaptrack"
[ -n "$heaptrack_preload" ] && variants="$variants heaptrack-null"
[ -n "$tcmalloc" ] && variants="$variants gperftools"
[ -n "$jemalloc" ] && variants="$variants jemalloc jemalloc-prof"

# One line of the table: NAME VARIANT LIMIT
line()
{
	local name=$1 v=$2 limit=$3 base=plain held noise
	[ "$v" = sampled ] && [[ $name != malloc-* ]] && base=off
	if [ -n "$limit" ]; then
		read -r held noise < <(ratio 1 "$v" $base)
		if awk -v r="$held" -v n="$noise" -v l="$limit" 'BEGIN {exit !(r - n > l)}'; then
			limit="$limit  crossed"
			crossed=1
		fi
		limit="$limit  ($held +- $noise of $base)"
	fi
	printf '%-22s %-15s %7s %7s %7s   %s\n' "$name" "$v" "$(median 1 "$v" plain)" "$(median 2 "$v" plain)" \
		"$(median 3 "$v" plain)" "$limit"
}

# measure NAME SAMPLED-LIMIT FULL-LIMIT COMMAND...
measure()
{
	local name=$1 sampled=$2 full=$3 v i
	shift 3
	# shellcheck disable=SC2053 # a pattern on purpose
	[[ $name == $ONLY ]] || return
	rm -f "$T"/t.*
	# Those that take many times as long come last: some of them leave the disk busy.
	for ((i = 0; i < RUNS + SLOW; i++)); do
		for v in $(tr ' ' '\n' <<<"$variants" | if [ $((i % 2)) = 0 ]; then cat; else tac; fi); do
			# shellcheck disable=SC2053
			[[ $v == plain || $v == off || $v == $VARIANTS ]] || continue
			case $v in
			heaptrack* | gperftools) [ $i -ge "$RUNS" ] ;;
			*) [ $i -lt "$RUNS" ] ;;
			esac && with "$v" "$@" >>"$T/t.$v"
		done
	done
	for v in $variants; do
		[ -s "$T/t.$v" ] || continue
		case $v in
		sampled) line "$name" "$v" "$sampled" ;;
		full) line "$name" "$v" "$full" ;;
		*) line "$name" "$v" '' ;;
		esac
	done
}

# A server on libc's malloc under its own load generator, over a socket file: CPU of the server.
# redis-server links jemalloc: libc in front of it takes the calls.
redis()
{
	local variants='plain off sampled full' # heaptrack does not follow exec
	cat >"$T/redis.sh" <<EOF
rm -f $T/s $T/pid
redis-server --port 0 --unixsocket $T/s --daemonize yes --pidfile $T/pid --save '' --dir $T
for ((i = 0; i < 100; i++)); do [ -S $T/s ] && [ -s $T/pid ] && break; sleep 0.1; done
env LD_PRELOAD= redis-benchmark -s $T/s -q -t set,get,lpush,lpop,sadd,hset -n 100000 -r 100000 -d 100
EOF
	SERVER=$T/pid PRELOAD_AFTER=$libc measure redis-server 1.02 1.25 bash "$T/redis.sh"
}

printf '%-22s %-15s %7s %7s %7s   %s\n' program variant CPU wall memory limit
# Short, and the processor's caches make much of where pages happen to lie: more rounds.
RUNS=$((RUNS * 3)) measure malloc-1-thread 1.10 2.0 "$T/hook-loop" 1 3000000
RUNS=$((RUNS * 3)) measure malloc-2-threads 1.10 2.0 "$T/hook-loop" 2 1500000
RUNS=$((RUNS * 3)) measure malloc-4-threads 1.10 2.0 "$T/hook-loop" 4 750000
command -v redis-benchmark >/dev/null && redis
sql='create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 200000)
	insert into t select x, hex(randomblob(30)) from c; create index i on t(b); select count(*) from t;'
command -v sqlite3 >/dev/null && measure sqlite3 1.02 1.15 sqlite3 :memory: "$sql"
command -v clang-format >/dev/null &&
	measure clang-format 1.02 1.40 clang-format inspector/hook/*.c inspector/render/*.c
# The interpreter itself, not a script that finds it: heaptrack does not follow exec.
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null)
[ -n "$python" ] && PYTHONMALLOC=malloc measure python3 1.02 1.45 "$python" -c \
	'import json; x = [{"k%d" % i: [str(i), i]} for i in range(100000)]; json.loads(json.dumps(x))'
cc1plus=$(gcc -print-prog-name=cc1plus)
if [ -x "$cc1plus" ]; then
	printf '#include <map>\n#include <string>\n#include <regex>\n#include <iostream>\nint main() {\nstd::map<std::string, int> m; m["a"] = 1; std::regex r("a+"); std::cout << m.size(); }\n' >"$T/x.cc"
	measure cc1plus 1.02 1.25 "$cc1plus" -quiet -O1 "$T/x.cc" -o "$T/x.s"
fi
exit $crossed
