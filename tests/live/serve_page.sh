#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# serve: the page in a real browser, clicked through; two targets by label.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_serve.sh"
need curl python3
CHROMIUM=$(command -v chromium || command -v chromium-browser || command -v google-chrome)

clicked()
{
	OUT=$(timeout 120 python3 "$(dirname "$0")/serve_page.py" "$CHROMIUM" "$1" 2>&1)
}

victim threads 8
ONE=$PID
spawn "$VICTIMS/plain" >"$T/said"
until_true grep -q ready "$T/said" || { echo "the victim did not start"; exit 1; }
serve --pause-budget 50% first="$ONE" second="$PID"
check "the page" status 200 /
check "it may fetch nothing from elsewhere" grep -qi "^content-security-policy: default-src 'none'" "$T/head"
check "it links the other target" grep -q 'href="/t/second/"' "$T/body"
check "the other target's page" status 200 /t/second/
check "it is the other's" grep -q "plain $PID" "$T/body"
check "metrics of both" test "$(curl -s "$URL/metrics" | grep -c '^meminspect_up{')" = 2
check "metrics of one" test "$(curl -s "$URL/t/second/metrics" | grep -c '^meminspect_up{')" = 1
if [ -n "$CHROMIUM" ]; then
	check "a browser, clicking" clicked "$URL"
else
	skip "a browser" "chromium is not installed"
fi
check "SIGTERM ends it" ended
finish
