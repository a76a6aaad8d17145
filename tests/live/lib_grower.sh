# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
# lib_grower.sh: the victim that obeys, for tests of what grows. Source it behind lib.sh.
#
#   grower NAME     starts it under that name: PID, TRUTH; its commands go to fd CMD
#   ask COMMAND     TRUTH after it was obeyed: see tests/victims/grow.c
#   near A B D      A is B, give or take D

grower()
{
	rm -f "$T/commands"
	mkfifo "$T/commands"
	victim grow "$1" <>"$T/commands"
	exec {CMD}>"$T/commands"
}

ask()
{
	echo "$1" >&"$CMD"
	IFS= read -r -t 60 TRUTH <&"$VICTIM_FD"
}

near() { [ -n "$1" ] && [ "$1" -ge $(($2 - $3)) ] && [ "$1" -le $(($2 + $3)) ]; }
