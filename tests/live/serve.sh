#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# serve: real clients read every endpoint; hostile ones disturb nobody; the process may die and come back.
. "$(dirname "$0")/lib.sh"
need curl

# serve ARG...: starts the server; SERVE (its PID), URL
serve()
{
	: >"$T/url"
	"$MEMINSPECT" serve --listen 127.0.0.1:0 "$@" >"$T/url" 2>"$T/serve.err" &
	SERVE=$!
	pids="$pids $SERVE"
	until_true test -s "$T/url" || { cat "$T/serve.err"; echo "the server did not start"; exit 1; }
	URL=$(cat "$T/url")
	URL=${URL%/}
}

# get PATH...: STATUS, $T/body, $T/head
get()
{
	STATUS=$(curl -s -m 60 -o "$T/body" -D "$T/head" -w '%{http_code}' "$URL$1" "${@:2}")
	OUT="$STATUS $(head -c 300 "$T/body" | tr '\0' ' ')"
}

status()
{
	get "${@:2}"
	[ "$STATUS" = "$1" ]
}

head_has()
{
	tr -d '\r' <"$T/head" | grep -qix -- "$1"
}

# ended: it ended with 0 after SIGTERM
ended()
{
	kill -TERM "$SERVE"
	wait "$SERVE"
}

go_reads()
{
	HOME=$T PPROF_TMPDIR=$T go tool pprof -top "$URL$1" >"$T/pprof" 2>"$T/pprof.err"
	local rc=$?
	OUT=$(cat "$T/pprof" "$T/pprof.err")
	[ $rc = 0 ] && grep -q "$2" "$T/pprof"
}

victim books arenas
TARGET=$PID
serve --pause-budget 50% v="$TARGET"

for e in heap allocs goroutine threads threadcreate mutex block; do
	check "$e answers" status 200 "/debug/pprof/$e"
	check "$e has the type that clients want" head_has "content-type: application/octet-stream"
	check "$e has a file name" head_has "content-disposition: attachment; filename=\"$e\""
	check "$e as text" status 200 "/debug/pprof/$e?debug=1"
done
check "an unknown profile" status 404 /debug/pprof/nonsense
check "it is an error for pprof" head_has "x-go-pprof: 1"
check "seconds that are none" status 400 "/debug/pprof/heap?seconds=x"
check "seconds as text" status 400 "/debug/pprof/heap?seconds=1&debug=1"
check "the index" status 200 /debug/pprof/
check "its path without the slash" status 301 /debug/pprof
check "the command line" status 200 /debug/pprof/cmdline
check "it is the process's" cmp -s <(head -c -1 "/proc/$TARGET/cmdline") "$T/body"
check "symbols" status 200 /debug/pprof/symbol
check "a target by its label" status 200 "/debug/pprof/heap?target=v"
check "a target in the path" status 200 /t/v/debug/pprof/heap
check "no such target" status 404 /t/w/debug/pprof/heap

if command -v go >/dev/null; then
	for e in heap allocs goroutine threads threadcreate; do
		check "go tool pprof reads $e" go_reads "/debug/pprof/$e" "% of [1-9]"
		check "go tool pprof reads $e as text" go_reads "/debug/pprof/$e?debug=1" "% of [1-9]"
	done
	for e in mutex block; do
		check "go tool pprof reads an empty $e" go_reads "/debug/pprof/$e" "of 0 total"
	done
	check "go tool pprof reads a change" go_reads "/debug/pprof/heap?seconds=1" "Duration: 1"
	check "go tool pprof reads a profile of the CPU" go_reads "/debug/pprof/profile?seconds=1" "Type: cpu"
else
	skip "go tool pprof" "go is not installed"
fi

check "the process works on" alive
check "SIGTERM ends it" ended
finish
