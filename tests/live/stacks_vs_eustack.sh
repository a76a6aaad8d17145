#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# stacks_vs_eustack.sh: stacks of real programs are those that eu-stack sees: the same addresses,
# and the same functions, where one address may have several names.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq eu-stack nm readelf

# Every name that a symbol table gives to the address of $2 in module $1, one a line.
aliases()
{
	local id debug
	id=$(readelf -n "$1" 2>/dev/null | sed -n 's/.*Build ID: //p')
	debug=/usr/lib/debug/.build-id/${id:0:2}/${id:2}.debug
	{
		nm -D --defined-only "$1"
		nm --defined-only "$1"
		[ ! -e "$debug" ] || nm --defined-only "$debug"
	} 2>/dev/null | sed 's/@.*//' |
		awk -v name="$2" '{at[NR] = $1; is[NR] = $3; if ($3 == name) want[$1] = 1}
			END {for (i = 1; i <= NR; i++) if (at[i] in want) print is[i]}'
}

# "TID NUMBER PC FUNCTION MODULE" of each frame that is not inlined
ours()
{
	jq -r '.groups[] | .threads[0].tid as $tid | [.frames[] | select(.inlined | not)] |
		to_entries[] | "\($tid)\t\(.key)\t\(.value.pc)\t\(.value.function // "-")\t\(.value.module // "-")"' \
		"$T/out"
}

# "TID NUMBER PC FUNCTION"
theirs()
{
	awk '/^TID /{tid = $2 + 0}
		/^#/ {pc = $2; sub(/^0x0*/, "0x", pc); name = $0
			if (NF < 3) name = "-"
			else {sub(/^#[0-9]+ +0x[0-9a-f]+ +(- 1 +)?/, "", name); sub(/@.*/, "", name)}
			print tid "\t" substr($1, 2) "\t" pc "\t" name}' "$T/theirs"
}

# All frames equal; says how many, and what differs.
same_stacks()
{
	local tid no pc function module t2 n2 pc2 function2 n=0
	while IFS=$'\t' read -r -u 3 tid no pc function module; do
		IFS=$'\t' read -r -u 4 t2 n2 pc2 function2 || { echo "ours goes on: $tid #$no $pc"; return 1; }
		n=$((n + 1))
		[ "$tid $no $pc" = "$t2 $n2 $pc2" ] || {
			echo "ours $tid #$no $pc $function, theirs $t2 #$n2 $pc2 $function2"
			return 1
		}
		[ "$function" = "$function2" ] || [ "${function2%%(*}" = "${function%%(*}" ] && continue
		aliases "$module" "$function" | grep -qxF -e "$function2" || {
			echo "$pc: ours $function, theirs $function2"
			return 1
		}
	done 3< <(ours | sort -s -n -k1,1 -k2,2) 4< <(theirs | sort -s -n -k1,1 -k2,2)
	[ "$n" -gt 2 ] || { echo "only $n frames"; return 1; }
}

asleep() { [ -n "$PID" ] && [ "$(cut -d' ' -f3 "/proc/$PID/stat")" = S ]; }

# It stands still in between, so that both see the same.
compare()
{
	local name=$1 unwinder
	check "$name: sleeps" until_true asleep
	kill -STOP "$PID"
	eu-stack -n 0 -p "$PID" >"$T/theirs" 2>"$T/theirs.err"
	for unwinder in libdw libunwind; do
		mi threads --all --limit 0 --unwinder "$unwinder" --format json "$PID"
		OUT='' # too long to show
		check "$name: threads by $unwinder" [ "$RC" = 0 ]
		check "$name: the stacks of eu-stack, by $unwinder" same_stacks
	done
	kill -CONT "$PID"
	kill -9 "$PID"
	wait "$PID" 2>/dev/null
}

mkfifo "$T/fifo"
exec {HOLD}<>"$T/fifo"
# A job in the background loses its standard input unless it takes it itself.
# shellcheck disable=SC2016 # for the other shell
spawn bash -c 'exec <"$0"; while read -r line; do :; done' "$T/fifo"
compare bash

if command -v python3 >/dev/null; then
	spawn python3 -c 'import threading, time
for i in range(3):
	threading.Thread(target=lambda: time.sleep(1000)).start()
print("up", flush=True)
time.sleep(1000)' >"$T/python"
	until_true grep -q up "$T/python"
	compare python3
else
	skip python3 'not installed'
fi

if command -v gdb >/dev/null; then
	# shellcheck disable=SC2016
	spawn bash -c 'exec gdb -q -nx <"$0" >/dev/null 2>&1' "$T/fifo"
	compare gdb
else
	skip gdb 'not installed'
fi

nginx=$(command -v nginx || echo /usr/sbin/nginx)
if [ -x "$nginx" ]; then
	cat >"$T/nginx.conf" <<-EOF
		daemon off;
		master_process off;
		pid $T/nginx.pid;
		error_log stderr;
		events {}
		http { access_log off; server { listen unix:$T/nginx.sock; } }
	EOF
	spawn "$nginx" -p "$T" -c "$T/nginx.conf" 2>/dev/null
	until_true [ -S "$T/nginx.sock" ]
	compare nginx
else
	skip nginx 'not installed'
fi

victim threads 20 30
compare '20 threads'

victim frames_cxx
compare 'C++'
finish
