#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# serve: clients that are slow, hostile, or many; who may ask; own memory stays what it is.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_serve.sh"
need curl python3
HERE=$(dirname "$0")

clients()
{
	OUT=$(python3 "$HERE/serve_clients.py" "${URL##*:}" "$1" 2>&1)
}

own_kib()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$SERVE/status"
}

refused()
{
	OUT=$("$MEMINSPECT" serve "$@" 2>&1 </dev/null)
	[ $? = 2 ] && [ "$(wc -l <<<"$OUT")" = 1 ]
}

victim threads 8
TARGET=$PID
serve --pause-budget 50% --rate 100000 v="$TARGET"
check "hosts of strangers" clients strangers
check "garbage" clients garbage
check "oversized requests" clients oversized
check "slow clients" clients slow
check "a thousand at once" clients crowd
check "pages of other sites" status 403 /metrics -H 'Sec-Fetch-Site: cross-site'
check "other methods" status 405 /metrics -X DELETE
check "the process works on" alive

# Memory: after everything has been used, a thousand requests more make no difference.
many()
{
	local urls=() i
	# One in 25 takes a new picture whatever happens; the others share what there is.
	urls+=("$URL/?refresh=1")
	for i in 1 2 3 4 5 6; do
		urls+=("$URL/debug/pprof/heap" "$URL/debug/pprof/goroutine" "$URL/flame/threads" "$URL/metrics")
	done
	for ((i = 0; i < $1; i += 25)); do
		curl -s -m 60 "${urls[@]}" >/dev/null || return 1
	done
}
# A sanitizer keeps what was freed.
if [ -z "${SAN:-}" ]; then
	many 250
	before=$(own_kib)
	many 1000
	after=$(own_kib)
	OUT="$before KiB, then $after KiB"
	check "no growth by 1000 requests" test "$after" -le $((before + before / 10 + 2048))
else
	skip "growth by 1000 requests" "a sanitizer keeps what was freed"
fi
check "it keeps few descriptors" test "$(find "/proc/$SERVE/fd" -mindepth 1 | wc -l)" -le 24
check "SIGTERM ends it" ended
check "the process is traced by nobody" grep -q '^TracerPid:[[:space:]]*0' "/proc/$TARGET/status"

# One client has a rate, and is told when to come again.
serve --rate 1 v="$TARGET"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do get /healthz; done
check "too many requests" test "$STATUS" = 503
check "come again later" grep -qi '^retry-after: 1' "$T/head"
check "SIGTERM ends it" ended

# It ends in the middle of things, too.
serve --pause-budget 50% v="$TARGET"
curl -s "$URL/debug/pprof/profile?seconds=30" >/dev/null &
curl -s "$URL/debug/pprof/heap?seconds=30" >/dev/null &
get /debug/pprof/goroutine
check "SIGTERM ends it while profiles are made" ended
check "the process works on after that" alive

# ---- who may ask

check "an open address wants a token" refused --listen 0.0.0.0:0 "$TARGET"
printf 'short\n' >"$T/short"
chmod 600 "$T/short"
check "a short token" refused --token-file "$T/short" "$TARGET"
TOKEN=$(head -c 24 /dev/urandom | base64)
printf '%s\n' "$TOKEN" >"$T/token"
chmod 644 "$T/token"
check "a token that everybody may read" refused --token-file "$T/token" "$TARGET"
chmod 600 "$T/token"
serve --listen 0.0.0.0:0 --token-file "$T/token" v="$TARGET"
URL=http://127.0.0.1:${URL##*:}
check "without a token" status 401 /metrics
check "with a wrong one" status 401 /metrics -H "Authorization: Bearer ${TOKEN}x"
check "with the right one" status 200 /metrics -H "Authorization: Bearer $TOKEN"
check "as a password" status 200 /metrics -u "anybody:$TOKEN"
check "SIGTERM ends it" ended
check "a label twice" refused a="$TARGET" a="$TARGET"
check "a label with a slash" refused "a/b=$TARGET"
check "half of TLS" refused --tls-cert "$T/token" "$TARGET"
mi serve --listen 127.0.0.1:0 4194304
check "no such process" test "$RC" = 4
if command -v openssl >/dev/null; then
	openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/key.pem" -out "$T/cert.pem" -days 2 -subj /CN=localhost \
		-addext 'subjectAltName=IP:127.0.0.1' >"$T/openssl" 2>&1
	serve --tls-cert "$T/cert.pem" --tls-key "$T/key.pem" v="$TARGET"
	check "it says https" test "${URL%%:*}" = https
	check "over TLS" status 200 /debug/pprof/goroutine --cacert "$T/cert.pem"
	check "a certificate that nobody vouches for" test "$(curl -s -o /dev/null -w '%{http_code}' "$URL/metrics")" = 000
	check "SIGTERM ends it" ended
else
	skip "TLS" "openssl is not installed"
fi
finish
