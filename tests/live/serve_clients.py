# SPDX-License-Identifier: GPL-3.0-or-later
# serve_clients.py PORT WHAT: clients that misbehave, and how the server does meanwhile.
#
# Prints one line for each thing that is not as it should be; exit 1 then.
import collections
import random
import socket
import sys
import threading
import time

PORT = int(sys.argv[1])
problems = []


def connect(timeout=20):
    return socket.create_connection(("127.0.0.1", PORT), timeout=timeout)


def ask(path, timeout=60, host="localhost"):
    """The status of an answer, read to its end; 0 when there was none."""
    try:
        with connect(timeout) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while chunk := s.recv(65536):
                data += chunk
        return int(data.split(b" ", 2)[1])
    except (OSError, IndexError, ValueError):
        return 0


def served(what):
    """An ordinary client is answered."""
    if ask("/metrics", 20) != 200:
        problems.append(f"{what}: an ordinary request is not answered")


def send_raw(data, patience=20):
    """What comes back for bytes that may be anything; closing is an answer, too, and so is silence: the
    server may wait for the rest, for as long as it gives a slow client."""
    with connect(20) as s:
        s.settimeout(patience)
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            answer = s.recv(4096)
        except OSError:
            return 0
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def slow():
    """Many who send a byte now and then, and many who say nothing, keep nobody out."""
    sockets = []
    for i in range(600):
        try:
            s = connect(1)
            if i % 2:
                s.sendall(b"GET /metr")
            sockets.append(s)
        except OSError:
            break  # the queue of the kernel is full: that is their loss
    end = time.monotonic() + 4
    while time.monotonic() < end:
        for s in sockets:
            try:
                s.sendall(b"x")
            except OSError:
                pass
        time.sleep(0.5)
    served("slow clients")
    for s in sockets:
        s.close()
    # One that does not read its answers.
    with connect() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(2)
        try:
            for _ in range(200):
                s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        except OSError:
            pass
        served("a client that does not read")


def garbage():
    random.seed(7)
    for i in range(200):
        send_raw(random.randbytes(random.randrange(1, 3000)), 0.5)
    for data in (b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                 b"GET /%00%ff%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"GET /t/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
                 b"GET /debug/pprof/heap?seconds=99999999999999999999 HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        status = send_raw(data)
        if status == 200:
            problems.append(f"garbage is served: {data[:40]}")
    served("garbage")


def oversized():
    if send_raw(b"GET /" + b"a" * 1000000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n") == 200:
        problems.append("a path of a megabyte is served")
    if send_raw(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: " + b"b" * 1000000 + b"\r\n\r\n") == 200:
        problems.append("a head of a megabyte is served")
    body = b"0x1+" * 500000
    if send_raw(b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body) == 200:
        problems.append("a body of two megabytes is served")
    if send_raw(b"POST /debug/pprof/symbol HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999\r\n\r\n0x1") == 200:
        problems.append("a body that does not come is served")
    served("oversized requests")


def strangers():
    for host, want in (("localhost", 200), ("127.0.0.1:6070", 200), ("[::1]:1", 200), ("evil.example", 403),
                       ("localhost.evil.example", 403), ("127.0.0.1.evil.example:80", 403), ("", 403)):
        got = ask("/healthz", host=host)
        if got != want:
            problems.append(f"Host {host!r}: {got}, not {want}")


def crowd():
    """A thousand at once: each has its answer or is told to come again."""
    paths = ["/debug/pprof/heap", "/debug/pprof/goroutine", "/metrics", "/", "/debug/pprof/", "/flame/heap",
             "/debug/pprof/threads?debug=1", "/state.json"]
    seen = collections.Counter()
    lock = threading.Lock()
    start = threading.Barrier(1000)

    def one(i):
        start.wait()
        status = ask(paths[i % len(paths)], 90)
        with lock:
            seen[status] += 1

    threads = [threading.Thread(target=one, args=(i,)) for i in range(1000)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if set(seen) - {200, 503} or not seen[200]:
        problems.append(f"a thousand at once: {dict(seen)}")


threading.stack_size(256 * 1024)
{"slow": slow, "garbage": garbage, "oversized": oversized, "strangers": strangers, "crowd": crowd}[sys.argv[2]]()
print("\n".join(problems))
sys.exit(1 if problems else 0)
