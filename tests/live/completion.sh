#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# completion.sh: what the generated completion for bash offers, and that zsh can read its own.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"

# offers WORD... : the line so far, the last word (may be empty) being typed; into OFFERED
offers()
{
	COMP_WORDS=(meminspect "$@")
	COMP_CWORD=$#
	COMPREPLY=()
	_meminspect
	OFFERED=$(printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' ')
}
includes() { [[ " $OFFERED" == *" $1 "* ]]; }

"$MEMINSPECT" --generate bash >"$T/bash" 2>"$T/err"
check 'generated' [ -s "$T/bash" ]
check 'no remarks' [ ! -s "$T/err" ]
check 'bash reads it' bash -n "$T/bash"
# shellcheck disable=SC1091 # just written
. "$T/bash"
offers ma
check 'a command' [ "$OFFERED" = 'maps ' ]
offers he
check 'the first word of two' includes heap
offers heap ''
check 'the second words' includes summary
check 'the second words: no others' [ "$(includes maps && echo yes)" = '' ]
offers heap chunks --so
check 'an option' [ "$OFFERED" = '--sort ' ]
offers heap chunks --sort ''
check 'its choices' [ "$OFFERED" = 'addr size state ' ]
offers heap chunks --for
check 'an option of every command' [ "$OFFERED" = '--format ' ]
offers heap chunks --format j
check 'choices of an option of every command' [ "$OFFERED" = 'json ' ]
offers maps -f c
check 'behind its letter' [ "$OFFERED" = 'csv ' ]
touch "$T/a-file"
offers maps -o "$T/a-f"
check 'a file' [ "$OFFERED" = "$T/a-file " ]
spawn sleep 600
if command -v ps >/dev/null; then
	offers maps "$PID"
	check 'a process' includes "$PID"
else
	skip 'a process' 'ps is not installed'
fi
offers quit
check 'what is for the prompt is not offered' [ "$OFFERED" = ' ' ]

"$MEMINSPECT" --generate zsh >"$T/zsh"
check 'zsh: generated' [ -s "$T/zsh" ]
if command -v zsh >/dev/null; then
	check 'zsh reads it' zsh -n "$T/zsh"
else
	skip 'zsh reads it' 'zsh is not installed'
fi

"$MEMINSPECT" --generate man >"$T/man"
check 'manual page: generated' grep -q '^\.TH MEMINSPECT 1' "$T/man"
if command -v groff >/dev/null; then
	check 'manual page: groff has nothing to say' \
		[ -z "$(groff -man -Tutf8 -ww "$T/man" 2>&1 >/dev/null | grep -v 'cannot adjust line\|can.t break line')" ]
else
	skip 'manual page: groff' 'groff is not installed'
fi
"$MEMINSPECT" --generate nonsense >"$T/out" 2>"$T/err"
check 'nonsense: exit 2' [ $? = 2 ]
finish
