#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# fetch-glibc.sh DIR: puts the glibc of several Debian releases under DIR/RELEASE, for tests.
#
# Nothing is installed: the packages are fetched through a private list of sources, made of the
# mirror that this machine uses, and unpacked. DIR/RELEASE/lib holds what ld.so --library-path needs,
# and for the releases whose libc is older than the one here, DIR/RELEASE/dev what it takes to compile and link for it.
# Exit 77 when there is no Debian mirror or no network; releases that are there already stay.

set -u
[ $# = 1 ] || { echo "usage: fetch-glibc.sh DIR" >&2; exit 2; }
mkdir -p "$1" || exit 1
dir=$(cd "$1" && pwd)
releases='bullseye trixie sid'
old='bullseye'

# shellcheck disable=SC2016 # apt expands these
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 2>/dev/null |
	awk '$1 == "Debian" && $2 !~ /security/ { print $2 }' | sort -u | head -n 1)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
if [ -z "$mirror" ] || [ ! -r "$keys" ]; then
	echo "this machine has no Debian mirror to ask"
	exit 77
fi

missing=''
for r in $releases; do
	case " $old " in
	*" $r "*) [ -e "$dir/$r/dev/include/features.h" ] && [ -e "$dir/$r/lib/libc.so.6" ] || missing="$missing $r" ;;
	*) [ -e "$dir/$r/lib/libc.so.6" ] || missing="$missing $r" ;;
	esac
done
[ -n "$missing" ] || exit 0

apt=$dir/apt
for r in $missing; do
	rm -rf "$apt"
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/deb"
	echo "deb [signed-by=$keys] $mirror $r main" >"$apt/sources.list"
	options="-o Dir::Etc::sourcelist=$apt/sources.list -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State::lists=$apt/lists -o Dir::Cache=$apt/cache -o APT::Architecture=amd64
		-o APT::Sandbox::User=root -o Acquire::Retries=2 -o Acquire::http::Timeout=20"
	packages=libc6/$r
	case " $old " in *" $r "*) packages="libc6/$r libc6-dev/$r" ;; esac
	# shellcheck disable=SC2086 # lists of words
	if ! { timeout 120 apt-get -qq $options update && cd "$apt/deb" &&
		timeout 120 apt-get -qq $options download $packages; } >"$dir/$r.log" 2>&1; then
		echo "the glibc of $r cannot be fetched: $(tail -n 1 "$dir/$r.log")"
		exit 77
	fi
	for deb in "$apt"/deb/libc6_*.deb; do
		rm -rf "${dir:?}/$r" "$apt/root"
		mkdir -p "$dir/$r" "$apt/root"
		dpkg -x "$deb" "$apt/root" || exit 1
	done
	lib=$(dirname "$(find "$apt/root" -name libc.so.6 | head -n 1)")
	mkdir -p "$dir/$r/lib"
	cp -a "$lib"/*.so* "$dir/$r/lib/"
	# In some releases the loader is a link from another folder.
	[ -e "$dir/$r/lib/ld-linux-x86-64.so.2" ] ||
		cp -aL "$(find "$apt/root" -name 'ld-linux-x86-64.so.2' | head -n 1)" "$dir/$r/lib/"
	if [ "$packages" != "libc6/$r" ]; then
		rm -rf "$apt/root"
		dpkg -x "$(echo "$apt"/deb/libc6-dev_*.deb)" "$apt/root" || exit 1
		mkdir -p "$dir/$r/dev"
		cp -a "$apt"/root/usr/lib/x86_64-linux-gnu/. "$dir/$r/dev/"
		cp -a "$apt/root/usr/include" "$dir/$r/dev/"
	fi
done
rm -rf "$apt"
exit 0
