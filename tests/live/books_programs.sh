#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# books_programs.sh: the books of programs of the distribution, with runtimes of their own, balance.
. "$(dirname "$0")/lib.sh"
need jq

smaps_sum()
{
	awk '/^Rss:/ { s += $2 } END { print s * 1024 }' "/proc/$1/smaps"
}

balanced()
{
	[ "$RC" = 0 ] && jq -e --argjson sum "$1" '
		([.lines[].rss] | add) == $sum and .totals.rss == $sum and
		(.lines[] | select(.key == "unexplained") | .rss) == 0 and .totals.exact and
		([.lines[].pss] | add) == .totals.pss' <<<"$OUT" >/dev/null
}

grown()
{
	[ "$(awk '/^VmRSS:/ { print $2 }' "/proc/$1/status")" -gt "$2" ]
}

# books NAME: the process PID, stopped, balances.
books()
{
	kill -STOP "$PID"
	until_true grep -q '^State:.T' "/proc/$PID/status"
	mi rss "$PID" --format json --mappings --limit 0 --threads
	check "$1: sum" balanced "$(smaps_sum "$PID")"
	kill -CONT "$PID"
}

# The one named: a child of the process that was started.
child_of()
{
	until_true pgrep -P "$1" && pgrep -P "$1" | head -n 1
}

if command -v python3 >/dev/null; then
	spawn "$(python3 -c 'import sys; print(sys.executable)')" -c '
import time
keep = [bytes(i % 3000) for i in range(100000)]
del keep[::2]
print("grown", flush=True)
time.sleep(600)' >"$T/py"
	check 'python3 starts' until_true grep -q grown "$T/py"
	books python3
	check 'python3: hint at its arenas' jq -e 'any(.mappings[]; .name | test("CPython"))' <<<"$OUT" >/dev/null
else
	skip python3 'not installed'
fi
if command -v node >/dev/null; then
	spawn node -e 'const k = []; for (let i = 0; i < 3e5; i++) k.push({ i, s: "x" + i });
		console.log("grown"); setInterval(() => k.length, 60000)' >"$T/node"
	check 'node starts' until_true grep -q grown "$T/node"
	books node
	check 'node: generated code has a line' jq -e 'any(.lines[]; .key == "jit" and .rss > 0)' <<<"$OUT" >/dev/null
else
	skip node 'not installed'
fi
if command -v java >/dev/null; then
	cat >"$T/Grow.java" <<'END'
public class Grow {
	public static void main(String[] args) throws Exception {
		byte[][] keep = new byte[2000][];
		for (int i = 0; i < keep.length; i++)
			keep[i] = new byte[10000];
		System.out.println("grown");
		System.out.flush();
		Thread.sleep(600000 + keep.length);
	}
}
END
	spawn java -Xmx256m "$T/Grow.java" >"$T/java" 2>&1
	check 'java starts' until_true grep -q grown "$T/java"
	books java
	check 'java: stacks of its threads' jq -e '(.stacks | length) >= 8' <<<"$OUT" >/dev/null
else
	skip java 'not installed'
fi
if [ -x /usr/sbin/nginx ]; then
	cat >"$T/nginx.conf" <<END
daemon off; worker_processes 1; pid $T/nginx.pid; error_log $T/nginx.log;
events {}
http { access_log off; client_body_temp_path $T; proxy_temp_path $T; fastcgi_temp_path $T;
	uwsgi_temp_path $T; scgi_temp_path $T; server { listen unix:$T/nginx.sock; return 204; } }
END
	spawn /usr/sbin/nginx -c "$T/nginx.conf"
	PID=$(child_of "$PID")
	pids="$pids $PID" # it outlives a killed master
	check 'nginx starts' [ -n "$PID" ]
	[ -z "$PID" ] || books nginx
else
	skip nginx 'not installed'
fi
pg=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
if [ -n "$pg" ] && id nobody >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	mkdir "$T/db" && chmod 755 "$T" && chown nobody "$T/db"
	as=(setpriv --reuid nobody --clear-groups)
	if "${as[@]}" "$pg/initdb" -D "$T/db" -A trust >"$T/initdb" 2>&1; then
		spawn "${as[@]}" "$pg/postgres" -D "$T/db" -k "$T/db" -c listen_addresses= -c shared_buffers=64MB \
			>"$T/postgres" 2>&1
		check 'postgres starts' until_true grep -q 'ready to accept' "$T/postgres"
		books postgres
		check 'postgres: its shared buffers' jq -e 'any(.lines[]; .key == "shared_memory" and .rss > 0)' <<<"$OUT" >/dev/null
		kill -INT "$PID" # takes its own children along
		wait "$PID"
	else
		skip postgres "initdb: $(tail -n 1 "$T/initdb")"
	fi
else
	skip postgres 'not installed, or no root to drop from'
fi
finish
