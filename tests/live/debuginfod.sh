#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# debuginfod.sh: names that only a debuginfod server has; nobody is asked who is not named in
# DEBUGINFOD_URLS; servers that are gone or silent do not hang us.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq python3 objcopy readelf
python3 -c 'import ctypes; ctypes.CDLL("libdebuginfod.so.1")' 2>/dev/null || {
	echo 'libdebuginfod is not installed'
	exit 77
}

# ---- a core of a program without names, whose full form only the server has
cp "$VICTIMS/mix" "$T/full"
mkdir "$T/bin"
objcopy --strip-all "$T/full" "$T/bin/mix"
id=$(readelf -n "$T/full" | sed -n 's/.*Build ID: //p')
[ -n "$id" ] || { echo 'the victim has no build-id'; exit 1; }
mkdir -p "$T/www/buildid/$id"
objcopy --only-keep-debug "$T/full" "$T/www/buildid/$id/debuginfo"
cp "$T/bin/mix" "$T/www/buildid/$id/executable"
VICTIMS=$T/bin victim mix
mi core -o "$T/core" "$PID"
check 'core' [ "$RC" = 0 ]

cat >"$T/server.py" <<'PYTHON'
import functools, http.server, socket, sys
if sys.argv[1] == 'silent':
	s = socket.socket()
	s.bind(('127.0.0.1', 0))
	s.listen(16)
	print(s.getsockname()[1], flush=True)
	taken = []
	while True:
		taken.append(s.accept())
		print('taken', file=sys.stderr, flush=True)
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
print(s.server_address[1], flush=True)
s.serve_forever()
PYTHON
# server WHAT LOG: PORT, PID of the server
server()
{
	exec {from}< <(exec python3 "$T/server.py" "$1" 2>"$2")
	SERVER=$!
	pids="$pids $SERVER"
	IFS= read -r -t 20 PORT <&"$from" || { echo 'the server did not start'; exit 1; }
}

# asks URLS: threads of the core, with an empty cache
asks()
{
	rm -rf "$T/cache"
	DEBUGINFOD_URLS=$1 DEBUGINFOD_CACHE_PATH=$T/cache DEBUGINFOD_TIMEOUT=1 mi threads "$T/core" --format json
}
named() { json '[.. | .function? // empty] | index("main")'; }

server "$T/www" "$T/log"
asks ''
check 'no DEBUGINFOD_URLS: it works' [ "$RC" = 0 ]
check 'no DEBUGINFOD_URLS: no names' [ "$(named && echo named)" = '' ]
check 'no DEBUGINFOD_URLS: nobody is asked' [ ! -s "$T/log" ]
asks "http://127.0.0.1:$PORT/"
check 'the server was asked for the program' grep -q "GET /buildid/$id/debuginfo" "$T/log"
check 'its names are there' named
mv "$T/bin/mix" "$T/bin/gone"
asks "http://127.0.0.1:$PORT/"
check 'the program is gone, too: asked for' grep -q "GET /buildid/$id/executable" "$T/log"
check 'and its names are there' named
mv "$T/bin/gone" "$T/bin/mix"

# ---- servers that do not answer
kill -9 "$SERVER"
until_true [ ! -e "/proc/$SERVER/exe" ]
asks "http://127.0.0.1:$PORT/"
check 'nobody listens: it works without' [ "$RC" = 0 -a "$(named && echo named)" = '' ]
server silent "$T/silent"
asks "http://127.0.0.1:$PORT/"
check 'a silent server was asked' grep -q taken "$T/silent"
check 'a silent server: it works without' [ "$RC" = 0 -a "$(named && echo named)" = '' ]
check 'a silent server: one line says that it is not asked any more' \
	[ "$(grep -c 'DEBUGINFOD_URLS: waited' "$T/err")" = 1 ]

# It costs its time-out once, not once a file; and where that is longer, ten seconds in all: the hour
# that it is here would be cut by the test's own limit.
silent_for()
{
	: >"$T/silent"
	rm -rf "$T/cache"
	DEBUGINFOD_URLS=http://127.0.0.1:$PORT/ DEBUGINFOD_CACHE_PATH=$T/cache DEBUGINFOD_TIMEOUT=$1 \
		DEBUGINFOD_RETRY_LIMIT=0 mi threads "$T/core" --format json
}
silent_for 1
check 'a silent server is asked for one file' [ "$(wc -l <"$T/silent")" = 1 ]
silent_for 3600
check 'an endless time-out: it works without' [ "$RC" = 0 -a "$(named && echo named)" = '' ]
check 'an endless time-out: asked for one file' [ "$(wc -l <"$T/silent")" = 1 ]
check 'an endless time-out: a line says so' grep -q 'DEBUGINFOD_URLS: waited for 1[0-9]' "$T/err"
finish
