#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# books.sh: the lines of `rss` add up to what the kernel counts, to the page, for every kind of memory.
. "$(dirname "$0")/lib.sh"
need jq

# holds FILTER: jq says true of the last output
holds()
{
	jq -e "$@" <<<"$OUT" >/dev/null
}

# What may differ between two looks at a process that stands still: other processes.
comparable()
{
	jq -S 'del(.target, .capture, .beside) | walk(if type == "object" then del(.pss) else . end)' <<<"$OUT"
}

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
	check "$1: PSS" holds '([.lines[].pss] | add) == .totals.pss'
	kill -CONT "$PID"
}

expected()
{
	jq -e --argjson e "$(truth expect)" '. as $o | ($e | length) > 0 and all($e[]; . as $x |
		any($o.mappings[]; .start == $x.start and .rss == $x.rss and .line == $x.line))' <<<"$OUT"
}

for mode in fragmented top litter holes arenas mmapped stacks shared "files $T/file" huge anonymous; do
	# shellcheck disable=SC2086 # a mode and its argument
	victim books $mode
	books "$mode"
	case $mode in
	shared | files* | huge)
		check "$mode: each mapping" expected >/dev/null ;;
	stacks)
		check "stacks: all of them" holds '(.stacks | length) == 500 and
			([.stacks[].rss] | add) == (.lines[] | select(.key == "thread_stacks") | .rss)' 
		check "stacks: touched deeper than now" \
			holds 'all(.stacks[]; .rss >= 20480 and .unused >= 12288 and .unused < .rss)' ;;
	mmapped)
		check "mmapped: touched half" holds '.lines[] | select(.key == "heap_mmapped") |
			.rss == 20 * (524288 + 4096) and .count == 20'  ;;
	anonymous)
		check "$mode: each mapping" expected >/dev/null
		check "anonymous: the stack of the thread that ended" \
			holds 'any(.lines[]; .key == "idle_stacks" and .rss >= 4096)' ;;
	esac
	check "$mode: lives" alive
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
check 'fragmentation: half' holds '.totals.fragmentation > 0.45 and .totals.fragmentation < 0.55'
check 'fragmentation: pages add up' holds '([.pages[].unused] | add) == .totals.unused'
unused=$(jq .totals.unused <<<"$OUT")
mi heap pins "$PID" --format json --limit 0
check 'pins: pinned and not add up to what is free' holds --argjson u "$unused" '
	(.totals.pinned + .totals.free_pages) as $f | $f <= $u and $f > $u - 65536'
mi heap pins "$PID" --by type --format json --limit 0
check 'pins: types add up' holds '([.types[].pinned] | add) == .totals.pinned and ([.types[].chunks] | add) == ([.groups[].chunks] | add)'
check 'pins: an example of each type' holds '.types | all(.example != "0x0")'
mi heap pins "$PID" --format json --limit 0
check 'pins: the small ones pin most' holds '.groups[0] | .size_min == 720 and .chunks == 500'
mi heap map "$PID" --format json
check 'map: in use adds up' holds '([.cells[].in_use] | add) > 7e6 and all(.cells[]; .resident <= .size)'
mi heap map "$PID" --format html
check 'map: is a page' grep -q '</svg>' <<<"$OUT"
mi heap map "$PID" --color always
check 'map: has colours' grep -q $'\033\[38;5;' <<<"$OUT"
mi heap map "$PID" --color never
check 'map: has none when not wanted' bash -c '! grep -q "[[:cntrl:]]" <<<"$1"' - "$OUT"
# The same snapshot from a file gives the same answers; a core says what it cannot know.
stopped "$PID"
mi save "$T/a.mi" "$PID"
check 'save' [ "$RC" = 0 ]
for command in rss 'heap trim --dry-run' 'heap fragmentation' 'heap pins' 'heap map' advise; do
	# shellcheck disable=SC2086 # a command of several words
	mi $command "$PID" --format json
	comparable >"$T/live.json"
	# shellcheck disable=SC2086
	mi $command "$T/a.mi" --format json
	comparable >"$T/file.json"
	check "$command: a file says the same" cmp -s "$T/live.json" "$T/file.json"
done
if command -v gcore >/dev/null && gcore -o "$T/core" "$PID" >/dev/null 2>&1; then
	mi rss "$T/core.$PID" --format json
	check 'rss of a core: sizes, and says so' holds '(.totals.exact | not) and .totals.vm_rss == null and
		any(.notes[]; .code == "estimated")'
	check 'rss of a core: adds up' holds '([.lines[].rss] | add) == .totals.rss'
	mi advise "$T/core.$PID"
	check 'advise on a core' [ "$RC" = 0 ]
else
	skip 'books of a core' 'no gcore'
fi
kill -CONT "$PID"
if [ -f "$BUILD/libmeminspect-hook.so" ]; then
	"$MEMINSPECT" run --full -- "$VICTIMS/books" fragmented >"$T/hooked" &
	PID=$!
	pids="$pids $PID"
	check 'hooked: starts' until_true grep -q ready "$T/hooked"
	mi heap pins --by site "$PID" --format json
	chunks=$("$MEMINSPECT" heap chunks --where 'size >= 24K and state = in_use' --limit 0 --format json "$PID" 2>/dev/null | jq '.chunks | length')
	for by in site function module size thread age; do
		mi heap top --by $by --where 'size >= 24K' --limit 0 --format json "$PID"
		check "heap top --by $by --where: counts what heap chunks lists" holds --argjson n "$chunks" \
			'$n > 50 and ([.top[].inuse_objects] | add) == $n and all(.top[]; .alloc_bytes == null)'
	done
	mi heap top --where 'size >= 24K' --sort alloc "$PID"
	check "heap top --where: not by what is gone" [ "$RC" = 2 ]
	mi heap pins --by site "$PID" --format json
	check 'pins: by who allocated' holds '.sites[0] | .share > 0.9 and (.site | startswith("fragment"))'
fi
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
check 'advise: and says so' holds 'any(.advice[]; .code == "in_use") and any(.advice[]; .code == "nothing_wrong")'
finish
