# SPDX-License-Identifier: GPL-3.0-or-later
# serve_page.py CHROMIUM URL: opens the page in a browser, clicks through it, and says what it saw.
#
# Speaks the browser's debugging protocol over a pair of pipes: JSON texts that end in a NUL.
import json
import os
import subprocess
import sys
import tempfile
import time

chromium, url = sys.argv[1:3]
profile = tempfile.mkdtemp(prefix="meminspect-browser.")
to_read, to_write = os.pipe()
from_read, from_write = os.pipe()


def pipes():
    os.dup2(to_read, 103)
    os.dup2(from_write, 104)
    os.dup2(103, 3)
    os.dup2(104, 4)


browser = subprocess.Popen(
    [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
     "--window-size=1200,1000", f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"],
    preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
os.close(to_read)
os.close(from_write)
pending = b""
counter = 0
events = []


def read_message():
    global pending
    while b"\0" not in pending:
        chunk = os.read(from_read, 65536)
        if not chunk:
            sys.exit("the browser ended")
        pending += chunk
    text, pending = pending.split(b"\0", 1)
    return json.loads(text)


def call(method, session=None, **params):
    global counter
    counter += 1
    message = {"id": counter, "method": method, "params": params}
    if session:
        message["sessionId"] = session
    os.write(to_write, json.dumps(message).encode() + b"\0")
    while True:
        answer = read_message()
        if answer.get("id") == counter:
            if "error" in answer:
                sys.exit(f"{method}: {answer['error']}")
            return answer["result"]
        events.append(answer)


def evaluate(expression):
    result = call("Runtime.evaluate", session, expression=expression, returnByValue=True, awaitPromise=True)
    if "exceptionDetails" in result:
        sys.exit(f"{expression}: {result['exceptionDetails']['text']}")
    return result["result"].get("value")


def until(what, expression):
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if evaluate(expression):
            print(f"ok {what}")
            return
        time.sleep(0.1)
    sys.exit(f"not seen: {what}")


target = call("Target.createTarget", url="about:blank")["targetId"]
session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
for domain in ("Page", "Runtime", "Log", "Network"):
    call(domain + ".enable", session)
call("Page.navigate", session, url=url + "/")
shown = "[...document.querySelectorAll('section')].filter(s => !s.hidden).map(s => s.id).join()"
click = "document.querySelector('[data-part=%s]').click()"
frame = "document.querySelector('#%s iframe').contentDocument"
until("the books of RSS", f"{shown} === 'rss' && document.body.textContent.includes('heap: in use')")
until("figures", "/^[0-9.]+ [KMG]iB$/.test(document.getElementById('t-rss').textContent)")
until("a trend", "document.querySelectorAll('#trend circle').length >= 1")
evaluate(click % "threads")
until("the threads", f"{shown} === 'threads' && document.querySelector('#threads').textContent.includes('start_thread')")
evaluate(click % "heap")
until("the heap", f"{shown} === 'heap' && document.querySelector('#heap').textContent.includes('Largest arenas')")
evaluate(click % "flame-threads")
until("a flame graph", f"{frame % 'flame-threads'} && {frame % 'flame-threads'}.querySelectorAll('.f').length > 5")
evaluate(f"[...{frame % 'flame-threads'}.querySelectorAll('.f')].find(e => e.textContent === 'start_thread').click()")
until("zoomed into it", f"{frame % 'flame-threads'}.getElementById('info').textContent.includes('of all')")
evaluate(click % "flame-heap")
until("the heap's flame graph", f"{frame % 'flame-heap'} && {frame % 'flame-heap'}.querySelectorAll('.f').length > 2")
taken = evaluate("document.getElementById('age').dataset.taken")
time.sleep(1.1)  # a picture is shared for a second
evaluate("document.getElementById('again').click()")
until("a new picture", f"document.getElementById('age') && document.getElementById('age').dataset.taken > {taken}")
for e in events:
    m, p = e.get("method"), e.get("params", {})
    if m == "Runtime.exceptionThrown":
        sys.exit(f"exception in the page: {p['exceptionDetails'].get('text')}")
    if m == "Log.entryAdded" and p["entry"]["level"] == "error" and "favicon" not in p["entry"].get("url", ""):
        sys.exit(f"error in the page: {p['entry']['text']} {p['entry'].get('url')}")
    if m == "Network.requestWillBeSent" and not p["request"]["url"].startswith((url, "about:", "data:")):
        sys.exit(f"the page fetches {p['request']['url']}")
print("ok nothing fetched from elsewhere, no error")
browser.kill()
browser.wait()
subprocess.run(["rm", "-rf", profile], check=False)
