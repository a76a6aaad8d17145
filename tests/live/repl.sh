#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# repl.sh: the prompt, typed at through a terminal (repl.exp) and fed from a pipe.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need expect jq python3

says() { grep -qE -- "$2" "$T/$1"; }
runs() { grep -qE '^State:[[:space:]]*[SR]' "/proc/$PID/status"; }
# judged SCENE COMMAND...: each line PASS or FAIL that it leaves in $T/verdicts is a check
judged()
{
	local scene=$1 verdict what
	shift
	rm -f "$T/verdicts"
	timeout -k 2 120 "$@" >"$T/out" 2>"$T/err" </dev/null
	check "$scene: the dialogue ended" [ $? = 0 ]
	while read -r verdict what; do
		check "$scene: $what" [ "$verdict" = PASS ]
	done <"$T/verdicts"
	check "$scene: something was looked at" [ -s "$T/verdicts" ]
}
# typed SCENE: of repl.exp
typed()
{
	TERM=xterm judged "$1" expect -f "$(dirname "$0")/repl.exp" "$1" "$MEMINSPECT" "$PID" "$T/verdicts" "$T/fifo"
}

export XDG_STATE_HOME=$T/state
mkfifo "$T/fifo"
victim mix

typed dialogue
check 'dialogue: the victim works on' alive
check 'history: kept in its file' grep -qx 'heap summary' "$XDG_STATE_HOME/meminspect/history"
check 'history: a line with a leading space is not' \
	[ "$(grep -c 'secret' "$XDG_STATE_HOME/meminspect/history")" = 0 ]
check 'history: for nobody else to read' \
	[ "$(stat -c %a "$XDG_STATE_HOME/meminspect/history")" = 600 ]
typed history
judged keys python3 "$(dirname "$0")/repl_keys.py" "$MEMINSPECT" "$PID" "$T/verdicts"
check 'keys: to the end' grep -q 'PASS the end' "$T/verdicts"
seq -f 'heap sizes --limit %g' 2500 >"$XDG_STATE_HOME/meminspect/history"
"$MEMINSPECT" attach "$PID" -x maps </dev/null >/dev/null 2>&1
check 'history: long, and no prompt: left alone' [ "$(wc -l <"$XDG_STATE_HOME/meminspect/history")" = 2500 ]
typed shortened
check 'history: shortened to its end' [ "$(sed -n '1s/.*limit //p' "$XDG_STATE_HOME/meminspect/history")" = 1501 ]
check 'history: still for nobody else' [ "$(stat -c %a "$XDG_STATE_HOME/meminspect/history")" = 600 ]
check 'history: nothing else is left' [ "$(ls -A "$XDG_STATE_HOME/meminspect")" = history ]
typed paged
typed held
until_true runs
check 'held: let go in the end' alive
typed terminated
until_true runs
check 'terminated: let go by the signal' alive

printf 'maps --format json\nset format json\nheap summary\n' >"$T/script"
"$MEMINSPECT" attach "$PID" <"$T/script" >"$T/out" 2>"$T/err"
check 'script: exit 0' [ $? = 0 ]
check 'script: no prompt' [ "$(grep -c 'meminspect(' "$T/out" "$T/err" | grep -vc ':0$')" = 0 ]
check 'script: JSON lines, one a command' [ "$(jq -r .command "$T/out" | tr '\n' ' ')" = 'maps heap summary ' ]
check 'script: one pause' [ "$(grep -c 'stopped for' "$T/err")" = 1 ]
printf 'maps\nnonsense\nmaps > %s/redirected\nmaps | wc -l > %s/counted\n' "$T" "$T" >"$T/script"
"$MEMINSPECT" attach "$PID" <"$T/script" >"$T/out" 2>"$T/err"
check 'script: the exit code of the first failure' [ $? = 2 ]
check 'script: goes on behind it' [ -s "$T/redirected" ]
check 'script: pipes' [ "$(cat "$T/counted")" = "$(wc -l <"$T/redirected")" ]
check 'script: the victim works on' alive

typed outlived
finish
