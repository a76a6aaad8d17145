#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# banned.sh: functions and words that do not belong into the sources.

set -u
cd "$(dirname "$0")/../.." || exit 1
rc=0
sources=$(find inspector include gdbplugin -name '*.[ch]' 2>/dev/null | sort)
# shellcheck disable=SC2086 # file names without spaces
code=$(awk -f scripts/lint/strip.awk $sources)

# complain TEXT: prints the lines on stdin with TEXT
complain()
{
	lines=$(cat)
	[ -z "$lines" ] && return
	printf '%s\n' "$lines" | sed "s|\$|    ($1)|"
	rc=1
}

# calls FUNCTIONS: lines that call one of them
calls()
{
	printf '%s\n' "$code" | grep -E "(^|[^A-Za-z0-9_>.])($1)[[:space:]]*\("
}

# A pipe would lose rc: here documents instead.
complain 'unbounded or stateful: banned' <<EOF
$(calls 'strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atoll|atof|gets|alloca')
EOF
complain 'numbers are parsed by insp_parse_*' <<EOF
$(calls 'strto(l|ul|ll|ull|d|f|ld|imax|umax)|sscanf' | grep -v '^inspector/base/fmt\.c:\|^inspector/hook/\|^gdbplugin/')
EOF
# What remote.c reads are the variables of another library, libdebuginfod.
complain 'only front/ talks to people and ends the process' <<EOF
$(calls 'printf|puts|putchar|perror|exit|_exit|abort|getenv' |
	grep -v '^inspector/front/\|^inspector/hook/\|^gdbplugin/' |
	grep -v '^inspector/symbol/remote\.c:.*getenv')
EOF
complain 'declared in a header or by a .def registry only' <<EOF
$(printf '%s\n' "$code" | grep -E '^[^:]*\.c:[0-9]+:extern ')
EOF
# shellcheck disable=SC2086
complain 'unfinished' <<EOF
$(grep -HnE '\<(TODO|FIXME|XXX|HACK)\>' $sources)
EOF
exit $rc
