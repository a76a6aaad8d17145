#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# everywhere.sh: every command there is, on a stopped process, on cores of it and on a snapshot with contents:
# the same answer, or a refusal in one line. A command that no list here names fails the test.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq

victim mix
kept=$(truth kept)
kill -STOP "$PID"
until_true grep -q '^State:.T' "/proc/$PID/status"

# The same everywhere, with what each needs before the target.
declare -A same=(
	['heap summary']='' ['heap arenas']='' ['heap bins']='' ['heap sizes']='' ['heap chunks']='--limit 0'
	['heap verify']='' [whatis]=$kept [x]=$kept [leaks]='' [refs]=$kept [path]=$kept [dominators]=''
	[suspects]='--min 5' [types]='' ['find']=BBBBBBBB [threads]='' [maps]=''
)
# Which pages are resident is known of a process and its snapshot, not of a core: they run, and where a
# figure is another one without it, the answer on a core has this note.
declare -A runs=(
	['heap fragmentation']=sizes_only ['heap pins']='' ['heap map']=sizes_only ['heap trim --dry-run']=''
	[rss]=estimated [advise]='' ['profile threads']=''
)
# For a process alone: the exit code, and one line says why.
declare -A process=([check]=3 ['heap top']=1 [watch]=2 [serve]=2)
# Not about one target: tested by other scripts.
other=' run save core info diff trend verify report_weekly doctor attach refresh base set help quit '

while IFS= read -r command; do
	name=" ${command// /_} "
	known()
	{
		[ -n "${same[$command]+x}${process[$command]+x}" ] || [[ $other == *"$name"* ]] ||
			printf '%s\n' "${!runs[@]}" | grep -qE "^$command( |\$)"
	}
	check "$command: is in one of the lists here" known
done < <("$MEMINSPECT" help --json --format json | jq -r '.groups[].commands[].name')

files=(own snapshot)
mi core -o "$T/own" "$PID"
check 'core' [ "$RC" = 0 ]
mi save --contents -o "$T/snapshot" "$PID"
check 'save' [ "$RC" = 0 ]
if command -v gcore >/dev/null; then
	gcore -o "$T/gcore" "$PID" >/dev/null 2>&1
	mv "$T/gcore.$PID" "$T/gcore"
	files+=(gcore)
else
	skip 'a core of gcore' 'gcore is not installed'
fi

# What a core does not have, whoever wrote it, and so is not compared there:
declare -A not_in_core=(
	# what the scheduler knows of a thread, and the names of all but the first
	[threads]='del(.. | .state?, .state_text?, .wchan?, .name?)'
	# the kernel's names and kinds of mappings, and the numbers of the files under them
	[maps]='del(.. | .inode?, .kind?, .name?)'
)
# strip COMMAND WHERE: the part of the answer that is the same everywhere
strip()
{
	local more=.
	[ "$2" = snapshot ] || more=${not_in_core[$1]-.}
	jq -S "del(.target, .capture) | (.. | select(. == \"[heap]\")) = null | $more" "$T/out"
}
for command in "${!same[@]}"; do
	# shellcheck disable=SC2086 # words
	mi $command ${same[$command]} "$PID" --format json
	check "$command: the process" [ "$RC" = 0 -a -n "$OUT" ]
	cp "$T/out" "$T/answer"
	for file in "${files[@]}"; do
		# gcore leaves out mappings, and holds others as readable that were not
		[ "$command $file" != 'maps gcore' ] || continue
		cp "$T/answer" "$T/out"
		strip "$command" "$file" >"$T/live"
		# shellcheck disable=SC2086
		mi $command ${same[$command]} "$T/$file" --format json
		strip "$command" "$file" >"$T/there"
		check "$command: $file as the process" diff "$T/live" "$T/there"
	done
done
for command in "${!runs[@]}"; do
	for file in "${files[@]}"; do
		# shellcheck disable=SC2086
		mi $command "$T/$file" --format json
		check "$command: $file: runs" [ "$RC" = 0 -a -n "$OUT" ]
		[ -z "${runs[$command]}" ] || [ "$file" = snapshot ] ||
			check "$command: $file: says what is not known" json ".notes | any(.code == \"${runs[$command]}\")"
	done
done
for command in "${!process[@]}"; do
	for file in "${files[@]}"; do
		# shellcheck disable=SC2086
		mi $command "$T/$file"
		check "$command: $file: refused" [ "$RC" = "${process[$command]}" ]
		check "$command: $file: in one line" [ "$(cat "$T/out" "$T/err" | grep -c .)" = 1 ]
	done
done
finish
