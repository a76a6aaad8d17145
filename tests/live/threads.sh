#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# threads.sh: the command threads: groups, what threads wait for, who holds it, deadlocks.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

json() { jq -e "$1" "$T/out" >/dev/null; }
text() { grep -qE -e "$1" "$T/out"; }

# The threads of all groups, by name.
waits() { json "[.groups[].threads[] | select(.name == \"$1\")] | length == 1 and (.[0] | $2)"; }

victim locks
mi threads --format json "$PID"
check 'locks: threads' [ "$RC" = 0 ]
OUT=''
left=$(truth left) right=$(truth right) first=$(truth first) second=$(truth second)
check 'all threads are there' json '.nthreads == 12 and ([.groups[].count] | add) == 12'
check 'largest group first' json '[.groups[].count] | . == (sort | reverse)'
check 'the waiters are one group' json '[.groups[] | select(.count == 5)] | length == 1 and
	([.[0].threads[].name] | sort == ["waiter-0", "waiter-1", "waiter-2", "waiter-3", "waiter-4"])'
check 'left waits for right' waits left \
	".waits_for == \"mutex\" and .waits_at == \"$second\" and .held_by == $right"
check 'right waits for left' waits right \
	".waits_for == \"mutex\" and .waits_at == \"$first\" and .held_by == $left"
check 'a waiter waits for left' waits waiter-3 \
	".waits_for == \"mutex\" and .waits_at == \"$first\" and .held_by == $left"
check 'joiner waits for left' waits joiner ".waits_for == \"thread\" and .held_by == $left"
check 'cond' waits cond '.waits_for == "condition" and .syscall == "futex" and .state == "S"'
check 'sem' waits sem '.waits_for == "semaphore"'
check 'rwlock' waits rwlock '.waits_for == "rwlock"'
check 'main waits for nothing of that' waits locks '.waits_for == null and .held_by == null'
check 'the deadlock is told once' json '[.notes[] | select(.code == "deadlock")] | length == 1'

mi threads "$PID"
check 'text: a heading for the waiters' text '^5 threads: futex \(waiter-0 \.\. waiter-4\)'
check 'text: who holds it' text "waits for +a mutex at $first, held by thread $left \(left\)"
check 'text: the deadlock' text "deadlock: thread $left \(left\) waits for a mutex of thread $right"
check 'text: line and function' text '#[0-9]+ +waiter +locks\.c:[0-9]+'

mi threads --all --format json "$PID"
OUT=''
check '--all: each by itself' json '(.groups | length) == 12 and ([.groups[].count] | max) == 1'
mi threads --sort tid --format json "$PID"
OUT=''
check '--sort tid' json '[.groups[].threads[0].tid] | . == sort'
mi threads --limit 2 --format json "$PID"
OUT=''
check '--limit' json '[.groups[].frames | length] | max == 2'
mi threads --unwinder nobody "$PID"
check 'an unwinder that is not there' [ "$RC" = 2 ]
check 'it works on' alive

victim threads 50 20
mi threads --format json "$PID"
OUT=''
check '50 threads: one group' json '.groups[0].count == 50 and (.groups[0].threads | length) == 50'
check '50 threads: 20 frames deep' json '[.groups[0].frames[] | select(.function == "descend")] | length == 20'
check '50 threads: to the bottom' json '.groups[0].end_reason == null and .groups[0].truncated == false'
mi threads --format csv "$PID"
check 'csv' [ "$RC" = 0 ]
check 'csv: frames' text '(^|,)#0,descend|(^|,)#0,pause,'
check '50 threads: it works on' alive

if [ -x "$VICTIMS/locks-musl" ]; then
	victim locks-musl
	mi threads --format json "$PID"
	OUT=''
	check 'musl: threads' [ "$RC" = 0 ]
	check 'musl: no holder is made up' json '[.groups[].threads[].held_by] | all(. == null)'
else
	skip musl 'the victim needs musl-gcc'
fi
finish
