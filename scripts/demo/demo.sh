#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# demo.sh: starts the example server, lets it grow, leak and hang, and looks into it.
#
# Called by `make demo`. Exit 0 only if every step worked; the server is gone in any case.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${MEMINSPECT:=$BUILD/meminspect}"
server=$BUILD/demo-server
pid=''

cleanup()
{
	trap '' INT TERM
	if [ -n "$pid" ]; then
		kill "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

die()
{
	echo "demo: $*" >&2
	exit 1
}

# show COMMAND...: prints it as a user would type it, and runs it
show()
{
	local word line='$'
	for word; do
		case $word in
		*[!A-Za-z0-9_./=:-]*) line="$line '$word'" ;;
		*) line="$line ${word##"$BUILD"/}" ;;
		esac
	done
	printf '\n%s\n' "$line"
	"$@" || die "exit $? from: $line"
}

get()
{
	printf '  GET %-14s ' "$1"
	"$server" --get "$port" "$1" || die "the example server did not answer $1"
}

[ -x "$MEMINSPECT" ] || die "$MEMINSPECT is not built"
exec {from}< <(exec "$server" --port 0 --die-with-parent)
pid=$!
IFS= read -r -t 20 ready <&"$from" || die "the example server did not start"
[[ $ready =~ \"port\":([0-9]+) ]] || die "the example server did not start: $ready"
port=${BASH_REMATCH[1]}
echo "example server: pid $pid, http://127.0.0.1:$port/"

get '/grow?mb=96'
get '/leak?n=20000'
get /fragment
get '/threads?n=12'
get /block

show "$MEMINSPECT" attach "$pid" -x 'heap summary' -x 'threads'

echo
get /reset
get /status
kill -TERM "$pid" || die "the example server had gone"
wait "$pid"
rc=$?
pid=''
[ $rc = 0 ] || die "the example server ended with $rc"
echo "the server worked on and has ended; its own exit code was 0"
