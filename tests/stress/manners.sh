#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# manners.sh: the long form of the tests that a target is not harmed: 500 stops of a census of system
# calls, 100,000 signals, 1000 stops of each storm, 45 deaths at every step of an injection, and 1000 at
# random moments in each mode. FAULTS.md, beside this, tells which test is for which fault. About half an hour;
# MANNERS_KILLS=5000 and the like for more.
#
# Each test runs alone. Where the machine was suspended, or all this was frozen, calls of the targets come
# back and limits are over without our doing: a test that failed in such a moment is run again.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${VICTIMS:=$BUILD/victims}" "${MEMINSPECT:=$BUILD/meminspect}"
export BUILD VICTIMS MEMINSPECT
export MEMINSPECT_STRESS=1 CAPTURE_KILLS=${MANNERS_KILLS:-1000}
T=$(mktemp -d "${TMPDIR:-/tmp}/meminspect-test.XXXXXX") || exit 1
npass=0 nfail=0 nskip=0

# Notes when it did not run for two seconds.
heartbeat()
{
	local last=${EPOCHREALTIME%.*} now
	while sleep 0.25; do
		now=${EPOCHREALTIME%.*}
		[ $((now - last)) -lt 3 ] || echo $((now - last)) >>"$T/gaps"
		last=$now
	done
}
heartbeat &
heart=$!
trap 'kill $heart; rm -rf "$T"' EXIT

# steady NAME COMMAND...
steady()
{
	local name=$1 rc i start=$SECONDS
	shift
	for i in 1 2 3 4 5 6; do
		: >"$T/gaps"
		"$@" >"$T/out" 2>&1 # not niced: what it starts would hardly run beside others, and not stop in time
		rc=$?
		# one that ran nothing has shown nothing
		[ $rc != 0 ] || grep -qE '^\[=*\] 1 test\(s\) run|^[1-9][0-9]* passed' "$T/out" || rc=99
		[ $rc != 0 ] || break
		sleep 0.6 # the heartbeat has told
		[ -s "$T/gaps" ] || break
		echo "$name: failed while all stood still for $(paste -sd, "$T/gaps") s: again ($i)"
	done
	if [ $rc = 0 ]; then
		npass=$((npass + 1))
	else
		nfail=$((nfail + 1))
		tail -n 40 "$T/out"
	fi
	grep '^  skip ' "$T/out"
	if grep -q '^\[  SKIPPED' "$T/out"; then
		nskip=$((nskip + 1)) npass=$((npass - 1))
		echo "  skip $name: $(grep -v '^\[' "$T/out" | tail -n 1)"
	fi
	echo "$name: exit $rc, $((SECONDS - start)) s"
}

for test in census manners inject copies target; do
	program=$BUILD/tests/live/test_$test
	while read -r name; do
		steady "$test: $name" "$program" "$name" </dev/null
	done < <(sed -n 's/^[[:space:]]*cmocka_unit_test(\([a-z_0-9]*\)),$/\1/p' "tests/live/test_$test.c")
done
for mode in stop precopy fork live; do
	CAPTURE_MODES=$mode steady "capture.sh: $mode" tests/live/capture.sh
done
echo "$npass passed, $nfail failed, $nskip skipped"
[ $nfail = 0 ]
