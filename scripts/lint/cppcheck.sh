#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# cppcheck.sh: cppcheck's errors, warnings and portability notes, cached between runs.

set -u
cd "$(dirname "$0")/../.." || exit 1
command -v cppcheck >/dev/null 2>&1 || { echo "cppcheck is not installed"; exit 77; }
cache=${BUILD:-build}/cppcheck
mkdir -p "$cache"
cppcheck -q -j 2 --cppcheck-build-dir="$cache" --enable=warning,portability --std=c11 \
	--platform=unix64 --inline-suppr --error-exitcode=1 --suppressions-list=scripts/lint/cppcheck.allow \
	-D__x86_64__ '-D__typeof__(x)=char *' -D_GNU_SOURCE -Iinspector -Iinclude --template='{file}:{line}: {severity}: {message} [{id}]' \
	inspector scripts 2>&1
