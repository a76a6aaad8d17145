#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# serve: /debug/pprof/ as net/http/pprof has it, read by the real `go tool pprof`; with the hook and without.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_serve.sh"
need curl

go_reads()
{
	HOME=$T PPROF_TMPDIR=$T go tool pprof -top "$URL$1" >"$T/pprof" 2>"$T/pprof.err"
	local rc=$?
	OUT=$(cat "$T/pprof" "$T/pprof.err")
	[ $rc = 0 ] && grep -q "$2" "$T/pprof"
}

victim books arenas
TARGET=$PID
serve --pause-budget 50% v="$TARGET"

for e in heap allocs goroutine threads threadcreate mutex block; do
	check "$e answers" status 200 "/debug/pprof/$e"
	check "$e has the type that clients want" head_has "content-type: application/octet-stream"
	check "$e has a file name" head_has "content-disposition: attachment; filename=\"$e\""
	check "$e as text" status 200 "/debug/pprof/$e?debug=1"
done
check "an unknown profile" status 404 /debug/pprof/nonsense
check "it is an error for pprof" head_has "x-go-pprof: 1"
check "seconds that are none" status 400 "/debug/pprof/heap?seconds=x"
check "seconds as text" status 400 "/debug/pprof/heap?seconds=1&debug=1"
check "the index" status 200 /debug/pprof/
check "its path without the slash" status 301 /debug/pprof
check "the command line" status 200 /debug/pprof/cmdline
check "it is the process's" cmp -s <(head -c -1 "/proc/$TARGET/cmdline") "$T/body"
check "symbols" status 200 /debug/pprof/symbol
check "a target by its label" status 200 "/debug/pprof/heap?target=v"
check "a target in the path" status 200 /t/v/debug/pprof/heap
check "no such target" status 404 /t/w/debug/pprof/heap

if command -v go >/dev/null; then
	for e in heap allocs goroutine threads threadcreate; do
		check "go tool pprof reads $e" go_reads "/debug/pprof/$e" "% of [1-9]"
		check "go tool pprof reads $e as text" go_reads "/debug/pprof/$e?debug=1" "% of [1-9]"
	done
	for e in mutex block; do
		check "go tool pprof reads an empty $e" go_reads "/debug/pprof/$e" "of 0 total"
	done
	check "go tool pprof reads a change" go_reads "/debug/pprof/heap?seconds=1" "Duration: 1"
	check "go tool pprof reads a profile of the CPU" go_reads "/debug/pprof/profile?seconds=1" "Type: cpu"
else
	skip "go tool pprof" "go is not installed"
fi

check "the process works on" alive
check "SIGTERM ends it" ended

# What the hook recorded: the victim says what it allocated where.
HOOK=$BUILD/libmeminspect-hook.so
if [ -e "$HOOK" ] && command -v go >/dev/null; then
	until_said()
	{
		until_true grep -q ready "$T/said" || { echo "the victim did not become ready"; exit 1; }
	}
	spawn "$MEMINSPECT" run --full --hook "$HOOK" -- "$VICTIMS/hook_truth" >"$T/said" 2>"$T/said.err"
	until_said
	TARGET=$PID
	serve --pause-budget 50% v="$TARGET"
	check "allocs by call stack" go_reads /debug/pprof/allocs site_malloc
	check "it has all four types" test "$(curl -s "$URL/debug/pprof/allocs" | gzip -dc | grep -aoE 'alloc_objects|alloc_space|inuse_objects|inuse_space' | sort -u | wc -l)" = 4
	check "heap by call stack, as text" go_reads "/debug/pprof/heap?debug=1" site_malloc
	# Counters never fall: the second answer has at least what the first one had, stack by stack.
	get /debug/pprof/allocs
	cp "$T/body" "$T/first"
	status 200 "/debug/pprof/heap?gc=1"
	sleep 1.1 # the answer is kept for a second
	get /debug/pprof/allocs
	check "alloc_space does not fall" sh -c "HOME=$T go tool pprof -top -sample_index=alloc_space -diff_base=$T/first $T/body 2>&1 | awk '\$1 ~ /^-[0-9]/ { bad = 1 } END { exit bad }'"
	check "the process is not disturbed" kill -0 "$TARGET"
	check "SIGTERM ends it" ended
else
	skip "the hook" "it is not built, or go is not installed"
fi
finish
