#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# incident.sh: what somebody meets who knows nothing but `--help`: narrow terminals, questions that do
# not fit the process, words that are nearly right. Hints must lead somewhere.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq script python3

# fits COMMAND...: no line of it is longer than a terminal of 80 columns
fits()
{
	script -qec "stty cols 80 rows 24; exec $MEMINSPECT --no-pager --color never $* $PID" /dev/null \
		</dev/null >"$T/typed" 2>&1
	tr -d '\r' <"$T/typed" | sed 's/\x1b\[[0-9;?]*[A-Za-z]//g' >"$T/screen"
	[ -s "$T/screen" ] && [ "$(wc -L <"$T/screen")" -le 80 ]
}

export LC_ALL=C.UTF-8
victim leaks_cxx
for command in 'heap summary' leaks dominators types suspects rss advise 'heap fragmentation' 'heap pins' \
	threads 'heap trim --dry-run'; do
	check "$command fits 80 columns" fits "$command"
done
mi heap top "$PID"
check 'the hook is offered where it can be loaded' grep -q 'meminspect run -- PROGRAM' <<<"$ERR"
mi save "$T/a.mi" "$PID"
mi doctor "$T/a.mi"
check 'doctor says that it wants a process' grep -q 'is a file: doctor looks at a running process' <<<"$ERR"
mi heap summary "$T/none/x"
check 'a file that is not there: said so' grep -q 'No such file' <<<"$ERR"
check 'a file that is not there: exit code' [ "$RC" = 2 ]

mi help heap
check 'help for the first word of commands' [ "$RC" = 0 ]
check 'help for the first word: they are listed' grep -q '^heap trim ' <<<"$OUT"
mi help memory
check 'help for a group' grep -q '^whatis ' <<<"$OUT"
mi help nothing
check 'help for nothing' [ "$RC" = 2 ]

mi heap summary "$PID"
check 'a process whose memory is its heap: no word of another place' [ "$(grep -c 'outside of these heaps' <<<"$OUT")" = 0 ]

# 64 MiB that are no heap.
spawn python3 -c 'import mmap, sys, time
m = mmap.mmap(-1, 64 << 20)
for i in range(64): m.write(b"a" * (1 << 20))
open(sys.argv[1], "w").write("ready")
time.sleep(600)' "$T/ready"
until_true [ -s "$T/ready" ]
mi heap summary "$PID"
check 'most of the memory is elsewhere: said, with where to look' \
	grep -q 'outside of these heaps: `rss` has' <<<"$OUT"
for what in suspects leaks dominators; do
	mi $what "$PID"
	check "$what says so, too" grep -q 'outside of these heaps: `rss` has' <<<"$OUT"
done
mi heap summary --format json "$PID"
check 'elsewhere: as a note in JSON' json '.. | objects | select(.code? == "elsewhere")'
finish
