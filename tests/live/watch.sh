#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# watch.sh: `watch` says what ps and smaps say, follows a process that grows and one that comes back,
# keeps what it saw whatever happens, and acts when it gets bad.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/live/lib_grower.sh
. "$(dirname "$0")/lib_grower.sh"
need jq sqlite3 ps setpriv

# watched ARG...: in the background: WATCH, output in $T/rows, stderr in $T/werr
watched()
{
	: >"$T/rows" # what an earlier one said
	: >"$T/werr"
	"$MEMINSPECT" watch --interval 50ms "$@" >"$T/rows" 2>"$T/werr" </dev/null &
	WATCH=$!
	pids="$pids $WATCH"
}

ended() { wait "$WATCH"; RC=$?; }
stop() { kill -TERM "$WATCH"; ended; }
# column NAME: of the last row
column()
{
	awk -F, -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i }
		NR > 1 { v = $at } END { print v }' "$T/rows"
}
row_with() { awk -F, "$1"' { found = 1 } END { exit !found }' "$T/rows"; }
at_least() { local v; v=$(column "$1"); [ -n "$v" ] && [ "$v" -ge "$2" ]; }
rows() { [ "$(grep -c . "$T/rows")" -ge "$1" ]; }
more_rows() { local n; n=$(grep -c . "$T/rows"); until_true rows $((n + $1)); }

# ---- the gauges, against those who know

grower insp-grow
ask 'grow 20000 1000'
mi watch --duration 1s --interval 50ms --csv --walk-every 1ms --pause-budget 100% "$PID"
cp "$T/out" "$T/rows"
check 'one look: exit 0' [ "$RC" = 0 ]
check 'RSS as ps has it' near "$(column rss)" $(($(ps -o rss= -p "$PID") * 1024)) 262144
check 'PSS as smaps_rollup has it' near "$(column pss)" \
	$(($(awk '/^Pss:/ { print $2 }' "/proc/$PID/smaps_rollup") * 1024)) 262144
check 'faults as ps has them' near "$(column minor_faults)" "$(ps -o min_flt= -p "$PID")" 0
check 'faults from disk as ps has them' near "$(column major_faults)" "$(ps -o maj_flt= -p "$PID")" 0
check 'threads as ps has them' [ "$(column threads)" = "$(ps -o nlwp= -p "$PID" | tr -d ' ')" ]
check 'address space as ps has it' [ "$(column vsize)" = $(($(ps -o vsz= -p "$PID") * 1024)) ]
check 'peak as status has it' [ "$(column hwm)" = $(($(awk '/^VmHWM:/ { print $2 }' "/proc/$PID/status") * 1024)) ]
# shellcheck disable=SC2012 # numbers
check 'descriptors as /proc has them' [ "$(column open_fds)" = "$(ls "/proc/$PID/fd" | wc -l)" ]
check 'limit: not more than the machine has' \
	[ "$(column limit)" -le $(($(awk '/^MemTotal:/ { print $2 }' /proc/meminfo) * 1024)) ]
in_use=$(($(truth mallinfo.uordblks) + $(truth mallinfo.hblkhd)))
check 'in use as mallinfo2 has it' near "$(column in_use)" "$in_use" 8192
check 'free as mallinfo2 has it' near "$(column free)" "$(truth mallinfo.fordblks)" 8192
check 'it was stopped for that' [ "$(column stopped_ns)" -gt 0 ]

if setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
	setpriv --reuid 65534 --clear-groups "$MEMINSPECT" watch --duration 1ms --walk-every 1ms \
		--pause-budget 100% --csv "$PID" >"$T/rows" 2>"$T/err" </dev/null
	check "another user's process: RSS is public" [ "$(column rss)" -gt 20000000 ]
	check "another user's process: what is not is unknown" [ -z "$(column pss)$(column in_use)" ]
	check "another user's process: why there is no walk" grep -q 'no walk: .*belongs to user root' "$T/err"
else
	skip "another user's process" 'setpriv cannot change the user here'
fi

# a limit of address space is one
(ulimit -v 4000000 && exec "$VICTIMS/grow" insp-limited <>"$T/commands" >"$T/limited") &
limited=$!
pids="$pids $limited"
until_true grep -q ready "$T/limited"
mi watch --duration 1ms --csv "$limited"
cp "$T/out" "$T/rows"
check 'RLIMIT_AS is a limit' [ "$(column limit)-$(column limit_kind)" = 4096000000-address_space ]
check 'the address space counts against it' [ "$(column used)" = "$(column vsize)" ]
kill "$limited"

# ---- growth, and no pauses beyond the budget

watched --csv --walk-every 50ms --pause-budget 100% --record "$T/grow.db" "$PID"
until_true rows 3
before=$(column rss)
ask 'grow 20000 1000'
check 'it sees RSS grow' until_true at_least rss $((before + 19000000))
check 'it sees the heap grow' until_true at_least in_use $((in_use + 20000000))
check 'it says how fast' until_true at_least rss_per_minute 1000000
stop
check 'SIGTERM: ends in order' [ "$RC" = 0 ]
check 'a recording closed in order is one file' [ ! -e "$T/grow.db-wal" ]
check 'all rows are in it' \
	[ "$(sqlite3 "$T/grow.db" 'SELECT count(*) FROM sample')" -ge $(($(grep -c . "$T/rows") - 1)) ]
check 'walks are in it' [ "$(sqlite3 "$T/grow.db" 'SELECT count(DISTINCT in_use) FROM walk')" -ge 2 ]

mi watch --duration 300ms --interval 50ms --walk-every 50ms --pause-budget 0.0001% --csv "$PID"
cp "$T/out" "$T/rows"
check 'no budget, no walk' [ -z "$(column in_use)" ]
stopped=$(awk -F, 'NR > 1 { print $NF }' "$T/rows" | sort -u | tr -d '\n')
check 'no budget, no pause' [ -z "$stopped" ]
mi watch --duration 1ms --format json "$PID"
check 'JSON says the same' json ".watch[0].pid == $PID and .watch[0].rss > 0 and .watch[0].in_use == null"

# ---- it comes back

exec {CMD}>&-
watched --csv --record "$T/again.db" insp-grow
until_true row_with "\$3 == $PID"
first=$PID
kill -9 "$PID"
check 'it says that it is gone' until_true grep -q "no process is called 'insp-grow': waiting" "$T/werr"
grower insp-grow
check 'it follows the name' until_true row_with "\$3 == $PID"
check 'it says so' until_true grep -q "started anew: process $PID" "$T/werr"
more_rows 2
kill -9 "$WATCH"
ended
check 'killed: the recording is whole' [ "$(sqlite3 "$T/again.db" 'PRAGMA integrity_check')" = ok ]
shown=$(awk -F, 'NR > 1 && $3 != "" && NF > 5' "$T/rows" | grep -c .)
check 'killed: nothing that was shown is lost' \
	[ "$(sqlite3 "$T/again.db" 'SELECT count(*) FROM sample')" -ge "$shown" ]
check 'a restart is a new run' \
	[ "$(sqlite3 "$T/again.db" 'SELECT group_concat(pid) FROM run')" = "$first,$PID" ]
check 'and an event' [ "$(sqlite3 "$T/again.db" "SELECT count(*) FROM event WHERE kind = 'restart'")" = 1 ]
watched --csv --record "$T/again.db" insp-grow
until_true rows 3
stop
check 'goes on in the same file, in the same run' \
	[ "$(sqlite3 "$T/again.db" 'SELECT count(*) FROM run')" = 2 ]

watched "$PID"
until_true rows 1
kill -9 "$PID"
ended
check 'a PID that ended: exit 4' [ "$RC" = 4 ]
check 'a PID that ended: says so' grep -q "process $PID has ended" "$T/werr"
exec {CMD}>&-

# ---- when it gets bad

grower insp-bad
ask 'grow 1000 1000'
mkdir "$T/on"
rss=$(($(ps -o rss= -p "$PID") * 1024))
watched --csv --of 1G --warn $((rss + 8000000)) --crit $((rss + 24000000)) --on-limit 1,100M \
	--on warn "save $T/on/%n-%l-%p.mi" --on crit "save $T/on/%n-%l-%p.mi" --record "$T/on.db" "$PID"
until_true rows 3
ask 'grow 16000 1000'
check 'warn: a capture' until_true [ -s "$T/on/insp-bad-warn-$PID.mi" ]
check 'it says so' until_true grep -q "captured: save $T/on/insp-bad-warn-$PID.mi" "$T/werr"
ask 'grow 16000 1000'
check 'crit: the limit holds' until_true grep -q 'not captured: .*--on-limit' "$T/werr"
check 'levels are said' grep -qE 'WARNING \(was OK\): .* used' "$T/werr"
ask free
ask trim
check 'and when it is over' until_true grep -q 'OK (was ' "$T/werr"
stop
check 'no second capture' [ "$(find "$T/on" -name '*.mi' | wc -l)" = 1 ]
mi heap summary "$T/on/insp-bad-warn-$PID.mi"
check 'the capture is a snapshot' [ "$RC" = 0 ]
check 'levels are in the recording' \
	[ "$(sqlite3 "$T/on.db" "SELECT count(*) FROM event WHERE kind = 'level'")" -ge 3 ]
check 'so are captures' [ "$(sqlite3 "$T/on.db" "SELECT count(*) FROM event WHERE kind = 'capture'")" = 2 ]

# refused CODE PATTERN ARG...
refused()
{
	local code=$1 pattern=$2
	shift 2
	mi watch "$@"
	check "refused: $*" [ "$RC" = "$code" ]
	check "refused: $*: why" grep -qE -- "$pattern" "$T/err"
}
refused 2 'no level' --on maybe 'save x.mi' "$PID"
refused 2 "no command 'sve'" --on warn 'sve x.mi' "$PID"
refused 2 'after %' --on warn 'save %x.mi' "$PID"
refused 2 'two words' "$PID" --on warn
refused 2 'on-limit' --on-limit many "$PID"
refused 2 'share of the limit' --warn 0% "$PID"
refused 2 'TARGET is missing'
refused 4 'no process' 2147483646
refused 2 'at least 50ms' --interval 1ms "$PID"
refused 1 'record' --record /nowhere/x.db "$PID"
echo 'not a recording, but long enough to look like a file' >"$T/text.db"
refused 1 'text.db' --record "$T/text.db" "$PID"
check 'and left alone' grep -q '^not a recording' "$T/text.db"

# ---- the disk is full

mkdir "$T/small"
if mount -t tmpfs -o size=256k none "$T/small" 2>"$T/err"; then
	watched --csv --record "$T/small/r.db" "$PID"
	until_true rows 3
	dd if=/dev/zero of="$T/small/filler" bs=4k 2>/dev/null
	check 'full: it says so' until_true grep -q 'full' "$T/werr"
	more_rows 10
	check 'full: once' [ "$(grep -c 'full' "$T/werr")" = 1 ]
	check 'full: the watch goes on' kill -0 "$WATCH"
	rm "$T/small/filler"
	check 'room again: it says so' until_true grep -q 'the recording goes on' "$T/werr"
	more_rows 2
	stop
	check 'full: exit 0 all the same' [ "$RC" = 0 ]
	check 'full: the recording is whole' [ "$(sqlite3 "$T/small/r.db" 'PRAGMA integrity_check')" = ok ]
	umount "$T/small"
else
	skip 'the disk is full' "no right to mount: $(head -n 1 "$T/err")"
fi

# ---- on a terminal

if command -v expect >/dev/null; then
	for scene in quit term; do
		TERM=xterm timeout 60 expect "$(dirname "$0")/watch.exp" "$scene" "$MEMINSPECT" "$PID" "$T/verdicts" \
			>"$T/screen" 2>&1 </dev/null
		while read -r verdict what; do
			check "terminal, $scene: $what" [ "$verdict" = PASS ]
		done <"$T/verdicts"
		check "terminal, $scene: all was looked at" grep -q 'PASS the end' "$T/verdicts"
	done
else
	skip 'on a terminal' 'expect is not installed'
fi
finish
