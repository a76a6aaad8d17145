#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# allocations.sh: run, heap top and profile on a server whose allocations are known to the byte.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq gzip
[ -e "$BUILD/libmeminspect-hook.so" ] || { echo 'the hook is not built'; exit 77; }
exec {from}< <(exec "$MEMINSPECT" run --full -- "$BUILD/demo-server" --port 0 --die-with-parent)
PID=$!
pids="$pids $PID"
IFS= read -r -t 30 TRUTH <&"$from" || { echo 'the server did not start'; exit 1; }
check 'it runs under its own pid' [ "$(truth pid)" = "$PID" ]
port=$(truth port)
check 'it leaks' "$BUILD/demo-server" --get "$port" '/leak?n=5000' >/dev/null

mi heap top --format json "$PID"
check 'heap top: the 300 bytes of each session' \
	json '.top[0] | .inuse_bytes == 1500000 and .inuse_objects == 5000 and (.name | test("session_open"))'
check 'heap top: nothing is unknown' json '.recorded | .unseen_objects == 0 and .foreign_objects == 0 and .attributed_objects == .walked_objects and .inuse_objects == .walked_objects'
for by in function module size thread age; do
	mi heap top --by $by --format json "$PID"
	check "heap top --by $by: the same sum" json '([.top[].inuse_bytes] | add) == .recorded.inuse_bytes'
done
mi profile heap --format folded "$PID"
sum=$(awk '{ n += $NF } END { print n }' "$T/out")
check 'folded: the sum of heap top' [ "$sum" -ge 1768890 -a "$sum" -lt 2000000 ]
check 'folded: from the outside in' grep -q 'handle_leak;sessions_forget;session_open 1500000$' "$T/out"
mi profile heap --format pprof -o "$T/heap.pb.gz" "$PID"
check 'pprof: a gzip file' gzip -t "$T/heap.pb.gz"
check 'pprof: with the names' [ "$(gzip -dc "$T/heap.pb.gz" | grep -ac 'session_open')" -ge 1 ]
mi profile heap --format flamegraph "$PID"
check 'flame graph: a page of its own' grep -q 'sessions_forget' "$T/out"
check 'flame graph: loads nothing' [ "$(grep -cE '(src|href) *= *.?https?:' "$T/out")" = 0 ]
mi profile threads --format folded "$PID"
check 'threads: workers wait for connections' grep -qE 'worker_main;queue_pop;.* 4$|worker_main;queue_pop;' "$T/out"
check 'the server works on' "$BUILD/demo-server" --get "$port" /status >/dev/null

mi heap top "$$"
check 'without the hook: it says so' grep -q 'meminspect run' "$T/err" "$T/out"
finish
