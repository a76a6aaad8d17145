#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# golden.sh: runs the rows of cases.tab and compares what meminspect prints with the files here.
#
# A row: NAME | VICTIM ARG... | COMMAND LINE | FORMATS
#   VICTIM        a program of tests/victims, started anew for each row; - for none
#   COMMAND LINE  what follows `meminspect`; the victim's pid is appended unless it holds {pid}.
#                 {key} is a value of the victim's truth line.
#   FORMATS       text json csv (default: text json); exit=N: the exit code that is expected;
#                 core, file: a core and a saved snapshot of the victim must give the same text
# Expected: NAME.text, NAME.json, NAME.csv, normalised by normalise.awk. Where kernel, libc or
# compiler have their say, NAME.jq (first, on the JSON; without it, who and how are dropped, which are
# the same everywhere) and NAME.sed (last, on the others) take that out. GOLDEN_ACCEPT=1 rewrites them. ONLY=pattern picks rows by name.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/../live/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
need jq gcore
[ -x "$MEMINSPECT" ] || { echo "the tool is not built"; exit 77; }
set -o pipefail
host=$(uname -n)
export COLUMNS=100

trim()
{
	local s=$1
	s=${s#"${s%%[![:space:]]*}"}
	printf '%s' "${s%"${s##*[![:space:]]}"}"
}

# expand TEXT: {key} becomes the truth's value
expand()
{
	local s=$1 key
	while [[ $s =~ \{([a-z_.]+)\} ]]; do
		key=${BASH_REMATCH[1]}
		if [ "$key" = pid ]; then
			s=${s//"{pid}"/$PID}
		else
			s=${s//"{$key}"/$(truth "$key")}
		fi
	done
	printf '%s' "$s"
}

# normalised FILE FORMAT NAME
normalised()
{
	local ids=''
	[ -z "$PID" ] || ids="$PID $(cd "/proc/$PID/task" && printf '%s\n' * | sort -n | grep -vx "$PID" | tr '\n' ' ')"
	[ -s "$1" ] || { echo 'no output' >"$T/why"; return 1; }
	if [ "$2" != json ]; then
		cat "$1"
	elif [ -e "$here/$3.jq" ]; then
		jq -f "$here/$3.jq" "$1"
	else
		jq 'del(.target, .capture)' "$1"
	fi |
		awk -f "$here/normalise.awk" -v ids="$ids" -v host="$host" -v victims="$VICTIMS" |
		if [ -e "$here/$3.sed" ] && [ "$2" != json ]; then sed -E -f "$here/$3.sed"; else cat; fi
}

# compare NAME FORMAT WHAT COMMAND...: WHAT is "" for the process itself
compare()
{
	local name=$1 format=$2 want=$here/$1.$2 got=$T/$1.$2 what=$3
	shift 3
	if [ "$format" = text ]; then mi "$@"; else mi "$@" --format "$format"; fi
	if [ "$RC" != "$expect_rc" ]; then
		nfail=$((nfail + 1))
		echo "failed: $name.$format$what: exit $RC, not $expect_rc: meminspect $*"
		head -n 5 "$T/err"
		return
	fi
	: >"$T/why"
	if ! normalised "$T/out" "$format" "$name" >"$got" 2>>"$T/why"; then
		nfail=$((nfail + 1))
		echo "failed: $name.$format$what: not what --format $format promises: $(head -n 3 "$T/why")"
		return
	fi
	if [ -n "${GOLDEN_ACCEPT:-}" ] && [ -z "$what" ]; then
		cmp -s "$got" "$want" || echo "accepted: $name.$format"
		cp "$got" "$want"
		npass=$((npass + 1))
	elif [ ! -e "$want" ]; then
		nfail=$((nfail + 1))
		echo "failed: $name.$format: no expected output; make golden-accept writes it"
	elif diff -u "$want" "$got" >"$T/diff"; then
		npass=$((npass + 1))
	else
		nfail=$((nfail + 1))
		echo "failed: $name.$format differs$what: meminspect $*"
		tail -n +3 "$T/diff" | head -n 60
	fi
}

# dead_copy core|file: $T/dead, from $PID
dead_copy()
{
	case $1 in
	core) gcore -o "$T/dead" "$PID" >/dev/null 2>&1 && mv "$T/dead.$PID" "$T/dead" ;;
	file) "$MEMINSPECT" -q save "$T/dead" "$PID" >/dev/null ;;
	esac
}

rows=0
while IFS='|' read -r name who command formats; do
	name=$(trim "$name") who=$(trim "$who") command=$(trim "$command") formats=$(trim "${formats:-}")
	case $name in '' | '#'*) continue ;; esac
	# shellcheck disable=SC2053 # a pattern on purpose
	[[ $name == ${ONLY:-*} ]] || [ "${ONLY:-}" = golden ] || continue
	rows=$((rows + 1))
	expect_rc=0
	list='' others=''
	for word in $formats; do
		case $word in
		exit=*) expect_rc=${word#exit=} ;;
		core | file) others="$others $word" ;;
		*) list="$list $word" ;;
		esac
	done
	PID='' TRUTH='{}'
	if [ "$who" != - ]; then
		# shellcheck disable=SC2086 # words
		victim $who
		[[ $command == *'{pid}'* ]] || command="$command {pid}"
	fi
	eval "set -- $(expand "$command")"
	for format in ${list:-text json}; do
		compare "$name" "$format" '' "$@"
	done
	for other in $others; do
		if dead_copy "$other"; then
			eval "set -- $(PID='' expand "${command//"{pid}"/"$T/dead"}")"
			compare "$name" text " on a $other" "$@"
		else
			check "$name: a $other can be made" false
		fi
		rm -f "$T/dead"*
	done
	if [ -n "$PID" ]; then
		check "$name: the victim works on" alive
		kill -9 "$PID" 2>/dev/null
		exec {VICTIM_FD}<&-
	fi
done <"$here/cases.tab"
[ $rows -gt 0 ] || { echo "no row matches"; exit 77; }
finish
