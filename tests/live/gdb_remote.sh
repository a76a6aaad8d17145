#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# gdb_remote.sh: the plugin behind a gdbserver, and on cores: leaks against the victim's own truth,
# with chunks that only a register, another thread's stack or TLS holds; how often memory crosses the
# wire; what is kept while the target stands; a server that dies.

# shellcheck source=tests/live/lib_gdb.sh
. "$(dirname "$0")/lib_gdb.sh"

all_leaks='leaks --by address --limit 0 --possible --indirect --reachable'

# same NAME VERDICT: the chunks of a verdict are those of the truth (of the reachable: at least)
same()
{
	jq -r --arg v "$2" '.groups[] | select(.reach == $v) | .example' "$T/$1.json" | sort >"$T/got"
	truth "$2[]" | sort >"$T/want"
	[ -s "$T/want" ] || { echo "the truth has no $2"; return 1; }
	if [ "$2" = reachable ]; then
		comm -13 "$T/got" "$T/want" >"$T/diff"
	else
		diff "$T/got" "$T/want" >"$T/diff"
	fi
	[ ! -s "$T/diff" ] || { head -n 5 "$T/diff"; return 1; }
}
is_truth()
{
	for verdict in definite indirect possible reachable; do
		check "$1: $verdict are those of the truth" same "$1" "$verdict"
	done
}
groups_of() { jq -S '.groups, .sums' "$1"; }

# ---- leaks against the truth: live, core, remote
victim leaks
leaky=$PID
exe=$(readlink "/proc/$PID/exe")
in_gdb -p "$PID" -x "$script" -ex "$(json_of "$all_leaks" live)" -ex "gcore $T/core"
is_truth live
in_gdb "$exe" "$T/core" -x "$script" -ex "$(json_of "$all_leaks" core)"
is_truth core
# shellcheck disable=SC2086 # words
"$MEMINSPECT" $all_leaks --format json "$T/core" >"$T/outside.json" 2>/dev/null
groups_of "$T/core.json" >"$T/core.groups"
groups_of "$T/outside.json" >"$T/outside.groups"
check "core: the same groups as outside of GDB" cmp "$T/core.groups" "$T/outside.groups"

serve "$PID"
in_gdb -ex "target remote 127.0.0.1:$PORT" -x "$script" -ex "$(json_of "$all_leaks" remote)" \
	-ex 'heap threads' -ex "heap whatis $(truth in_register)" -ex "heap path $(truth thread_local)" \
	-ex "heap path $(truth in_register)" -ex 'heap rss' -ex 'heap info'
is_truth remote
check "remote: threads have their ids" says "^thread $PID"
check "remote: threads have their names" says '(leaks)'
check "remote: what holds is found in TLS" says 'TLS\|thread-local'
check "remote: what holds is found in a register" says 'r12'
check "remote: the process works on" alive

# ---- the second and later commands, and those about the process, in words that fit
victim mix
in_gdb -p "$PID" -x "$script" -ex "echo begin\\n" -ex 'heap arenas' -ex 'heap bins' -ex "echo end\\n" -ex 'heap trim'
sed -n '/^begin$/,/^end$/p' "$T/out" >"$T/native.text"
check "native: trim says what to type at this prompt" says '^meminspect: only --dry-run.*: call (int)malloc_trim(0)$'
serve "$PID"
in_gdb -ex "target remote 127.0.0.1:$PORT" -x "$script" -ex 'heap summary' -ex "echo begin\\n" -ex 'heap arenas' \
	-ex 'heap bins' -ex "echo end\\n" -ex 'heap rss' -ex 'heap trim'
sed -n '/^begin$/,/^end$/p' "$T/out" >"$T/remote.text"
check "remote: the same text as of a native process, and nothing else" cmp "$T/native.text" "$T/remote.text"
check "remote: the text is one" [ "$(wc -l <"$T/remote.text")" -gt 10 ]
check "remote: rss says why it does not know" says '^warning: a remote target does not say which pages'
check "remote: trim says what to type at this prompt" says '^meminspect: only --dry-run.*: call (int)malloc_trim(0)$'

# ---- two inferiors: the threads of the other are no roots of this one
victim threads 3
serve "$leaky"
leaks_port=$PORT
in_gdb -x "$script" -ex "attach $PID" -ex 'add-inferior -no-connection' -ex 'inferior 2' \
	-ex "target remote 127.0.0.1:$leaks_port" -ex "$(json_of threads second)" \
	-ex 'inferior 1' -ex "$(json_of threads first)"
if complains 'no-connection'; then
	skip "two inferiors" "this GDB cannot have a remote target beside another"
else
	check "two inferiors: the remote one's threads" \
		jq -e "[.groups[].threads[].tid] | length == 3 and any(. == $leaky)" "$T/second.json" >/dev/null
	check "two inferiors: the other's threads" \
		jq -e "[.groups[].threads[].tid] | length > 3 and any(. == $PID)" "$T/first.json" >/dev/null
fi

# ---- memory crosses the wire once, and only what is needed
cat >"$T/big.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char *small[20000], *large[4];
int main(void)
{
	for (int i = 0; i < 20000; i++)
		small[i] = memset(malloc(64), 'x', 64);
	for (int i = 0; i < 4; i++)
		large[i] = memset(malloc(4 << 20), 'y', 4 << 20);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
END
gcc -g -O0 -o "$T/big" "$T/big.c" || exit 1
exec {BIG_FD}< <(exec "$T/big")
big=$!
pids="$pids $big"
IFS= read -r -t 20 -u "$BIG_FD" || { echo "big does not start"; exit 1; }

# wire NAME: KiB of memory that GDB asked for since the line `mark NAME`
wire()
{
	sed -n "/^mark $1\$/,/^mark /p" "$T/both" | grep -o 'packet: \$[mx][0-9a-f]*,[0-9a-f]*' | sed 's/.*,/0x/' |
		{ sum=0; while read -r n; do sum=$((sum + n)); done; echo $((sum / 1024)); }
}
mark() { printf 'echo mark %s\\n' "$1"; }
serve "$big"
gdb_batch 100 -ex "target remote 127.0.0.1:$PORT" -x "$script" -ex 'set logging file /dev/null' \
	-ex 'set debug remote 1' \
	-ex "$(mark one)" -ex "$(json_of summary one)" -ex "$(mark two)" -ex "$(json_of sizes two)" \
	-ex "$(mark three)" -ex "$(json_of leaks three)" -ex "$(mark four)" -ex "$(json_of leaks four)" \
	-ex "$(mark five)" -ex 'set debug remote 0' -ex 'set debug remote 1' -ex "$(mark six)" \
	-ex 'heap refresh' -ex "$(mark end)" >"$T/both" 2>&1 </dev/null
check "wire: a summary reads the small chunks" [ "$(wire one)" -ge 1500 ]
check "wire: and not the 16 MiB of large ones" [ "$(wire one)" -lt 8000 ]
check "wire: the next command reads nothing" [ "$(wire two)" -lt 64 ]
check "wire: what needs more reads the large chunks" [ "$(wire three)" -gt 15000 ]
check "wire: but what was read before not again" [ "$(wire three)" -lt $((16 * 1024 + 5000)) ]
check "wire: and once" [ "$(wire four)" -lt 64 ]
check "wire: refresh reads anew" [ "$(wire six)" -ge 1500 ]
check "kept: one snapshot for commands that need the same" [ "$(taken one)" = "$(taken two)" ]
check "kept: and for leaks" [ "$(taken three)" = "$(taken four)" ]

# ---- kept until the process runs
victim threads 3
serve "$PID"
in_gdb -ex "target remote 127.0.0.1:$PORT" -x "$script" -ex "$(json_of summary a)" -ex 'thread 2' -ex bt \
	-ex "$(json_of bins b)" -ex 'thread 1' -ex 'call (int)getpid()' -ex "$(json_of summary c)" \
	-ex 'thread 2' -ex 'set scheduler-locking on' -ex 'call (int)getpid()' -ex "$(json_of summary d)" -ex "$(json_of summary e)"
check "kept: another thread is no other snapshot" [ "$(taken a)" = "$(taken b)" ]
check "kept: taken anew after a call" [ "$(taken b)" != "$(taken c)" ]
check "kept: and after a call in one thread alone" [ "$(taken c)" != "$(taken d)" ]
check "kept: and kept again" [ "$(taken d)" = "$(taken e)" ]

# ---- files: elsewhere, or not at all
serve "$leaky"
in_gdb -iex "set sysroot $T/nowhere" -ex "target remote 127.0.0.1:$PORT" -x "$script" -ex "$(json_of "$all_leaks" bare)"
check "without files: the heap is found" jq -e '.sums | length > 0' "$T/bare.json" >/dev/null
mkdir -p "$T/elsewhere"
cp "$exe" "$T/elsewhere/moved"
sed "s|$exe|$(printf '%*s' "${#exe}" '' | tr ' ' '/')|g" "$T/core" >"$T/core.moved" # names no file that there is
in_gdb "$T/elsewhere/moved" "$T/core.moved" -x "$script" -ex 'heap threads'
check "core: the program that GDB was given gives the names" says 'stack_thread'

# ---- what a stub cannot do, and a server that dies
serve "$leaky"
in_gdb -iex 'set remote hostio-open-packet off' -ex "target remote 127.0.0.1:$PORT" -x "$script" -ex 'heap summary' \
	-ex 'echo still here\n'
check "no files from the stub: one line" says '^meminspect: the remote target does not show /proc/'
check "no files from the stub: GDB goes on" says '^still here'

victim heap mix 1000000
serve "$PID"
(until_true [ -s "$T/begun" ]; sleep 0.3; kill -9 "$SERVER") &
in_gdb -ex "target remote 127.0.0.1:$PORT" -x "$script" -ex "shell echo 1 >$T/begun" -ex 'heap leaks' \
	-ex 'heap summary' -ex 'echo still here\n' -ex "attach $leaky" -ex "$(json_of summary after)"
check "the server dies meanwhile: GDB goes on" says '^still here'
check "the server dies meanwhile: the next process is looked at" \
	jq -e '.totals.in_use_bytes > 0' "$T/after.json" >/dev/null
finish
