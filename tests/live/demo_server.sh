#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# demo_server.sh: the example server does what its paths say, and shrugs at nonsense.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq
trap '' PIPE # the server may hang up on nonsense before all of it is sent
server=$BUILD/demo-server
exec {from}< <(exec "$server" --port 0 --die-with-parent)
PID=$!
pids="$pids $PID"
IFS= read -r -t 20 TRUTH <&"$from" || { echo 'the server did not start'; exit 1; }
port=$(truth port)

get() { OUT=$("$server" --get "$port" "$1" 2>&1); }
status() { get /status && jq -e "$1" <<<"$OUT" >/dev/null; }
nthreads() { [ "$(ls "/proc/$PID/task" | wc -l)" = "$1" ]; }

check 'it tells who it is' status ".pid == $PID and .port == $port"
base=$(ls "/proc/$PID/task" | wc -l)
check 'grow' get '/grow?mb=8'
check 'it grew' status '.cache_body_bytes >= 8388608 and .cache_body_bytes < 8800000 and .mallinfo.uordblks > 6000000'
check 'leak' get '/leak?n=1000'
check 'it leaked' status '.leaked_sessions == 1000'
check 'fragment' get /fragment
check 'it is fragmented' status '.fragments == 4096 and .mallinfo.fordblks > 20000000'
check 'threads' get '/threads?n=5'
check 'block' get /block
check 'the threads are there' until_true nthreads $((base + 10))
blocked() { grep -qlx "$1" "/proc/$PID"/task/*/comm; }
check 'by their names' until_true blocked auditor-4
check 'a second block is refused' [ "$("$server" --get "$port" /block >/dev/null; echo $?)" = 1 ]
check 'reset' get /reset
check 'all is free again' status '.cache_entries == 0 and .fragments == 0'
check 'the threads end' until_true nthreads "$base"
check 'block again' get /block
get /reset

# Nonsense, over a plain socket.
raw()
{
	exec {web}<>"/dev/tcp/127.0.0.1/$port" || return 1
	printf "$1" >&"$web"
	IFS= read -r -t 10 OUT <&"$web"
	exec {web}<&-
	[[ $OUT == "HTTP/1.1 $2"* ]]
}
check 'no such path' raw 'GET /nope HTTP/1.1\r\n\r\n' 404
check 'not a GET' raw 'POST /grow HTTP/1.1\r\n\r\n' 400
check 'rubbish' raw '\001\002\003\r\n\r\n' 400
check 'a number too large is cut' raw 'GET /leak?n=-5 HTTP/1.1\r\n\r\n' 200
long=$(printf 'a%.0s' {1..6000})
check 'a request too long' raw "GET /$long HTTP/1.1\r\n\r\n" 400
check 'it still works' status '.requests > 10'
kill -TERM "$PID"
wait "$PID"
check 'it ends with 0' [ $? = 0 ]
finish
