#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# spdx.sh: the licence in the first line of every source, the second one of every script.

set -u
cd "$(dirname "$0")/../.." || exit 1
tag='SPDX-License-Identifier: GPL-3.0-or-later'
rc=0
for f in $(find Makefile inspector include gdbplugin tests scripts .ci -type f \
	\( -name '*.[ch]' -o -name '*.cc' -o -name '*.sh' -o -name '*.mk' -o -name '*.awk' \
	-o -name Makefile -o -name run \) 2>/dev/null | sort); do
	if ! head -n 2 "$f" | grep -q "$tag"; then
		echo "$f: no SPDX line at its head"
		rc=1
	fi
done
exit $rc
