#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# gdb-versions.sh [DIR]: runs tests/live/gdb_*.sh with the GDB of other Debian releases; a table.
#
# Nothing is installed: packages are fetched through a private list of sources, made of the mirror
# that this machine uses, and unpacked under DIR (default BUILD-gdb; what is there stays; not in BUILD, where make looks for its own files).
# A newer GDB runs on its own release's loader and C library, an older one on the one here.
# Environment: RELEASES, BUILD, VICTIMS, MEMINSPECT. Exit 77 when there is no mirror or no network.

set -u
cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=$PWD/build}" "${MEMINSPECT:=$BUILD/meminspect}" "${VICTIMS:=$BUILD/victims}"
: "${RELEASES:=bullseye bookworm trixie sid}"
export BUILD MEMINSPECT VICTIMS
mkdir -p "${1:-$BUILD-gdb}" || exit 1
dir=$(cd "${1:-$BUILD-gdb}" && pwd)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
# shellcheck disable=SC2016 # apt expands these
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 2>/dev/null |
	awk '$1 == "Debian" && $2 !~ /security/ { print $2 }' | sort -u | head -n 1)
if [ -z "$mirror" ] || [ ! -r "$keys" ]; then
	echo "this machine has no Debian mirror to ask"
	exit 77
fi

# fetch RELEASE: gdb and all that it depends on, unpacked in DIR/RELEASE/root
fetch()
{
	local at=$dir/$1 options
	mkdir -p "$at/lists/partial" "$at/cache/archives/partial" "$at/root" || return
	: >"$at/status"
	echo "deb [signed-by=$keys] $mirror $1 main" >"$at/sources.list"
	options="-o Dir::Etc::sourcelist=$at/sources.list -o Dir::Etc::sourceparts=/dev/null
		-o Dir::State=$at -o Dir::State::lists=$at/lists -o Dir::State::status=$at/status
		-o Dir::Cache=$at/cache -o Dir::Cache::archives=$at/cache/archives
		-o APT::Architecture=amd64 -o APT::Sandbox::User=root -o APT::Install-Recommends=false
		-o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Debug::NoLocking=true
		-o Acquire::Check-Valid-Until=false"
	# shellcheck disable=SC2086 # a list of words
	timeout 300 apt-get -qq $options update &&
		timeout 600 apt-get -qq -y $options --download-only install gdb || return
	for deb in "$at"/cache/archives/*.deb; do
		dpkg -x "$deb" "$at/root" || return
	done
	rm -rf "$at/cache" "$at/lists"
}

# The libc of a tree, 236 for 2.36; what is no number is older than everything.
libc_of()
{
	local libc
	libc=$(find "$1/lib/x86_64-linux-gnu" "$1/usr/lib/x86_64-linux-gnu" -name libc.so.6 2>/dev/null | head -n 1)
	grep -a -o 'GNU C Library .* version 2\.[0-9]*' "$libc" | sed 's/.* version 2\./2/' | head -n 1
}

# wrap RELEASE: a command DIR/RELEASE/gdb that runs what was unpacked
wrap()
{
	local root=$dir/$1/root own='' here libs loader python
	own=$(libc_of "$root")
	here=$(libc_of '')
	libs=$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu
	if [ "${own:-0}" -le "${here:-0}" ]; then
		# One process has one libc, and the plugin's libraries are those of here.
		find "$root" -path '*/x86_64-linux-gnu/*.so.*' ! -type d | while IFS= read -r lib; do
			[ ! -e "/usr/lib/x86_64-linux-gnu/${lib##*/}" ] || rm -f "$lib"
		done
		loader=/lib64/ld-linux-x86-64.so.2
	else
		loader=$(find "$root" -name 'ld-linux-x86-64.so.2' | head -n 1)
	fi
	python=$(find "$root/usr/lib" -maxdepth 1 -name 'python3.*' | head -n 1)
	cat >"$dir/$1/gdb" <<END
#!/bin/sh
${python:+PYTHONHOME=$root/usr; export PYTHONHOME}
exec $loader --library-path $libs $root/usr/bin/gdb --data-directory $root/usr/share/gdb "\$@"
END
	chmod 755 "$dir/$1/gdb"
}

fails=0 rows=''
for release in $RELEASES; do
	gdb=$dir/$release/gdb
	if [ "$release" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ] && command -v gdb >/dev/null; then
		gdb=gdb
	elif [ ! -x "$gdb" ]; then
		if ! fetch "$release" >"$dir/$release.log" 2>&1; then
			echo "the gdb of $release cannot be fetched: $(tail -n 1 "$dir/$release.log")"
			[ -n "$rows" ] || exit 77
			continue
		fi
		wrap "$release"
	fi
	version=$("$gdb" --version 2>&1 | head -n 1)
	row="| ${version##* } | $release |"
	for test in tests/live/gdb_*.sh; do
		GDB=$gdb "$test" >"$dir/$release.out" 2>&1 || fails=$((fails + 1))
		grep -v '^[0-9]* passed' "$dir/$release.out" | sed "s|^|$release ${test##*/}: |"
		row="$row $(tail -n 1 "$dir/$release.out") |"
	done
	rows="$rows$row
"
done
printf '| GDB | Debian |%s\n|---|---|%s\n%s' "$(printf ' %s |' tests/live/gdb_*.sh)" \
	"$(printf -- '---|%.0s' tests/live/gdb_*.sh)" "$rows"
[ "$fails" = 0 ]
