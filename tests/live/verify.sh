#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# verify.sh: what came of a fix: the three verdicts, on series whose figures are known, and once for real.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/live/lib_grower.sh
. "$(dirname "$0")/lib_grower.sh"
need jq sqlite3

# An empty recording, made by the tool; the figures are ours.
grower insp-verify
mi watch --duration 1ms --record "$T/empty.db" "$PID"
sqlite3 "$T/empty.db" "DELETE FROM sample; DELETE FROM walk; UPDATE run SET spec = 'server'"

# 2026-03-02 10:00:00 in the time zone of the tests
export TZ=UTC
base=1772445600
# series FILE FROM-SECOND N RSS-OF-i HWM-OF-i: N samples a minute apart from FROM on, in MiB
series()
{
	[ -e "$1" ] || cp "$T/empty.db" "$1"
	sqlite3 "$1" "WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < $3 - 1)
		INSERT INTO sample(run, at_ns, rss, hwm)
		SELECT 1, ($base + $2 + i * 60) * 1000000000, ($4) * 1048576, ($5) * 1048576 FROM c"
}
walk()
{
	sqlite3 "$1" "INSERT INTO walk(run, at_ns, in_use, free, sys)
		VALUES(1, ($base + $2) * 1000000000, $3 * 1048576, $4 * 1048576, ($3 + $4) * 1048576)"
}
# cell PHASE KEY: of the table in JSON
cell() { jq -r ".phases[] | select(.phase == \"$1\") | .$2" "$T/out"; }

# before: climbs to 1000 MiB and stays; between two samples it was 1024
series "$T/run.db" 0 60 'min(100 + i * 30, 1000)' 'CASE WHEN i < 40 THEN min(100 + i * 30, 1000) ELSE 1024 END'
walk "$T/run.db" 3300 900 60
# after: climbs as well, and falls to 200
series "$T/run.db" 7200 60 'CASE WHEN i BETWEEN 10 AND 30 THEN 900 ELSE 200 END' '1024'
walk "$T/run.db" 10600 150 30

mi verify "$T/run.db@..11:30" "$T/run.db@11:30.." --format json
check 'fell back: exit 0' [ "$RC" = 0 ]
check 'fell back: the verdict' json '.verdict == "fell_back"'
check 'the peak between samples counts' [ "$(cell before peak_rss)" = $((1024 << 20)) ]
check 'an older peak does not' [ "$(cell after peak_rss)" = $((900 << 20)) ]
check 'steady' [ "$(cell before steady_rss)-$(cell after steady_rss)" = "$((1000 << 20))-$((200 << 20))" ]
check 'in use, by the walks' [ "$(cell before steady_in_use)-$(cell after steady_in_use)" = "$((900 << 20))-$((150 << 20))" ]
check 'retained' [ "$(cell before retained_free)-$(cell after retained_free)" = "$((60 << 20))-$((30 << 20))" ]
check 'drop' json '.phases[1].drop | . > 0.777 and . < 0.778'
mi verify "$T/run.db@..11:30" "$T/run.db@11:30.."
check 'in words' grep -q 'It fell back: from a peak of 1.00 GiB to a steady 200 MiB, 80.5 % less' "$T/out"
mi verify "$T/run.db@..11:30" "$T/run.db@11:30.." --format csv
check 'CSV' [ "$(cut -d, -f1,2 "$T/out" | tr '\n' ' ')" = "phase,peak_rss before,$((1024 << 20)) after,$((900 << 20)) " ]

# the same range by all the ways to name it
for range in '2026-03-02T12:00..2026-03-02T13:00' '+2h..' '-59min..' '12:00:00..' '2026-03-02T12:00:00..-0s' '12:00..12:59'; do
	mi verify "$T/run.db@..+59.5min" "$T/run.db@$range" --format json
	check "range $range" json ".verdict == \"fell_back\" and (.phases[1].samples | . == 60 or . == 59)"
done

mi verify "$T/run.db@11:30.." "$T/run.db@..11:30"
check 'did not: exit 3' [ "$RC" = 3 ]
check 'did not: in words' grep -q 'It did not fall back: steady RSS after the fix is 1000 MiB, 2.3 %' "$T/out"
mi verify "$T/run.db@..11:30" "$T/run.db@11:30.." --drop 90%
check 'did not by as much as was asked for' [ "$RC" = 3 ]
series "$T/grows.db" 0 60 '100 + i * 10' '100 + i * 10'
mi verify "$T/run.db@..11:30" "$T/grows.db"
check 'still grows: exit 3' [ "$RC" = 3 ]
check 'still grows: in words' grep -q 'still grows, by 10.0 MiB a minute' "$T/out"
series "$T/kept.db" 0 60 900 900
walk "$T/kept.db" 3500 100 700
mi verify "$T/run.db@..11:30" "$T/kept.db" --format json
check 'kept by malloc: it says so' json '[.notes[].code] | contains(["retained", "in_use_fell"])'

mi verify "$T/run.db@..11:30" "$T/run.db@12:00..12:05"
check 'not enough: exit 1' [ "$RC" = 1 ]
check 'not enough: in words' grep -q 'Not enough data: 5 samples after the fix' "$T/out"
mi verify "$T/empty.db" "$T/run.db"
check 'nothing at all: exit 1' [ "$RC" = 1 ]
mi verify "$T/empty.db" "$T/run.db" --format json
check 'nothing at all: nothing is made up' json '.verdict == "not_enough_data" and .phases[0].peak_rss == null and .phases[0].drop == null'

# refused CODE PATTERN ARG...
refused()
{
	local code=$1 pattern=$2
	shift 2
	mi verify "$@"
	check "refused: $*: exit $code" [ "$RC" = "$code" ]
	check "refused: $*: why" grep -qE -- "$pattern" "$T/err"
}
refused 2 'AFTER is missing' "$T/run.db"
refused 2 'no time' "$T/run.db@tomorrow.." "$T/run.db"
refused 2 'no time' "$T/run.db@25:00.." "$T/run.db"
refused 2 'ends before it begins' "$T/run.db@12:00..11:00" "$T/run.db"
refused 1 'no-such.db' "$T/no-such.db" "$T/run.db"
sqlite3 "$T/run.db" "INSERT INTO run(spec) VALUES('client')"
refused 2 'several processes in it.*--target' "$T/run.db@..11:30" "$T/run.db@11:30.."
mi verify "$T/run.db@..11:30" "$T/run.db@11:30.." --target server
check 'one of several' [ "$RC" = 0 ]
mi verify "$T/run.db@..11:30" "$T/run.db@11:30.." --target nobody
check 'none of that name: not enough' [ "$RC" = 1 ]

# ---- for real: it grows and keeps; it grows and gives back

seen() { [ "$(sqlite3 "$1" "SELECT count(*) FROM $2" 2>/dev/null)" -ge "$3" ]; }
# recorded FILE: in the background until stop
recorded()
{
	"$MEMINSPECT" watch --interval 50ms --walk-every 50ms --pause-budget 100% --record "$1" insp-verify \
		>"$T/lines" 2>&1 </dev/null &
	WATCH=$!
	pids="$pids $WATCH"
	until_true seen "$1" sample 3
}
more() { local n; n=$(sqlite3 "$1" 'SELECT count(*) FROM sample'); until_true seen "$1" sample $((n + 40)); }
recorded "$T/before.db"
ask 'grow 20000 1000'
more "$T/before.db"
kill "$WATCH"
wait "$WATCH"
recorded "$T/after.db"
ask 'grow 20000 1000'
until_true seen "$T/after.db" sample 10
ask free
ask trim
more "$T/after.db"
kill "$WATCH"
wait "$WATCH"
mi verify "$T/before.db" "$T/after.db" --format json
check 'for real: it fell back' [ "$RC" = 0 ]
check 'for real: in use is nothing any more' json '.phases[0].steady_in_use > 20000000 + .phases[1].steady_in_use'
mi verify "$T/before.db" "$T/before.db"
check 'for real: it did not' [ "$RC" = 3 ]
finish
