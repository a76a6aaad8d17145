#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# debian-packages.sh [--depends] RELEASE DIR PACKAGE...: unpacks packages of another Debian release.
#
# Nothing is installed: a private list of sources has the release, on the mirror that this machine's
# apt uses, and DIR becomes what `dpkg -x` makes of the packages; with --depends, of all that they
# depend on, too. A DIR that is there is complete, and stays as it is.
# Environment: DEBIAN_MIRROR, DEBIAN_KEYRING. Exit 77 with the reason when the packages cannot be had.

set -u
depends=''
[ "${1:-}" != --depends ] || { depends=yes; shift; }
[ $# -ge 3 ] || { echo "usage: debian-packages.sh [--depends] RELEASE DIR PACKAGE..." >&2; exit 2; }
release=$1 dir=$2
shift 2
[ ! -d "$dir" ] || exit 0
mkdir -p "$(dirname "$dir")" || exit 1
dir=$(cd "$(dirname "$dir")" && pwd)/${dir##*/}

: "${DEBIAN_KEYRING:=/usr/share/keyrings/debian-archive-keyring.gpg}"
# shellcheck disable=SC2016 # apt expands these
: "${DEBIAN_MIRROR:=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 2>/dev/null |
	awk '$1 == "Debian" && $2 !~ /security/ { print $2 }' | sort -u | head -n 1)}"
if [ -z "$DEBIAN_MIRROR" ] || [ ! -r "$DEBIAN_KEYRING" ]; then
	echo "this machine has no Debian mirror to ask"
	exit 77
fi

apt=$(mktemp -d "$dir.apt.XXXXXX") || exit 1
trap 'rm -rf "$apt"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/root"
: >"$apt/status" # so that nothing counts as installed
echo "deb [signed-by=$DEBIAN_KEYRING] $DEBIAN_MIRROR $release main" >"$apt/sources.list"
options=(-qq -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status"
	-o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives"
	-o APT::Architecture=amd64 -o APT::Sandbox::User=root -o APT::Install-Recommends=false
	-o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Debug::NoLocking=true
	-o Acquire::Check-Valid-Until=false) # an archived release is not signed anew
get=(download)
[ -z "$depends" ] || get=(-y --download-only install)
if ! { timeout 300 apt-get "${options[@]}" update && cd "$apt/archives" &&
	timeout 600 apt-get "${options[@]}" "${get[@]}" "$@"; } >"$apt/log" 2>&1 </dev/null; then
	echo "$* of $release cannot be fetched: $(grep -v '^$' "$apt/log" | tail -n 1)"
	exit 77
fi
for deb in "$apt"/archives/*.deb; do
	dpkg -x "$deb" "$apt/root" || exit 1
done
mv -T "$apt/root" "$dir"
