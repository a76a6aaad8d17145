#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# check.sh: `check` as a monitoring system sees it: one line, figures, exit codes; and UNKNOWN, on
# stdout, for everything that keeps it from looking.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/live/lib_grower.sh
. "$(dirname "$0")/lib_grower.sh"
need jq sqlite3

figure='[a-z_]+=-?[0-9.]+(B|s|%|c)?(;[0-9.]*){0,4}'
# said CODE WORD ARG...: exit code, one line on stdout of that status, well-formed figures
said()
{
	local code=$1 word=$2
	shift 2
	mi check "$@"
	check "check $*: exit $code" [ "$RC" = "$code" ]
	check "check $*: one line" [ "$(wc -l <"$T/out")" = 1 ]
	check "check $*: $word" grep -q "^MEMORY $word - " "$T/out"
	[ "$code" = 3 ] || check "check $*: figures" grep -qE "^[^|]*\\|( $figure)+\$" "$T/out"
	check "check $*: nothing on stderr" [ -z "$ERR" ]
}
value() { grep -oE " $1=-?[0-9.]+" "$T/out" | cut -d= -f2; }

grower insp-check
ask 'grow 10000 1000'
rss=$(($(ps -o rss= -p "$PID") * 1024))
said 0 OK "$PID"
said 0 OK insp-check
said 1 WARNING --of $((rss * 5 / 4)) "$PID"
said 2 CRITICAL --of $((rss * 21 / 20)) "$PID"
said 1 WARNING --warn $((rss / 2)) --crit $((rss * 2)) "$PID"
said 2 CRITICAL --warn 1% --crit $((rss / 2)) "$PID"
mi check --of 1G "$PID"
check 'it is RSS' near "$(value rss)" "$rss" 300000
check 'thresholds stand behind the figure' grep -q "used=[0-9]*B;751619276;966367641;0;1073741824 " "$T/out"

said 3 UNKNOWN --nonsense "$PID"
said 3 UNKNOWN --warn 0% "$PID"
said 3 UNKNOWN --growth fast "$PID"
said 3 UNKNOWN --growth 10%/fortnight "$PID"
said 3 UNKNOWN no-such-process
said 3 UNKNOWN 2147483646
said 3 UNKNOWN
said 3 UNKNOWN --state /nowhere/state.db --growth 10%/h "$PID"
mi check --growth '5|x' "$PID"
check 'no | but before figures' [ "$(tr -dc '|' <"$T/out")" = '' ]
mi check --of 1 --format json "$PID"
check 'JSON' json '.status == "critical" and .exit_code == 2 and .used > 0 and (.line | test("^MEMORY CRITICAL"))'
check 'JSON: the same exit code' [ "$RC" = 2 ]

# ---- growth

said 0 OK --state "$T/state.db" --growth 10%/h "$PID"
check 'one sample is no history' grep -q 'growth not known yet (1 sample over' "$T/out"
# as if somebody had looked half an hour ago
past() { sqlite3 "$T/state.db" "INSERT INTO sample(run, at_ns, rss) SELECT run, at_ns - 1800000000000, $1 FROM sample LIMIT 1"; }
past "rss"
said 0 OK --state "$T/state.db" --growth 10%/h "$PID"
check 'no growth' grep -qE 'growth [+-][0-9.]+ (B|KiB|MiB)/h, [+-][0-9.]+ %/h \(3 samples over 30 min' "$T/out"
sqlite3 "$T/state.db" "UPDATE sample SET rss = rss / 2 WHERE rowid = (SELECT rowid FROM sample ORDER BY at_ns LIMIT 1)"
said 1 WARNING --state "$T/state.db" --growth 10%/h "$PID"
check 'as much as it was' near "$(value growth_per_hour)" "$rss" $((rss / 3))
said 0 OK --state "$T/state.db" --growth 500%/h "$PID"
said 1 WARNING --state "$T/state.db" --growth 1M/h "$PID"
said 0 OK --state "$T/state.db" --growth 1M/h --over 10min "$PID"
"$MEMINSPECT" watch --interval 50ms --record "$T/state.db" "$PID" >"$T/lines" 2>&1 </dev/null &
pids="$pids $!"
WATCH=$!
until_true grep -q rss "$T/lines"
said 1 WARNING --state "$T/state.db" --growth 10%/h "$PID"
kill "$WATCH"
wait "$WATCH"
check 'history of one process: one run' [ "$(sqlite3 "$T/state.db" 'SELECT count(*) FROM run')" = 1 ]

"$MEMINSPECT" check --growth 1M/h --apart 2s "$PID" >"$T/out" 2>&1 </dev/null &
LOOK=$!
pids="$pids $LOOK"
while kill -0 "$LOOK" 2>/dev/null; do ask 'grow 20 1000'; done
wait "$LOOK"
RC=$?
check 'two looks: it grows' [ "$RC" = 1 ]
check 'two looks: it says so' grep -q '(2 samples over 2' "$T/out"

# ---- leaks

said 0 OK --leaked 100k "$PID"
ask 'lose 1000 1000'
said 1 WARNING --leaked 100k "$PID"
check 'what was lost is found' near "$(value leaked)" 1008000 20000
check 'the pause is told' grep -qE ' pause=0\.[0-9]+s' "$T/out"
finish
