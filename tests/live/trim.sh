#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# trim.sh: `heap trim --dry-run` promises what malloc_trim(0) then does, to a page an arena. VICTIMS may
# hold a books that runs with another glibc: tests/stress/glibc_versions.sh does that.
. "$(dirname "$0")/lib.sh"
need jq

# holds FILTER: jq says true of the last output
holds()
{
	jq -e "$@" <<<"$OUT" >/dev/null
}

trimmed()
{
	local line
	kill -USR2 "$PID"
	IFS= read -r -t 60 line <&"$VICTIM_FD" || return 1
	holds --argjson t "$line" '
		def near($a; $b): ($a - $b | fabs) <= 4096;
		. as $o | near($t.trim.main[0] - $t.trim.main[1];
			[.arenas[] | select(.arena == "main") | .release] | add) and
		all($t.trim.arenas[]; . as $a |
			any($o.arenas[]; (.addr | startswith($a.start[:-6])) and near($a.before - $a.after; .release)))
		' || { echo "$line"; return 1; }
}

trim()
{
	victim books "$@"
	mi heap trim --dry-run "$PID" --format json
	check "trim $1: runs" [ "$RC" = 0 ]
	check "trim $1: something goes" holds '.totals.release > 100000'
	check "trim $1: as promised" trimmed
	mi heap trim --dry-run "$PID" --format json
	check "trim $1: nothing is promised twice" holds '.totals.release <= 4096 * (.arenas | length)'
}

for mode in fragmented top litter holes arenas huge; do
	trim "$mode"
done
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1
trim top
unset GLIBC_TUNABLES

finish
