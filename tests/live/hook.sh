#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# hook.sh: run, heap top, profile and whatis on a program that counts for itself; what they write is
# what pprof reads, and a saved snapshot says the same. Environment: HOOK, another build of the hook.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq gzip

# start_with RUN_OPTIONS...: hook_truth under `meminspect run`
start_with()
{
	local line
	exec {VICTIM_FD}< <(exec "$MEMINSPECT" run ${HOOK:+--hook "$HOOK"} "$@" -- \
		"$VICTIMS/hook_truth" 3 20000)
	PID=$!
	pids="$pids $PID"
	TRUTH=''
	while IFS= read -r -t 60 line <&"$VICTIM_FD"; do
		case $line in '{'*'"ready"'*) TRUTH=$line; break ;; esac
	done
	[ -n "$TRUTH" ] || { echo "hook_truth did not become ready under meminspect run"; exit 1; }
}

# Every named function has exactly the figures that the program says.
same_figures()
{
	jq -n --argjson truth "$TRUTH" --slurpfile out "$T/out" '
		($out[0].top | map({key: .name, value: .}) | from_entries) as $by
		| [$truth.sites | to_entries[] | .key as $k | .value as $v
			| select($k != "site_strdup") # flat, those are of strdup
			| select(($by[$k].alloc_objects != $v[0]) or ($by[$k].alloc_bytes != $v[1])
				or ($by[$k].inuse_objects != $v[0] - $v[2])
				or ($by[$k].inuse_bytes != $v[1] - $v[3]))
			| $k] | length == 0' | grep -qx true
}

is() { [ "$1" = "$2" ]; }
text_has() { grep -q -- "$1" <<<"$OUT"; }
err_has() { grep -q -- "$1" <<<"$ERR"; }

start_with --full
mi heap top --by function --limit 0 --format json "$PID"
check 'heap top --by function is exact' same_figures
check 'the figures of all functions add up' is \
	"$(jq '[.top[].inuse_bytes] | add' "$T/out")" "$(jq .recorded.inuse_bytes "$T/out")"
check 'nothing was dropped' is "$(jq '[.notes[]? | select(.code == "dropped")] | length' "$T/out")" 0
for by in site module size thread age; do
	mi heap top --by $by --limit 0 --format json "$PID"
	check "heap top --by $by adds up" is \
		"$(jq '[.top[].inuse_bytes] | add' "$T/out")" "$(jq .recorded.inuse_bytes "$T/out")"
done
mi heap top --limit 3 --stacks "$PID"
check 'heap top names the line' text_has 'site_large (hook_truth.c:'
check 'stacks reach the start of the thread' text_has 'start_thread\|libc.so.6+0x'

mi heap top --limit 0 --format json "$PID"
site=$(jq -r '[.top[] | select(.name | startswith("site_large"))][0].site' "$T/out")
blocks=$(jq -r --argjson s "$site" '.top[] | select(.site == $s) | .inuse_objects' "$T/out")
mi heap top --limit 0 "$PID"
check 'heap top prints the number of the site' grep -qE "^ *$site .*site_large" <<<"$OUT"
mi heap chunks --site "$site" --format json "$PID"
check 'heap chunks --site has as many blocks' is "$(jq '.chunks | length' "$T/out")" "$blocks"
mi whatis "$(jq -r '.chunks[0].addr' "$T/out")" --format json "$PID"
check 'and whatis says the same number' is "$(jq .allocation.site "$T/out")" "$site"
mi heap chunks --site 999999 "$PID"
check 'a site that is not there is one line' err_has 'no site 999999'
for by in function module; do
	mi heap top --by $by --limit 0 --format json "$PID"
	check "--by $by: cumulative is at least flat" json \
		'[.top[] | .cum_bytes >= .inuse_bytes and .cum_alloc_objects >= .alloc_objects] | all'
done
check '--by module: all stacks begin in libc' json '([.top[].cum_bytes] | max) as $m | $m == .recorded.inuse_bytes'
"$MEMINSPECT" help --json 'heap top' --format json | jq -r '.json_keys[] | .table + "." + .key' | sort -u >"$T/known"
mi heap top --stacks --limit 3 --format json "$PID"
jq -r '{top, recorded, parts} | [paths(scalars)] | .[] | map(select(type == "string")) | .[-2] + "." + .[-1]' \
	"$T/out" | sort -u >"$T/written"
check 'all keys of heap top are documented' is "$(comm -23 "$T/written" "$T/known")" ''
mi heap top --by size --sort alloc "$PID"
check 'a sort that a grouping does not have is refused' is "$RC" 2
mi heap top --format json "$PID"
check 'the parts of the heap add up' json '.recorded | .walked_bytes ==
	.attributed_bytes + .unseen_bytes + .foreign_bytes and .walked_objects ==
	.attributed_objects + .unseen_objects + .foreign_objects'

mi heap chunks --state used --sort size --limit 1 --format json "$PID"
mi whatis "$(jq -r '.chunks[0].addr' "$T/out")" --format json "$PID"
check 'whatis knows who asked for the largest block' is \
	"$(jq -r '.allocation.frames[0].function[0:10]' "$T/out")" site_large

mi profile heap --format folded -o "$T/heap.folded" "$PID"
check 'folded stacks are written' grep -q ';site_large [0-9]*$' "$T/heap.folded"
check 'folded stacks add up' is "$(awk '{n += $NF} END {print n}' "$T/heap.folded")" \
	"$(jq -n --argjson t "$TRUTH" '[$t.sites[] | .[1] - .[3]] | add' |
		awk -v f="$T/heap.folded" 'BEGIN {
			while ((getline line < f) > 0) if (line !~ /;site_/) {
				n = split(line, w, " "); other += w[n]
			} } {print $1 + other}')"
mi profile heap --format pprof -o "$T/heap.pb.gz" "$PID"
check 'the profile for pprof is gzip' gzip -t "$T/heap.pb.gz"
mi profile heap --format flamegraph -o "$T/heap.html" "$PID"
check 'the flame graph holds the functions' grep -q '"site_large"' "$T/heap.html"
check 'the flame graph fetches nothing' is "$(grep -cE 'https?://|src=|@import' "$T/heap.html")" 0
mi heap top --format pprof -o "$T/top.pb.gz" "$PID"
check 'heap top gives the same profile' is "$RC" 0
for type in heap threads; do
	for format in pprof folded flamegraph text json csv; do
		mi profile $type --format $format -o "$T/any" "$PID"
		check "profile $type --format $format" [ "$RC" = 0 -a -s "$T/any" ]
	done
done
mi profile threads --format folded "$PID"
check 'profile threads counts them' is "$(awk '{n += $NF} END {print n}' <<<"$OUT")" 4
mi heap summary --format pprof "$PID"
check 'a command without a profile says so' err_has 'has no profile'

if command -v go >/dev/null 2>&1; then
	# flat bytes of one function by pprof, and by us
	pprof=$(go tool pprof -top -unit=B -nodefraction=0 "$T/heap.pb.gz" 2>/dev/null |
		awk '$NF == "site_calloc" {sub(/B$/, "", $1); print $1}')
	check 'go tool pprof -top agrees' is "${pprof%%.*}" "$(jq -n --argjson t "$TRUTH" \
		'$t.sites.site_calloc | .[1] - .[3]')"
	go tool pprof -top -sample_index=alloc_objects -nodefraction=0 "$T/heap.pb.gz" >"$T/top" 2>&1
	check 'and counts allocations' is "$(awk '$NF == "site_calloc" {print $1}' "$T/top")" \
		"$(truth 'sites.site_calloc[0]')"
	check 'and takes the program for the first mapping' grep -q '^File: hook_truth' "$T/top"
	check 'pprof subtracts one from another' go tool pprof -top -diff_base "$T/heap.pb.gz" \
		"$T/heap.pb.gz"
else
	skip 'go tool pprof' 'go is not installed'
fi

mi heap top --by function --limit 0 --format json "$PID"
jq .top "$T/out" >"$T/live.json"
mi save "$T/snap.mi" "$PID"
mi heap top --by function --limit 0 --format json "$T/snap.mi"
jq .top "$T/out" >"$T/file.json"
check 'a saved snapshot says the same' cmp "$T/live.json" "$T/file.json"
check 'the program works on' alive

start_with --sample 16k
mi heap top --by function --limit 0 --format json "$PID"
# shellcheck disable=SC2016 # jq's variables
check 'sampled: within a fifth of the truth in sum' jq -en --argjson truth "$TRUTH" --slurpfile o "$T/out" '
	([$truth.sites[] | .[1]] | add) as $want | ([$o[0].top[].alloc_bytes] | add) as $got
	| $got > $want * 0.8 and $got < $want * 1.2'
check 'sampled: the parts add up' json '.recorded | .walked_bytes ==
	.attributed_bytes + .not_drawn_bytes + .foreign_bytes and .estimate_share > 0.5 and .estimate_share < 1.5'
check 'sampled: says that it is an estimate' is "$(jq -r .recorded.mode "$T/out")" 'sampled: estimates'
check 'the program works on' alive

victim mix
mi heap top "$PID"
check 'without the hook it says what to do' err_has 'meminspect run'
mi run -- /nonexistent/program
check 'a program that is not there is one line' err_has '/nonexistent/program'
mi run --full -- sh -c 'exit 7'
check 'run ends as the program does' is "$RC" 7
finish
