# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# lib_serve.sh: what the tests of serve share, on top of lib.sh.
#
#   serve ARG...       starts the server on a free port: SERVE (its PID), URL (without the last slash)
#   get PATH ARG...    STATUS, $T/body, $T/head; ARG are curl's
#   status N PATH ...  get, and is the status N?
#   head_has LINE      the head has this line
#   ended              SIGTERM ends the server with 0
#   metric TEXT        the value of a series of /metrics, as it is written there
#   figure NAME        of meminspect itself

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

ended()
{
	kill -TERM "$SERVE"
	wait "$SERVE"
}

metric()
{
	curl -s -m 20 "$URL/metrics" | awk -v s="$1" 'index($0, s) == 1 && substr($0, length(s) + 1, 1) == " " { print $2 }'
}

figure()
{
	curl -s -m 20 "$URL/metrics/self" | awk -v s="$1" '$1 == s { print $2 }'
}
