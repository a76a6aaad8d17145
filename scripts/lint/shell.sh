#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# shell.sh: shellcheck on every script.

set -u
cd "$(dirname "$0")/../.." || exit 1
command -v shellcheck >/dev/null 2>&1 || { echo "shellcheck is not installed"; exit 77; }
find scripts tests .ci -type f \( -name '*.sh' -o -path .ci/run \) -print0 |
	sort -z | xargs -0 shellcheck -x -f gcc -S warning -e SC1091,SC2034
