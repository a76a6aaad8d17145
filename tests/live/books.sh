#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# books.sh: the lines of `rss` add up to what the kernel counts, to the page, for every kind of memory,
# and `heap trim --dry-run` promises what malloc_trim(0) then does.
. "$(dirname "$0")/lib.sh"
need jq

smaps_sum()
{
	awk '/^Rss:/ { s += $2 } END { print s * 1024 }' "/proc/$1/smaps"
}

# The process stands still from here to the end of the comparison, so both look at one instant.
stopped()
{
	kill -STOP "$1"
	until_true grep -q '^State:.T' "/proc/$1/status"
}

balanced()
{
	[ "$RC" = 0 ] && jq -e --argjson sum "$1" '
		([.lines[].rss] | add) == $sum and .totals.rss == $sum and
		(.lines[] | select(.key == "unexplained") | .rss) == 0 and .totals.exact' <<<"$OUT" >/dev/null
}

# Before 6.17 the counter in status may lag: then it may, but must be shown as what it is.
counter()
{
	local vm
	vm=$(awk '/^VmRSS:/ { print $2 * 1024 }' "/proc/$1/status")
	jq -e --argjson vm "$vm" '.totals.vm_rss == $vm and .totals.drift == $vm - .totals.rss' <<<"$OUT" >/dev/null
}

books()
{
	stopped "$PID"
	mi rss "$PID" --format json --mappings --limit 0 --threads --arenas
	check "$1: sum" balanced "$(smaps_sum "$PID")"
	check "$1: counter" counter "$PID"
	check "$1: PSS" jq -e '([.lines[].pss] | add) == .totals.pss' <<<"$OUT"
	kill -CONT "$PID"
}

expected()
{
	jq -e --argjson e "$(truth expect)" '. as $o | ($e | length) > 0 and all($e[]; . as $x |
		any($o.mappings[]; .start == $x.start and .rss == $x.rss and .line == $x.line))' <<<"$OUT"
}

trimmed()
{
	local line
	kill -USR2 "$PID"
	IFS= read -r -t 60 line <&"$VICTIM_FD" || return 1
	jq -e --argjson t "$line" '
		def near($a; $b): ($a - $b | fabs) <= 4096;
		. as $o | near($t.trim.main[0] - $t.trim.main[1];
			[.arenas[] | select(.arena == "main") | .release] | add) and
		all($t.trim.arenas[]; . as $a |
			any($o.arenas[]; (.addr | startswith($a.start[:-6])) and near($a.before - $a.after; .release)))
		' <<<"$OUT" || { echo "$line"; return 1; }
}

trim()
{
	victim books "$1"
	mi heap trim --dry-run "$PID" --format json
	check "trim $1: runs" [ "$RC" = 0 ]
	check "trim $1: something goes" jq -e '.totals.release > 100000' <<<"$OUT"
	check "trim $1: as promised" trimmed
	mi heap trim --dry-run "$PID" --format json
	check "trim $1: nothing is promised twice" jq -e '.totals.release <= 4096 * (.arenas | length)' <<<"$OUT"
}

for mode in fragmented top litter holes arenas mmapped stacks shared "files $T/file" huge anonymous; do
	# shellcheck disable=SC2086 # a mode and its argument
	victim books $mode
	books "$mode"
	case $mode in
	shared | files* | huge)
		check "$mode: each mapping" expected >/dev/null ;;
	stacks)
		check "stacks: all of them" jq -e '(.stacks | length) == 500 and
			([.stacks[].rss] | add) == (.lines[] | select(.key == "thread_stacks") | .rss)' <<<"$OUT" >/dev/null
		check "stacks: touched deeper than now" \
			jq -e 'all(.stacks[]; .rss >= 20480 and .unused >= 12288 and .unused < .rss)' <<<"$OUT" >/dev/null ;;
	mmapped)
		check "mmapped: touched half" jq -e '.lines[] | select(.key == "heap_mmapped") |
			.rss == 20 * (524288 + 4096) and .count == 20' <<<"$OUT" >/dev/null ;;
	anonymous)
		check "$mode: each mapping" expected >/dev/null
		check "anonymous: the stack of the thread that ended" \
			jq -e 'any(.lines[]; .key == "idle_stacks" and .rss >= 4096)' <<<"$OUT" >/dev/null ;;
	esac
	check "$mode: lives" alive
done
for mode in fragmented top litter holes arenas huge; do
	trim "$mode"
done
finish
