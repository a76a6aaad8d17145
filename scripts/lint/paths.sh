#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# paths.sh: nothing in the project knows the machine that somebody happened to write it on.

set -u
cd "$(dirname "$0")/../.." || exit 1
files=$(git ls-files 2>/dev/null)
[ -n "$files" ] || files=$(find . -path './build*' -prune -o -type f -print | grep -v '/\.git')
# shellcheck disable=SC2086 # file names without spaces
if grep -nIE '(^|[^A-Za-z0-9_.])/(wor[k]/(main|shared)|tm[p]/wt|home/[a-z]+/|root/\.[a-z])' $files; then
	exit 1
fi
