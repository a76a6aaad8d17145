#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# run.sh: runs each fuzzer for FUZZ_TIME seconds, two at a time; called by `make fuzz`.
# FUZZ_RUNS=N: N inputs from a fixed start instead, the same ones each time: what CI can be judged by.
#
# Seeds are the files of tests/fuzz/corpus/NAME, where there are any. An input that breaks something
# is kept in $BUILD/fuzz/NAME and its path printed: make it a unit test, or a seed, with the fix.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=build-fuzz}" "${FUZZ_TIME:=60}"
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# fuzz NAME
fuzz()
{
	local name=$1 dir=$BUILD/fuzz/$1 seeds=''
	mkdir -p "$dir/corpus" "$dir/found"
	[ ! -d "tests/fuzz/corpus/$name" ] || seeds=tests/fuzz/corpus/$name
	# shellcheck disable=SC2086 # none or one folder, none or two words
	if "$BUILD/tests/fuzz/$name" -max_total_time="$FUZZ_TIME" ${FUZZ_RUNS:+-runs=$FUZZ_RUNS -seed=1} \
		-timeout=30 -rss_limit_mb=2048 \
		-artifact_prefix="$dir/found/" "$dir/corpus" $seeds >"$dir/log" 2>&1 </dev/null; then
		echo "  ok    $name: $(sed -n "s/^Done \([0-9]*\) runs.*/\1/p" "$dir/log") inputs, $(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$dir/log" | tail -n 1) edges"
		echo 1 0 >"$dir/res"
	else
		tail -n 60 "$dir/log" | sed 's/^/    | /'
		echo "  FAIL  $name: see $dir/found"
		echo 0 1 >"$dir/res"
	fi
}

rm -f "$BUILD"/fuzz/*/res
for src in tests/fuzz/fuzz_*.c; do
	[ -e "$src" ] || continue
	fuzz "$(basename "$src" .c)" &
	while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n; done
done
wait
cat "$BUILD"/fuzz/*/res 2>/dev/null | awk '{ p += $1; f += $2 }
	END { print p + 0 " passed, " f + 0 " failed, 0 skipped"; exit f > 0 || p == 0 }'
