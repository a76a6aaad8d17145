#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# real_programs.sh: programs that know nothing of us are inspected and work on as before.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq bash python3 sqlite3 gdb nginx

pause_told() { grep -qE '(stopped|stood still) for [0-9.]+ (ns|us|ms|s)' "$T/err"; }
lives() { kill -0 "$PID" 2>/dev/null && ! grep -qE '^State:[[:space:]]*[TtZX]' "/proc/$PID/status"; }
untraced() { grep -qE '^TracerPid:[[:space:]]*0$' "/proc/$PID/status"; }

# inspect NAME: every command on PID; walks count only where a heap is expected
inspect()
{
	local name=$1 expect=${2:-glibc}

	mi heap summary --format json "$PID"
	check "$name: heap summary" [ "$RC" = 0 ]
	check "$name: heap summary is JSON" json .
	if [ "$expect" = glibc ]; then
		check "$name: nothing but glibc's malloc" json '[.allocators[].name] == ["glibc"]'
		check "$name: chunks in use" json '.totals.in_use_chunks > 0 and .totals.in_use_bytes > 0'
		# Arenas of threads are no mallocs of their own, wherever the kernel puts them.
		check "$name: one glibc malloc" json '[.allocators[] | select(.walked)] | length == 1'
	fi
	check "$name: the pause is told" pause_told
	mi threads --format json "$PID"
	check "$name: threads" [ "$RC" = 0 ]
	check "$name: threads is JSON" json .
	mi maps --format json "$PID"
	check "$name: maps" [ "$RC" = 0 ]
	check "$name: maps is JSON" json .
	mi heap verify --format json "$PID"
	check "$name: heap verify" [ "$RC" = 0 ]
	check "$name: no corruption is seen" json '.verify.corruptions == 0'
	check "$name: it runs" lives
	check "$name: nobody traces it" untraced
}

# A program with a prompt: what is written to it, and the answer that must come.
# dialog NAME COMMAND...: starts it; ASK, ANSWER are its descriptors
dialog()
{
	coproc DIALOG { exec "$@" 2>/dev/null; }
	PID=$DIALOG_PID
	pids="$pids $PID"
	exec {ASK}>&"${DIALOG[1]}" {ANSWER}<&"${DIALOG[0]}"
}

# answers QUESTION PATTERN
answers()
{
	local line
	printf '%s\n' "$1" >&"$ASK" || return 1
	while IFS= read -r -t 30 line <&"$ANSWER"; do
		# shellcheck disable=SC2053 # a pattern on purpose
		[[ $line == $2 ]] && return 0
	done
	return 1
}

end()
{
	exec {ASK}>&- {ANSWER}<&-
	kill -9 "$PID" 2>/dev/null
	wait "$PID" 2>/dev/null
}

# prompted NAME QUESTION PATTERN COMMAND...: a question before, the inspection, the question again
prompted()
{
	local name=$1 question=$2 pattern=$3
	shift 3
	dialog "$@"
	if answers "$question" "$pattern"; then
		inspect "$name"
		check "$name: it works on" answers "$question" "$pattern"
	else
		check "$name: started" false
	fi
	end
}

# shellcheck disable=SC2016 # for the program, not for us
prompted bash 'a=(); for i in {1..2000}; do a[i]=value$i; done; echo n=${#a[@]}' 'n=2000' \
	bash --norc --noprofile
prompted python3 'd = {i: str(i) * 9 for i in range(20000)}; print(len(d))' '*20000' \
	python3 -q -u -i
prompted python3-malloc 'd = {i: str(i) * 9 for i in range(20000)}; print(len(d))' '*20000' \
	env PYTHONMALLOC=malloc python3 -q -u -i
prompted sqlite3 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<5000) SELECT '"'n='"'||count(*) FROM n;' 'n=5000' \
	sqlite3 -batch :memory:
prompted gdb 'print 6 * 7' '*= 42' gdb -q -nx "$VICTIMS/mix"

# nginx: the worker, with a page to serve
nginx_bin=$(command -v nginx || echo /usr/sbin/nginx)
port=$((20000 + $$ % 20000))
mkdir -p "$T/www"
echo 'it works on' >"$T/www/index.html"
cat >"$T/nginx.conf" <<EOF
daemon off;
$([ "$(id -u)" != 0 ] || echo 'user root;')
worker_processes 1;
pid $T/nginx.pid;
error_log $T/nginx.err;
events { worker_connections 64; }
http {
	access_log off;
	client_body_temp_path $T/tmp1;
	proxy_temp_path $T/tmp2;
	fastcgi_temp_path $T/tmp3;
	uwsgi_temp_path $T/tmp4;
	scgi_temp_path $T/tmp5;
	server { listen 127.0.0.1:$port; root $T/www; }
}
EOF
page()
{
	local line
	exec {web}<>"/dev/tcp/127.0.0.1/$port" || return 1
	printf 'GET / HTTP/1.0\r\n\r\n' >&"$web"
	while IFS= read -r -t 10 line <&"$web"; do
		case $line in 'it works on'*)
			exec {web}<&-
			return 0
			;;
		esac
	done
	exec {web}<&-
	return 1
} 2>/dev/null
spawn "$nginx_bin" -p "$T" -c "$T/nginx.conf" -e "$T/nginx.err" >/dev/null 2>&1
master=$PID
if until_true page; then
	worker=$(ps -o pid= --ppid "$master" | head -n 1 | tr -d ' ')
	PID=$worker
	pids="$pids $worker"
	inspect 'nginx worker'
	check 'nginx worker: it works on' page
	PID=$master
	inspect 'nginx master'
	check 'nginx: its worker is the same' [ "$(ps -o pid= --ppid "$master" | head -n 1 | tr -d ' ')" = "$worker" ]
else
	check 'nginx: started' false
fi
kill "$master" 2>/dev/null

victim mix-static
inspect 'static program'
check 'static program: it works on' alive

victim threads 200 20
inspect '200 threads'
mi threads --format json "$PID"
check '200 threads: each is there' json '[.. | objects | select(has("tid")) | .tid] | unique | length >= 201'
check '200 threads: it works on' alive

# Runtimes with threads' heaps beside their own mappings; used where they are installed.
if command -v node >/dev/null; then
	spawn node -e 'setInterval(() => {}, 1000)'
	if until_true grep -q 'futex\|do_epoll_wait' "/proc/$PID/wchan"; then
		inspect node
	else
		check "node: it starts" false
	fi
else
	skip node "node is not installed"
fi

finish
