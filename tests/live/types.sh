#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# types.sh: types by debug info and by vtables, on victims that know how many of each they have.

. "$(dirname "$0")/lib.sh"
need jq

# Without the bytes, that something is text is not known, and char * leads to char[].
known='[.types[] | select((.source == "debug_info" and .type != "char[]") or .source == "vtable") | {(.type): .count}] | add'

# same_types WHAT TARGET: types says of the target just what the victim does
same_types()
{
	mi types --limit 0 --format json "$2"
	check "$1: ends well" [ "$RC" = 0 ]
	check "$1: type by type" [ "$(jq -cS "$known" "$T/out")" = "$(jq -cS .types <<<"$TRUTH")" ]
	check "$1: coverage adds up" json '([.coverage[].bytes] | add) == ([.types[].bytes] | add)'
}

for variant in types types-optimised; do
	victim $variant
	same_types "$variant" "$PID"
	check "$variant: texts" json '[.types[] | select(.source == "text") | .count] | add >= 100'
	check "$variant: what void * points at has its size" json '.types | any(.source == "size" and .type == "912 bytes")'
	mi types --where 'size >= 1T' --format json "$PID"
	check "$variant: none of that size" [ "$RC" = 0 -a "$(jq '.types | length' "$T/out")" = 0 ]
	mi core -o "$T/core" "$PID"
	same_types "$variant, core" "$T/core"
	mi save -o "$T/saved.mi" "$PID"
	same_types "$variant, saved without the bytes" "$T/saved.mi"
	check "$variant, saved without the bytes: said, and what to do" json '.notes | any(.text | test("save --types"))'
	check "$variant goes on" alive
done

# as_process WHAT OPTION...: a file that is saved so tells the same types as the process, by the same means
as_process()
{
	local what=$1
	shift
	mi save "$@" -o "$T/as.mi" "$PID"
	check "$what: saved" [ "$RC" = 0 ]
	mi types --limit 0 --format json "$PID"
	jq -S '[.types[] | del(.preview)]' "$T/out" >"$T/want"
	mi types --limit 0 --format json "$T/as.mi"
	jq -S '[.types[] | del(.preview)]' "$T/out" >"$T/got"
	check "$what: the same types" cmp "$T/want" "$T/got"
	check "$what: texts among them" json '.types | any(.source == "text" and .count > 0)'
	check "$what: nothing is said to be missing" json '.notes // [] | all(.text | test("not at hand") | not)'
}
victim types
as_process 'types --types' --types
as_process 'types --contents' --contents
# 0x414141414141: "AAAAAA" as bytes
victim odd letters
mi types --where "addr = $(truth pointers)" --format json "$PID"
check "pointers of letters are no text" json '.types[0].source != "text"'
mi types --where "addr = $(truth text)" --format json "$PID"
check "letters that are no pointer are" json '[.types[].source] == ["text"]'

victim leaks_cxx
as_process 'C++ --types' --types
check 'C++ --types: classes' json "[.types[] | select(.type == \"shop::Book\" and .source == \"vtable\") | .count] == [$(truth books)]"
mi heap chunks --where 'type = shop::Book' --limit 0 --format json "$T/as.mi"
check 'C++ --types: --where' json "(.chunks | length) == $(truth books)"
mi leaks --by type --format json "$T/as.mi"
check 'C++ --types: leaks' json '.groups[0] | .group == "shop::Record" and .count == 7'

# ---- names of variables and members
victim types
root='[.paths[] | .root] | any(test($re))'
# held_by WHAT ADDR REGEX
held_by()
{
	mi path --all --format json "$2" "$PID"
	check "path: $1" json "\"$3\" as \$re | $root"
}
held_by 'a local of main' "$(truth tree)" '^stack of thread [0-9]+ .types., frame [0-9]+ main, local local_tree, at '
held_by 'a local of another thread' "$(truth of_thread)" ', frame [0-9]+ stand, local argument, at '
held_by 'a thread-local variable' "$(truth mine)" '^thread-local storage of thread [0-9]+ .types., mine at '
held_by 'a member of an element' "$(truth job)" '^global wrapped[[]2[]].queue in types$'
mi path --format json "$(truth job)" "$PID"
check "path: members on the way" json '[.paths[0].steps[].member] == [null, ".first", ".next", null]'
mi refs --from --format json "$(truth table)" "$PID"
check "refs: members" json '[.targets[].member] == [".buckets", ".stats.newest"]'
mi refs --format json "$(truth job)" "$PID"
check "refs: the member that points here" json '[.refs[].member] == [".next"]'
mi whatis --format json "$(truth local)" "$PID"
check "whatis: a local" json '.stack.local == "local_tree" and .stack.function == "main"'
mi whatis --format json "$(truth bucket)" "$PID"
check "whatis: an element" json '.chunk.type == "struct entry *[]" and .chunk.type_source == "debug_info" and .chunk.member == "[7]"'
mi whatis --format json "$(truth derived)" "$PID"
check "whatis: what fits, and what it is called elsewhere" json '.chunk.type == "struct derived" and .chunk.also == "struct base"'
mi types --format json "$PID"
check "types: disputed" json '[.types[] | select(.disputed > 0) | [.type, .also, .exact]] | any(. == ["struct derived", "struct base", 1])'
check "types goes on" alive

victim leaks_cxx
mi types --limit 0 --format json "$PID"
check "C++: objects behind std::unique_ptr in a vector" json '.types | any(.type == "std::unique_ptr<shop::Item, std::default_delete<shop::Item> >[]" and .count == 1)'
check "C++: nodes of a map" json '[.types[] | select(.type | startswith("std::_Rb_tree_node<std::pair<int const, std::string")) | .count] == [40]'
check "C++: nodes of a hash table" json '[.types[] | select((.type | startswith("std::__detail::_Hash_node<")) and (.type | endswith(">"))) | .count] == [20]'
check "C++: nodes of a list" json '[.types[] | select(.type | startswith("std::_List_node<std::shared_ptr<shop::Record")) | .count] == [10]'
check "C++: classes" json "[.types[] | select(.type == \"shop::Book\" and .source == \"vtable\") | .count] == [$(truth books)]"
check "C++ goes on" alive

# Without debug info, but with the symbols of its tables.
if command -v strip >/dev/null 2>&1; then
	mkdir "$T/stripped"
	strip --strip-debug -o "$T/stripped/leaks_cxx" "$VICTIMS/leaks_cxx"
	VICTIMS=$T/stripped
	victim leaks_cxx
	mi types --limit 0 --format json "$PID"
	check "stripped: classes" json "[.types[] | select(.type == \"shop::Book\" and .source == \"vtable\") | .count] == [$(truth books)]"
	check "stripped: nothing by debug info of its own" json '[.types[] | select(.source == "debug_info" and (.type | test("shop|std::")))] == []'
	check "stripped goes on" alive
else
	skip 'stripped' 'strip is not installed'
fi
finish
