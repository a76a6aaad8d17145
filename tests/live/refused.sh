#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# refused.sh: processes in which nothing may be run, or in which it fails. They are told, with the reason, the
# heap is read in a stop instead, and nothing of what their own kernel would do to them happens.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq setpriv prlimit

says() { grep -qE -e "$1" <<<"$ERR"; }
ok() { [ "$RC" = 0 ]; }
figures() { jq -cS 'del(.capture, .target, .notes)' "$T/out"; }
captured_by() { json ".capture.mode == \"$1\""; }
root() { [ "$(id -u)" = 0 ]; }

# The pause of a loaded machine may be long: what is tested here is not how long.
long=(--max-pause 30s --allow-inject)
"$MEMINSPECT" doctor --format json >"$T/doctor"
precopy=$(jq -r '[.machine[] | select(.key | test("precopy|copy_before")) | .verdict][0] // "no"' "$T/doctor")

# refused MODE REASON: falls back to a stop and tells why.
refused()
{
	mi "${long[@]}" --capture "$1" --format json heap summary "$PID"
	check "$WHAT: $1 falls back" ok
	check "$WHAT: $1: by stop" captured_by stop
	check "$WHAT: $1: one instant" json .capture.consistent
	check "$WHAT: $1: why" says "captured by stop: --capture $1 is not possible: .*$2"
	[ "$(figures)" = "$stopped" ] || figures >"$T/figures"
	check "$WHAT: $1: the figures of a stop" [ "$(figures)" = "$stopped" ]
}
# both REASON
both()
{
	refused fork "$1"
	if [ "$precopy" = yes ]; then refused precopy "$1"; else skip "$WHAT: precopy" 'this kernel cannot'; fi
}
# a stop works, and these are its figures
stops()
{
	mi "${long[@]}" --capture stop --format json heap summary "$PID"
	check "$WHAT: stop" ok
	stopped=$(figures)
	check "$WHAT: stop: a heap is seen" json '.totals.in_use_chunks > 1000'
}
unharmed()
{
	mi "${long[@]}" --capture live --format json heap summary "$PID"
	check "$WHAT: live" captured_by live
	check "$WHAT: no children are left" [ -z "$(cat /proc/"$PID"/task/*/children)" ]
	check "$WHAT: works on" alive
}

# ---- what may not be done

for WHAT in seccomp seccomp-errno seccomp-trap seccomp-kill; do
	victim odd $WHAT
	stops
	both 'has a seccomp filter'
	unharmed
done

WHAT='seccomp-thread'
victim odd $WHAT
until_true grep -q '^State:.Z' "/proc/$PID/status" # its leader has ended
stops
both 'has a seccomp filter'
unharmed

WHAT='strict'
victim odd $WHAT
until_true grep -q '^Seccomp:.1' "/proc/$PID/status"
stops
both 'seccomp.s strict mode'
unharmed

WHAT='coroutine'
victim odd $WHAT
stops
both 'on a stack of unknown kind'
unharmed

WHAT='stopped by a signal'
victim odd plain
kill -STOP "$PID"
until_true grep -q '^State:.T' "/proc/$PID/status"
stops
both 'stopped by a signal'
mi "${long[@]}" --capture live heap summary "$PID"
check "$WHAT: live" ok
check "$WHAT: still is" until_true grep -q '^State:.T' "/proc/$PID/status"
kill -CONT "$PID"
unharmed

# ---- what fails when it is done: a fork; the other way needs no new process

# copies: precopy works here
copies()
{
	[ "$precopy" = yes ] || { skip "$WHAT: precopy" 'this kernel cannot'; return; }
	mi "${long[@]}" --capture precopy --format json heap summary "$PID"
	check "$WHAT: precopy" captured_by precopy
	check "$WHAT: precopy: the figures of a stop" [ "$(figures)" = "$stopped" ]
}

# no_fork REASON WHY_NOT COMMAND...: a victim that the kernel refuses a fork. WHY_NOT: what it means that it does not start
no_fork()
{
	local reason=$1 why_not=$2
	shift 2
	exec {VICTIM_FD}< <(exec "$@" 2>"$T/inside.err")
	PID=$!
	pids="$pids $PID"
	IFS= read -r -t 20 TRUTH <&"$VICTIM_FD"
	[[ $TRUTH == *'"ready"'* ]] || { skip "$WHAT" "$why_not: $(head -n 1 "$T/inside.err")"; return; }
	stops
	refused fork "fork of process [0-9]+: $reason"
	copies
	unharmed
}

WHAT='RLIMIT_NPROC'
user=54321 # has no other process, and for root there is no such limit
if root && [ -z "$(ps -o pid= -U $user)" ]; then
	chmod 711 "$T" # where that user may come, if not to the build
	cp "$VICTIMS/odd" "$T/odd"
	no_fork 'Resource temporarily unavailable' 'that user cannot start the victim here' \
		setpriv --reuid $user --regid $user --clear-groups prlimit --nproc=1:1 "$T/odd" plain
else
	skip "$WHAT" 'changing the user is for root'
fi

WHAT='pids cgroup'
victim odd plain
group=''
for folder in /sys/fs/cgroup/pids /sys/fs/cgroup/unified /sys/fs/cgroup; do
	group=$folder/meminspect-test.$$
	mkdir "$group" 2>/dev/null && [ -e "$group/pids.max" ] && echo "$PID" 2>/dev/null >"$group/cgroup.procs" && break
	rmdir "$group" 2>/dev/null
	group=''
done
leave_group()
{
	[ -z "$group" ] || echo "$PID" >"${group%/*}/cgroup.procs"
	[ -z "$group" ] || rmdir "$group"
	group=''
}
if [ -n "$group" ]; then
	trap 'leave_group; cleanup_' EXIT
	echo 1 >"$group/pids.max"
	stops
	refused fork 'fork of process [0-9]+: Resource temporarily unavailable'
	check "$WHAT: the kernel has refused one" grep -q 'max [1-9]' "$group/pids.events"
	copies
	unharmed
	leave_group
	trap cleanup_ EXIT
else
	skip "$WHAT" 'no group with a limit of processes can be made here'
fi

WHAT='overcommit'
no_fork 'Cannot allocate memory' "vm.overcommit_memory is $(cat /proc/sys/vm/overcommit_memory), or there is no room" \
	"$VICTIMS/odd" overcommit

finish
