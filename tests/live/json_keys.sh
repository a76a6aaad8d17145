#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# json_keys.sh: every key that a command writes as JSON is documented by `help --json COMMAND`.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

# documented COMMAND: compares what mi wrote with the documentation: "table.key" of both
documented()
{
	"$MEMINSPECT" help --json "$1" --format json | jq -r '.json_keys[] | .table + "." + .key' |
		sort -u >"$T/documented"
	# The envelope is documented once, in the manual page; *_shown and *_total belong to tables.
	jq -r 'del(.meminspect, .format, .command, .target, .capture, .notes)
		| [paths(scalars)] | .[] | map(select(type == "string"))
		| if length > 1 then .[-2] + "." + .[-1] else "." + .[0] end' "$T/out" |
		grep -vE '_(shown|total)$|\.depth$' | sort -u >"$T/written"
	[ -s "$T/written" ] || return 1
	comm -23 "$T/written" "$T/documented" >"$T/missing"
	[ ! -s "$T/missing" ] || { echo "not documented: $(tr '\n' ' ' <"$T/missing")"; return 1; }
}

victim mix
kept=$(truth kept)
# looked_at COMMAND ARG...: as a whole command line before the target
looked_at()
{
	local command=$1
	shift
	# shellcheck disable=SC2086 # a command is one or two words
	mi $command "$@" --format json "$PID"
	check "$command: runs" [ "$RC" = 0 ]
	check "$command: all keys are documented" documented "$command"
}

for command in 'heap summary' 'heap arenas' 'heap bins' 'heap sizes' 'heap chunks' 'heap verify' \
	'heap fragmentation' 'heap pins' 'heap map' threads rss advise maps; do
	looked_at "$command"
done
looked_at 'heap trim' --dry-run
looked_at whatis "$kept"
looked_at x "$kept"
looked_at save "$T/a.mi"
mi info --format json "$T/a.mi"
check 'info: all keys are documented' documented info
mi diff --format json "$T/a.mi" "$PID"
check 'diff: all keys are documented' documented diff
looked_at check
looked_at watch --duration 1s --interval 50ms --record "$T/a.db"
mi report weekly --format json "$T"
check 'report weekly: runs' [ "$RC" = 0 ]
check 'report weekly: all keys are documented' documented 'report weekly'
mi verify --format json "$T/a.db" "$T/a.db"
check 'verify: all keys are documented' documented verify
finish
