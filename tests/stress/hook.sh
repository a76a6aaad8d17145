#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# hook.sh: the tests of the companion hook, with 10,000 stops at random moments under churn in each mode
# instead of 60: no record, frame or counter is ever torn. HOOK_STOPS: another number.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${VICTIMS:=$BUILD/victims}" "${MEMINSPECT:=$BUILD/meminspect}" "${HOOK_STOPS:=10000}"
export BUILD VICTIMS MEMINSPECT HOOK_STOPS
start=$SECONDS
"$BUILD/tests/live/test_hook"
rc=$?
echo "$((SECONDS - start)) s for $HOOK_STOPS stops in each mode"
exit $rc
