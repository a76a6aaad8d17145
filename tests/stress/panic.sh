#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# panic.sh: `watch --on panic` at a process that only grows and gives nothing back. It takes three walks that are
# a minute apart, so two minutes of real time. Another one that grows and shrinks beside it is no panic.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/../live/lib.sh"
# shellcheck source=tests/live/lib_grower.sh
. "$(dirname "$0")/../live/lib_grower.sh"
need sqlite3 jq

# watched NAME: at 40 MB of a limit of 50, a walk each second; output $T/NAME.rows, $T/NAME.err
watched()
{
	"$MEMINSPECT" watch --interval 1s --walk-every 1s --pause-budget 100% --csv --of 50000000 \
		--on panic "save $T/on/%n-%l.mi" --record "$T/$1.db" "$PID" >"$T/$1.rows" 2>"$T/$1.err" </dev/null &
	pids="$pids $!"
}
events() { sqlite3 "$T/$1.db" "SELECT count(*) FROM event WHERE kind = '$2'"; }
walks() { sqlite3 "$T/$1.db" 'SELECT count(*) FROM walk'; }
walked() { [ "$(walks "$1" 2>/dev/null || echo 0)" -ge "$2" ]; }

# how often the one that falls was seen when it had fallen
fallen() { sqlite3 "$T/insp-falls.db" 'SELECT count(*) FROM sample WHERE rss < 20000000'; }
fallen_again() { [ "$(fallen)" -gt "$1" ]; }
falls()
{
	echo "$1" >&"$FALLS_CMD"
	IFS= read -r -t 60 _ <&"$FALLS_FD"
}

mkdir "$T/on"
grower insp-falls
ask 'grow 38000 1000'
FALLS=$PID FALLS_CMD=$CMD FALLS_FD=$VICTIM_FD
watched insp-falls
grower insp-grows
ask 'grow 38000 1000'
watched insp-grows
WATCH=${pids##* } begun=$SECONDS
until_true walked insp-grows 2
until_true walked insp-falls 2

# The one grows by a little after each walk. The other loses what it has, and takes it again.
for ((i = 0; i < 300; i++)); do
	[ ! -s "$T/on/insp-grows-panic.mi" ] || break
	kill -0 "$WATCH" || break
	ask 'grow 10 1000'
	if ((i % 20 == 10)); then
		n=$(fallen)
		falls free
		falls trim
		until_true fallen_again "$n"
		falls 'grow 38000 1000'
	fi
	n=$(walks insp-grows)
	until_true walked insp-grows $((n + 1))
done
check 'it only grows: captured' [ -s "$T/on/insp-grows-panic.mi" ]
check 'it is said' grep -qE 'PANIC \(was [A-Z]+\): .* used' "$T/insp-grows.err"
check 'not before two minutes' [ $((SECONDS - begun)) -ge 119 ]
check 'it is in the recording' [ "$(events insp-grows capture)" = 1 ]
mi heap summary --format json "$T/on/insp-grows-panic.mi"
check 'the capture is a snapshot of it' json ".target.pid == $PID"

check "the process runs on" ask "grow 1 10"
check 'the other was walked, too' walked insp-falls 40
check 'it falls: no panic' [ ! -e "$T/on/insp-falls-panic.mi" ]
check 'the other runs on' kill -0 "$FALLS"
finish
