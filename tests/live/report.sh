#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# report.sh: `report weekly` on an archive whose figures are known, and its page in a browser.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq sqlite3 python3

# Monday 2026-03-02 00:00:00
export TZ=UTC
base=1772409600
victim mix
mkdir "$T/archive"
mi watch --duration 1ms --record "$T/archive/1.db" "$PID"
mi save "$T/archive/2.mi" "$PID"
rss=$(($(ps -o rss= -p "$PID") * 1024))
# api: four weeks, a sample an hour, at 100, 120, 150 and 200 MiB; an hour of load a week, 1000 MiB
sqlite3 "$T/archive/1.db" "DELETE FROM sample; DELETE FROM walk; DELETE FROM run;
	INSERT INTO run(id, spec, comm, pid, ticks, started_at_ns) VALUES(1, 'api', 'api', 10, 1, ${base}000000000),
		(2, 'api', 'api', 11, 1, ${base}000000000 + 1814400000000000);
	WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 671)
	INSERT INTO sample(run, at_ns, rss, mem_limit, limit_kind, level)
	SELECT 1 + (i > 520), ($base + i * 3600) * 1000000000, 1048576 * CASE WHEN i % 168 = 77 THEN 1000
		WHEN i < 168 THEN 100 WHEN i < 336 THEN 120 WHEN i < 504 THEN 150 ELSE 200 END,
		1200 * 1048576, 1, CASE WHEN i % 168 = 77 THEN 'warn' ELSE 'ok' END FROM c;
	INSERT INTO walk(run, at_ns, in_use, free, sys) SELECT run, at_ns, rss / 2, rss / 4, rss FROM sample
		WHERE rowid % 12 = 1"
head -c 1000 "$T/archive/2.mi" >"$T/archive/3.mi"
cp "$T/archive/1.db" "$T/archive/4.db"
printf 'x' | dd of="$T/archive/4.db" bs=1 seek=5000 count=1 conv=notrunc 2>/dev/null
dd if=/dev/urandom of="$T/archive/4.db" bs=4096 seek=1 count=2 conv=notrunc 2>/dev/null
echo 'notes of somebody' >"$T/archive/README"

# week NAME KEY: of the process api
week() { jq -r ".weeks[] | select(.process == \"api\" and .week == \"2026-W$1\") | .$2" "$T/out"; }

mi report weekly "$T/archive" --format json
check 'exit 0' [ "$RC" = 0 ]
check 'what was read' json '.recordings == 1 or .recordings == 2'
check 'weeks' json '[.weeks[] | select(.process == "api") | .week] == ["2026-W10", "2026-W11", "2026-W12", "2026-W13"]'
check 'a week is its median' [ "$(week 10 rss) $(week 12 rss)" = "$((100 << 20)) $((150 << 20))" ]
check 'its peak is the highest' [ "$(week 11 peak_rss)" = $((1000 << 20)) ]
check 'in use and free' [ "$(week 13 in_use) $(week 13 free)" = "$((100 << 20)) $((50 << 20))" ]
check 'against the first week' json '.weeks[] | select(.week == "2026-W13") | .change > 0.999 and .change < 1.001'
check 'time at a bad level' json '.weeks[] | select(.week == "2026-W10") | .bad_share > 0.0059 and .bad_share < 0.0060'
check 'a restart' [ "$(week 12 processes) $(week 13 processes)" = '1 2' ]
check 'the trend in words' json '.trends[] | select(.process == "api")
	| .words == "more than in the baseline, and grew 3 weeks in a row"'
check 'a slope' json '.trends[] | select(.process == "api") | .per_week > 32000000 and .per_week < 36000000'
check 'the snapshot is in it' json "[.weeks[] | select(.process == \"mix\")] | length == 1 and .[0].snapshots == 1
	and .[0].in_use > 500000 and (.[0].rss - $rss | fabs) < 300000"
check 'what is broken is named' json '[.notes[].text] | map(select(test("3.mi"))) | length == 1'
check 'points for a picture, and not too many' json '[.points[] | select(.process == "api")] | length >= 40 and length <= 480'
check 'the peak is among them' json '[.points[].RSS] | max == 1048576000'
mi report weekly "$T/archive" --baseline 2026-W12 --target api --format json
check 'another baseline' json '.trends[0] | .baseline == "2026-W12" and .change > 0.33 and .change < 0.34'
check 'one process alone' json '[.weeks[].process] | unique == ["api"]'
mi report weekly "$T/archive"
check 'text: the weeks' grep -qE '^api +2026-W12 +1000 MiB +150 MiB' "$T/out"
check 'text: no points' [ "$(wc -l <"$T/out")" -lt 30 ]
mi report weekly "$T/archive" --format csv
check 'CSV' grep -q '^api,2026-W10,1048576000,104857600,' "$T/out"

# refused CODE PATTERN ARG...
refused()
{
	local code=$1 pattern=$2
	shift 2
	mi report weekly "$@"
	check "refused: $*: exit $code" [ "$RC" = "$code" ]
	check "refused: $*: why" grep -q -- "$pattern" "$T/err"
}
mkdir "$T/empty"
refused 1 'no snapshots and no recordings in' "$T/empty"
refused 1 'of nobody in' "$T/archive" --target nobody
refused 1 'folder' "$T/no-such-folder"
refused 2 'nothing is known of week' "$T/archive" --baseline 2026-W01
echo junk >"$T/empty/x.mi"
refused 1 'no snapshots' "$T/empty"

# ---- the page

mi report weekly "$T/archive" --format html -o "$T/week.html"
check 'a page' grep -q '</body></html>' "$T/week.html"
check 'a picture a process' [ "$(grep -c '<svg' "$T/week.html")" = 2 ]
check 'it needs nothing but itself' \
	[ -z "$(grep -oE '(src|href)=|url\(|<script|<link|https?://[^"'"'"' ]*' "$T/week.html" | grep -v 'http://www.w3.org/2000/svg')" ]
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
if [ -n "$browser" ]; then
	timeout 100 "$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir="$T/browser" \
		--window-size=1240,1200 --screenshot="$T/week.png" "file://$T/week.html" >"$T/err" 2>&1
	check 'a browser shows it' [ -s "$T/week.png" ]
	# the line of RSS, the limit, and a bar of the table
	check 'what it shows' python3 "$(dirname "$0")/png_colors.py" "$T/week.png" 1f6fb4:400 8a5bb0:700 4477aa:1000
else
	skip 'the page in a browser' 'chromium is not installed'
fi
finish
