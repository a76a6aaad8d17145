#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# interrupt.sh: Ctrl-C ends an analysis of a large heap, in whatever phase it is: one line, exit 1;
# at the prompt, the prompt is back. The process runs on, and nobody holds it.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need expect

victim heap mix 700000
block=$(printf '0x%x' "$(truth 'sample[0][0]')")
untraced() { grep -qE '^TracerPid:[[:space:]]*0$' "/proc/$PID/status" && grep -qE '^State:[[:space:]]*[RS]' "/proc/$PID/status"; }
ms() { echo $(($(date +%s%N) / 1000000)); }

# broken_off COMMAND...: at eight moments that spread over the time that it takes
broken_off()
{
	local begun took i rc bad='' hit=0
	begun=$(ms)
	"$MEMINSPECT" "$@" "$PID" >"$T/out" 2>"$T/err"
	rc=$?
	took=$(($(ms) - begun))
	check "$*: it ends by itself" [ "$rc" = 0 ]
	for ((i = 0; i < 8; i++)); do
		"$MEMINSPECT" "$@" "$PID" >"$T/out" 2>"$T/err" &
		local tool=$!
		pids="$pids $tool"
		sleep "$(printf '%d.%03d' $((took * i / 8 / 1000)) $((took * i / 8 % 1000)))" # the moment is the test
		kill -INT "$tool" 2>/dev/null
		wait "$tool"
		rc=$?
		case $rc in
		0) [ -s "$T/out" ] || bad="$bad nothing-said" ;; # it was done before
		130) hit=$((hit + 1)) ;; # so early that it had no handler
		1)
			hit=$((hit + 1))
			[ "$(tail -n 1 "$T/err")" = 'meminspect: interrupted' ] || bad="$bad $(tail -n 1 "$T/err")"
			;;
		*) bad="$bad exit-$rc" ;;
		esac
		untraced || bad="$bad held"
	done
	check "$*: each time it ends with one line" [ -z "$bad" ]
	check "$*: it was broken off" [ "$hit" -ge 3 ]
}

broken_off leaks
broken_off dominators
broken_off heap top --by retained
broken_off types
broken_off suspects
broken_off rss
broken_off path --all "$block"
broken_off refs "$block"
broken_off find --string no-such-text
check 'the process works on' alive

cat >"$T/typed.exp" <<'END'
lassign $argv meminspect pid
set timeout 60
set env(MEMINSPECT_PAGER) ""
set prompt "meminspect\\(heap:$pid\\)> "
set done 0
set hit 0
spawn $meminspect attach $pid
expect -re $prompt {} default { exit 1 }
foreach command {leaks dominators types suspects "heap top --by retained" "heap sizes"} {
	foreach moment {5 40 150 300} {
		send "$command\r"
		expect -re "\n" {} default { exit 2 }
		after $moment
		send "\003"
		expect {
			-re "interrupted" { incr hit; exp_continue }
			-re $prompt {}
			default { exit 3 }
		}
		# One that came when the command was done has cleared a line: then there is a second prompt.
		send "help quit\r"
		expect -re "Ctrl-D" {} default { exit 4 }
		expect -re $prompt {} default { exit 5 }
		incr done
	}
}
send "heap summary\r"
expect -re "glibc malloc" {} default { exit 6 }
expect -re $prompt {} default { exit 7 }
send "\004"
expect eof
puts "done $done hit $hit"
exit [expr {$hit < 3 ? 8 : 0}]
END
TERM=xterm timeout -k 2 150 expect -f "$T/typed.exp" "$MEMINSPECT" "$PID" >"$T/out" 2>"$T/err" </dev/null
RC=$?
OUT=$(tail -n 5 "$T/out")
check 'at the prompt: it comes back, and the next command works' [ "$RC" = 0 ]
check 'at the prompt: nobody holds the process' untraced
check 'at the prompt: the process works on' alive
finish
