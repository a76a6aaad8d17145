#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# commands.sh: every command has a summary, a help text, an example, and a test that runs it.
#
# `meminspect --generate commands` prints the table: NAME, SUMMARY, HELP, EXAMPLE, OPTION WITHOUT
# HELP, separated by tabs, one command a line.

set -u
cd "$(dirname "$0")/../.." || exit 1
tool=${MEMINSPECT:-build/meminspect}
[ -x "$tool" ] || { echo "the tool is not built"; exit 77; }
table=$("$tool" --generate commands 2>&1) || { echo "$tool --generate commands: $table"; exit 1; }
rc=0
n=0
problem()
{
	echo "command '$1': $2"
	rc=1
}
while IFS=$'\x1f' read -r name summary help example bare; do
	[ -n "$name" ] || continue
	n=$((n + 1))
	[ -n "$summary" ] || problem "$name" "no summary"
	[ "$help" != 0 ] || problem "$name" "no help"
	[ -n "$example" ] || problem "$name" "no example"
	[[ $summary != *. ]] || problem "$name" "summary ends in a period"
	[ -z "$bare" ] || problem "$name" "option without help: $bare"
	# a golden row, or a live test, runs it
	awk -F'|' -v name="$name" '!/^[[:space:]]*(#|$)/ {
		gsub(/[[:space:]]+/, " ", $3)
		sub(/^ /, "", $3)
		if (index($3 " ", name " ") == 1)
			found = 1
	} END { exit !found }' tests/golden/cases.tab 2>/dev/null ||
		grep -qrlE "(^|[^a-z])$name([^a-z]|\$)" tests/live --include='*.sh' --include='*.exp' --include='*.c' ||
		problem "$name" "no test runs it: add a row to tests/golden/cases.tab"
done < <(tr '\t' '\037' <<<"$table")
[ $n -gt 0 ] || { echo "the command table is empty"; rc=1; }
exit $rc
