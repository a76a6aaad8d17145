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

# advice CODE...: exactly these warnings are given
advice()
{
	local want
	want=$([ $# = 0 ] || printf '%s\n' "$@" | sort | tr '\n' ' ')
	[ "$RC" = 0 ] && [ "$(jq -r '.advice[] | select(.severity == "warning") | .code' <<<"$OUT" | sort | tr '\n' ' ')" = "$want" ]
}

victim books fragmented
mi advise "$PID" --format json
check 'advise: fragmented' advice fragmentation free_pages
mi heap fragmentation "$PID" --format json
check 'fragmentation: half' jq -e '.totals.fragmentation > 0.45 and .totals.fragmentation < 0.55' <<<"$OUT"
check 'fragmentation: pages add up' jq -e '([.pages[].unused] | add) == .totals.unused' <<<"$OUT"
unused=$(jq .totals.unused <<<"$OUT")
mi heap pins "$PID" --format json --limit 0
check 'pins: pinned and not add up to what is free' jq -e --argjson u "$unused" '
	(.totals.pinned + .totals.free_pages) as $f | $f <= $u and $f > $u - 65536' <<<"$OUT"
check 'pins: the small ones pin most' jq -e '.groups[0] | .size_min == 720 and .chunks == 500' <<<"$OUT"
mi heap map "$PID" --format json
check 'map: in use adds up' jq -e '([.cells[].in_use] | add) > 7e6 and all(.cells[]; .resident <= .size)' <<<"$OUT"
mi heap map "$PID" --format html
check 'map: is a page' grep -q '</svg>' <<<"$OUT"
mi heap map "$PID" --color always
check 'map: has colours' grep -q $'\033\[38;5;' <<<"$OUT"
mi heap map "$PID" --color never
check 'map: has none when not wanted' bash -c '! grep -q "[[:cntrl:]]" <<<"$1"' - "$OUT"
victim books top
mi advise "$PID" --format json
check 'advise: a large free top' advice free_top
victim books arenas
mi advise "$PID" --format json
check 'advise: arenas' advice too_many_arenas fragmentation free_pages
victim books stacks
mi advise "$PID" --format json
check 'advise: stacks' advice thread_stacks
victim books mmapped
mi advise "$PID" --format json
check 'advise: in use is no waste' advice
check 'advise: and says so' jq -e 'any(.advice[]; .code == "in_use") and any(.advice[]; .code == "nothing_wrong")' <<<"$OUT"
finish
