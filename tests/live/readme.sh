#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# readme.sh: each command line of README.md that looks at process 1234 does what it is shown for.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq
readme=$(cd "$(dirname "$0")/../.." && pwd)/README.md
LD_PRELOAD=$BUILD/libmeminspect-hook.so MEMINSPECT_HOOK=full victim mix
address=$(truth kept)
cd "$T" || exit 1

# What stands in backquotes, and what is indented, and ends in the example's process id.
n=0
while IFS= read -r line; do
	line=${line//1234/$PID}
	line=$(sed "s/0x55d0c8a3f2a0/$address/" <<<"$line")
	n=$((n + 1))
	eval "mi ${line#meminspect }"
	check "README: $line" [ "$RC" = 0 ]
done < <(grep -oE '`meminspect [^`]* 1234`|^    meminspect .* 1234$' "$readme" | tr -d '\140' | sed 's/^ *//')
check 'there are examples' [ $n -ge 10 ]
mi save later.mi "$PID"
mi trend ./*.mi
check 'README: meminspect trend *.mi' [ "$RC" = 0 ]
finish
