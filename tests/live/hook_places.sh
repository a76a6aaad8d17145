#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# hook_places.sh: the hook where it is not welcome, and its tables where the process is no more: setuid
# programs, programs with a malloc of their own, a library that is loaded late; a core file of the kernel.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq
hook=$BUILD/libmeminspect-hook.so
here=$(cd "$(dirname "$0")/../.." && pwd)
err_has() { grep -q -- "$1" <<<"$ERR"; }

# start COMMAND...: like victim, but any command; SOFT=1: it may fail to start
start()
{
	local line
	exec {VICTIM_FD}< <(exec "$@")
	PID=$!
	pids="$pids $PID"
	TRUTH=''
	while IFS= read -r -t 60 line <&"$VICTIM_FD"; do
		case $line in '{'*'"ready"'*) TRUTH=$line; break ;; esac
	done
	[ -n "$TRUTH" ] || { echo "$1 did not become ready"; exit 1; }
}

# ---- setuid: the loader drops LD_PRELOAD; a program that is linked with the hook gets it all the same
setuid_tests()
{
	local dir=$T/setuid # not in BUILD, which others may not be allowed to enter
	if [ "$(id -u)" != 0 ]; then
		skip 'setuid programs' 'needs root, to make one'
		return
	fi
	chmod 755 "$T"
	mkdir "$dir"
	if findmnt -no OPTIONS -T "$dir" 2>/dev/null | grep -qw nosuid; then
		skip 'setuid programs' "$dir is on a file system without setuid"
		return
	fi
	cp "$VICTIMS/hook_truth" "$dir/preloaded"
	cp "$hook" "$dir/libmeminspect-hook.so"
	gcc -std=gnu11 -D_GNU_SOURCE -O1 -g -o "$dir/linked" "$here/tests/victims/hook_truth.c" \
		-Wl,--no-as-needed "$hook" -Wl,-rpath,"$dir" -lpthread || exit 1
	chown nobody "$dir/preloaded" "$dir/linked" && chmod u+s "$dir/preloaded" "$dir/linked"
	start env LD_PRELOAD="$hook" MEMINSPECT_HOOK=full "$dir/preloaded" 1 500
	check 'a setuid program is one here' grep -q "^Uid:[[:space:]]*0[[:space:]]*$(id -u nobody)" "/proc/$PID/status"
	mi heap top "$PID"
	check 'a setuid program does not get the hook by LD_PRELOAD' err_has 'nobody recorded'
	check 'and works on' alive
	start env MEMINSPECT_HOOK=full "$dir/linked" 1 500
	mi heap top "$PID"
	check 'linked with the hook, it refuses to record' err_has 'raised privileges'
	check 'and works on' alive
	chmod u-s "$dir/linked"
	start env MEMINSPECT_HOOK=full "$dir/linked" 1 500
	mi heap top --by function --format json "$PID"
	check 'the same program without setuid records' json '.recorded.inuse_objects > 100'
}
setuid_tests

# ---- a malloc of its own
start env LD_PRELOAD="$hook" MEMINSPECT_HOOK=full "$VICTIMS/hook_own"
mi heap top "$PID"
check "a program's own malloc: the hook says so" err_has 'records nothing: malloc is that of hook_own'
check 'and the program works on' alive

# ---- loaded late: others have malloc's name already, even if a program's own stub hides that
start env MEMINSPECT_HOOK=full "$VICTIMS/hook_late" "$hook"
mi heap top "$PID"
check 'loaded with dlopen by a program with a stub for malloc, it stands aside' \
	err_has 'records nothing: malloc is that of libc.so.6'
check 'and the program works on' alive
start env LD_PRELOAD="$hook" MEMINSPECT_HOOK=full "$VICTIMS/hook_late"
mi heap top --by function --format json "$PID"
check 'preloaded, it records there, all by name and by the stub' json \
	'[.top[] | select(.name == "main")][0].inuse_objects == 1999'
# As it happens, also a block that does not lie at the start of its chunk.
addr=$(truth aligned)
mi whatis "$addr" --format json "$PID"
site=$(jq .allocation.site "$T/out")
check 'whatis knows who asked for an aligned block in a mapping of its own' json \
	'.allocation.requested == 300000 and .allocation.frames[0].function == "main"'
mi heap chunks --site "$site" --where 'age >= 0 and state = mmapped' --format json "$PID"
check 'and so do heap chunks --site and --where' json '[.chunks[] | select(.size > 300000)] | length == 1'
gcc -shared -fPIC -O1 -fno-builtin -o "$T/front.so" -xc - <<<'
#include <stddef.h>
void *__libc_malloc(size_t);
void *malloc(size_t n) { return __libc_malloc(n); }' || exit 1
for program in hook_late hook_truth; do
	start env LD_PRELOAD="$T/front.so:$hook" MEMINSPECT_HOOK=full "$VICTIMS/$program"
	mi heap top "$PID"
	check "$program with another malloc in front of it: it stands aside" \
		err_has 'records nothing: malloc is that of front.so'
	check 'and the program works on' alive
done
if command -v python3 >/dev/null 2>&1; then
	start env MEMINSPECT_HOOK=full python3 -c '
import ctypes, _ctypes, os, sys
h = ctypes.CDLL(sys.argv[1])
_ctypes.dlclose(h._handle)
print("{\"ready\":true,\"pid\":%d}" % os.getpid(), flush=True)
x = [str(i) * 20 for i in range(100000)]
sys.stdin.read() if sys.argv[2:] else __import__("time").sleep(600)' "$hook"
	mi heap top "$PID"
	check 'loaded with dlopen and closed again, it stands aside' err_has 'records nothing: malloc is that of libc'
	check 'and the program lives' kill -0 "$PID"
else
	skip 'loaded with dlopen' 'no python3'
fi

# ---- the core file that the kernel writes, with the default filter
core_tests()
{
	local pattern core
	pattern=$(cat /proc/sys/kernel/core_pattern)
	case $pattern in
	'|'* | /*) skip 'a core file of the kernel' "core_pattern is $pattern"; return ;;
	esac
	mkdir -p "$T/core"
	start bash -c 'cd "$1" && ulimit -c unlimited && echo 0x33 >/proc/self/coredump_filter &&
		LD_PRELOAD=$2 MEMINSPECT_HOOK=$3 MEMINSPECT_SAMPLE_BYTES=16k exec "$4" 3 20000' \
		bash "$T/core" "$hook" "$1" "$VICTIMS/hook_truth"
	mi heap top --by function --limit 0 --format json "$PID"
	jq -S .top "$T/out" >"$T/live.json"
	check "$1: the live process has figures" json '.recorded.inuse_objects > 100'
	kill -ABRT "$PID"
	wait "$PID" 2>/dev/null
	core=$(find "$T/core" -type f | head -n 1)
	check "$1: the kernel wrote a core" [ -n "$core" ]
	[ -n "$core" ] || return
	mi heap top --by function --limit 0 --format json "$core"
	jq -S .top "$T/out" >"$T/core.json"
	check "$1: the core says what the live process said" cmp "$T/live.json" "$T/core.json"
	mi heap top --limit 0 --format json "$core"
	check "$1: and so do its sites" json '(.top | length) > 3'
	rm -f "$core"
}
core_tests full
core_tests sampled
finish
