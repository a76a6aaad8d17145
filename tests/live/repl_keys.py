#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""repl_keys.py MEMINSPECT PID VERDICTS: Ctrl-C and Ctrl-Z at the prompt, whatever readline is just at; see repl.sh.

Writes a line "PASS what" or "FAIL what" for each thing that it looks at. Unlike expect it can type a key and Ctrl-C
some microseconds apart, which is where one of them was lost."""
import os
import pty
import random
import re
import select
import sys
import termios
import time

meminspect, pid, verdicts = sys.argv[1:4]
PROMPT = rb"meminspect\([^)]*\)> "
ROUNDS = 4000
STOPS = 16
out = open(verdicts, "w")


def verdict(ok, what):
    out.write(f"{'PASS' if ok else 'FAIL'} {what}\n")
    out.flush()


class Terminal:
    def __init__(self, *argv):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM="xterm", MEMINSPECT_PAGER="", PS1="shell> ")
            os.execvp(argv[0], argv)
        self.text = b""

    def type(self, keys):
        os.write(self.fd, keys)

    def wait(self, pattern, seconds=20):
        """What came up to and with the pattern is forgotten."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.text)):
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                return False
            try:
                more = os.read(self.fd, 65536)
            except OSError:  # the other side has ended
                return False
            if not more:
                return False
            self.text += more
        self.text = self.text[found.end():]
        return True

    def ended_with(self):
        while self.wait(b"(?s).+"):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def prompt_after(keys, pattern, what):
    """Types keys, waits for what they bring, Ctrl-C; then a command has to work as ever."""
    t.type(keys)
    verdict(t.wait(pattern), f"{what}: brought about")
    t.type(b"\003")
    verdict(t.wait(PROMPT), f"{what}: Ctrl-C brings the prompt")
    t.type(b"heap summary\r")
    verdict(t.wait(rb"glibc malloc") and t.wait(PROMPT), f"{what}: a command works afterwards")


os.environ["INPUTRC"] = verdicts + ".inputrc"
with open(os.environ["INPUTRC"], "w") as f:
    f.write("set completion-query-items 1\n")
t = Terminal(meminspect, "attach", pid)
verdict(t.wait(PROMPT), "the prompt")
for keys in (b"\033[A", b"x"):
    back = 0
    for i in range(ROUNDS):
        t.type(keys)
        until = time.perf_counter() + random.random() * 200e-6
        while time.perf_counter() < until:
            pass
        t.type(b"\003")
        if not t.wait(PROMPT):
            break
        back += 1
    verdict(back == ROUNDS, f"Ctrl-C behind {keys!r}: the prompt came back {back} times of {ROUNDS}")
    if back != ROUNDS:
        t.type(b"\003")
        t.wait(PROMPT)
prompt_after(b"whatis 0x\t\t", rb"y or n", "a question of readline's")
prompt_after(b"\022help", rb"i-search", "a search")
prompt_after(b"abc\033", rb"abc", "the middle of a key")
prompt_after(b"\033[A\010\010", rb"\S", "a line of the history, edited")
t.type(b"\033")
t.type(b"\003")
t.wait(PROMPT)
t.type(b"heap summ\001\013\031ary\r")
verdict(t.wait(rb"glibc malloc") and t.wait(PROMPT), "keys mean what they meant")
t.type(b"\004")
verdict(t.ended_with() == 0, "Ctrl-D leaves with 0")

# A stop may come before readline waits for the next key, or while it does.
for i in range(STOPS):
    t = Terminal("bash", "--norc", "-i")
    t.wait(rb"shell> ")
    t.type(f"{meminspect} attach {pid}\r".encode())
    if not t.wait(PROMPT):
        break
    t.type(b"heap su")
    t.wait(rb"heap su")
    t.type(b"\032")
    if not t.wait(rb"shell> "):
        break
    t.type(b"fg\r")
    if not t.wait(PROMPT + rb"heap su") or termios.tcgetattr(t.fd)[3] & termios.ICANON:
        break
    t.type(b"mm\t\r")
    if not (t.wait(rb"ary") and t.wait(rb"glibc malloc") and t.wait(PROMPT)):
        break
    t.type(b"\004")
    if not t.wait(rb"shell> "):
        break
    t.type(b"exit\r")
    t.ended_with()
else:
    i = STOPS
verdict(i == STOPS, f"Ctrl-Z and fg: the line, single keys and TAB came back {i} times of {STOPS}")
verdict(True, "the end")
