#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# gdb_plugin.sh: the plugin in the distribution's GDB: on a live process, a core and a gdbserver, with
# the same output as the command line, and errors of one line that leave GDB well.
# GDB=... takes another GDB.

. "$(dirname "$0")/lib.sh"
: "${GDB:=gdb}"
need "$GDB"
script=$BUILD/meminspect.gdb
[ -e "$script" ] || { echo "the plugin is not built (sanitizers, or gdb/jit-reader.h is missing)"; exit 77; }

# in_gdb ARG...: a batch run with the plugin; OUT. Remarks of GDB's own are left out.
in_gdb()
{
	OUT=$(timeout 60 "$GDB" -q -nx -batch -iex 'set auto-load no' -iex 'set width 0' "$@" 2>"$T/gdb.err" |
		grep -v -e '^warning:' -e '^\[' -e 'libthread_db' -e '^Core was' -e '^#0' -e '^Reading' \
			-e 'No such file' -e '^0x[0-9a-f]* in ' -e '^\(__\|raise\|pause\)')
	ERR=$(cat "$T/gdb.err")
}

says() { printf '%s\n' "$OUT" | grep -q -- "$1"; }
complains() { printf '%s\n' "$OUT" "$ERR" | grep -q -- "$1"; }
lacks() { ! printf '%s\n' "$OUT" "$ERR" | grep -q -- "$1"; }

victim mix
first=$PID
exe=$(readlink "/proc/$PID/exe")

# ---- live
in_gdb -p "$PID" -x "$script" -ex 'heap summary' -ex 'heap whatis $sp' -ex 'heap threads' -ex 'heap rss'
check "live: summary" says '^allocator .*glibc malloc'
check "live: an expression is an address" says 'stack of thread'
check "live: threads" says '^thread '
check "live: rss" says '^resident'
check "live: the process works on" alive
gdb_bytes=$(timeout 60 "$GDB" -q -nx -batch -iex 'set auto-load no' -p "$PID" -x "$script" \
	-ex "heap summary --format json -o $T/live.json" >/dev/null 2>&1; jq .totals.in_use_bytes "$T/live.json")
mi heap summary --format json "$PID"
check "live: the same bytes in use as outside of GDB" json ".totals.in_use_bytes == $gdb_bytes"

# ---- core: the same text as the command line's
"$GDB" -q -nx -batch -iex 'set auto-load no' -p "$PID" -ex "gcore $T/core" >/dev/null 2>&1
for command in 'summary' 'arenas' 'bins' 'sizes' 'verify' 'chunks --sort size --limit 20' 'threads'; do
	line=$command
	case $command in threads) ;; *) line="heap $command" ;; esac
	in_gdb "$exe" "$T/core" -x "$script" -ex "heap $command"
	printf '%s\n' "$OUT" >"$T/in_gdb"
	# shellcheck disable=SC2086 # words
	"$MEMINSPECT" $line --no-pager --color never "$T/core" 2>/dev/null | grep -v '^$' >"$T/outside"
	grep -v '^$' "$T/in_gdb" >"$T/in_gdb.lines"
	check "core: heap $command is the same inside and outside" cmp -s "$T/in_gdb.lines" "$T/outside"
done

# ---- remote
if command -v gdbserver >/dev/null; then
	port=$((20000 + $$ % 20000))
	gdbserver --once --attach "127.0.0.1:$port" "$PID" >"$T/server.log" 2>&1 &
	pids="$pids $!"
	if until_true grep -q Listening "$T/server.log"; then
		in_gdb -ex "target remote 127.0.0.1:$port" -x "$script" \
			-ex "heap summary --format json -o $T/remote.json" -ex 'heap whatis $sp'
		check "remote: the same bytes in use" \
			jq -e ".totals.in_use_bytes == $gdb_bytes" "$T/remote.json" >/dev/null
		check "remote: registers of threads" says 'stack of thread'
	else
		check "remote: gdbserver listens" false
	fi
	check "remote: the process works on" alive
else
	skip "remote" "gdbserver is not installed"
fi

# ---- GDB's own ways
in_gdb -p "$PID" -x "$script" -ex 'pipe heap chunks | wc -l' -ex 'heap x &environ --count 200' \
	-ex 'heap x $sp-64000 --count 64000'
check "pipe gets the rows" says '^[0-9][0-9]*$'
check "long output says how to get all of it" says '-o FILE writes all of it'
in_gdb -p "$PID" -x "$script" -ex 'help heap summary' -ex 'help heap' -ex 'complete heap su'
check "help of a command" says 'Usage: heap summary'
check "help lists the commands" says '^meminspect verify -- '
check "TAB completes" says '^heap summary$'

# ---- arguments: GDB's expressions, in the language that is set; words with spaces
in_gdb -p "$PID" -x "$script" -ex 'heap whatis environ' -ex 'heap whatis &environ' -ex 'heap whatis "$sp + 8"'
check "an array or pointer is its value" says '^0x.*: stack of thread'
check "& takes the address" says 'environ + 0'
check "an expression with spaces, quoted" says 'from its stack pointer  8'
in_gdb -p "$PID" -x "$script" -ex 'heap whatis 0' -ex 'heap refs --from $sp' \
	-ex 'heap chunks --limit 2 --where "size > 100"' -ex "heap chunks -n 1 --where 'size > 1000'"
check "a zero is an address" says '^meminspect: 0 is not mapped'
check "an option without value stands before an expression" says 'is in no chunk in use'
check "a filter with spaces" says '^first 2 of '
check "a filter in single quotes" says '^first 1 of '
for language in c++ rust go ada pascal modula-2; do
	in_gdb -p "$PID" -x "$script" -ex "set language $language" -ex 'heap whatis $sp'
	check "set language $language" says 'from its stack pointer  0'
done

# ---- errors: one line, and GDB goes on
in_gdb -x "$script" -ex 'heap summary' -ex 'echo still here\n'
check "no process: GDB says so" complains 'No stack'
check "no process: GDB goes on" says 'still here'
in_gdb -p "$PID" -x "$script" -ex 'heap chunks --bogus' -ex 'heap whatis nosuchname' -ex 'heap whatis $sp' \
	-ex 'echo still here\n'
check "a wrong option is one line" says "^meminspect: no option '--bogus'"
check "a wrong expression is GDB's own error" complains 'No symbol "nosuchname"'
check "the next command works" says 'stack of thread'
check "GDB goes on" says 'still here'

# ---- two inferiors: each has its own heap
victim threads 3
second=$PID
in_gdb -x "$script" -ex "attach $first" -ex 'add-inferior' -ex 'inferior 2' -ex "attach $second" \
	-ex 'heap info' -ex 'inferior 1' -ex 'heap info' 2>/dev/null
check "two inferiors: both are found" [ "$(printf '%s\n' "$OUT" | grep -c '^  pid ')" = 2 ]
check "two inferiors: the second" says "^  pid  *$second\$"

# ---- something else owns the name
printf 'define heap\necho taken\\n\nend\n' >"$T/other.gdb"
in_gdb -p "$second" -x "$T/other.gdb" -x "$script" -ex 'meminspect info' -ex 'heap'
check "heap is taken: all is under meminspect" says '^Process'
check "heap is taken: the other one stays" says '^taken'
finish
