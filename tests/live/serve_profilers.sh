#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# serve_profilers: what Parca, Pyroscope and Alloy ask for every few seconds, and what they demand of the answers: all their
# paths at once, within their time-outs, complete profiles that strict readers take. The profilers themselves are not
# in the distribution; the names of profiles, queries, heads and rules here are theirs.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/live/lib_serve.sh
. "$(dirname "$0")/lib_serve.sh"
need curl python3

strict() { python3 "$(dirname "$0")/pprof_strict.py" "$T/$1.body" >"$T/$1.sums"; }

# scrape WHO SECONDS TIMEOUT: all profiles of a round, at the same time
scrape()
{
	local who=$1 seconds=$2 timeout=$3 p jobs=''
	for p in allocs goroutine mutex block profile; do
		local q=/debug/pprof/$p
		[ $p != profile ] || q+="?seconds=$seconds"
		curl -s -m "$timeout" -A "$who" -H 'Accept-Encoding: gzip' -H 'Accept: */*' -o "$T/$who-$p.body" \
			-D "$T/$who-$p.head" -w '%{http_code}' "$URL$q" >"$T/$who-$p.status" &
		jobs+=" $!"
	done
	# shellcheck disable=SC2086 # words on purpose
	wait $jobs
	for p in allocs goroutine mutex block profile; do
		cp "$T/$who-$p.head" "$T/head"
		check "$who: $p answers in time" [ "$(cat "$T/$who-$p.status")" = 200 ]
		check "$who: $p: the type it wants" head_has 'content-type: application/octet-stream'
		# It is gzip inside; a head that says so once more would make them unpack twice.
		check "$who: $p: packed once" sh -c "! grep -qi '^content-encoding' '$T/head'"
		check "$who: $p: a strict reader takes it" strict "$who-$p"
	done
}

round()
{
	scrape parca 1 15
	scrape alloy 2 10
	check 'the heap has samples' awk '{ exit !($NF > 0) }' "$T/parca-allocs.sums"
	check 'so have the threads' grep -q '^goroutine/count [1-9]' "$T/parca-goroutine.sums"
	check 'nothing waits for a mutex of Go' grep -q ' 0 0 0$' "$T/parca-mutex.sums"
}

victim books arenas
TARGET=$PID
serve --pause-budget 50% v="$TARGET"
round
check 'no history is made up' grep -q '^inuse_objects/count inuse_space/bytes' "$T/parca-allocs.sums"
check 'the process works on' alive
check 'SIGTERM ends it' ended

HOOK=$BUILD/libmeminspect-hook.so
if [ -e "$HOOK" ]; then
	spawn "$MEMINSPECT" run --full --hook "$HOOK" -- "$VICTIMS/hook_truth" >"$T/said" 2>"$T/said.err"
	until_true grep -q ready "$T/said" || { echo 'the victim did not become ready'; exit 1; }
	serve --pause-budget 50% v="$PID"
	round
	check 'with the hook: all four types, in order' grep -q \
		'^alloc_objects/count alloc_space/bytes inuse_objects/count inuse_space/bytes' "$T/alloy-allocs.sums"
	# They take the difference to the last scrape themselves.
	check 'what was allocated does not fall' [ "$(awk '{ print $7 }' "$T/alloy-allocs.sums")" -ge \
		"$(awk '{ print $7 }' "$T/parca-allocs.sums")" ]
	check 'SIGTERM ends it, with the hook' ended
else
	skip 'the hook' 'it is not built'
fi
finish
