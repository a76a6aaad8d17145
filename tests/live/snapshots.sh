#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# snapshots.sh: save, info, diff and trend on a server that grows by known steps.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq
exec {from}< <(exec "$BUILD/demo-server" --port 0 --die-with-parent)
PID=$!
pids="$pids $PID"
IFS= read -r -t 20 TRUTH <&"$from" || { echo 'the server did not start'; exit 1; }
port=$(truth port)
get() { "$BUILD/demo-server" --get "$port" "$1" >/dev/null; }

mi save "$T/start.mi" "$PID"
check 'save' [ "$RC" = 0 -a -s "$T/start.mi" ]
check 'the process grows' get '/grow?mb=8'
mi save "$T/middle.mi" "$PID"
check 'save again' [ "$RC" = 0 ]
check 'the process leaks' get '/leak?n=5000'
mi save "$T/peak.mi" "$PID"
check 'save at the peak' [ "$RC" = 0 ]
mi suspects --base "$T/start.mi" --min 5 --format json "$PID"
check 'suspects: what grew' json '.suspects | any(.kind == "growth" and .bytes > .base_bytes)'
check 'suspects: the cache held less then' \
	json '.suspects | any(.kind == "place" and .held_by == "global cache in demo-server" and .bytes > 8000000 and .base_bytes < 1000000)'
mi suspects --base "$T/start.mi" --min 5 --format json "$T/peak.mi"
check 'suspects: the same of two files' json '.suspects | any(.kind == "growth")'

mi info "$T/peak.mi" --format json
check 'info: who and what' json ".process.pid == $PID and .process.comm == \"demo-server\" and .holds.chunks > 30000"
mi diff "$T/start.mi" "$T/peak.mi" --format json
check 'diff of two files: the sum of growth' json '.delta_bytes > 8 * 1048576 and .now_bytes - .base_bytes == .delta_bytes'
check 'diff: 5000 leaked sessions of 304 bytes and 40 each' \
	json '[.diff[] | select(.key | test("^(304|320) B")) | .delta_count] | add >= 5000'
mi diff "$T/middle.mi" "$PID" --format json
check 'diff of file and process' json '.delta_bytes > 1500000 and .delta_bytes < 3000000'
mi diff "$T/peak.mi" "$T/peak.mi" --format json
check 'diff with itself: nothing' json '.delta_bytes == 0'
mi attach "$PID" -x "base $T/start.mi" -x 'diff --by arena'
check 'base and diff at a prompt' [ "$RC" = 0 ]
mi trend "$T/peak.mi" "$T/start.mi" "$T/middle.mi" --format json
check 'trend puts them in order' json '.snapshots == 3 and (.trend | any(.monotone == "grows" and .first == 0 and .last > 1000000))'

# A file that is not whole is refused, never half believed.
size=$(stat -c %s "$T/peak.mi")
head -c $((size / 2)) "$T/peak.mi" >"$T/half.mi"
mi heap summary "$T/half.mi"
check 'a cut file is refused' [ "$RC" = 1 -a -z "$OUT" ]
cp "$T/peak.mi" "$T/bent.mi"
printf '\377\377\377\377' | dd of="$T/bent.mi" bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
mi heap summary "$T/bent.mi"
check 'a damaged file is refused' [ "$RC" = 1 -a -z "$OUT" ]
mi save /dev/full/x "$PID"
check 'nowhere to write' [ "$RC" = 1 ]
# ---- what stays as it is cannot be watched
mi core -o "$T/core" "$PID"
check 'core' [ "$RC" = 0 ]
gzip -k "$T/core"
for file in "$T/peak.mi" "$T/core" "$T/core.gz"; do
	for cmd in watch serve\ --listen\ 127.0.0.1:0; do
		# shellcheck disable=SC2086 # two words or more
		mi $cmd "$file"
		check "$cmd ${file##*/}: exit 2" [ "$RC" = 2 ]
		check "$cmd ${file##*/}: one line says why" \
			[ "$ERR" = "meminspect: '$file' is a file, which does not change over time: a process is wanted" ]
	done
done

kill -9 "$PID"
until_true [ ! -e "/proc/$PID/exe" ]
mi heap summary "$T/peak.mi"
check 'the file outlives the process' [ "$RC" = 0 ]
finish
