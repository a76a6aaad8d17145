#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# run.sh KIND...: runs tests and ends with the line `N passed, N failed, N skipped`.
#
# KIND: unit    the programs of tests/unit (cmocka), two at a time
#       live    the programs and scripts of tests/live, on real processes, one after the other
#       golden  the rows of tests/golden/cases.tab
#       stress  the programs and scripts of tests/stress
#       lint    the quick house rules
# Environment: BUILD, MEMINSPECT, VICTIMS (absolute); ONLY=pattern: names that match only;
# TEST_TIMEOUT (seconds, 180); RETRY=1: what fails is run once more, and is told as unsteady when it
# passes then (other people's programs on a busy machine).
#
# Scripts called lib* are parts of others. A script passes with exit 0, skips with 77 and the reason
# on its last line, and fails otherwise. It counts as one test unless it says `N passed, N failed, N skipped` itself in its
# last line. Exit 1 when something failed, or nothing ran.

set -u
cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=$PWD/build}"
export BUILD
export MEMINSPECT=${MEMINSPECT:-$BUILD/meminspect} VICTIMS=${VICTIMS:-$BUILD/victims}
export LC_ALL=C.UTF-8 ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export HOME=${TEST_HOME:-$BUILD/home} DEBUGINFOD_URLS=
unset NO_COLOR PAGER MEMINSPECT_OPTIONS
mkdir -p "$HOME"
out=$BUILD/results
rm -rf "$out"
mkdir -p "$out"
only=${ONLY:-*}

# A test runs in a process group of its own, so that nothing that it started stays behind.
# bounded LOG COMMAND...
bounded()
{
	local log=$1 rc
	shift
	timeout -k 5 "${TEST_TIMEOUT:-180}" "$@" >"$log" 2>&1 </dev/null &
	local pid=$!
	wait $pid
	rc=$?
	kill -9 -- -$pid 2>/dev/null
	[ $rc = 124 ] && echo "timed out after ${TEST_TIMEOUT:-180} s" >>"$log"
	return $rc
}

# Writes NAME.res: "pass fail skip", and NAME.skips: what was skipped and why.
# note NAME RC LOG
note()
{
	local name=$1 rc=$2 log=$3 pass=0 fail=0 skip=0 last
	last=$(grep -v '^[[:space:]]*$' "$log" | tail -n 1)
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
		pass=${BASH_REMATCH[1]} fail=${BASH_REMATCH[2]} skip=${BASH_REMATCH[3]}
		grep '^  skip ' "$log" | sed "s|^  skip |$name: |" >"$out/${name//\//_}.skips"
		[ "$rc" = 0 ] || [ "$fail" != 0 ] || fail=1
	elif [ "$rc" = 77 ]; then
		skip=1
		echo "$name: ${last:-no reason given}" >"$out/${name//\//_}.skips"
		[ -n "$last" ] || { fail=1; skip=0; }
	elif grep -q '^\[=* *\] *[^ ]*: *[0-9]* test(s) run\|^\[==*\].* test(s) run' "$log"; then
		# cmocka: a skipped test is in neither of the other two
		pass=$(sed -n 's/^\[ *PASSED *\] *\([^0-9]*: \)\{0,1\}\([0-9]*\) test(s).*/\2/p' "$log" | awk '{n += $1} END {print n + 0}')
		fail=$(sed -n 's/^\[ *FAILED *\] *\([^0-9]*: \)\{0,1\}\([0-9]*\) test(s).*/\2/p' "$log" | awk '{n += $1} END {print n + 0}')
		skip=$(sed -n 's/^\[ *SKIPPED *\] *\([^0-9]*: \)\{0,1\}\([0-9]*\) test(s).*/\2/p' "$log" | awk '{n += $1} END {print n + 0}')
		grep '^skip: ' "$log" | sed "s|^skip: |$name: |" >"$out/${name//\//_}.skips"
		[ "$skip" = 0 ] || [ -s "$out/${name//\//_}.skips" ] ||
			sed -n 's/^\[ *SKIPPED *\] \([^0-9].*\)/\1/p' "$log" | sed "s|^|$name: |" >"$out/${name//\//_}.skips"
		[ "$rc" = 0 ] || [ "$fail" != 0 ] || fail=1
	elif [ "$rc" = 0 ]; then
		pass=1
	else
		fail=1
	fi
	echo "$pass $fail $skip" >"$out/${name//\//_}.res"
	if [ "$fail" != 0 ]; then
		sed 's/^/    | /' "$log" | tail -n "${LOG_LINES:-120}"
		echo "  FAIL  $name (exit $rc)"
	elif [ "$pass" = 0 ]; then
		echo "  skip  $name: $last"
	else
		echo "  ok    $name ($pass)"
	fi
}

# one NAME COMMAND...
one()
{
	local name=$1 log
	shift
	log=$out/${name//\//_}.log
	bounded "$log" "$@"
	note "$name" $? "$log"
	if [ "${RETRY:-0}" = 1 ] && ! grep -q '^[0-9]* 0 ' "$out/${name//\//_}.res"; then
		mv "$log" "$log.first"
		echo "  again $name"
		bounded "$log" "$@"
		note "$name" $? "$log"
		grep -q '^[0-9]* 0 ' "$out/${name//\//_}.res" && echo "$name" >>"$out/unsteady"
	fi
}

# The programs that make built for the sources that are there, not what an old build left.
# programs KIND
programs()
{
	local src name
	for src in tests/"$1"/test_*.c; do
		[ -e "$src" ] || continue
		name=${src#tests/}
		name=${name%.c}
		# shellcheck disable=SC2053 # a pattern on purpose
		[[ $name == $only ]] || [[ ${name##*/} == $only ]] || continue
		if [ -x "$BUILD/tests/$name" ]; then
			printf '%s\n' "$name"
		else
			echo "0 1 0" >"$out/${name//\//_}.res"
			echo "  FAIL  $name: not built" >&2
		fi
	done
}

scripts_of()
{
	local src name
	for src in tests/"$1"/*.sh; do
		name=${src#tests/}
		case ${name##*/} in lib*) continue ;; esac
		# shellcheck disable=SC2053
		[[ $name == $only ]] || [[ ${name##*/} == $only ]] || [[ ${name##*/} == $only.sh ]] || continue
		if [ -x "$src" ]; then
			one "$name" "$src"
		else # and would never run, were it passed over
			echo "0 1 0" >"$out/${name//\//_}.res"
			echo "  FAIL  $name: not executable" >&2
		fi
	done
}

for kind; do
	case $kind in
	unit)
		running=0
		for name in $(programs unit); do
			one "$name" "$BUILD/tests/$name" &
			running=$((running + 1))
			if [ $running -ge "$(nproc)" ]; then
				wait -n
				running=$((running - 1))
			fi
		done
		wait
		;;
	live | stress)
		for name in $(programs "$kind"); do
			one "$name" "$BUILD/tests/$name"
		done
		scripts_of "$kind"
		;;
	golden)
		TEST_TIMEOUT=600 one golden tests/golden/golden.sh
		;;
	lint)
		TEST_TIMEOUT=600 one lint scripts/lint.sh --light
		;;
	*)
		echo "run.sh: unknown kind '$kind'" >&2
		exit 2
		;;
	esac
done

if compgen -G "$out/*.skips" >/dev/null && [ -n "$(cat "$out"/*.skips)" ]; then
	echo "skipped:"
	cat "$out"/*.skips | sed 's/^/  /'
fi
if [ -s "$out/unsteady" ]; then
	echo "unsteady, passed at the second try:"
	sed 's/^/  /' "$out/unsteady"
fi
read -r pass fail skip < <(cat "$out"/*.res 2>/dev/null | awk '{p += $1; f += $2; s += $3} END {print p + 0, f + 0, s + 0}')
if [ $((pass + fail)) = 0 ]; then
	echo "no test ran" >&2
	fail=1
fi
echo "$pass passed, $fail failed, $skip skipped"
[ "$fail" = 0 ]
