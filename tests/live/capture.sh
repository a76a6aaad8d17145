#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# capture.sh: the ways to take a picture, through the tool: they agree, they are refused with a
# reason, they keep --max-pause, and the target runs on whatever becomes of the tool.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

says() { grep -qE -e "$1" <<<"$ERR"; }
ok() { [ "$RC" = 0 ]; }
figures() { jq -cS 'del(.capture, .target, .notes)' "$T/out"; }
captured_by() { json ".capture.mode == \"$1\""; }

# The pause of a loaded machine may be long: what is tested here is not how long.
long=(--max-pause 30s --allow-inject)

"$MEMINSPECT" doctor --format json >"$T/doctor"
precopy=$(jq -r '[.machine[] | select(.key | test("precopy|copy_before")) | .verdict][0] // "no"' "$T/doctor")

# ---- the same figures

victim odd plain
mi "${long[@]}" --capture stop --format json heap summary "$PID"
check 'stop' ok
check 'stop is told' captured_by stop
figures >"$T/stop"
for mode in auto precopy fork live; do
	[ $mode != precopy ] || [ "$precopy" = yes ] || { skip "$mode: same figures" 'this kernel cannot'; continue; }
	mi "${long[@]}" --capture $mode --format json heap summary "$PID"
	check "$mode" ok
	figures >"$T/$mode"
	check "$mode: figures of stop" cmp "$T/stop" "$T/$mode"
	[ $mode = auto ] || check "$mode is told" captured_by $mode
	case $mode in
	live) check 'live: told as approximate' json '.capture.consistent == false and .capture.stopped_ns == 0' ;;
	*) check "$mode: one instant" json '.capture.consistent and .capture.stopped_ns > 0' ;;
	esac
done
check 'the target works on' alive # not in between: it changes the heap

# ---- the promise

mi --max-pause 1us --capture stop heap summary "$PID"
check 'over the limit: refused' [ "$RC" != 0 ]
check 'refused: the estimate and the flags that would allow it' \
	says 'would stop the target for about .*--max-pause is 1\.00 us.*--max-pause [0-9]+ms.*--allow-inject.*--capture live'
check 'refused: one line' [ "$(wc -l <"$T/err")" = 1 ]
[ "$precopy" = yes ] && {
	# More than one stop takes, less than reading the heap would.
	mi --allow-inject --max-pause 6ms --format json heap summary "$PID"
	if [ "$RC" = 0 ]; then
		check 'auto with --allow-inject: a copy where a stop is too long' \
			json '.capture.mode == "precopy" or .capture.mode == "fork" or .capture.estimated_stop_ns < 6000000'
	else
		check 'or it says that it came too late' says 'was let go|ran out|--max-pause'
	fi
}
check 'after a refusal the target works on' alive

# A target of 3000 threads: its stop is estimated shorter than it takes.
victim odd plain 99999
cut=0
for limit in 9ms 12ms 16ms 24ms 32ms 48ms 64ms; do
	mi --max-pause $limit --format json heap chunks "$PID"
	if [ "$RC" = 0 ] && json '.capture.incomplete != null'; then
		cut=1
		check "cut at $limit: told" says 'incomplete: the pause reached --max-pause and was cut'
		check "cut at $limit: not called consistent" json '.capture.consistent == false'
	fi
done
[ $cut = 1 ] || skip 'a pause that runs over' 'none did: the estimates held'
check 'after cuts the target works on' alive

# ---- two at once

victim odd plain
mkfifo "$T/hold"
"$MEMINSPECT" attach --hold "$PID" <"$T/hold" >"$T/first.out" 2>"$T/first.err" &
first=$!
pids="$pids $first"
exec {HOLD}>"$T/hold"
echo threads >&$HOLD
if until_true awk '/^TracerPid:/ {exit $2 == 0}' "/proc/$PID/status"; then
	mi "${long[@]}" heap summary "$PID"
	check 'two at once: the second is refused' [ "$RC" = 4 ]
	check 'two at once: one clear line' says 'traced'
	check 'two at once: one line' [ "$(wc -l <"$T/err")" = 1 ]
else
	skip 'two at once' 'the first one does not hold its target'
fi
echo quit >&$HOLD
exec {HOLD}>&-
wait $first
check 'two at once: the target works on' alive

# ---- killed at any moment

untraced() { awk '/^TracerPid:/ {exit $2 != 0}' "/proc/$PID/status"; }
unwatched() { ! grep -q '^VmFlags:.* uw' "/proc/$PID/smaps"; }
# Living ones: a twin dies with the tool, and may stay as a zombie that nothing waits for.
no_twin()
{
	local child
	for child in $(cat /proc/"$PID"/task/*/children); do
		# exit_signal, field 38; state, field 3
		awk '{sub(/.*\) /, ""); exit $36 == 0 && $1 != "Z"}' "/proc/$child/stat" 2>/dev/null || return 1
	done
}

ROUNDS=${CAPTURE_KILLS:-15}
for mode in ${CAPTURE_MODES:-stop precopy fork live}; do
	[ $mode != precopy ] || [ "$precopy" = yes ] || { skip "$mode: killed" 'this kernel cannot'; continue; }
	victim odd busy 20000
	for ((i = 0; i < 5; i++)); do
		whole=$(date +%s%N)
		mi "${long[@]}" --capture $mode heap summary "$PID"
		whole=$((($(date +%s%N) - whole) / 1000))
		check "$mode: of a busy process" ok
	done
	check "$mode: nothing went wrong in it" alive
	victim odd busy 20000
	killed=0
	for ((i = 0; i < ROUNDS; i++)); do
		"$MEMINSPECT" "${long[@]}" --capture $mode heap summary "$PID" >/dev/null 2>&1 &
		tool=$!
		sleep "$(awk -v us=$((RANDOM * whole / 32768)) 'BEGIN {printf "%.6f", us / 1e6}')"
		kill -9 $tool 2>/dev/null
		wait $tool 2>/dev/null
		[ $? = 137 ] && killed=$((killed + 1))
		until_true untraced || break
	done
	check "$mode: was killed in the middle of it ($killed of $ROUNDS)" [ $killed -gt $((ROUNDS / 5)) ]
	check "$mode: killed: not traced" until_true untraced
	check "$mode: killed: memory is not watched" until_true unwatched
	check "$mode: killed: no copy of it lives on" until_true no_twin
	check "$mode: killed: the target works on" alive
	mi "${long[@]}" --capture $mode heap summary "$PID"
	check "$mode: killed: and can be inspected" ok
done

finish
