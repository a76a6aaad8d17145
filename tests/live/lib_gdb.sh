# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# lib_gdb.sh: what the tests of the GDB plugin share; lib.sh with
#
#   GDB, script          the debugger (GDB=... takes another one) and the plugin's commands
#   in_gdb ARG...        a batch run: OUT, ERR, and the files T/out and T/err
#   says, complains      a pattern in the output, or in either
#   serve PID            a gdbserver for it: PORT; skips the whole test where there is none
#   taken NAME           when the snapshot of T/NAME.json was taken
#   json_of COMMAND NAME the command that writes T/NAME.json

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
: "${GDB:=gdb}"
need "$GDB" jq
script=$BUILD/meminspect.gdb
[ -e "$script" ] || { echo "the plugin is not built (sanitizers, or gdb/jit-reader.h is missing)"; exit 77; }
unset DEBUGINFOD_URLS

# gdb_batch SECONDS ARG...
gdb_batch()
{
	local seconds=$1
	shift
	timeout "$seconds" "$GDB" -q -nx -batch -iex 'set auto-load no' -iex 'set width 0' "$@"
}

in_gdb()
{
	gdb_batch 100 "$@" >"$T/out" 2>"$T/err" </dev/null
	OUT=$(cat "$T/out") ERR=$(cat "$T/err")
}

says() { grep -q -- "$1" "$T/out"; }
complains() { cat "$T/out" "$T/err" | grep -q -- "$1"; }
taken() { jq .target.taken_at_ns "$T/$1.json" 2>/dev/null || echo "no $1"; }
json_of() { echo "heap $1 --format json -o $T/$2.json"; }

serve()
{
	local try
	command -v gdbserver >/dev/null || { echo "gdbserver is not installed"; exit 77; }
	for try in 1 2 3 4 5; do
		PORT=$((20000 + (RANDOM + $$) % 12000))
		gdbserver --once --attach "127.0.0.1:$PORT" "$1" >"$T/server" 2>&1 &
		SERVER=$!
		pids="$pids $SERVER"
		until_true grep -q 'Listening\|in use' "$T/server"
		grep -q Listening "$T/server" && return
		wait "$SERVER"
	done
	echo "gdbserver does not listen after $try tries"
	exit 1
}
