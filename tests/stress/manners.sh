#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# manners.sh: the long form of the tests that a target is not harmed: 500 stops of a census of system
# calls, 100,000 signals, 1000 stops of each storm, 45 deaths at every step of an injection, and 1000 at
# random moments in each mode. FAULTS.md, beside this, tells which test is for which fault.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${VICTIMS:=$BUILD/victims}" "${MEMINSPECT:=$BUILD/meminspect}"
export BUILD VICTIMS MEMINSPECT
export MEMINSPECT_STRESS=1 CAPTURE_KILLS=1000
npass=0 nfail=0
for test in "$BUILD/tests/live/test_census" "$BUILD/tests/live/test_manners" "$BUILD/tests/live/test_inject" \
	"$BUILD/tests/live/test_copies" "$BUILD/tests/live/test_target" \
	tests/live/capture.sh; do
	start=$SECONDS
	if "$test"; then # not niced: what it starts would hardly run beside others, and not stop in time
		npass=$((npass + 1))
	else
		nfail=$((nfail + 1))
	fi
	echo "$test: $((SECONDS - start)) s"
done
echo "$npass passed, $nfail failed, 0 skipped"
[ $nfail = 0 ]
