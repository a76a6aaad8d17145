#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# doctor.sh: what `doctor` says of the machine and of processes that may or may not be inspected, and
# that it stops none of them.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

has() { grep -q -- "$1" <<<"$OUT"; }
complains() { grep -q -- "$1" <<<"$ERR"; }
# verdict TABLE KEY PATTERN: the verdict of one row
verdict() { jq -r --arg k "$2" ".$1[]? | select(.key == \$k) | .verdict" "$T/out" | grep -qxE "$3"; }

# ---- the machine alone
mi doctor
check 'the machine alone' [ "$RC" = 0 ]
check 'machine: it has a heading' has '^This machine'
check 'machine: no process is told of' [ "$(grep -c '^This process' <<<"$OUT")" = 0 ]
mi doctor --format json
check 'machine: each row is complete' \
	json '[.machine[] | select((.key and .what and .text | not) or (.verdict | IN("yes", "limited", "no") | not))] == []'
check 'machine: no key twice' json '([.machine[].key] | unique | length) == (.machine | length)'
check 'machine: it says how memory is read' verdict machine read_memory 'yes|limited|no'

# ---- a process of our own
victim mix
mi doctor "$PID" --format json
check 'own process' [ "$RC" = 0 ]
check 'own: it may be inspected' verdict process open yes
check 'own: its allocator is recognised' verdict process allocator yes
check 'own: the pause is foretold' verdict process pause 'yes|limited'
check 'own: auto stops it' verdict process auto yes
check 'own: and where it may inject, too' verdict process auto_inject yes
check 'own: auto: the mode and the pause' \
	json '[.process[] | select(.key | startswith("auto")) | .text] | all(test("takes stop.*about [0-9.]+ (us|ms)"))'
check 'own: a fork is possible, and the pause of it' json '.process[] | select(.key == "fork") | .verdict == "yes" and (.text | test("about [0-9.]+ (us|ms)"))'
check 'own: precopy is judged' verdict process precopy 'yes|no'
check 'own: room for memory' json '.process[] | select(.key == "cgroup") | .text | test("[0-9.]+ [KMGT]iB (left|are available)")'
check 'own: libc and the program are among the modules' \
	json '[.modules[].module] | any(test("libc")) and any(test("/mix$"))'
check 'own: each module says where names come from' \
	json '[.modules[].debug_info | IN("dwarf", "symtab", "dynsym", "none")] | all'
mi doctor "$PID" --budget 1us --format json
check 'own: a budget that is too small is said' verdict process pause limited
check 'own: with it auto refuses' verdict process auto no
check 'own: and so does a copy that takes as long' verdict process auto_inject no
mi doctor "$PID" --budget 1ms --format json
check 'own: what auto takes and the pause of that way are the same text' \
	json '(.process[] | select(.key == "pause") | .verdict) == "yes" or ([.process[] | select(.key == "auto_inject") | .verdict][0] | IN("yes", "no"))'
check 'own: it works on' alive
# The self-tests stop children of their own: only the victim's threads count.
if command -v strace >/dev/null; then
	tids=$(printf '%s\n' "/proc/$PID/task"/* | sed 's|.*/||' | paste -sd '|')
	strace -f -e trace=ptrace,kill,tgkill -o "$T/trace" "$MEMINSPECT" doctor "$PID" >"$T/out" 2>&1
	check 'own: doctor ran to its end under strace' grep -q '^This process' "$T/out"
	check 'own: no thread of it is traced or signalled' \
		[ "$(grep -cE "(ptrace\([A-Z_0-9]+|kill\(([0-9]+)?),? ?($tids)[,)]" "$T/trace")" = 0 ]
else
	skip 'no thread of it is traced' 'strace is not installed'
fi
# Each stop and each turn on a CPU would count.
switches() { cat "/proc/$PID/task"/*/status | grep ctxt_switches; }
before=$(switches)
mi doctor "$PID"
check 'own: it was not stopped: its threads had no turn meanwhile' [ "$before" = "$(switches)" ]

# ---- processes that may not be inspected: one line and exit code 4
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	chmod 755 "$T" # others may not be allowed to enter BUILD
	cp "$MEMINSPECT" "$T/meminspect"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$T/meminspect" doctor "$PID" >"$T/out" 2>"$T/err"
	RC=$? OUT=$(cat "$T/out") ERR=$(cat "$T/err")
	check "another user's process: 4" [ "$RC" = 4 ]
	check "another user's process: whose it is" complains 'belongs to user'
	check "another user's process: the machine is told nevertheless" has '^This machine'
else
	skip "another user's process" 'needs root'
fi
kernel=$(ps -eo pid=,ppid= | awk '$2 == 2 { print $1; exit }')
if [ -n "$kernel" ]; then
	mi doctor "$kernel"
	check 'kernel thread: 4' [ "$RC" = 4 ]
	check 'kernel thread: it says so' complains 'is a kernel thread'
else
	skip 'kernel thread' 'none is seen from here'
fi
mkfifo "$T/end"
exec {end}<>"$T/end"
# shellcheck disable=SC2016 # the inner shell's
spawn bash -c 'read -r line <"$1" & echo $!; exec sleep 60' bash "$T/end" >"$T/zombie"
until_true grep -q sleep "/proc/$PID/comm" # what does not wait for its children
zombie=$(cat "$T/zombie")
echo >&"$end"
check 'zombie: there is one' until_true grep -q '^State:.*Z' "/proc/$zombie/status"
mi doctor "$zombie"
check 'zombie: 4' [ "$RC" = 4 ]
check 'zombie: it says so' complains 'has ended'
mi doctor 4999999
check 'no such process: 4' [ "$RC" = 4 ]
check 'no such process: it says so' complains 'there is no process 4999999'
check 'no such process: one line' [ "$(wc -l <"$T/err")" = 1 ]
if command -v gdb >/dev/null; then
	victim plain
	mkfifo "$T/hold"
	exec {hold}<>"$T/hold"
	gdb -q -nx -batch -p "$PID" -ex "shell read line <$T/hold" >/dev/null 2>&1 &
	pids="$pids $!"
	check 'traced: the debugger is there' until_true grep -q '^TracerPid:.*[1-9]' "/proc/$PID/status"
	mi doctor "$PID"
	check 'traced: 4' [ "$RC" = 4 ]
	check 'traced: by whom' complains 'is being traced by process'
	echo >&"$hold"
	check 'traced: the debugger keeps it until it goes' until_true grep -q '^TracerPid:[^1-9]*0$' "/proc/$PID/status"
	check 'traced: it works on' alive
else
	skip 'traced' 'gdb is not installed'
fi
finish
