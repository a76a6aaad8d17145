#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fetch-glibc.sh DIR: puts the glibc of several Debian releases under DIR/RELEASE, for tests.
#
# DIR/RELEASE/lib holds what ld.so --library-path needs, and for the releases whose libc is older than
# the one here, DIR/RELEASE/dev what it takes to compile and link for it.
# Exit 77 when they cannot be fetched; releases that are there already stay.

set -u
[ $# = 1 ] || { echo "usage: fetch-glibc.sh DIR" >&2; exit 2; }
dir=$1
releases='bullseye trixie sid'
old='bullseye'

# add RELEASE
add()
{
	local at=$dir/$1 lib packages=libc6 is_old=''
	case " $old " in *" $1 "*) is_old=yes packages='libc6 libc6-dev' ;; esac
	[ ! -e "$at/lib/libc.so.6" ] || { [ "$is_old" ] && [ ! -e "$at/dev/include/features.h" ]; } || return 0
	# shellcheck disable=SC2086 # a list of words
	scripts/debian-packages.sh "$1" "$at/root" $packages || return
	lib=$(dirname "$(find "$at/root" -name libc.so.6 | head -n 1)")
	mkdir -p "$at/lib"
	cp -a "$lib"/*.so* "$at/lib/"
	# In some releases the loader is a link from another folder.
	[ -e "$at/lib/ld-linux-x86-64.so.2" ] ||
		cp -aL "$(find "$at/root" -name 'ld-linux-x86-64.so.2' | head -n 1)" "$at/lib/"
	if [ "$is_old" ]; then
		mkdir -p "$at/dev"
		cp -a "$at/root/usr/lib/x86_64-linux-gnu/." "$at/dev/"
		cp -a "$at/root/usr/include" "$at/dev/"
	fi
	rm -rf "$at/root"
}

mkdir -p "$dir" || exit 1
dir=$(cd "$dir" && pwd)
cd "$(dirname "$0")/.." || exit 1
for release in $releases; do
	add "$release" || exit
done
