#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# The walker of glibc malloc on other glibcs than this machine's, from Debian releases old and new:
# tests/live/test_glibc and tests/live/trim.sh with their victims run by their loader and libc; and
# tests/live/hook.sh, with the companion hook built for the libc where that is older than the one here.
# A snapshot saved there and read here says what the process says.

set -u
cd "$(dirname "$0")/../.." || exit 1
: "${BUILD:=$PWD/build}" "${VICTIMS:=$BUILD/victims}"
export VICTIMS
scripts/fetch-glibc.sh "$BUILD/glibc" || exit
test=$BUILD/tests/live/test_glibc
[ -x "$test" ] || { echo "$test is not built: make tests-build"; exit 1; }

# A victim for a libc that is older than the one here is linked against that one.
# old_victim RELEASE NAME
old_victim()
{
	local dir=$BUILD/glibc/$1 out=$BUILD/glibc/$1/$2
	gcc -std=gnu11 -D_GNU_SOURCE -DVICTIM_OLD_MALLINFO -Wno-deprecated-declarations -O1 -g -fno-pie -c -o "$out.o" \
		"tests/victims/$2.c" &&
		gcc -nostdlib -no-pie -o "$out" "$dir/dev/crt1.o" "$dir/dev/crti.o" "$out.o" \
			"$dir/lib/libpthread.so.0" "$dir/lib/libc.so.6" "$dir/dev/libc_nonshared.a" \
			"$dir/lib/ld-linux-x86-64.so.2" -lgcc "$dir/dev/crtn.o"
}

# A books that its release's loader runs, in a folder to take victims from.
# run_by RELEASE BOOKS
run_by()
{
	local dir=$BUILD/glibc/$1
	mkdir -p "$dir/victims" || return
	printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' \
		"$dir/lib/ld-linux-x86-64.so.2" "$dir/lib" "$2" >"$dir/victims/books" && chmod +x "$dir/victims/books"
}

# The companion hook compiled and linked as on that release: glibc before 2.35 lacks _dl_find_object,
# before 2.34 dlsym is in a library of its own.
# old_hook RELEASE: the hook and a hook_truth for it
old_hook()
{
	local dir=$BUILD/glibc/$1 headers cflags src objs=''
	headers="-isystem $dir/dev/include -isystem $dir/dev/include/x86_64-linux-gnu"
	cflags=$(make -s --no-print-directory -f - print <<-'EOF'
		include inspector/hook/hook.mk
		print: ; @echo $(HOOK_CFLAGS)
	EOF
	)
	mkdir -p "$dir/hook"
	for src in inspector/hook/*.c; do
		# shellcheck disable=SC2086 # lists of words
		gcc $headers $cflags -c -o "$dir/hook/$(basename "$src" .c).o" "$src" || return
		objs="$objs $dir/hook/$(basename "$src" .c).o"
	done
	# shellcheck disable=SC2086
	gcc -shared -nostdlib -Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,-z,defs -o "$dir/hook/libmeminspect-hook.so" \
		$objs "$dir/lib/libdl.so.2" "$dir/lib/libpthread.so.0" "$dir/lib/libc.so.6" \
		"$(gcc -print-file-name=crtbeginS.o)" "$dir/dev/libc_nonshared.a" "$dir/lib/ld-linux-x86-64.so.2" -lgcc \
		"$(gcc -print-file-name=crtendS.o)" || return
	# shellcheck disable=SC2086
	gcc $headers -std=gnu11 -D_GNU_SOURCE -DVICTIM_OLD_MALLINFO -O1 -g -fno-pie -fno-optimize-sibling-calls -fno-builtin -c \
		-o "$dir/hook_truth.o" tests/victims/hook_truth.c &&
		gcc -nostdlib -no-pie -o "$dir/hook_truth" "$dir/dev/crt1.o" "$dir/dev/crti.o" \
			"$dir/hook_truth.o" "$dir/lib/libpthread.so.0" "$dir/lib/libc.so.6" \
			"$dir/dev/libc_nonshared.a" "$dir/lib/ld-linux-x86-64.so.2" -lgcc "$dir/dev/crtn.o"
}

# hook_on RELEASE: tests/live/hook.sh there
hook_on()
{
	local dir=$BUILD/glibc/$1 program=$VICTIMS/hook_truth hook=$BUILD/libmeminspect-hook.so
	if [ -d "$dir/dev" ]; then
		old_hook "$1" || return
		program=$dir/hook_truth hook=$dir/hook/libmeminspect-hook.so
	fi
	mkdir -p "$dir/hook-victims"
	# The loader alone has the hook before it: other programs could not load one for a newer libc.
	printf '#!/bin/sh\nhook=$LD_PRELOAD\nunset LD_PRELOAD\nexec "%s" --library-path "%s" --preload "$hook" "%s" "$@"\n' \
		"$dir/lib/ld-linux-x86-64.so.2" "$dir/lib" "$program" >"$dir/hook-victims/hook_truth" &&
		chmod +x "$dir/hook-victims/hook_truth" && ln -sf "$VICTIMS/mix" "$dir/hook-victims/mix"
	HOOK=$hook VICTIMS=$dir/hook-victims tests/live/hook.sh
}

# saved_on BOOKS: what a snapshot of a process there says when it is read here is what the process says
saved_on()
{
	local books=$1 from pid line c t rc=0
	t=$(mktemp -d) || return
	exec {from}< <(exec "$books" arenas)
	pid=$!
	IFS= read -r -t 60 line <&"$from" && [[ $line == *ready* ]] &&
		"$BUILD/meminspect" -q save -o "$t/saved.mi" "$pid" >/dev/null || rc=1
	for c in 'heap summary' threads leaks; do
		for target in "$pid" "$t/saved.mi"; do
			# shellcheck disable=SC2086 # words
			"$BUILD/meminspect" -q $c --format json "$target" |
				jq -S 'del(.target, .capture) | del(.. | .state_text?, .cpu_ns?)' >"$t/answer.${target##*/}"
		done
		if ! [ -s "$t/answer.$pid" ] || ! diff "$t/answer.$pid" "$t/answer.saved.mi"; then
			echo "saved, then read here: $c differs"
			rc=1
		fi
	done
	kill -9 "$pid"
	rm -rf "$t"
	return $rc
}

npass=0 nfail=0
count()
{
	if "$@"; then
		npass=$((npass + 1))
	else
		nfail=$((nfail + 1))
	fi
}

for dir in "$BUILD"/glibc/*/lib; do
	release=$(basename "$(dirname "$dir")")
	books=$VICTIMS/books
	unset HEAP_VICTIM
	if [ -d "$dir/../dev" ]; then
		if ! old_victim "$release" heap || ! old_victim "$release" books; then
			nfail=$((nfail + 1))
			continue
		fi
		export HEAP_VICTIM=$BUILD/glibc/$release/heap
		books=$BUILD/glibc/$release/books
	fi
	echo "--- $release: $(strings "$dir/libc.so.6" | grep -m 1 'GNU C Library')"
	GLIBC_DIR=$dir count "$test"
	count hook_on "$release"
	run_by "$release" "$books" && VICTIMS=$BUILD/glibc/$release/victims count tests/live/trim.sh
	count saved_on "$BUILD/glibc/$release/victims/books"
done
echo "$npass passed, $nfail failed, 0 skipped"
[ "$nfail" = 0 ] && [ "$npass" != 0 ]
