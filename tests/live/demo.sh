#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# demo.sh: the demo shows what it promises, and leaves no server behind, however it ends.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/../.." || exit 1

server_of() { sed -n 's/^example server: pid \([0-9]*\),.*/\1/p' "$1"; }
has() { grep -q -- "$2" "$1"; }

scripts/demo/demo.sh >"$T/out" 2>"$T/err"
RC=$? OUT=$(cat "$T/out") ERR=$(cat "$T/err")
check 'it succeeds' [ "$RC" = 0 ]
check 'the summary is there' has "$T/out" glibc
check 'the auditors wait for the ledger' has "$T/out" ledger_read_balance
check 'the pause is told' has "$T/err" 'for [0-9.]* [mun]*s'
check 'the server has ended' [ ! -e "/proc/$(server_of "$T/out")" ]

spawn scripts/demo/demo.sh >"$T/out2" 2>/dev/null
until_true has "$T/out2" '^example server'
kill -TERM "$PID"
wait "$PID"
check 'ended early, it says so' [ $? = 143 ]
check 'ended early, the server is gone' until_true [ ! -e "/proc/$(server_of "$T/out2")" ]
finish
