#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# leaks-beside.sh [CHUNKS]: what finding leaks takes with meminspect on the running process, with valgrind,
# and with LeakSanitizer at exit: time, memory, and what was found, on one program that knows its leaks.
# Others that are not installed are left out, and said so. (chap is no package of Debian; it is not here.)
# Exit 1 when meminspect finds anything else than what is lost. Let nothing else run meanwhile.

set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=$PWD/build}" "${MEMINSPECT:=$BUILD/meminspect}" "${CC:=gcc}"
chunks=${1:-1000000}
T=$(mktemp -d)
pid=''
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null; rm -rf "$T"' EXIT
"$CC" -D_GNU_SOURCE -O1 -g -Wall -Wextra -o "$T/plain" scripts/bench/leaks-beside.c

# timed COMMAND...: its output is $T/out; sets wall (s) and peak (MiB)
timed()
{
	python3 - "$T/figures" "$@" >"$T/out" 2>"$T/err" <<-'PYTHON'
		import os, resource, subprocess, sys, time
		t = time.time()
		subprocess.run(sys.argv[2:])
		peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
		open(sys.argv[1], "w").write("%.2f %.0f\n" % (time.time() - t, peak))
	PYTHON
	read -r wall peak <"$T/figures"
}

# row WHO DEFINITELY INDIRECTLY
row() { printf '| %s | %s s | %s MiB | %s | %s |\n' "$1" "$wall" "$peak" "$2" "$3"; }
# of FILE WORDS: the number of blocks of a line of valgrind's summary
of() { sed -n "s/.* $2: [0-9,]* bytes in \([0-9,]*\) blocks.*/\1/p" "$1" | tr -d ,; }

exec {from}< <(exec "$T/plain" "$chunks" stay)
pid=$!
read -r -t 60 definite indirect <&"$from"
echo "$(date -u +%F), $(uname -sr); $chunks chunks in lists of 100, one list in ten lost"
echo
echo '| with | wall | memory | definitely lost | indirectly lost |'
echo '|---|---|---|---|---|'
printf '| the program itself says | | | %s | %s |\n' "$definite" "$indirect"
timed "$MEMINSPECT" leaks --format json "$pid"
ours=$(jq -r '[.sums[] | select(.reach == "definite" or .reach == "indirect") | .count] | @tsv' "$T/out" | tr '\t' ' ')
row "meminspect leaks; the process runs on" "${ours% *}" "${ours#* }"
kill -9 "$pid"
pid=''
if command -v valgrind >/dev/null; then
	timed valgrind --leak-check=full --log-file="$T/vg" "$T/plain" "$chunks"
	row "valgrind, the program and the check" "$(of "$T/vg" 'definitely lost')" "$(of "$T/vg" 'indirectly lost')"
else
	echo "valgrind is not installed" >&2
fi
if "$CC" -D_GNU_SOURCE -O1 -g -fsanitize=leak -o "$T/lsan" scripts/bench/leaks-beside.c 2>/dev/null; then
	timed "$T/lsan" "$chunks"
	lost=$(sed -n 's/.*LeakSanitizer: .* leaked in \([0-9]*\) allocation.*/\1/p' "$T/err")
	row "LeakSanitizer, the program and the check" "${lost:-it could not look} in all" ""
else
	echo "no LeakSanitizer with $CC" >&2
fi
[ "$ours" = "$definite $indirect" ]
