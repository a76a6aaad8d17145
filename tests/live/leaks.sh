#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# leaks.sh: what is called lost is just what the victims know to be lost, and who holds the rest;
# valgrind and LeakSanitizer say the same where they can look.

. "$(dirname "$0")/lib.sh"
need jq

# same VERDICT: the chunks of a verdict are those of the truth, no more and no less.
# All of the truth, but of the reachable ones there may be others (of libc).
same()
{
	jq -r --arg v "$1" '.groups[] | select(.reach == $v) | .example' <<<"$OUT" | sort >"$T/got"
	jq -r --arg v "$1" '.[$v][]' <<<"$TRUTH" | sort >"$T/want"
	[ -s "$T/want" ] || { echo "the truth has no $1"; return 1; }
	if [ "$1" = reachable ]; then
		comm -13 "$T/got" "$T/want" >"$T/diff"
	else
		diff "$T/got" "$T/want" >"$T/diff"
	fi
	[ ! -s "$T/diff" ] || { head -5 "$T/diff"; return 1; }
}

leaks_of()
{
	mi leaks --by address --limit 0 --possible --indirect --reachable --format json "$@"
	[ "$RC" = 0 ]
}

for kind in plain ''; do
	victim leaks $kind
	for round in 1 2; do
		check "leaks ${kind:-threads} $round" leaks_of "$PID"
		for v in definite indirect possible reachable; do
			check "leaks ${kind:-threads} $round $v" same $v
		done
	done
	check "leaks ${kind:-threads} goes on" alive
done

mi leaks --fail-on 1M "$PID"
check "--fail-on below" [ "$RC" = 0 ]
mi leaks --fail-on 1K "$PID"
check "--fail-on above" [ "$RC" = 3 ]
mi leaks --where 'size > 1K' --by address --limit 0 --format json "$PID"
check "--where" json '.groups | length == 1'
mi leaks --where 'size > ' "$PID"
check "--where, wrong" [ "$RC" = 2 ]
mi leaks --by site "$PID"
check "--by site needs the hook" [ "$RC" = 1 ]

victim leaks_cxx
leaks_of "$PID"
check "C++ definite" same definite
check "C++ indirect" json ".sums[] | select(.reach == \"indirect\") | .count == $(truth indirect_count)"
mi leaks --by type --format json "$PID"
check "C++ by class" json '.groups[0] | .group == "shop::Record" and .count == 7 and .indirect_count == 14'

# ---- real programs lose nothing that valgrind would call definitely lost: these, nothing at all

# it waits for input or for its time
idle() { [[ $(cut -d' ' -f3 "/proc/$PID/stat" 2>/dev/null) == S ]]; }
sleeps_twice() { idle && sleep 0.2 && idle; }
none_lost()
{
	until_true sleeps_twice || return 1
	mi leaks --format json "$PID"
	json '.sums[] | select(.reach == "definite") | .count == 0'
}
mkfifo "$T/in"
exec {held}<>"$T/in"
if command -v python3 >/dev/null; then
	for how in default malloc; do
		PYTHONMALLOC=$how spawn python3 -c 'import json, time; d = [{"a": i, "b": str(i)} for i in range(5000)]; time.sleep(600)'
		check "python3 with its $how allocator" none_lost
	done
else
	skip "python3" "not installed"
fi
if command -v sqlite3 >/dev/null; then
	spawn bash -c "exec sqlite3 -batch :memory: <'$T/in'"
	check "sqlite3" none_lost
else
	skip "sqlite3" "not installed"
fi
nginx=$(command -v nginx || echo /usr/sbin/nginx)
if [ -x "$nginx" ] && command -v curl >/dev/null; then
	mkdir "$T/www"
	echo 'it works' >"$T/www/index.html"
	port=$((20000 + $$ % 20000))
	cat >"$T/nginx.conf" <<-END
		daemon off; master_process off; pid $T/nginx.pid; error_log $T/nginx.err;
		$([ "$(id -u)" != 0 ] || echo 'user root;')
		events { worker_connections 64; }
		http {
			access_log off; client_body_temp_path $T/t1; proxy_temp_path $T/t2; fastcgi_temp_path $T/t3;
			uwsgi_temp_path $T/t4; scgi_temp_path $T/t5;
			server { listen 127.0.0.1:$port; root $T/www; }
		}
	END
	pages() { [ "$(curl -s -m 10 "http://127.0.0.1:$port/?[1-50]" | grep -c 'it works')" = 50 ]; }
	spawn "$nginx" -p "$T" -c "$T/nginx.conf" -e "$T/nginx.err"
	check "nginx serves" until_true pages
	check "nginx" none_lost
	check "nginx serves on" pages
else
	skip "nginx" "it or curl is not installed"
fi
spawn bash -c "x=\$(seq 1000); read -r line <'$T/in'"
check "bash" none_lost

# ---- others' verdicts

# blocks TEXT WORDS: the number of blocks of a line of valgrind's summary
blocks()
{
	sed -n "s/.* $2: [0-9,]* bytes in \([0-9,]*\) blocks.*/\1/p" "$1" | tr -d ,
}
if command -v valgrind >/dev/null && [ -x "$VICTIMS/leaks" ]; then
	valgrind --leak-check=full --log-file="$T/vg" "$VICTIMS/leaks" exit >"$T/truth" 2>/dev/null
	TRUTH=$(grep ready "$T/truth")
	check "valgrind definitely" [ "$(blocks "$T/vg" 'definitely lost')" = "$(truth 'definite | length')" ]
	check "valgrind indirectly" [ "$(blocks "$T/vg" 'indirectly lost')" = "$(truth 'indirect | length')" ]
	check "valgrind possibly" [ "$(blocks "$T/vg" 'possibly lost')" = "$(truth 'possible | length')" ]
else
	skip "valgrind" "valgrind is not installed"
fi
# LeakSanitizer does not search memory that the program mapped itself, takes pointers into the middle for good,
# all lost blocks together are the same.
if [ -x "$VICTIMS/leaks-lsan" ]; then
	"$VICTIMS/leaks-lsan" exit >"$T/truth" 2>"$T/lsan"
	TRUTH=$(grep ready "$T/truth")
	lost=$(sed -n 's/.*LeakSanitizer: .* leaked in \([0-9]*\) allocation.*/\1/p' "$T/lsan")
	if [ -z "$lost" ]; then
		skip "LeakSanitizer" "it could not look: $(grep -m 1 . "$T/lsan")"
	else
		check "LeakSanitizer" [ "$lost" = "$(truth 'definite + .indirect + .mapped_nodes | length')" ]
	fi
else
	skip "LeakSanitizer" "the victim does not build with it"
fi
finish
