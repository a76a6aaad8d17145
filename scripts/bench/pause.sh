#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# pause.sh [RUNS [SECTION...]]: builds and runs pause.c, which see. 20 runs of all sections take half an
# hour; let nothing else run meanwhile.

set -eu
cd "$(dirname "$0")/../.."
: "${BUILD:=$PWD/build}" "${CC:=gcc}"
runs=${1:-20}
[ $# = 0 ] || shift
[ $# != 0 ] || set -- wait10 wait500 wait5000 spin500 spin500:eu-stack spin500:gdb spin500:gcore heap big
make --no-print-directory BUILD="$BUILD" "$BUILD/libmeminspect.a" >&2
# shellcheck disable=SC2046 # words are wanted
"$CC" -std=gnu11 -D_GNU_SOURCE -O2 -g -fno-optimize-sibling-calls -Wall -Wextra -Iinspector \
	-o "$BUILD/bench-pause" scripts/bench/pause.c "$BUILD/libmeminspect.a" \
	$(pkg-config --libs libdw libelf libunwind-ptrace libunwind-generic readline zlib libzstd \
		liblz4 libxxhash) -liberty -lpthread -lm -ldl
cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
echo "$(date -u +%F), $(uname -sr), $(nproc) x ${cpu:-unknown}, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo); medians of $runs runs, in brackets the shortest and the longest"
echo
echo '| target | looked at by | pause, ms | gap that its heartbeat saw, ms | took, ms | runs | limit |'
echo '|---|---|---|---|---|---|---|'
exec "$BUILD/bench-pause" "$runs" "$@"
