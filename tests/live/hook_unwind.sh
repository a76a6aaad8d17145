#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# hook_unwind.sh: the stacks that the hook captures in real programs are those that libgcc's
# _Unwind_Backtrace finds: every 16th capture is compared, frame by frame.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
check_hook=$VICTIMS/libhook-check.so
[ -r "$check_hook" ] || { echo "libhook-check.so is not built"; exit 1; }

# agrees LEAST COMMAND...: at least LEAST stacks were compared, and all were equal
agrees()
{
	local least=$1 counts
	shift
	rm -f "$T/counts"
	HOOK_CHECK=$T/counts MEMINSPECT_HOOK=full LD_PRELOAD=$check_hook timeout 120 "$@" >"$T/out" 2>"$T/err"
	RC=$?
	grep -a libgcc "$T/err"
	counts=$(awk '{c += $2; d += $4} END {print c + 0, d + 0}' "$T/counts" 2>/dev/null)
	# shellcheck disable=SC2086 # two words
	set -- $counts
	[ $RC = 0 ] && [ "${1:-0}" -ge "$least" ] && [ "${2:-1}" = 0 ] && return
	echo "exit $RC; compared ${1:-0}, different ${2:-?}"
	return 1
}

# try LEAST NAME COMMAND...
try()
{
	local least=$1 name=$2
	shift 2
	if command -v "$name" >/dev/null 2>&1; then
		check "stacks in $name" agrees "$least" "$@"
	else
		skip "stacks in $name" 'not installed'
	fi
}

cd "$(dirname "$0")/../.." || exit 1
printf 'int f(int a){return a ? f(a - 1) : 0;}\n' >"$T/f.c"
try 5000 python3 env PYTHONMALLOC=malloc python3 -c \
	'import json, decimal; json.dumps([str(x) for x in range(20000)])'
try 1000 sqlite3 sqlite3 :memory: 'create table t(a, b); with recursive c(x) as (select 1 union all
	select x + 1 from c where x < 20000) insert into t select x, hex(randomblob(20)) from c;
	create index i on t(b); select count(*) from t;'
try 50 bash bash -c 'for i in 1 2 3; do x=$(ls /); done; echo ${#x}'
try 500 perl perl -e 'my %h; $h{$_} = "x$_" for 1..20000; print scalar(keys %h)'
try 100 gcc gcc -O2 -c "$T/f.c" -o "$T/f.o"
try 1000 gdb gdb -nx -batch -ex 'info functions insp_report' "$MEMINSPECT"
try 300 clang clang -O2 -c "$T/f.c" -o "$T/f.o"
try 1000 clang-format clang-format inspector/hook/cfi.c
try 100 git git grep --no-index -c -E 'return [a-z]+' -- inspector
finish
