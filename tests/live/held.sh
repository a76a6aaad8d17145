#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# held.sh: refs, path, dominators, suspects, types and find on victims that know who holds what.

. "$(dirname "$0")/lib.sh"
need jq

j()
{
	mi "$@" --format json "$PID"
}

victim leaks
list=$(truth list) table=$(truth table) lost=$(truth 'definite[0]')
mapped=$(truth 'mapped_nodes[2]') stack=$(truth 'reachable[-2]') tls=$(truth thread_local)

j path "$list"
check "path of a global" json '.paths[0] | .root_kind == "data" and .root == "global global_list in leaks" and .length == 1'
j path "$table"
check "path of a table" json '.paths[0].root == "global global_table in leaks"'
j path "$(truth 'reachable[0]')"
check "path through a list of 20" json '.paths[0] | .length == 20 and (.steps | length == 21) and .by_start'
j path "$lost"
check "no path to what is lost" json '(.paths | length == 0) and .roots == 0'
j path "$mapped"
check "path from mapped memory" json '.paths[0].root_kind == "memory"'
j path "$stack" --all
check "path from another thread's stack" json '[.paths[] | select(.root_kind == "stack") | .root | test("frame [0-9]+ stack_thread")] | any'
j path "$tls"
check "path from TLS" json '.paths[0].root_kind == "tls"'
j path "$(truth in_register)" --all
check "path from a register" json '.paths | length == 1 and (.[0].root | test("register r12 of thread"))'
j path 0x10
check "path of no chunk" [ "$RC" = 1 ]

j refs "$list"
check "refs of the list: a global, and one that is lost" json '.refs | length == 2 and .[0].kind == "data" and .[1].kind == "chunk"'
j refs "$table" --from --limit 0
check "refs of the table" json '.targets | length == 64 and (map(.offset) | . == [range(64) | . * 8])'
j refs "$(truth 'possible[0]')"
check "a pointer to the middle" json '.refs | length == 1 and .[0].interior'

# 200 nodes of 48 bytes and the table of 528 itself
j dominators --min 0 --depth 1 --limit 0
check "the table holds its nodes" json '.tree[] | select(.held_by == "global global_table in leaks") | .retained == 200 * 48 + 528 and .children == 64'
check "the lost mapped chunk holds two" json '.tree[] | select(.lost and .children == 2 and .size > 400000) | .retained == .size + 96'
check "all roots hold all" json '([.tree[].retained] | add) == .in_use'
j dominators "$table" --min 0 --depth 10 --limit 0
check "dominators below a chunk" json '(.tree | length == 201) and .tree[0].depth == 0'

mi dominators --format folded -o "$T/held.folded" "$PID"
sum=$(awk '{n += $NF} END {print n}' "$T/held.folded")
j dominators
check "folded stacks sum up to the memory in use" json ".in_use == $sum"
check "folded: a variable, its table, its nodes" grep -qE '^global global_table in leaks;struct node \*\[\];[^;]* 9600$' "$T/held.folded"
check "folded: a list is one frame" grep -qE '^global global_list in leaks;[^;]* [0-9]+$' "$T/held.folded"
mi dominators "$table" --format folded "$PID"
check "folded: below a chunk" [ "$(awk '{n += $NF} END {print n}' <<<"$OUT")" = $((200 * 48 + 528)) ]
mi dominators --format flamegraph -o "$T/held.html" "$PID"
check "flame graph of holders" grep -q 'global global_table in leaks' "$T/held.html"
mi dominators --format pprof -o "$T/held.pb.gz" "$PID"
check "pprof of holders" gzip -t "$T/held.pb.gz"
if command -v go >/dev/null 2>&1; then
	held=$(go tool pprof -top -cum -unit=B -nodefraction=0 "$T/held.pb.gz" 2>/dev/null |
		awk '/global global_table in leaks/ {print $4}')
	check "go tool pprof: what the table holds" [ "$held" = 10128B ]
fi

j suspects
check "suspects: the lost one" json '.suspects | any(.kind == "lost" and .share > 0.9)'
j suspects --min 2
check "suspects: the table" json '.suspects | any(.kind == "holder" and .count == 64 and .held_by == "global global_table in leaks")'
check "suspects: what is left out" json '.left_out | .free_bytes > 0 and .by_middle_bytes > 0'
mi suspects --min 0 --format csv "$PID"
check "suspects: one table to a machine" [ "$(grep -c '^kind,bytes,share' <<<"$OUT")" = 1 ]
mi save "$T/held.mi" "$PID"
j suspects --min 2 --base "$T/held.mi"
check "suspects: nothing grew since a moment ago" json '.suspects | (map(.kind) | index("growth") | not) and any(.kind == "holder" and .count == 64 and .base_bytes == .bytes)'
j suspects --base "$T/none.mi"
check "suspects: no such base" [ "$RC" = 1 ]

j heap top --by retained --limit 0
check "heap top --by retained: the table, with its nodes" json '.retained | any(.count == 1 and .retained_bytes == 200 * 48 + 528)'
check "heap top --by retained: own sizes sum up" json '([.retained[].bytes] | add) == .in_use and all(.retained[]; .retained_bytes >= .bytes)'

j find --pointer "$table"
check "find a pointer" json '.places | length >= 1 and any(.where | test("global_table"))'
j find --u64 0x5a5a5a5a5a5a5a5b
check "find what is not there" json '.places | length == 0'
mi find --hex 5a5 "$PID"
check "find odd hex" [ "$RC" = 2 ]
mi find --u32 0x100000000 "$PID"
check "find: too large for 32 bits" [ "$RC" = 2 ]
mi find --string a --u64 1 "$PID"
check "find: one thing at a time" [ "$RC" = 2 ]
mi find --limit 3 "$PID"
check "find: at least one" [ "$RC" = 2 ]
mi whatis 0x10 "$PID"
check "whatis: not mapped is an error of one line" [ "$RC" = 1 -a -z "$OUT" -a "$(grep -c 'is not mapped; .* begins' <<<"$ERR")" = 1 ]
check "goes on" alive

victim leaks_cxx
j types
check "classes and their numbers" json "[.types[] | select(.type == \"shop::Book\" or .type == \"shop::Record\") | {(.type): .count}] | add == {\"shop::Book\": $(truth books), \"shop::Record\": $(truth records)}"
check "coverage adds up" json '([.coverage[].bytes] | add) == ([.types[].bytes] | add)'
j heap chunks --where 'type = shop::Record and size > 64'
check "heap chunks --where" json "(.chunks | length) == $(truth records)"
j heap chunks --where 'not (state = used or state = free) and size < 1M'
check "heap chunks --where, states" json '.chunks | all(.state == "metadata" or .state == "unknown")'
j heap chunks --where "reached-by = names and type = text" --limit 0
check "heap chunks --where reached-by a global" json '(.chunks | length) == 40'
j leaks --reachable --by size --where 'reached-by = queue'
check "leaks --where reached-by" json '[.groups[].count] | add == 20'
j types --where 'reached-by = index_ and type ~ Book'
check "types --where reached-by" json '[.types[] | select(.type == "shop::Book") | .count] == [20]'
j heap chunks --where 'reached-by = no_such_name'
check "reached-by of no name" [ "$RC" = 2 ]
book=$(jq -r '.types[] | select(.type == "shop::Book") | .example' <<<"$("$MEMINSPECT" types --format json "$PID" 2>/dev/null)")
j refs "$book" --where 'type ~ unique_ptr'
check "refs --where" json '.refs | length == 1 and .[0].kind == "chunk"'
j refs "$book" --where 'type = text'
check "refs --where: none" json '.refs == []'
for bad in '' 'size' 'size >' 'size > 1 or' '(size > 1' 'size > x' 'colour = red' 'state < 3' 'state = in_us' 'size ~ 3' 'reach = definite' 'reach = lost' "$(printf '(%.0s' {1..200})"; do
	mi heap chunks --where "$bad" "$PID"
	check "refuses --where '${bad:0:20}'" [ "$RC" = 2 ]
done
mi heap chunks --where 'size > 1 and colour = red' no_such_process
check '--where is read before anything is looked at' grep -q colour <<<"$ERR"
j find "book number 7 of twenty"
check "find text" json '.places | length >= 1 and any(.state == "in_use" and .offset == 0)'
# The process sleeps: its core and its snapshot hold the same.
places='[.places[] | select(.chunk and .state == "in_use") | {addr, chunk, offset, state, where}] | sort'
jq -c "$places" "$T/out" >"$T/places"
check "find: places in chunks" [ "$(wc -c <"$T/places")" -gt 60 ]
mi save --contents -o "$T/with.mi" "$PID"
mi save -o "$T/without.mi" "$PID"
mi core -o "$T/core" "$PID"
for file in with.mi core; do
	mi find --string 'book number 7 of twenty' --format json "$T/$file"
	check "find in $file: the same places" [ "$(jq -c "$places" "$T/out")" = "$(cat "$T/places")" ]
done
mi find 'book number 7 of twenty' "$T/without.mi"
check "find without bytes says why" [ "$RC" = 1 -a "$(grep -c 'saved without --contents' <<<"$ERR")" = 1 ]
check "C++ goes on" alive
finish
