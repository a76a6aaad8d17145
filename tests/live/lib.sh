# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# lib.sh: what the live tests share. Source it first:  . "$(dirname "$0")/lib.sh"
#
#   victim NAME ARG...   starts a victim and waits for its truth line: PID, TRUTH; fails the whole
#                        test when it does not come
#   spawn COMMAND...     starts any other program: PID (wait for it with until_true)
#   truth KEY            a value of the truth line (jq path without the dot)
#   mi ARG...            runs meminspect: OUT, ERR (text of stdout and stderr), RC
#   json FILTER          the JSON that mi got fulfils a jq filter (no output is no JSON)
#   alive                the victim works on: it answers SIGUSR1
#   check WHAT COMMAND...  one test: passes when COMMAND succeeds
#   skip WHAT WHY        one test that cannot run
#   need COMMAND...      skips the whole script when a program is not installed
#   until_true COMMAND   polls until it succeeds, at most 20 s
#   finish               the closing line; last call of the script

set -u
: "${BUILD:?run this through tests/run.sh or set BUILD, MEMINSPECT, VICTIMS}"
: "${MEMINSPECT:=$BUILD/meminspect}" "${VICTIMS:=$BUILD/victims}"
T=$(mktemp -d "${TMPDIR:-/tmp}/meminspect-test.XXXXXX") || exit 1
npass=0 nfail=0 nskip=0
pids=''
exec {REPORT}>&1 # a check says what failed, wherever its own output goes

cleanup_()
{
	exec 2>/dev/null # the shell's remarks on what it killed
	for p in $pids; do
		# Its number may be another's by now; what it started itself ends with it.
		grep -q "^PPid:[[:space:]]*$$\$" "/proc/$p/status" || continue
		kill -CONT "$p" 2>/dev/null
		kill -9 "$p" 2>/dev/null
	done
	rm -rf "$T"
}
trap cleanup_ EXIT

need()
{
	local c
	for c; do
		command -v "$c" >/dev/null 2>&1 || [ -x "/usr/sbin/$c" ] || {
			echo "$c is not installed"
			exit 77
		}
	done
}

spawn()
{
	"$@" &
	PID=$!
	pids="$pids $PID"
}

victim()
{
	local name=$1 line
	shift
	TRUTH=''
	[ -x "$VICTIMS/$name" ] || { echo "victim $name is not built"; exit 1; }
	exec {VICTIM_FD}< <(exec "$VICTIMS/$name" "$@")
	PID=$!
	pids="$pids $PID"
	while IFS= read -r -t 60 line <&"$VICTIM_FD"; do
		case $line in
		'{'*'"ready"'*) TRUTH=$line; break ;;
		esac
	done
	[ -n "$TRUTH" ] || { echo "victim $name did not become ready"; exit 1; }
}

truth()
{
	jq -r ".$1" <<<"$TRUTH"
}

mi()
{
	"$MEMINSPECT" "$@" >"$T/out" 2>"$T/err" </dev/null
	RC=$?
	OUT=$(cat "$T/out")
	ERR=$(cat "$T/err")
	return 0
}

# jq 1.6 calls an empty input a success, so ask for the output.
json()
{
	[ "$(jq -c "$1 | . != null and . != false" "$T/out" 2>>"$T/err" | sort -u)" = true ]
}

alive()
{
	local line
	kill -USR1 "$PID" || return 1
	while IFS= read -r -t 20 line <&"$VICTIM_FD"; do
		case $line in '{"alive"'*) return 0 ;; esac
	done
	return 1
}

check()
{
	local what=$1
	shift
	if "$@"; then
		npass=$((npass + 1))
	else
		nfail=$((nfail + 1))
		{
			echo "failed: $what: $*"
			[ -z "${ERR:-}" ] || sed 's/^/    stderr: /' <<<"$ERR" | head -n 20
			[ -z "${OUT:-}" ] || sed 's/^/    stdout: /' <<<"$OUT" | head -n 20
		} >&"$REPORT"
	fi
}

skip()
{
	nskip=$((nskip + 1))
	echo "  skip $1: $2"
}

until_true()
{
	local end=$((SECONDS + 20))
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.02
	done
}

finish()
{
	echo "$npass passed, $nfail failed, $nskip skipped"
	[ $nfail = 0 ]
	exit
}
