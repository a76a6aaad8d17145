#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# swap.sh: a process with half of its heap in swap. The books add up, swap included; what is there of the
# heap is walked; and nothing is brought back into memory by looking. Turns a swap file on for the
# time it runs, which root alone may do.
. "$(dirname "$0")/../live/lib.sh"
need jq
need mkswap swapon

holds()
{
	jq -e "$@" <<<"$OUT" >/dev/null
}

smaps_sum()
{
	awk -v key="^$2:" '$0 ~ key { s += $2 } END { print s * 1024 }' "/proc/$1/smaps"
}

status_of()
{
	grep -E '^(VmRSS|VmSwap|VmPTE|RssAnon)' "/proc/$1/status"
}

file=$T/swap
swapoff_and_clean()
{
	swapoff "$file" 2>/dev/null
	cleanup_
}
give_up()
{
	echo "$1"
	exit 77
}
PATH=$PATH:/usr/sbin
dd if=/dev/zero of="$file" bs=1M count=64 status=none && chmod 600 "$file" && mkswap "$file" >/dev/null 2>&1 ||
	give_up 'no swap file can be made here'
swapon "$file" 2>/dev/null || give_up 'swap cannot be turned on here: needs root and a file system that can'
trap swapoff_and_clean EXIT

victim books swapped
swap=$(smaps_sum "$PID" Swap)
check "the kernel wrote pages out" [ "$swap" -ge 1048576 ]
kill -STOP "$PID"
until_true grep -q '^State:.T' "/proc/$PID/status"
before=$(status_of "$PID")
mi rss "$PID" --format json --mappings --limit 0
check "rss: swap adds up" holds --argjson s "$(smaps_sum "$PID" Swap)" '([.lines[].swap] | add) == $s'
check "rss: resident adds up" holds --argjson s "$(smaps_sum "$PID" Rss)" '([.lines[].rss] | add) == $s and
	(.lines[] | select(.key == "unexplained") | .rss) == 0'
check "rss: swap of the heap, that could not be walked" holds '(.lines[] | select(.key == "heap_unknown") | .swap) >= 1048576'
mi rss "$PID"
check "rss: text shows swap" grep -q 'swap' <<<"$OUT"
for command in 'heap summary' 'heap fragmentation' 'heap pins' 'heap trim --dry-run' leaks advise; do
	# shellcheck disable=SC2086 # a command of several words
	mi $command "$PID" --format json
	check "$command: runs" [ "$RC" = 0 ]
	check "$command: says that heap is not in memory" holds '.capture.incomplete | test("swap")'
	check "$command: says so on a terminal" grep -q 'incomplete: .*swap' <<<"$ERR"
done
check "nothing came back into memory" [ "$(status_of "$PID")" = "$before" ]
kill -CONT "$PID"
check "lives" alive

MEMINSPECT_SWAP=1 "$BUILD/tests/live/test_footprint" >"$T/out" 2>&1
RC=$? OUT=$(cat "$T/out") ERR=''
check "the kernel's books, with swap, before and after each way to capture" [ "$RC" = 0 ]
if ! grep -q 'SKIPPED.*precopy__leaves' <<<"$OUT"; then
	check "precopy was among them" grep -q 'OK.*precopy__leaves' <<<"$OUT"
else
	skip 'precopy' "$(grep -m 1 'userfaultfd' <<<"$OUT")"
fi
finish
