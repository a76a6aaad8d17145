# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# lib_gdb.sh: what the tests of the GDB plugin share; lib.sh with
#
#   GDB, script          the debugger (GDB=... takes another one) and the plugin's commands
#   in_gdb ARG...        a batch run: OUT, ERR, and the files T/out and T/err; fails the test when GDB hangs
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

# gdb_batch SECONDS ARG...: one that is still at work then is killed, and the test told so
gdb_batch()
{
	local seconds=$1 rc
	shift
	timeout -k 5 "$seconds" "$GDB" -q -nx -batch -iex 'set auto-load no' -iex 'set width 0' "$@"
	rc=$?
	case $rc in 124 | 137) OUT='' ERR='' check "gdb is still at work after $seconds s: $*" false ;; esac
	return $rc
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

# The system chooses the port. What an earlier server wrote must not be taken for this one's.
serve()
{
	command -v gdbserver >/dev/null || { echo "gdbserver is not installed"; exit 77; }
	rm -f "$T/server"
	gdbserver --once --attach 127.0.0.1:0 "$1" >"$T/server" 2>&1 &
	SERVER=$!
	pids="$pids $SERVER"
	if until_true grep -q '^Listening on port' "$T/server"; then
		PORT=$(sed -n 's/^Listening on port //p' "$T/server")
		return
	fi
	echo "gdbserver for process $1 does not listen after 20 s: $(tail -n 1 "$T/server")"
	exit 1
}
