#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# limits.sh: functions of at most 150 lines and complexity 25, files of at most 800 lines.
#
# scripts/limits.allow names what may be larger, how large, and why: NAME LINES COMPLEXITY reason
# (FILE LINES - reason for a file). An entry that is no longer needed, or larger than needed by a
# tenth, is a problem itself: the list only shrinks.

set -u
cd "$(dirname "$0")/../.." || exit 1
if ! command -v pmccabe >/dev/null 2>&1; then
	echo "pmccabe is not installed"
	exit 77
fi
allow=scripts/limits.allow
sources=$(find inspector gdbplugin scripts tests -name '*.c' 2>/dev/null | sort)
{
	# shellcheck disable=SC2086 # file names without spaces
	pmccabe $sources 2>/dev/null | awk -F'\t' '{
		split($6, at, "(")
		name = $6
		sub(/^.*: /, "", name)
		print "function", name, $5, $1, at[1]
	}'
	# shellcheck disable=SC2086
	wc -l $sources | awk '$2 != "total" { print "file", $2, $1, 0, $2 }'
} | awk -v allow="$allow" '
	BEGIN {
		while ((getline line < allow) > 0) {
			if (line ~ /^[[:space:]]*(#|$)/)
				continue
			n = split(line, f, " ")
			if (n < 4) {
				print allow ": \047" line "\047: needs NAME LINES COMPLEXITY and a reason"
				failed = 1
			}
			lines[f[1]] = f[2] + 0
			cplx[f[1]] = f[3] + 0
		}
	}
	{
		max_lines = $1 == "file" ? 800 : 150
		max_cplx = 25
		large = $3 > max_lines || $4 > max_cplx
		if ($2 in lines) {
			used[$2] = 1
			if (lines[$2] > max_lines)
				max_lines = lines[$2]
			if (cplx[$2] > max_cplx)
				max_cplx = cplx[$2]
			if (!large || $3 < 0.9 * lines[$2] && lines[$2] > 150) {
				print allow ": " $2 ": smaller now (" $3 " lines, complexity " $4 "): shrink the entry"
				failed = 1
			}
		}
		if ($3 > max_lines) {
			print $5 ": " ($1 == "file" ? "" : $2 ": ") $3 " lines, at most " max_lines
			failed = 1
		}
		if ($4 > max_cplx) {
			print $5 ": " $2 ": complexity " $4 ", at most " max_cplx
			failed = 1
		}
	}
	END {
		for (n in lines)
			if (!(n in used)) {
				print allow ": " n ": no such function or file: remove the entry"
				failed = 1
			}
		exit failed
	}'
