#!/bin/bash
# SPDX-License-Identifier: GPL-3.0-or-later
# flamegraph.sh: the flame graph in a browser without a window: it draws, searches, zooms and has tooltips.

# shellcheck source=tests/live/lib.sh
. "$(dirname "$0")/lib.sh"
need jq
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
	echo "no chromium is installed"
	exit 77
}

spawn env LD_PRELOAD="$BUILD/libmeminspect-hook.so" MEMINSPECT_HOOK=full "$VICTIMS/hook_truth" 2 5000 >/dev/null
recorded() { "$MEMINSPECT" heap top --by function --format json "$PID" 2>/dev/null | jq -e '[.top[] | select(.name == "site_large")] | length == 1'; }
check 'the victim has recorded' until_true recorded
mi profile heap --format flamegraph -o "$T/flame.html" "$PID"
mi heap top --by function --limit 0 --format json "$PID"

# What a reader would do, one after the other; what came of it is left in the page.
{
	cat "$T/flame.html"
	cat <<'EOF'
<script>
const found = {}, of = s => [...document.querySelectorAll(s)];
found.frames = of("#graph .f").length;
$("search").value = "site_(large|aligned)";
$("search").oninput();
found.hits = of("#graph .hit").map(e => e.node.name);
found.matched = $("info").textContent;
const work = of("#graph .f").find(e => e.node.name === "work");
work.dispatchEvent(new MouseEvent("mousemove", {bubbles: true, clientX: 50, clientY: 100}));
found.tip = $("tip").textContent;
found.shown = $("tip").style.display;
work.dispatchEvent(new MouseEvent("click", {bubbles: true}));
found.zoomed = $("path").textContent;
found.wide = of("#graph .f").find(e => e.node.name === "work").style.width;
$("reset").click();
found.back = of("#graph .f").length;
document.body.replaceChildren(document.createTextNode("FOUND" + JSON.stringify(found) + "DNUOF"));
</script>
EOF
} >"$T/driven.html"
timeout 60 "$browser" --headless --no-sandbox --disable-gpu --window-size=1200,800 --virtual-time-budget=5000 \
	--user-data-dir="$T/profile" --dump-dom "file://$T/driven.html" >"$T/dom" 2>"$T/err"
sed -n 's/.*FOUND\(.*\)DNUOF.*/\1/p' "$T/dom" | sed 's/&gt;/>/g; s/&lt;/</g; s/&amp;/\&/g' >"$T/out"
OUT=$(cat "$T/out") ERR=''
[ -n "$OUT" ] || { tail -n 3 "$T/err"; echo "the browser does not run here"; exit 77; }
check 'it draws frames' json '.frames > 10'
check 'search marks what matches' json '(.hits | index("site_large")) and (.hits | index("site_aligned")) and
	(.hits | index("site_malloc") | not)'
check 'and says how much that is' json '.matched | test("matched [0-9.]+ ?%")'
check 'a tooltip names function and bytes' json '.shown == "block" and (.tip | startswith("work")) and (.tip | test("of all"))'
check 'a click zooms' json '(.zoomed | endswith("work")) and (.wide | rtrimstr("px") | tonumber) > 1000'
check 'the button shows all again' json '.back == .frames'
finish
