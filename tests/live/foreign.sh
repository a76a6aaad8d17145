#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Allocators without a walker: each is recognised, with the reason; none is walked.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

# The row of an allocator in `heap summary`: found by its name, not walked.
# recognises VICTIM NAME
recognises()
{
	if [ ! -x "$VICTIMS/$1" ]; then
		skip "$1" "$(tail -n 1 "$VICTIMS/$1.log" 2>/dev/null || echo 'it was not built')"
		return
	fi
	victim "$1"
	mi heap summary --format json "$PID"
	check "$1: exit code" [ "$RC" = 0 ]
	check "$1: says $2" grep -q "$2" <<<"$OUT$ERR"
	if json 'any(.allocators[]; .walked)'; then # the libc's own is at work beside it
		mi leaks "$PID"
		check "$1: leaks says what is left out" grep -q "chunks of .*$2.* are not walked" <<<"$OUT"
	else
		mi leaks "$PID"
		check "$1: leaks says why not" grep -q "^meminspect: leaks: no heap that can be walked (.*$2" <<<"$ERR"
		check "$1: and fails" [ "$RC" = 1 ]
		mi heap sizes "$PID"
		check "$1: so does heap sizes" [ "$RC" = 1 ]
		mi heap top "$PID"
		check "$1: the hook is not offered in vain" grep -q 'and the hook cannot' <<<"$ERR"
	fi
	mi maps "$PID"
	check "$1: maps work" [ "$RC" = 0 ]
	mi threads "$PID"
	check "$1: threads work" [ "$RC" = 0 ]
	check "$1: works on" alive
}

recognises plain-jemalloc jemalloc
recognises plain-jemalloc-static jemalloc
recognises plain-tcmalloc tcmalloc
recognises plain-mimalloc mimalloc
recognises plain-musl musl
recognises plain-asan AddressSanitizer
recognises plain-32 32-bit
finish
