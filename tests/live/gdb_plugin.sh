#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# gdb_plugin.sh: the plugin in the distribution's GDB: on a live process, a core and a gdbserver, with
# the same output as the command line, and errors of one line that leave GDB well.
# GDB=... takes another GDB.

# shellcheck source=tests/live/lib_gdb.sh
. "$(dirname "$0")/lib_gdb.sh"

# A command that a hint or help quotes is one that can be typed.
lacks_hint() { ! grep -q '`\(leaks\|path\|refs\|rss\|save\|suspects\|types\)[ `]' "$T/out"; }

# in_gdb, without GDB's own remarks in OUT and T/out
quietly()
{
	in_gdb "$@"
	grep -v -e '^\[' -e 'in core file too small' -e 'libthread_db' -e '^Core was' -e '^#0' -e '^Reading' -e 'No such file' \
		-e '^0x[0-9a-f]* in ' -e '^\(__\|raise\|pause\)' "$T/out" >"$T/out.quiet"
	mv "$T/out.quiet" "$T/out"
	OUT=$(cat "$T/out")
}

victim mix
first=$PID
exe=$(readlink "/proc/$PID/exe")

# ---- live
quietly -p "$PID" -x "$script" -ex 'heap summary' -ex 'heap whatis $sp' -ex 'heap threads' -ex 'heap rss'
check "live: summary" says '^allocator .*glibc malloc'
check "live: an expression is an address" says 'stack of thread'
check "live: threads" says '^thread '
check "live: rss" says '^resident'
check "live: the process works on" alive
in_gdb -p "$PID" -x "$script" -ex "$(json_of summary live)" -ex "gcore $T/core"
gdb_bytes=$(jq .totals.in_use_bytes "$T/live.json")
mi heap summary --format json "$PID"
check "live: the same bytes in use as outside of GDB" json ".totals.in_use_bytes == $gdb_bytes"

# ---- core: the same text as the command line's
for command in 'summary' 'arenas' 'bins' 'sizes' 'verify' 'chunks --sort size --limit 20' 'fragmentation' 'pins' \
	threads maps 'leaks --possible' suspects dominators types advise; do
	line="heap $command"
	case $command in threads | maps | leaks* | suspects | dominators | types | advise) line=$command ;; esac
	quietly "$exe" "$T/core" -x "$script" -ex "heap $command"
	printf '%s\n' "$OUT" >"$T/in_gdb"
	# shellcheck disable=SC2086 # words
	"$MEMINSPECT" $line --no-pager --color never "$T/core" 2>/dev/null | grep -v '^$' >"$T/outside"
	# Hints name commands as they are typed: `leaks` is `heap leaks` here.
	grep -v '^$' "$T/in_gdb" | sed 's/`heap \([^`]*`\)/`\1/g' >"$T/in_gdb.lines"
	sed -i 's/`heap \([^`]*`\)/`\1/g' "$T/outside"
	check "core: heap $command is the same inside and outside" cmp -s "$T/in_gdb.lines" "$T/outside"
done

# ---- remote
serve "$PID"
quietly -ex "target remote 127.0.0.1:$PORT" -x "$script" -ex "$(json_of summary remote)" -ex 'heap whatis $sp'
check "remote: the same bytes in use" jq -e ".totals.in_use_bytes == $gdb_bytes" "$T/remote.json" >/dev/null
check "remote: registers of threads" says 'stack of thread'
check "remote: the process works on" alive

# ---- GDB's own ways
quietly -p "$PID" -x "$script" -ex 'pipe heap chunks | wc -l' -ex 'heap x &environ --count 200' \
	-ex 'heap x $sp-64000 --count 64000'
check "pipe gets the rows" says '^[0-9][0-9]*$'
check "long output says how to get all of it" says '-o FILE writes all of it'
quietly -p "$PID" -x "$script" -ex 'help heap summary' -ex 'help heap' -ex 'complete heap su'
check "help of a command" says 'Usage: heap summary'
check "help fits a terminal of 80 columns" [ -z "$(sed '/^List of/,$d' "$T/out" | awk 'length > 80')" ]
check "help lists the commands" says '^meminspect verify -- '
check "TAB completes" says '^heap summary$'

# ---- arguments: GDB's expressions, in the language that is set; words with spaces
quietly -p "$PID" -x "$script" -ex 'heap whatis environ' -ex 'heap whatis &environ' -ex 'heap whatis "$sp + 8"'
check "an array or pointer is its value" says '^0x.*: stack of thread'
check "& takes the address" says 'environ + 0'
check "an expression with spaces, quoted" says 'from its stack pointer  8'
quietly -p "$PID" -x "$script" -ex 'heap whatis 0' -ex 'heap refs --from $sp' \
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
quietly -x "$script" -ex 'heap summary' -ex 'echo still here\n'
check "no process: GDB says so" complains 'The program is not being run'
check "no process: GDB goes on" says 'still here'
quietly -p "$PID" -x "$script" -ex 'heap chunks --bogus' -ex 'heap whatis nosuchname' -ex 'heap whatis $sp' \
	-ex 'echo still here\n'
check "a wrong option is one line" says "^meminspect: no option '--bogus'"
check "a wrong expression is GDB's own error" complains 'No symbol "nosuchname"'
check "the next command works" says 'stack of thread'
check "GDB goes on" says 'still here'

# ---- two inferiors: each has its own heap
victim threads 3
second=$PID
quietly -x "$script" -ex "attach $first" -ex 'add-inferior' -ex 'inferior 2' -ex "attach $second" \
	-ex 'heap info' -ex 'inferior 1' -ex 'heap info' 2>/dev/null
check "two inferiors: both are found" [ "$(printf '%s\n' "$OUT" | grep -c '^  pid ')" = 2 ]
check "two inferiors: the second" says "^  pid  *$second\$"

# ---- something else owns the name
printf 'define heap\necho taken\\n\nend\n' >"$T/other.gdb"
quietly -p "$second" -x "$T/other.gdb" -x "$script" -ex 'meminspect info' -ex 'heap'
check "heap is taken: all is under meminspect" says '^Process'
check "heap is taken: the other one stays" says '^taken'

# ---- words: many, --help, and a command that is none
many=$(printf -- '--min 1 %.0s' 1 2 3 4 5 6 7 8 9 10 11)
quietly -p "$second" -x "$script" -ex "heap chunks $many --limit 3" -ex "heap chunks $many $many" \
	-ex 'heap leaks --help' -ex 'heap nosuch' -ex 'heap watch' -ex 'echo still here\n'
check "24 words are taken" says '^first 3 of '
check "more are told" says '^meminspect: more than 24 words'
check "--help is GDB's help" says 'Usage: heap leaks'
check "hints name commands as GDB has them" lacks_hint
check "no such command: GDB says so" complains 'Undefined meminspect command: "nosuch"'
check "GDB goes on" says '^still here'
finish
