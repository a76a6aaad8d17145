#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# serve: /metrics by promtool, the rules by promtool and by a real Prometheus on a process that grows, the
# dashboard and the service; the process dies and comes back.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lib_serve.sh"
need curl jq
P=$(cd "$(dirname "$0")/../../scripts/prometheus" && pwd)

walked()
{
	[ -n "$(metric 'meminspect_heap_inuse_bytes{target="v"}')" ]
}

# near A B PERCENT
near()
{
	OUT="$1 $2"
	awk -v a="$1" -v b="$2" -v p="$3" 'BEGIN { d = a > b ? a - b : b - a; exit !(a > 0 && d <= b * p / 100) }'
}

up_is()
{
	[ "$(metric 'meminspect_up{target="again"}')" = "$1" ]
}

# ---- the figures are those of others

victim books fragmented
TARGET=$PID
serve --pause-budget 50% --leaks v="$TARGET"
check "a first walk without being asked" until_true walked
rss=$(awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$TARGET/status")
check "RSS is the kernel's" near "$(metric 'process_resident_memory_bytes{target="v"}')" "$rss" 2
check "threads are the kernel's" test "$(metric 'process_threads{target="v"}')" = "$(find "/proc/$TARGET/task" -mindepth 1 -maxdepth 1 | wc -l)"
check "bytes in use are mallinfo2's" near "$(metric 'meminspect_heap_inuse_bytes{target="v"}')" \
	"$(($(truth mallinfo.uordblks) + $(truth mallinfo.hblkhd)))" 5
check "leaks are counted" test -n "$(metric 'meminspect_leaked_bytes{target="v"}')"
check "a stop was counted" test "$(metric 'meminspect_stop_duration_seconds_count{target="v"}')" -ge 1
check "open descriptors" test "$(metric 'process_open_fds{target="v"}')" -ge 1
curl -s "$URL/metrics" >"$T/metrics"
curl -s "$URL/metrics/self" >"$T/self"
if command -v promtool >/dev/null; then
	check "promtool accepts /metrics" promtool check metrics <"$T/metrics"
	check "promtool accepts /metrics/self" promtool check metrics <"$T/self"
	check "promtool accepts the rules" promtool check rules "$P/meminspect.rules.yml"
	check "the rules do what they say" promtool test rules "$P/meminspect.rules.test.yml"
	check "promtool accepts the configuration" promtool check config "$P/prometheus.yml"
else
	skip "promtool" "prometheus is not installed"
fi
known=$(awk '/^# TYPE/ { print $3; if ($4 == "histogram") { print $3 "_bucket"; print $3 "_sum"; print $3 "_count" } }' "$T/metrics" "$T/self" | sort -u)

# all_known FILE TEXT...: every metric that is named there exists
all_known()
{
	local missing
	missing=$(grep -oE '(meminspect|process)_[a-z_]+' | sort -u | grep -vxF "$known")
	OUT="unknown: $missing"
	[ -z "$missing" ]
}
check "the dashboard is JSON" jq -e '.panels | length > 10' "$P/grafana-dashboard.json"
check "the dashboard asks for what there is" all_known < <(jq -r '.panels[].targets[].expr, .templating.list[].query' "$P/grafana-dashboard.json")
check "the rules ask for what there is" all_known < <(grep -vE '^ *#' "$P/meminspect.rules.yml")
if command -v systemd-analyze >/dev/null; then
	# The two remarks that remain are about what is not installed here.
	problems=$(systemd-analyze verify "$P/meminspect-serve.service" 2>&1 | grep meminspect-serve | grep -v 'is not executable\|man meminspect')
	check "systemd accepts the service" test -z "$problems"
else
	skip "systemd-analyze" "systemd is not installed"
fi
# With the rights that the service has, and no others, it sees a process of root.
rights=$(sed -n 's/^AmbientCapabilities=//p' "$P/meminspect-serve.service" | tr '[:upper:]' '[:lower:]' | sed 's/cap_/+/g; s/ /,/g')
check "SIGTERM ends it" ended
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null && [ -z "${SAN:-}" ]; then
	chmod 711 "$T"
	install -m 755 "$MEMINSPECT" "$T/meminspect"
	MEMINSPECT=$T/meminspect
	as_the_service()
	{
		setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps "$rights" --ambient-caps "$rights" \
			--bounding-set "-all,$rights" --no-new-privs "$MEMINSPECT" "$@"
	}
	: >"$T/url"
	as_the_service serve --listen 127.0.0.1:0 --pause-budget 50% v="$TARGET" >"$T/url" 2>"$T/serve.err" &
	SERVE=$!
	pids="$pids $SERVE"
	until_true test -s "$T/url"
	URL=$(cat "$T/url")
	URL=${URL%/}
	check "as the service: a profile" status 200 /debug/pprof/heap
	check "as the service: threads" status 200 "/debug/pprof/goroutine?debug=1"
	check "as the service: with names" grep -q sigwait "$T/body"
	kill "$SERVE"
else
	skip "the rights of the service" "not root, or no setpriv"
fi
check "the process works on" alive

# ---- it dies and comes back

cp "$VICTIMS/books" "$T/again-victim"
spawn "$T/again-victim" top >"$T/said"
until_true grep -q ready "$T/said" || { echo "the victim did not start"; exit 1; }
FIRST=$PID
serve --pause-budget 50% again=again-victim
check "it is up" until_true up_is 1
check "its profile" status 200 /debug/pprof/heap
kill -9 "$FIRST"
wait "$FIRST" 2>/dev/null
check "it is down" until_true up_is 0
check "a profile says why" status 503 /debug/pprof/goroutine
check "in one line" test "$(wc -l <"$T/body")" = 1
check "and for how long to wait" grep -qi '^retry-after:' "$T/head"
check "its figures are gone" test -z "$(metric 'process_resident_memory_bytes{target="again"}')"
check "the command line, too" status 503 /debug/pprof/cmdline
spawn "$T/again-victim" top >"$T/said2"
check "it is up again" until_true up_is 1
check "its new profile" status 200 /debug/pprof/heap
check "another process was counted" test "$(metric 'meminspect_target_starts_total{target="again"}')" = 2
check "no more descriptors than before" test "$(find "/proc/$SERVE/fd" -mindepth 1 | wc -l)" -le 24
check "SIGTERM ends it" ended

# ---- a real Prometheus, and a process that grows

firing()
{
	curl -s -m 5 "$PROM/api/v1/alerts" | jq -e --arg a "$1" '.data.alerts[] | select(.labels.alertname == $a and .state == "firing")'
}

if ! command -v prometheus >/dev/null; then
	skip "a real Prometheus" "prometheus is not installed"
	finish
	exit
fi
victim_limited()
{
	ulimit -v 307200
	exec "$VICTIMS/grow"
}
# 2 MB each tenth of a second, up to 240 MB; then it keeps what it has.
growing()
{
	for _ in {1..120}; do echo 'grow 512 4080'; sleep 0.1; done
	exec sleep 600
}
mkfifo "$T/commands"
growing >"$T/commands" &
pids="$pids $!"
victim_limited <"$T/commands" >"$T/grown" &
TARGET=$!
pids="$pids $TARGET"
until_true grep -q ready "$T/grown" || { echo "the victim did not start"; exit 1; }
serve --pause-budget 50% --walk-every 1s grower="$TARGET"
# The same rules, with patience that a test has: minutes become seconds.
sed 's/for: [0-9]*m$/for: 2s/' "$P/meminspect.rules.yml" >"$T/rules.yml"
cat >"$T/prometheus.yml" <<EOT
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [$T/rules.yml]
scrape_configs:
  - job_name: meminspect
    static_configs: [{targets: ['${URL#http://}']}]
EOT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
PROM=http://127.0.0.1:$port
spawn prometheus --config.file="$T/prometheus.yml" --storage.tsdb.path="$T/tsdb" --web.listen-address="127.0.0.1:$port" >"$T/prom.log" 2>&1
until_true curl -sf "$PROM/-/ready" || { tail -5 "$T/prom.log"; echo "prometheus did not start"; exit 1; }
scraped()
{
	curl -s -G "$PROM/api/v1/query" --data-urlencode 'query=meminspect_heap_inuse_bytes{target="grower"}' |
		jq -e '.data.result | length == 1'
}
check "Prometheus scrapes it" until_true scraped
check "the warning fires" until_true firing MeminspectMemoryWarning
check "the panic fires: it only grows" until_true firing MeminspectMemoryPanic
check "Prometheus calls the target healthy" sh -c "curl -s $PROM/api/v1/targets | jq -e '.data.activeTargets[0].health == \"up\"'"
check "the process runs on" kill -0 "$TARGET"
check "SIGTERM ends it" ended
finish
