#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# format.sh [--fix]: clang-format's opinion on the lines that this branch changed.
#
# It complains and does not fail: the formatter knows less about tables than people do. --fix
# rewrites those lines. The base is LINT_BASE, or where the branch left origin/main, or the last commit.

set -u
cd "$(dirname "$0")/../.." || exit 1
command -v clang-format >/dev/null 2>&1 || { echo "clang-format is not installed"; exit 77; }
git rev-parse -q --verify HEAD >/dev/null 2>&1 || { echo "no git history here"; exit 77; }
base=${LINT_BASE:-$(git merge-base HEAD origin/main 2>/dev/null)}
if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
	base=$(git rev-parse -q --verify HEAD~1) || { echo "no commit to compare with"; exit 77; }
fi

n=0
files=''
while read -r file; do
	[ -e "$file" ] || continue
	mapfile -t lines < <(git diff -U0 "$base" -- "$file" |
		sed -n 's/^@@ [^+]*+\([0-9]*\),\{0,1\}\([0-9]*\) @@.*/\1 \2/p' |
		awk '{ n = $2 == "" ? 1 : $2; if (n > 0) print "--lines=" $1 ":" $1 + n - 1 }')
	[ ${#lines[@]} -gt 0 ] || continue
	if [ "${1:-}" = --fix ]; then
		clang-format -i "${lines[@]}" "$file"
	elif ! clang-format "${lines[@]}" "$file" 2>/dev/null | cmp -s - "$file"; then
		files="$files $file"
		n=$((n + 1))
	fi
done < <(git diff --name-only "$base" -- '*.c' '*.h')
[ $n = 0 ] || echo "  note format: clang-format would write lines of $n files otherwise (make format):${files:0:200}"
exit 0
