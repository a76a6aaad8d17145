#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# deps.sh SET...: makes sure that the packages of scripts/deps.list are there.
#
# Quick when nothing is missing: one call of pkg-config, the rest is looked up by the shell.
# Otherwise installs with apt-get, through sudo when not root.
#   --check   only tell what is missing (exit 1)
#   --list    only print the packages of the sets

set -u
list=$(dirname "$0")/deps.list
mode=install
sets=''
for arg in "$@"; do
	case $arg in
	--check) mode=check ;;
	--list) mode=list ;;
	build | test | lint | ci) sets="$sets $arg" ;;
	all) sets="build test lint ci" ;;
	*)
		echo "usage: deps.sh [--check|--list] build|test|lint|ci|all ..." >&2
		exit 2
		;;
	esac
done
: "${sets:=build}"

# present PROBE: is it there?
present()
{
	case $1 in
	cmd:*)
		command -v "${1#cmd:}" >/dev/null 2>&1 ||
			[ -x "/usr/sbin/${1#cmd:}" ]
		;;
	file:*)
		# shellcheck disable=SC2086 # a pattern
		for f in ${1#file:}; do
			[ -e "$f" ] && return 0
		done
		return 1
		;;
	pc:*) [ "$pc_all_there" = 1 ] || pkg-config --exists "${1#pc:}" 2>/dev/null ;;
	esac
}

modules='' packages='' missing=''
while read -r set probe package; do
	case " $sets " in *" $set "*) ;; *) continue ;; esac
	packages="$packages $package"
	case $probe in pc:*) modules="$modules ${probe#pc:}" ;; esac
done <"$list"
if [ $mode = list ]; then
	# shellcheck disable=SC2086 # a list of words
	printf '%s\n' $packages | sort -u
	exit 0
fi
pc_all_there=0
# shellcheck disable=SC2086 # a list of words
pkg-config --exists $modules 2>/dev/null && pc_all_there=1

while read -r set probe package; do
	case " $sets " in *" $set "*) ;; *) continue ;; esac
	present "$probe" && continue
	case " $missing " in *" $package "*) ;; *) missing="$missing $package" ;; esac
done <"$list"
[ -z "$missing" ] && exit 0

if [ $mode = check ]; then
	echo "missing packages:$missing" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "deps.sh: no apt-get here: install what these Debian packages hold:$missing" >&2
	exit 1
fi
sudo=''
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "deps.sh: not root and no sudo: as root, run: apt-get install$missing" >&2
		exit 1
	fi
	sudo=sudo
fi
echo "installing:$missing" >&2
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# Not interactive, and no service that a package brings (nginx) shall start on this machine.
install()
{
	# shellcheck disable=SC2086,SC2016 # a list of words; expanded by the inner shell
	$sudo env DEBIAN_FRONTEND=noninteractive sh -c '
		policy=/usr/sbin/policy-rc.d
		if [ ! -e $policy ]; then
			trap "rm -f $policy" EXIT
			printf "#!/bin/sh\nexit 101\n" >$policy && chmod 755 $policy
		fi
		apt-get -y -q --no-install-recommends install "$@"' sh $missing \
		>"$log" 2>&1 </dev/null
}
if ! install; then
	# The package lists may be old, or not there at all.
	$sudo apt-get -q update >>"$log" 2>&1 </dev/null
	if ! install; then
		tail -n 20 "$log" >&2
		echo "deps.sh: could not install:$missing" >&2
		exit 1
	fi
fi
exit 0
