#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# victim.sh SOURCE OUTDIR: builds a test victim and the variants that its source asks for.
#
# Lines in the source, each a comment of its own:
#   /* build: -static */            flags for every variant
#   /* variant big: -DBIG=1 */      also builds NAME-big with these flags added
#   /* variant? musl: CC=musl-gcc */  the same, but only where it builds (another libc, -m32);
#                                   a test that needs it skips when the file is not there
# CC=... among the flags takes another compiler.

set -u
src=$1
out=$2
base=$(basename "$src")
name=${base%.*}
case $src in
*.cc) std=-std=gnu++17 driver=${CXX:-g++} ;;
*) std=-std=gnu11 driver=${CC:-gcc} ;;
esac

# compile OUTPUT FLAG...
compile()
{
	output=$1
	shift
	cc=$driver
	flags=''
	for f in "$@"; do
		case $f in
		CC=*) cc=${f#CC=} ;;
		*) flags="$flags $f" ;;
		esac
	done
	if [ "${V:-0}" = 1 ]; then set -x; else printf '  %-5s %s\n' VICT "$output"; fi
	# shellcheck disable=SC2086 # a list of flags
	$cc $std -D_GNU_SOURCE -Wall -Wextra -Wno-unused-result -Iinclude -O1 -g -fno-omit-frame-pointer \
		-o "$output.tmp" "$src" $flags -lpthread && mv "$output.tmp" "$output"
}

common=$(sed -n 's|^/\* build: \(.*\) \*/$|\1|p' "$src")
# shellcheck disable=SC2086 # a list of flags
compile "$out/$name" $common || exit 1
sed -n 's|^/\* \(variant?*\) \([^:]*\): \(.*\) \*/$|\1 \2 \3|p' "$src" |
	while read -r kind suffix flags; do
		if [ "$kind" = variant ]; then
			# shellcheck disable=SC2086
			compile "$out/$name-$suffix" $common $flags || exit 1
		else
			rm -f "$out/$name-$suffix"
			# shellcheck disable=SC2086
			compile "$out/$name-$suffix" $common $flags >"$out/$name-$suffix.log" 2>&1 ||
				echo "  skip  victim $name-$suffix does not build here"
		fi
	done
