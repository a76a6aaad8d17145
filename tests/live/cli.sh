#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# cli.sh: what the command line promises: exit codes, one line for a refusal, stdout for results.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq setpriv

lines() { [ "$(grep -c . "$T/$1")" = "$2" ]; }
says() { grep -qE -- "$2" "$T/$1"; }
# refused WHAT CODE PATTERN ARG...: that exit code, one line that matches, nothing on stdout
refused()
{
	local what=$1 code=$2 pattern=$3
	shift 3
	mi "$@"
	check "$what: exit $code" [ "$RC" = "$code" ]
	check "$what: says why" says err "$pattern"
	check "$what: in one line" lines err 1
	check "$what: no result" [ -z "$OUT" ]
}

victim mix
vpid=$PID
mi heap summary "$vpid"
check 'a result: exit 0' [ "$RC" = 0 ]
check 'a result: one line on stderr' lines err 1
check 'a result: it is the pause' says err 'stopped for [0-9.]+ [mun]?s'
mi -q heap summary "$vpid"
check 'quiet: nothing on stderr' [ -z "$ERR" ]
mi he su "$vpid"
check 'short words' [ "$RC" = 0 ]
mi attach "$vpid" -x 'heap summary' -x 'threads' -x 'maps'
check 'several commands' [ "$RC" = 0 ]
check 'several commands: one pause' [ "$(grep -c 'stopped for' "$T/err")" = 1 ]
check 'no colours into a file' [ -z "$(tr -dc '\033' <"$T/out")" ]
mi heap summary --color always "$vpid"
check 'colours when asked' [ -n "$(tr -dc '\033' <"$T/out")" ]
mi heap summary --format json "$vpid"
check 'JSON says who and how' json ".target.pid == $vpid and .capture.stopped_ns > 0 and .format == 1"

refused 'no such command' 2 "nonsense" nonsense "$vpid"
refused 'no such option' 2 "no-such-option" heap summary --no-such-option "$vpid"
refused 'a bad value' 2 "'12q'" heap chunks --min 12q "$vpid"
refused 'no target' 2 'process' heap summary
refused 'no such name' 2 'no-such-process' heap summary no-such-process
gone=$(sh -c 'echo $$')
refused 'gone' 4 "$gone" heap summary "$gone"

exec {zombie_fd}< <(exec sh -c 'sleep 0.1 & echo $!; exec sleep 600')
pids="$pids $!"
IFS= read -r zombie <&"$zombie_fd"
until_true grep -q '^State:.*Z' "/proc/$zombie/status"
refused 'zombie' 4 'zombie|ended' heap summary "$zombie"

if [ "$(cat /proc/2/comm 2>/dev/null)" = kthreadd ]; then
	refused 'kernel thread' 4 'kernel thread' heap summary 2
else
	skip 'kernel thread' 'no kernel threads are seen from here'
fi

if command -v strace >/dev/null && [ "$(id -u)" = 0 ]; then
	spawn strace -o /dev/null -p "$vpid" 2>/dev/null
	tracer=$PID
	until_true grep -qE "^TracerPid:[[:space:]]*$tracer\$" "/proc/$vpid/status"
	refused 'traced already' 4 'strace' heap summary "$vpid"
	kill "$tracer"
	wait "$tracer"
else
	skip 'traced already' 'needs strace and root'
fi

if [ "$(id -u)" = 0 ]; then
	chmod 755 "$T"
	cp "$MEMINSPECT" "$T/meminspect"
	saved=$MEMINSPECT
	MEMINSPECT=$T/as-nobody
	printf '#!/bin/sh\nHOME=/ exec setpriv --reuid=65534 --regid=65534 --clear-groups %s "$@"\n' "$T/meminspect" >"$MEMINSPECT"
	chmod 755 "$MEMINSPECT" "$T/meminspect"
	refused 'another user' 4 'user|permi' heap summary "$vpid"
	MEMINSPECT=$saved
else
	skip 'another user' 'needs root'
fi

PID=$vpid
check 'the victim works on' alive

# By a name that no other process of this machine has.
name=mix-$$
cp "$VICTIMS/mix" "$T/$name"
VICTIMS=$T victim "$name"
first=$PID
VICTIMS=$T victim "$name"
mi heap summary "$name"
check 'two of a name: exit 2' [ "$RC" = 2 ]
check 'two of a name: both are listed' says err "$first"
check 'two of a name: both are listed' says err "$PID"
kill -9 "$PID"
until_true [ ! -e "/proc/$PID/exe" ]
until_true [ "$(pgrep -x "$name" | wc -l)" = 1 ]
mi heap summary --format json "$name"
check 'a name' json ".target.pid == $first"

for how in fork precopy; do
	refused "--capture $how wants permission" 2 'permit it with --allow-inject' heap summary --capture $how "$first"
done
mi heap summary --capture live --format json "$first"
check '--capture live wants none' json '.capture.mode == "live" and (.capture.consistent | not)'

mi heap summary -o "$T/file" "$first"
check 'output to a file' [ "$RC" = 0 -a -z "$OUT" -a -s "$T/file" ]
mi heap summary -o "$T/no/such/folder" "$first"
check 'output nowhere' [ "$RC" = 1 ]
for bad in "heap summary -o $T/no/file" "save $T/no/file" "save -o $T/no/file" "core -o $T/no/file" "diff $T/none.mi"; do
	# shellcheck disable=SC2086 # words are wanted
	mi $bad "$first"
	check "$bad: refused" [ "$RC" = 1 ]
	check "$bad: names the file" says err "$T/no"
	check "$bad: the process is not stopped for it" [ "$(grep -c 'stopped for' "$T/err")" = 0 ]
done
"$MEMINSPECT" maps "$first" >/dev/full 2>"$T/err"
check 'a full disk is an error' [ $? = 1 ]
"$MEMINSPECT" heap chunks --limit 0 "$first" 2>"$T/err" | head -n 1 >/dev/null
rc=${PIPESTATUS[0]}
check 'a closed pipe is no drama' [ "$rc" = 0 -o "$rc" = 1 -o "$rc" = 141 ]
check 'a closed pipe: no crash' [ "$(grep -cE 'Sanitizer|core dumped' "$T/err")" = 0 ]
finish
