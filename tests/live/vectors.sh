#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# vectors.sh: our core has the vector registers as the kernel writes them, byte for byte, on any processor.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq python3

# note FILE: the bytes of its NT_X86_XSTATE, as hexadecimal digits
note()
{
	python3 - "$1" <<'PYTHON'
import struct, sys
core = open(sys.argv[1], 'rb').read()
headers, n = struct.unpack_from('<Q', core, 32)[0], struct.unpack_from('<H', core, 56)[0]
for i in range(n):
	kind, _, at, _, _, size = struct.unpack_from('<IIQQQQ', core, headers + 56 * i)
	end = at + size
	while kind == 4 and at < end:
		name, desc, what = struct.unpack_from('<III', core, at)
		at += 12 + (name + 3 & ~3)
		if what == 0x202:
			print(core[at:at + desc].hex())
			sys.exit()
		at += desc + 3 & ~3
PYTHON
}

cd "$T" || exit 1
ulimit -c unlimited
victim vectors
width=$(truth width)
mi core -o "$T/ours" "$PID"
check 'core' [ "$RC" = 0 ]
note "$T/ours" >"$T/ours.note"
low=4142434445464748494a4b4c4d4e4f50
check 'the low 16 bytes of a vector are there' grep -q "$low" "$T/ours.note"
[ "$width" -lt 32 ] || check 'bytes 16 to 32 of a ymm' grep -q 5152535455565758595a414243444546 "$T/ours.note"
[ "$width" -lt 64 ] || check 'all 64 bytes of zmm17' \
	grep -q "${low}5152535455565758595a4142434445464748494a4b4c4d4e4f505152535455565758595a4142434445464748494a4b4c" "$T/ours.note"
kill -ABRT "$PID"
until_true [ ! -e "/proc/$PID/exe" ]
theirs=$(find . -maxdepth 1 -name "core*" | head -n 1)
if [ -s "$theirs" ]; then
	note "$theirs" >"$T/theirs.note"
	check 'the kernel wrote vectors' [ -s "$T/theirs.note" ]
	check 'our core has the same bytes' cmp "$T/theirs.note" "$T/ours.note"
else
	skip 'the core of the kernel' "$(cat /proc/sys/kernel/core_pattern): it goes elsewhere"
fi
finish
