#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# hook.sh: what the companion hook costs its host: CPU time as a ratio to the plain program, medians
# of interleaved runs, beside heaptrack, gperftools' heap profiler and jemalloc's profiling where
# they are installed.
#
# Environment: RUNS (7), BUILD; ONLY=pattern of programs. Let nothing else run meanwhile.
# Prints a table; "limit" is what sampled and full mode are held to. Exit 1 when one is crossed.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${RUNS:=7}" "${ONLY:=*}"
hook=$(realpath "$BUILD/libmeminspect-hook.so") || exit 1
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
trap 'exit 130' INT TERM
"${CC:-gcc}" -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -fno-optimize-sibling-calls \
	-o "$T/hook-loop" scripts/bench/hook-loop.c -lpthread || exit 1
crossed=0

tcmalloc=$(ldconfig -p | awk '/libtcmalloc\.so/ {print $NF; exit}')
jemalloc=$(ldconfig -p | awk '/libjemalloc\.so/ {print $NF; exit}')

# with VARIANT COMMAND...: runs it so
with()
{
	local variant=$1
	shift
	case $variant in
	plain) "$@" ;;
	off | sampled | full) LD_PRELOAD=$hook MEMINSPECT_HOOK=$variant "$@" ;;
	heaptrack) heaptrack -o "$T/ht" "$@" ;;
	gperftools) LD_PRELOAD=$tcmalloc HEAPPROFILE=$T/gp "$@" ;;
	jemalloc) LD_PRELOAD=$jemalloc "$@" ;;
	jemalloc-prof) LD_PRELOAD=$jemalloc MALLOC_CONF=prof:true,prof_active:true,lg_prof_sample:19 "$@" ;;
	esac >"$T/out" 2>&1 </dev/null
}

# seconds of CPU, children included
cpu()
{
	local TIMEFORMAT='%U %S'
	{ time with "$@"; } 2>&1 | tail -n 1 | awk '{print $1 + $2}'
}

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

variants='plain off sampled full'
command -v heaptrack >/dev/null && variants="$variants heaptrack"
[ -n "$tcmalloc" ] && variants="$variants gperftools"
[ -n "$jemalloc" ] && variants="$variants jemalloc jemalloc-prof"

# measure NAME SAMPLED-LIMIT FULL-LIMIT COMMAND...
measure()
{
	local name=$1 sampled=$2 full=$3 v plain ratio limit
	shift 3
	# shellcheck disable=SC2053 # a pattern on purpose
	[[ $name == $ONLY ]] || return
	rm -f "$T"/t.*
	for ((i = 0; i < RUNS; i++)); do
		for v in $variants; do
			# the slow ones once
			case $v in heaptrack | gperftools) [ $i = 0 ] || continue ;; esac
			cpu "$v" "$@" >>"$T/t.$v"
		done
	done
	plain=$(median <"$T/t.plain")
	for v in $variants; do
		ratio=$(awk -v a="$(median <"$T/t.$v")" -v b="$plain" 'BEGIN {printf("%.3f", (b > 0 ? a / b : 0))}')
		limit=''
		[ $v = sampled ] && limit=$sampled
		[ $v = full ] && limit=$full
		if [ -n "$limit" ] && awk -v r="$ratio" -v l="$limit" 'BEGIN {exit !(r > l)}'; then
			limit="$limit  crossed"
			crossed=1
		fi
		printf '%-22s %-14s %7s   %s\n' "$name" "$v" "$ratio" "$limit"
	done
}

printf '%-22s %-14s %7s   %s\n' program variant 'CPU' limit
measure malloc-1-thread 1.10 2.0 "$T/hook-loop" 1 3000000
measure malloc-2-threads 1.10 2.0 "$T/hook-loop" 2 1500000
measure malloc-4-threads 1.10 2.0 "$T/hook-loop" 4 750000
sql='create table t(a, b); with recursive c(x) as (select 1 union all select x + 1 from c where x < 200000)
	insert into t select x, hex(randomblob(30)) from c; create index i on t(b); select count(*) from t;'
command -v sqlite3 >/dev/null && measure sqlite3 1.02 1.15 sqlite3 :memory: "$sql"
command -v clang-format >/dev/null &&
	measure clang-format 1.02 1.40 clang-format inspector/hook/*.c inspector/render/*.c
command -v python3 >/dev/null && measure python3 1.02 1.45 env PYTHONMALLOC=malloc python3 -c \
	'import json; x = [{"k%d" % i: [str(i), i]} for i in range(100000)]; json.loads(json.dumps(x))'
cc1plus=$(gcc -print-prog-name=cc1plus)
if [ -x "$cc1plus" ]; then
	printf '#include <map>\n#include <string>\n#include <regex>\n#include <iostream>\nint main() {\nstd::map<std::string, int> m; m["a"] = 1; std::regex r("a+"); std::cout << m.size(); }\n' >"$T/x.cc"
	measure cc1plus 1.02 1.25 "$cc1plus" -quiet -O1 "$T/x.cc" -o "$T/x.s"
fi
exit $crossed
