#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# files.sh: our own core and a snapshot with contents against the process that they were made of, and what
# is left behind when they cannot be written.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

same() { [ "$1" = "$2" ]; }
# [heap] is a name of the kernel's: no core has it
strip() { jq -S 'del(.target, .capture) | (.. | select(. == "[heap]")) = null' "$T/out"; }

victim mix
kept=$(truth kept)

# ---- made in the pause, and from a copy: the same answers
declare -A live
commands=('heap summary' 'heap arenas' 'heap bins' 'heap chunks --limit 0' 'heap verify' 'heap sizes'
	"x $kept --count 64" "whatis $kept" 'find BBBBBBBB' 'types')
for c in "${commands[@]}"; do
	# shellcheck disable=SC2086 # words
	mi $c "$PID" --format json
	live[$c]=$(strip)
done
agree() # agree WHAT FILE
{
	local c
	for c in "${commands[@]}"; do
		# shellcheck disable=SC2086 # words
		mi $c "$2" --format json
		check "$1: $c says what it says on the process" same "${live[$c]}" "$(strip)"
	done
}
mi core -o "$T/own.core" "$PID" --format json
check 'core: written' json '.memory_bytes > 1000000 and .threads == 2 and .missing_bytes == 0'
check 'core: holes take nothing' json '.disk_bytes < .file_bytes / 2'
agree 'own core' "$T/own.core"
mi save -o "$T/all.mi" --contents "$PID"
check 'save --contents' [ "$RC" = 0 ]
agree 'snapshot with contents' "$T/all.mi"
mi core -o "$T/second.core" "$T/all.mi"
agree 'core of a snapshot with contents' "$T/second.core"
mi save --contents "$T/third.mi" "$T/own.core"
agree 'snapshot of a core' "$T/third.mi"
mi save "$T/plain.mi" "$PID"
mi x "$kept" "$T/plain.mi"
check 'without contents there are no bytes, and it says so' [ "$RC" = 1 ]
mi core -o "$T/none.core" "$T/plain.mi"
check 'nor a core' [ "$RC" = 1 -a ! -e "$T/none.core" ]

# ---- a file that somebody cuts short while a prompt holds it
mkfifo "$T/typed"
for file in all.mi own.core; do
	cp "$T/$file" "$T/cut"
	"$MEMINSPECT" attach "$T/cut" <"$T/typed" >"$T/out" 2>"$T/err" &
	prompt=$!
	pids="$pids $prompt"
	exec {typed}>"$T/typed"
	echo 'heap summary' >&"$typed"
	echo "x $kept --count 16" >&"$typed"
	check "$file: open at a prompt" until_true grep -q BBBBBBBB "$T/out"
	truncate -s 4096 "$T/cut"
	echo "x $kept --count 64" >&"$typed"
	echo 'find BBBBBBBB' >&"$typed"
	exec {typed}>&-
	wait "$prompt"
	RC=$?
	check "$file cut while open: the prompt ends as always" [ "$RC" -lt 2 ]
	check "$file cut while open: said once" [ "$(grep -c 'was cut short while it was open' "$T/err")" = 1 ]
done

for how in fork precopy; do
	mi core -o "$T/$how.core" --allow-inject --capture $how "$PID" --format json
	check "core from a copy ($how)" json '.threads == 2'
	agree "core from a copy ($how)" "$T/$how.core"
done
check 'the process works on' alive

# ---- a debugger agrees
if command -v gdb >/dev/null; then
	gdb -q -nx -batch -ex 'info threads' -ex bt -ex "x/2xg $kept" "$VICTIMS/mix" "$T/own.core" \
		>"$T/out" 2>"$T/err"
	check 'gdb: both threads' [ "$(grep -c 'LWP.*) *0x' "$T/out")" = 2 ]
	check 'gdb: the stack of main' grep -q ' in main ' "$T/out"
	check 'gdb: memory' grep -q '0x4242424242424242.*0x4242424242424242' "$T/out"
	# Where the processor's layout of XSAVE is shorter than Intel's, GDB before 14 misses vectors (a warning on
	# .reg-xstate), in cores of the kernel as in ours: vectors.sh compares the two byte for byte.
	check 'gdb: nothing is odd about it' [ -z "$(grep -i 'warning' "$T/err" | grep -v 'reg-xstate')" ]

	# Every register is what the kernel told gcore: flags, floating point and vectors, too.
	registers()
	{
		local all='rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 eflags cs ss ds es fs gs fs_base gs_base'
		all="$all $(printf 'xmm%d ' {0..15}) mxcsr $(printf 'st%d ' {0..7}) fctrl fstat ftag fop"
		gdb -q -nx -batch -ex "thread apply all info registers $all" "$VICTIMS/mix" "$1" 2>/dev/null |
			grep -E '^[a-z]+[0-9a-z_]* +[{0-9-]'
	}
	kill -STOP "$PID"
	until_true grep -q '^State:.T' "/proc/$PID/status"
	gcore -o "$T/theirs" "$PID" >/dev/null 2>&1
	mi core -o "$T/ours" "$PID"
	kill -CONT "$PID"
	registers "$T/theirs.$PID" >"$T/theirs.regs"
	registers "$T/ours" >"$T/ours.regs"
	check 'gdb: there are vectors' grep -q '^xmm15 .*uint128 = ' "$T/ours.regs"
	check 'gdb: all registers as in the core of gcore' cmp "$T/theirs.regs" "$T/ours.regs"
	mi save --contents "$T/regs.mi" "$PID"
	mi core -o "$T/again" "$T/regs.mi"
	check 'a core of a saved snapshot has them, too' \
		[ "$(registers "$T/again" | grep -c '^xmm0 .*uint128 = ')" = 2 ]
else
	skip 'gdb opens our core' 'gdb is not installed'
fi

# ---- nothing half written
mkdir "$T/there"
for what in 'save --contents' save 'core'; do
	# shellcheck disable=SC2086 # words
	mi $what -o /proc/nowhere "$PID"
	check "$what: nowhere to write" [ "$RC" = 1 -a -n "$ERR" ]
	echo old >"$T/there/file"
	for ms in 1 3 5 7 9 12 15 20 25 30 40; do
		# shellcheck disable=SC2086 # words
		"$MEMINSPECT" -q $what -o "$T/there/file" "$PID" >/dev/null 2>&1 &
		p=$!
		sleep "0.0$(printf %02d $ms)"
		kill -9 $p 2>/dev/null
		wait $p 2>/dev/null
		check "$what killed after $ms ms: old or whole" \
			[ "$(cat "$T/there/file" 2>/dev/null | tr -d '\0')" = old -o \
			"$("$MEMINSPECT" -q heap summary "$T/there/file" >/dev/null 2>&1 && echo ok)" = ok ]
		check "$what killed after $ms ms: nothing else is left" [ "$(ls "$T/there")" = file ]
	done
	rm -f "$T/there"/*
done
check 'the process works on after that' alive

if mkdir "$T/small" && mount -t tmpfs -o size=16k none "$T/small" 2>/dev/null; then
	for what in 'save --contents' save core; do
		echo old >"$T/small/file"
		dd if=/dev/zero of="$T/small/fill" bs=4k >/dev/null 2>&1
		# shellcheck disable=SC2086 # words
		mi $what -o "$T/small/file" "$PID"
		check "$what on a full disk: fails and says why" [ "$RC" = 1 -a -n "$ERR" ]
		check "$what on a full disk: the old file is there, and nothing else" \
			[ "$(cat "$T/small/file")" = old -a "$(ls "$T/small")" = $'file\nfill' ]
	done
	mount -o remount,ro "$T/small"
	mi save -o "$T/small/file" "$PID"
	check 'a folder that cannot be written to' [ "$RC" = 1 -a "$(cat "$T/small/file")" = old ]
	umount "$T/small"
else
	skip 'a full disk' 'no tmpfs can be mounted here'
fi

# ---- a core of a program that is elsewhere by now
mkdir -p "$T/gone" "$T/root$T/gone"
cp "$VICTIMS/mix" "$T/gone/mix"
kill -9 "$PID"
VICTIMS=$T/gone victim mix
mi core -o "$T/gone.core" "$PID"
mv "$T/gone/mix" "$T/root$T/gone/mix"
mi threads "$T/gone.core"
check 'the program is missing: said' grep -q "not here.*$T/gone/mix" <<<"$ERR"
check 'and what needs no names works' [ "$RC" = 0 ]
mi heap summary "$T/gone.core"
check 'so does the heap' [ "$RC" = 0 ]
stacks() { mi threads "$T/gone.core" "$@" --format json && json '[.. | .function? // empty] | index("main")'; }
check '--exe' stacks --exe "$T/root$T/gone/mix"
check '--exe: nothing to say' [ -z "$ERR" ]
check '--sysroot: under its path' stacks --sysroot "$T/root"
cp /bin/true "$T/gone/mix"
mi heap summary "$T/gone.core"
check 'another program at its place: said, not used' grep -q "not the files.*$T/gone/mix" <<<"$ERR"
mkdir "$T/side"
cp "$T/root$T/gone/mix" "$T/side"
check '--sysroot: side by side' stacks --sysroot "$T/side"
mi save --no-pointers "$T/small.mi" "$PID"
mi leaks "$T/small.mi"
check 'a snapshot without pointers says so' grep -q 'without pointers' <<<"$ERR"

# ---- who allocated what is new: two starts of one program, so addresses differ
if [ -e "$BUILD/libmeminspect-hook.so" ] && [ -x "$BUILD/demo-server" ]; then
	server() # a new one, recorded: PID, port
	{
		exec {from}< <(exec "$MEMINSPECT" run --full -- "$BUILD/demo-server" --port 0 --die-with-parent)
		PID=$!
		pids="$pids $PID"
		IFS= read -r -t 20 TRUTH <&"$from" || { echo 'the server did not start'; exit 1; }
		port=$(truth port)
	}
	server
	mi save "$T/then.mi" "$PID"
	kill -9 "$PID"
	server
	check 'the second one leaks' "$BUILD/demo-server" --get "$port" '/leak?n=3000'
	mi save "$T/now.mi" "$PID"
	mi diff --by site "$T/then.mi" "$T/now.mi" --format json
	check 'diff --by site: who leaks' \
		json '[.diff[] | select(.key | startswith("session_open")) | .delta_count] | add == 9000'
	site=$(jq -S .diff "$T/out")
	mi diff --by site "$T/then.mi" "$PID" --format json
	check 'the same on the process' same "$site" "$(jq -S .diff "$T/out")"
	mi diff --by site "$T/then.mi" "$T/now.mi" --format folded
	check 'folded: the change, stack by stack' \
		[ "$(awk '/session_open/ { n += $NF } END { print (n > 900000) }' "$T/out")" = 1 ]
	check 'folded: what did not change is not there' [ "$(grep -c ' 0$' "$T/out")" = 0 ]
	mi diff --by site "$T/then.mi" "$T/now.mi" --format flamegraph -o "$T/diff.html"
	check 'flame graph: of a difference' grep -q '"delta":true' "$T/diff.html"
	if command -v go >/dev/null; then
		mi diff --by site "$T/then.mi" "$T/now.mi" --format pprof -o "$T/diff.pb.gz"
		go tool pprof -top -sample_index=inuse_objects "$T/diff.pb.gz" >"$T/out" 2>"$T/err"
		check 'go tool pprof reads the difference' grep -q session_open "$T/out"
	else
		skip 'go tool pprof reads the difference' 'go is not installed'
	fi
	mi diff --by size "$T/then.mi" "$T/now.mi" --format folded
	check 'folded of another grouping: one name a group' \
		[ "$(awk '{ n += $NF } END { print (n > 900000) }' "$T/out")" = 1 ]
	mi diff --by thread "$T/then.mi" "$T/now.mi" --format json
	check 'diff --by thread: who asked for it, with the hook' \
		json '[.diff[] | .delta_count] | add | . > 8990 and . < 9100'
	kill -9 "$PID"
else
	skip 'diff by site' 'the hook or the server is not built'
fi

# ---- by type and by thread, without the hook
if [ -x "$BUILD/demo-server" ]; then
	exec {from}< <(exec "$BUILD/demo-server" --port 0 --die-with-parent)
	PID=$!
	pids="$pids $PID"
	IFS= read -r -t 20 TRUTH <&"$from" || { echo 'the server did not start'; exit 1; }
	port=$(truth port)
	mi save --types "$T/then.mi" "$PID"
	mi save "$T/bare.mi" "$PID"
	check 'the server leaks' "$BUILD/demo-server" --get "$port" '/leak?n=1000'
	check 'and starts threads' "$BUILD/demo-server" --get "$port" '/threads?n=3'
	mi diff --by type "$T/then.mi" "$PID" --format json
	check 'diff --by type: 3000 blocks more' json '[.diff[] | .delta_count] | add | . >= 3000 and . < 3030'
	check 'and it knows texts' json '[.diff[].key] | index("text")'
	cp "$T/out" "$T/live"
	mi save --types "$T/now.mi" "$PID"
	mi diff --by type "$T/then.mi" "$T/now.mi" --format json
	check 'two files say the same' same "$(jq -S .diff "$T/live")" "$(jq -S .diff "$T/out")"
	mi diff --by type "$T/bare.mi" "$PID" --format json
	check 'one side without bytes: both are told without, and it says so' \
		json '([.diff[].key] | index("text") | not) and (.notes[0].text | test("--types"))'
	check 'still 3000 blocks more' json '[.diff[] | .delta_count] | add | . >= 3000 and . < 3030'
	mi diff --by thread "$T/then.mi" "$PID" --format json
	check 'diff --by thread: three of a name' json '[.diff[] | select(.base_count == 0) | .now_count] | add == 3'
	mi trend --by type "$T/then.mi" "$T/now.mi" --format json
	check 'trend --by type' json '.trend[0] | .monotone == "grows" and .last > .first'
	mi trend --by type "$T/then.mi" "$T/bare.mi"
	check 'trend: a file without types says so' grep -q -- '--types' <<<"$ERR"
	kill -9 "$PID"
else
	skip 'diff by type and thread' 'the server is not built'
fi
victim mix

# ---- newer, foreign and cut
mi save "$T/whole.mi" "$PID"
cp "$T/whole.mi" "$T/newer.mi"
printf '\011' | dd of="$T/newer.mi" bs=1 seek=8 conv=notrunc 2>/dev/null
mi heap summary "$T/newer.mi"
check 'a newer format is refused by its number' grep -q 'format 9' <<<"$ERR"
size=$(stat -c %s "$T/own.core")
for part in 100 1000 5000 9000 20000 100000 400000 1000000 $((size / 2)) $((size - 4096)); do
	head -c "$part" "$T/own.core" >"$T/cut.core"
	mi heap summary "$T/cut.core"
	check "a core cut at $part: used or refused, with a word on it" \
		[ \( "$RC" = 0 -o "$RC" = 1 \) -a -n "$ERR" ]
done
kill -9 "$PID"
finish
