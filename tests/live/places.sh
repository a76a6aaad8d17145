#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# places.sh: targets that live somewhere else (namespaces, another root, a frozen or full cgroup, of
# other users), or are in an odd state. What this machine does not allow is skipped.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq unshare setpriv

says() { grep -qE -e "$1" <<<"$ERR"; }
ok() { [ "$RC" = 0 ]; }
long=(--max-pause 30s --allow-inject)
root() { [ "$(id -u)" = 0 ]; }

# inside PREFIX... -- MODE: the victim `odd MODE` started by a command that may fork: PID is its
# number out here. Fails when it does not start.
inside()
{
	local prefix=() line pid i
	while [ "$1" != -- ]; do
		prefix+=("$1")
		shift
	done
	exec {VICTIM_FD}< <(exec "${prefix[@]}" "${ODD:-$VICTIMS/odd}" "$2" 5000 2>"$T/inside.err")
	pid=$!
	pids="$pids $pid"
	line='' TRUTH=''
	while IFS= read -r -t 20 line <&"$VICTIM_FD"; do
		case $line in *'"ready"'*) TRUTH=$line; break ;; esac
	done
	[ -n "$TRUTH" ] || return 1
	for ((i = 0; i < 4; i++)); do
		[ "$(cat "/proc/$pid/comm")" = odd ] && break
		pid=$(cat "/proc/$pid/task/$pid/children")
		pid=${pid%% *}
	done
	PID=$pid
	pids="$pids $PID"
}

in_use() { jq -c .totals.in_use_bytes "$T/out"; }

victim odd plain 5000
mi "${long[@]}" --format json heap summary "$PID"
check 'plain' ok
plain=$(in_use)

# looks_right WHAT: the heap of the plain one, names of functions, in each mode, and it works on
looks_right()
{
	local mode
	for mode in stop fork live; do
		mi "${long[@]}" --capture $mode --format json heap summary "$PID"
		check "$1: $mode" ok
		check "$1: $mode: the same heap" [ "$(in_use)" = "$plain" ]
	done
	mi "${long[@]}" threads "$PID"
	check "$1: functions have names" grep -q victim_wait "$T/out"
	check "$1: works on" alive
}

WHAT='pid namespace'
if inside unshare --pid --fork -- plain; then
	looks_right "$WHAT"
	check "$WHAT: it is another number inside" [ "$(truth pid)" != "$PID" ]
	mi "${long[@]}" --format json info "$PID"
	check "$WHAT: both numbers are shown" json "[.. | objects | select(.pid? == $PID and .ns_pid? == $(truth pid))] | length > 0"
else
	skip "$WHAT" "$(head -n 1 "$T/inside.err")"
fi

WHAT='user namespace'
if inside unshare --user --map-root-user -- plain; then
	looks_right "$WHAT"
else
	skip "$WHAT" "$(head -n 1 "$T/inside.err")"
fi

# A root of its own: the paths that it has for its libraries mean nothing out here.
WHAT='another root'
if root; then
	mkdir -p "$T/root/app"
	cp "$VICTIMS/odd" "$T/root/app/odd-inside"
	for lib in $(ldd "$VICTIMS/odd" | grep -o '/[^ ]*'); do
		mkdir -p "$T/root${lib%/*}"
		cp "$lib" "$T/root$lib"
	done
	mv "$T/root/app/odd-inside" "$T/root/app/odd"
	if ODD=/app/odd inside unshare --mount chroot "$T/root" -- plain; then
		looks_right "$WHAT"
		rm "$T/root/app/odd"
		mi "${long[@]}" threads "$PID"
		check "$WHAT: functions of a file that is gone" grep -q victim_wait "$T/out"
	else
		skip "$WHAT" "$(head -n 1 "$T/inside.err")"
	fi
else
	skip "$WHAT" 'chroot is for root'
fi

WHAT='another user'
if root; then
	inside setpriv --reuid 65534 --regid 65534 --clear-groups -- plain
	check "$WHAT: starts" [ -n "$TRUTH" ]
	looks_right "$WHAT"
	victim odd plain 5000
	chmod 755 "$T"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$MEMINSPECT" heap summary "$PID" >"$T/out" 2>"$T/err" </dev/null
	RC=$?
	ERR=$(cat "$T/err")
	if [ "$RC" = 126 ] || [ "$RC" = 127 ]; then
		skip "$WHAT: not ours" 'that user cannot start the tool here'
	else
		check "$WHAT: not ours" [ "$RC" = 4 ]
		check "$WHAT: one line" [ "$(wc -l <"$T/err")" = 1 ]
		check "$WHAT: not ours: works on" alive
		inside setpriv --reuid 65534 --regid 65534 --clear-groups -- plain
		as_root=$MEMINSPECT
		printf '#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups "%s" "$@"\n' "$as_root" >"$T/as-nobody"
		chmod 755 "$T/as-nobody"
		MEMINSPECT=$T/as-nobody
		looks_right "$WHAT, who inspects its own"
		mi "${long[@]}" --capture precopy --format json heap summary "$PID"
		check "$WHAT, who inspects its own: precopy" json '.capture.mode == "precopy" or .capture.mode_reason != null'
		MEMINSPECT=$as_root
	fi
else
	skip "$WHAT" 'changing the user is for root'
fi

WHAT='not dumpable'
victim odd undumpable 5000
if root; then
	looks_right "$WHAT"
else
	mi heap summary "$PID"
	check "$WHAT: refused" [ "$RC" = 4 ]
fi

WHAT='leader has ended'
victim odd leader 5000
mi "${long[@]}" --format json heap summary "$PID"
check "$WHAT" ok
mi "${long[@]}" threads "$PID"
check "$WHAT: threads" grep -q victim_wait "$T/out"
check "$WHAT: works on" alive

WHAT='vfork'
victim odd vfork 5000
for mode in stop live; do
	mi "${long[@]}" --capture $mode --format json heap summary "$PID"
	check "$WHAT: $mode" ok
done
mi "${long[@]}" --capture fork --format json heap summary "$PID"
check "$WHAT: fork falls back" json '.capture.mode == "stop" and (.capture.mode_reason | test("asleep in the kernel"))'
check "$WHAT: works on" alive
pkill -9 -P "$PID"

# ---- cgroups; groups are removed by leave

group=''
leave()
{
	local p
	[ -n "$group" ] || return
	while read -r p; do
		echo "$p" >"${group%/*}/cgroup.procs"
	done <"$group/cgroup.procs" 2>/dev/null
	rmdir "$group" 2>/dev/null
	group=''
}
# enter FOLDER: the victim moves into a new group of it
enter()
{
	group=$1/meminspect-test.$$
	mkdir "$group" 2>/dev/null && echo "$PID" >"$group/cgroup.procs" 2>/dev/null && return
	rmdir "$group" 2>/dev/null
	group=''
	return 1
}
thaw()
{
	[ -z "$group" ] || echo "$2" >"$group/$1"
}
frozen() { grep -q "$1" "$group/$2"; }

# froze WHAT: looked at while it is frozen, and frozen it stays
froze()
{
	mi "${long[@]}" --format json heap summary "$PID"
	check "$1" ok
	check "$1: the same heap" [ "$(in_use)" = "$plain" ]
	mi "${long[@]}" --capture fork --format json heap summary "$PID"
	check "$1: fork falls back" json '.capture.mode == "stop" and .capture.mode_reason != null'
}

WHAT='frozen (cgroup v1)'
victim odd plain 5000
if enter /sys/fs/cgroup/freezer; then
	trap 'thaw freezer.state THAWED; leave; cleanup_' EXIT
	echo FROZEN >"$group/freezer.state"
	until_true frozen FROZEN freezer.state
	froze "$WHAT"
	check "$WHAT: still is" frozen FROZEN freezer.state
	thaw freezer.state THAWED
	check "$WHAT: works on" alive
	leave
else
	skip "$WHAT" 'no freezer group can be made here'
fi

WHAT='frozen (cgroup v2)'
victim odd plain 5000
v2=/sys/fs/cgroup/unified
[ -e /sys/fs/cgroup/cgroup.procs ] && v2=/sys/fs/cgroup
if enter $v2 && [ -e "$group/cgroup.freeze" ]; then
	trap 'thaw cgroup.freeze 0; leave; cleanup_' EXIT
	echo 1 >"$group/cgroup.freeze"
	until_true frozen 'frozen 1' cgroup.events
	froze "$WHAT"
	check "$WHAT: still is" frozen 1 cgroup.freeze
	thaw cgroup.freeze 0
	check "$WHAT: works on" alive
	leave
else
	leave
	skip "$WHAT" 'no group of version 2 can be made here'
fi

WHAT='memory limit'
victim odd plain 5000
if enter /sys/fs/cgroup/memory && echo 16M >"$group/memory.limit_in_bytes"; then
	trap 'leave; cleanup_' EXIT
	# What it had before it came here is not counted: so hardly anything is used, until it works.
	check "$WHAT: works" alive
	used=$(cat "$group/memory.usage_in_bytes")
	for more in 1 60; do # MiB: the kernel would end the process within the fork, and soon after it
		echo $((used + more * 1048576)) >"$group/memory.limit_in_bytes"
		mi "${long[@]}" --capture fork --format json heap summary "$PID"
		check "$WHAT: $more MiB left: no fork" \
			json '.capture.mode == "stop" and (.capture.mode_reason | test("are left in its memory cgroup"))'
		check "$WHAT: $more MiB left: works on" alive
	done
	check "$WHAT: nothing was killed" grep -q 'oom_kill 0' "$group/memory.oom_control"
	leave
else
	leave
	skip "$WHAT" 'no memory group can be made here'
fi
trap cleanup_ EXIT

finish
