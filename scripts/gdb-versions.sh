#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# gdb-versions.sh [DIR]: runs tests/live/gdb_*.sh with the GDB of other Debian releases; a table.
#
# Their packages are unpacked under DIR (default BUILD-gdb; what is there stays; not in BUILD, where make
# looks for its own files). A newer GDB runs on its own release's loader and C library, an older one on
# the one here. What a test printed is in DIR/RELEASE.TEST.log.
# Environment: RELEASES; ONLY: a pattern of tests; TEST_TIMEOUT: seconds for one test; BUILD, VICTIMS,
# MEMINSPECT. Exit 1 when a test failed or a GDB could not be fetched, 77 when none could.

set -u
cd "$(dirname "$0")/.." || exit 1
: "${BUILD:=$PWD/build}" "${MEMINSPECT:=$BUILD/meminspect}" "${VICTIMS:=$BUILD/victims}"
: "${RELEASES:=bullseye bookworm trixie sid}" "${ONLY:=gdb_*}" "${TEST_TIMEOUT:=400}"
export BUILD MEMINSPECT VICTIMS
mkdir -p "${1:-$BUILD-gdb}" || exit 1
dir=$(cd "${1:-$BUILD-gdb}" && pwd)
# shellcheck disable=SC2206 # a pattern
tests=(tests/live/$ONLY.sh)
[ -x "${tests[0]}" ] || { echo "no test is called $ONLY" >&2; exit 2; }

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

# cell LOG RC: what the table says of a test
cell()
{
	local last
	last=$(grep -v '^[[:space:]]*$' "$1" | tail -n 1)
	case $2 in
	0) echo "$last" ;;
	77) echo "skipped: $last" ;;
	124 | 137) echo "FAILED: still at work after $TEST_TIMEOUT s" ;;
	*) echo "FAILED: $last" ;;
	esac
}

ran=0 fails=0 rows=''
for release in $RELEASES; do
	gdb=$dir/$release/gdb
	if [ "$release" = "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" ] && command -v gdb >/dev/null; then
		gdb=gdb
	else
		scripts/debian-packages.sh --depends "$release" "$dir/$release/root" gdb || { fails=$((fails + 1)); continue; }
		[ -x "$gdb" ] || wrap "$release"
	fi
	version=$("$gdb" --version 2>&1 | head -n 1)
	row="| ${version##* } | $release |"
	for test in "${tests[@]}"; do
		name=${test##*/}
		log=$dir/$release.${name%.sh}.log
		GDB=$gdb timeout -k 5 "$TEST_TIMEOUT" "$test" >"$log" 2>&1 </dev/null
		rc=$?
		case $rc in 0 | 77) ;; *) fails=$((fails + 1)) ;; esac
		ran=$((ran + 1))
		grep -v '^[0-9]* passed' "$log" | sed "s|^|$release $name: |"
		row="$row $(cell "$log" "$rc") |"
	done
	rows="$rows$row
"
done
[ "$ran" != 0 ] || exit 77
printf '| GDB | Debian |%s\n|---|---|%s\n%s' "$(printf ' %s |' "${tests[@]##*/}")" \
	"$(printf -- '---|%.0s' "${tests[@]}")" "$rows"
[ "$fails" = 0 ]
