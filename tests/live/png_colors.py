#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""png_colors.py FILE RRGGBB:N...: are there at least N pixels of each colour? Says what is missing."""
import struct
import sys
import zlib


def pixels(path):
    """Yields (r, g, b) of an 8-bit PNG, RGB or RGBA, not interlaced."""
    data = open(path, "rb").read()
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        sys.exit("no PNG")
    at, packed = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, color, _, _, interlace = struct.unpack(">IIBBBBB", body)
            if depth != 8 or color not in (2, 6) or interlace:
                sys.exit("an unusual PNG")
        elif kind == b"IDAT":
            packed += body
        at += 12 + size
    n = 3 if color == 2 else 4
    raw, stride, before = zlib.decompress(packed), width * n, bytearray(width * n)
    for y in range(height):
        how = raw[y * (stride + 1)]
        line = bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for x in range(stride):
            left = line[x - n] if x >= n else 0
            up, corner = before[x], before[x - n] if x >= n else 0
            if how == 1:
                line[x] = line[x] + left & 255
            elif how == 2:
                line[x] = line[x] + up & 255
            elif how == 3:
                line[x] = line[x] + (left + up) // 2 & 255
            elif how == 4:
                guess = left + up - corner
                a, b, c = abs(guess - left), abs(guess - up), abs(guess - corner)
                line[x] = line[x] + (left if a <= b and a <= c else up if b <= c else corner) & 255
        before = line
        for x in range(0, stride, n):
            yield line[x], line[x + 1], line[x + 2]


counts = {}
for p in pixels(sys.argv[1]):
    counts[p] = counts.get(p, 0) + 1
missing = []
for want in sys.argv[2:]:
    color, least = want.split(":")
    seen = counts.get(tuple(bytes.fromhex(color)), 0)
    if seen < int(least):
        missing.append("%s: %d of %s" % (color, seen, least))
if missing:
    sys.exit("too few pixels of " + ", ".join(missing))
