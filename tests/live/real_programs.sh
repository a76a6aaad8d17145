#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# real_programs.sh: programs that know nothing of us are inspected and work on as before.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq bash python3 sqlite3 gdb nginx

pause_told() { grep -qE '(stopped|stood still) for [0-9.]+ (ns|us|ms|s)' "$T/err"; }
lives() { kill -0 "$PID" 2>/dev/null && ! grep -qE '^State:[[:space:]]*[TtZX]' "/proc/$PID/status"; }
untraced() { grep -qE '^TracerPid:[[:space:]]*0$' "/proc/$PID/status"; }

# A copy of it sends no signal when it ends: its own children do.
known_children()
{
	local child
	for child in $(cat /proc/"$PID"/task/*/children); do
		awk '{sub(/.*\) /, ""); exit $36 == 0}' "/proc/$child/stat" || return 1 # exit_signal, field 38
	done
}
precopy=$("$MEMINSPECT" doctor --format json |
	jq -r '[.machine[] | select(.key | test("precopy|copy_before")) | .verdict][0] // "no"')
[ "$precopy" = yes ] || skip 'precopy' 'this kernel cannot'

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
	if [ "$expect" = glibc ]; then
		mi heap verify --format json "$PID"
		check "$name: heap verify" [ "$RC" = 0 ]
		check "$name: no corruption is seen" json '.verify.corruptions == 0'
	fi
	for mode in fork precopy live; do
		[ $mode != precopy ] || [ "$precopy" = yes ] || continue
		mi --allow-inject --max-pause 30s --capture $mode --format json heap summary "$PID"
		check "$name: $mode" [ "$RC" = 0 ]
		# Where all stand on stacks of goroutines, nobody is asked to make a call.
		[ "$expect" != glibc ] && grep -q 'not possible: .*on a stack of unknown kind' <<<"$ERR" ||
			check "$name: $mode is how it was done" json ".capture.mode == \"$mode\""
	done
	check "$name: it has no child that it does not know" known_children
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
		inspect "$name" "${EXPECT:-glibc}"
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

# A heap of huge pages
if grep -q 'never\]' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null; then
	skip 'huge pages' 'they are off here'
else
	export GLIBC_TUNABLES=glibc.malloc.hugetlb=1
	victim odd plain
	unset GLIBC_TUNABLES
	huge() { awk '/^AnonHugePages/ {n += $2} END {exit n < 4096}' "/proc/$PID/smaps"; }
	if huge; then
		inspect 'huge pages'
		check 'huge pages: it works on' alive
	else
		skip 'huge pages' 'malloc did not get any'
	fi
fi

# Runtimes with threads' heaps beside their own mappings; used where they are installed.
if command -v node >/dev/null; then
	prompted node 'let d = Array.from({length: 20000}, (_, i) => "value" + i); console.log("n=" + d.length)' 'n=20000' \
		node -e 'require("readline").createInterface({input: process.stdin}).on("line", l => eval(l))'
else
	skip node "node is not installed"
fi
if command -v java >/dev/null && command -v javac >/dev/null; then
	cat >"$T/Echo.java" <<-'EOF2'
		public class Echo {
			public static void main(String[] a) throws Exception {
				var in = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
				for (String l; (l = in.readLine()) != null;) {
					var m = new java.util.HashMap<Integer, String>();
					for (int i = 0; i < 20000; i++) m.put(i, l + i);
					System.out.println("n=" + m.size());
				}
			}
		}
	EOF2
	javac -d "$T" "$T/Echo.java" && prompted java 'value' 'n=20000' java -cp "$T" Echo
else
	skip java "java is not installed"
fi
if command -v go >/dev/null; then
	cat >"$T/echo.go" <<-'EOF2'
		package main

		import ("bufio"; "fmt"; "os")

		func main() {
			for in := bufio.NewScanner(os.Stdin); in.Scan(); {
				m := map[int]string{}
				for i := 0; i < 20000; i++ { m[i] = fmt.Sprint(in.Text(), i) }
				fmt.Printf("n=%d\n", len(m))
			}
		}
	EOF2
	if GOCACHE=$T/go-cache GOPATH=$T/go go build -o "$T/echo" "$T/echo.go"; then
		EXPECT=go prompted go 'value' 'n=20000' "$T/echo"
	else
		skip go "the program could not be built"
	fi
else
	skip go "go is not installed"
fi

finish
