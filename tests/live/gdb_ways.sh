#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# gdb_ways.sh: the plugin beside GDB's own ways: the machine interface, logging, a terminal with TAB,
# pager and Ctrl-C (gdb_ways.exp), processes that run, execute another program or are killed, and
# what is kept between commands. GDB=... takes another GDB.

# shellcheck source=tests/live/lib_gdb.sh
. "$(dirname "$0")/lib_gdb.sh"
need expect

# ---- kept until the process runs
victim mix
in_gdb -p "$PID" -x "$script" -ex "$(json_of summary a)" -ex "$(json_of bins b)" -ex "$(json_of arenas c)" \
	-ex 'stepi' -ex "$(json_of summary d)" -ex "$(json_of summary e)"
check "kept: the next command takes no new snapshot" [ "$(taken a)" = "$(taken b)" ]
check "kept: nor does the third" [ "$(taken a)" = "$(taken c)" ]
check "kept: it is taken anew after a step" [ "$(taken d)" != "$(taken c)" ]
check "kept: and kept again" [ "$(taken d)" = "$(taken e)" ]
check "after GDB has detached: the process works on" alive

# ---- attached again in the same GDB
in_gdb -p "$PID" -x "$script" -ex 'heap info' -ex detach -ex "attach $PID" -ex "$(json_of summary f)"
check "attached again: the command works" jq -e '.totals.in_use_bytes > 0' "$T/f.json" >/dev/null

# ---- logging
in_gdb -p "$PID" -x "$script" -ex "set logging file $T/log" -ex 'set logging redirect on' \
	-ex 'set logging on' -ex 'heap summary' -ex 'set logging off'
check "logging: the text is in the log" grep -q '^allocator' "$T/log"

# ---- the machine interface
printf '%s\n' '-interpreter-exec console "heap summary"' '-interpreter-exec console "heap chunks --bogus"' \
	'-interpreter-exec console "heap whatis $sp"' \
	'-data-evaluate-expression 6*7' '-gdb-exit' >"$T/mi"
timeout -k 5 60 "$GDB" -q -nx -i=mi2 -iex 'set auto-load no' -p "$PID" -x "$script" <"$T/mi" >"$T/out" 2>"$T/err"
check "MI: the text is console stream records" grep -q '^~"allocator' "$T/out"
check "MI: the command is done" grep -q '^.done' "$T/out"
check "MI: an error is one record" grep -q '^~"meminspect: no option' "$T/out"
check "MI: an expression is an address" grep -q '^~"0x.*: stack of thread' "$T/out"
check "MI: GDB goes on" grep -q '^.done,value="42"' "$T/out"
check "MI: every line is a record" [ "$(grep -vc '^[~^=&*@+]\|^(gdb) *$\|^[0-9]*\^' "$T/out")" = 0 ]
check "MI: the process works on" alive

# ---- non-stop: the thread that stands is enough
in_gdb -iex 'set non-stop on' -p "$PID" -x "$script" -ex 'heap summary'
check "non-stop: the command works" says '^allocator'

# ---- a process that runs
in_gdb -p "$PID" -x "$script" -ex 'continue&' -ex 'heap summary' -ex 'echo still here\n'
check "running: GDB says so" complains 'is running'
check "running: GDB goes on" says '^still here'

# ---- the process executes another program
cat >"$T/exec.c" <<'END'
#include <stdlib.h>
#include <unistd.h>
static void *kept[5000];
int main(int argc, char **argv)
{
	for (int i = 0; i < (argc > 1 ? 5000 : 50); i++)
		kept[i] = malloc(1000);
	if (argc > 1)
		execl(argv[0], argv[0], (char *)0);
	return kept[0] == 0;
}
END
gcc -g -O0 -o "$T/exec" "$T/exec.c" 2>"$T/err"
in_gdb -x "$script" -ex 'break execl' -ex "run more" -ex "$(json_of summary before)" -ex 'delete' \
	-ex 'tbreak main' -ex continue -ex 'break exec.c:10' -ex continue -ex "$(json_of summary after)" \
	-ex 'kill' "$T/exec"
check "exec: before" jq -e '.totals.in_use_bytes > 4000000' "$T/before.json" >/dev/null
check "exec: after it the heap is the new program's" \
	jq -e '.totals.in_use_bytes | . > 40000 and . < 400000' "$T/after.json" >/dev/null

# ---- killed in the middle of a walk
victim heap mix 1000000
(until_true [ -s "$T/begun" ]; sleep 0.05; kill -9 "$PID") &
in_gdb -p "$PID" -x "$script" -ex "shell echo 1 >$T/begun" -ex 'heap leaks' -ex 'heap summary' -ex 'echo still here\n'
check "killed meanwhile: GDB goes on" says '^still here'

# ---- a terminal
victim heap mix 1000000
TERM=xterm timeout -k 5 200 expect -f "$(dirname "$0")/gdb_ways.exp" "$GDB" "$script" "$PID" "$T/verdicts" \
	>"$T/out" 2>"$T/err" </dev/null
check "terminal: the dialogue ended" [ $? = 0 ]
while read -r verdict what; do
	check "terminal: $what" [ "$verdict" = PASS ]
done <"$T/verdicts"
check "terminal: something was looked at" [ -s "$T/verdicts" ]
finish
