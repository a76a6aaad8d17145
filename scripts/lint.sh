#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# lint.sh [--light]: runs the house rules of scripts/lint; prints problems and one closing line.
#
# A rule is a script that prints what is wrong, one problem a line, and exits non-zero when there
# is something; 77 when it cannot run (the reason is its last line). --light leaves out what
# takes longer than a second or needs the tools of the lint set.

set -u
cd "$(dirname "$0")/.." || exit 1
rules='layers spdx banned paths limits commands'
[ "${1:-}" = --light ] || rules="$rules headers shell format cppcheck"

pass=0 fail=0 skip=0
for rule in $rules; do
	text=$("scripts/lint/$rule.sh" 2>&1)
	case $? in
	0)
		pass=$((pass + 1))
		[ -z "$text" ] || printf '%s\n' "$text"
		;;
	77)
		skip=$((skip + 1))
		echo "  skip $rule: $(tail -n 1 <<<"$text")"
		;;
	*)
		fail=$((fail + 1))
		sed "s/^/$rule: /" <<<"$text"
		;;
	esac
done
echo "$pass passed, $fail failed, $skip skipped"
[ $fail = 0 ]
