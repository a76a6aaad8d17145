# SPDX-License-Identifier: GPL-3.0-or-later
# pprof_strict.py FILE...: is it a profile that strict readers take? Continuous profilers refuse what `go tool pprof` lets
# pass: ids that do not count from 1 in the order of the file, references into nothing, labels without a key, an
# empty first string that is not empty. Prints the sample types, the number of samples and the sum of each value, one line a file.
import gzip
import sys


def varint(b, at):
    value = shift = 0
    while True:
        byte = b[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(b):
    """(number, value) of a message; numbers or bytes"""
    at = 0
    while at < len(b):
        key, at = varint(b, at)
        if key & 7 == 0:
            value, at = varint(b, at)
        elif key & 7 == 2:
            n, at = varint(b, at)
            value, at = b[at : at + n], at + n
            assert len(value) == n, "cut short"
        else:
            raise AssertionError(f"wire type {key & 7} has no place here")
        yield key >> 3, value


def packed(values):
    """a repeated number, packed or not"""
    for v in values:
        if isinstance(v, int):
            yield v
            continue
        at = 0
        while at < len(v):
            n, at = varint(v, at)
            yield n


def message(b):
    out = {}
    for number, value in fields(b):
        out.setdefault(number, []).append(value)
    return out


def one(m, number):
    values = m.get(number, [0])
    assert len(values) == 1, f"field {number} is there {len(values)} times"
    return values[0]


def in_order(messages, what):
    ids = [one(m, 1) for m in messages]
    assert ids == list(range(1, len(ids) + 1)), f"ids of {what} do not count from 1"


def look(path):
    with open(path, "rb") as f:
        raw = f.read()
    assert raw[:2] == b"\x1f\x8b", "not gzipped"
    p = message(gzip.decompress(raw))
    strings = [s.decode("utf-8") for s in p[6]]
    assert strings[0] == "", "the first string is not empty"

    def text(i):
        assert i < len(strings), "a string that is not there"
        return strings[i]

    types = [message(t) for t in p.get(1, [])]
    assert types, "no sample types"
    names = [f"{text(one(t, 1))}/{text(one(t, 2))}" for t in types]
    assert all(n[0] != "/" and n[-1] != "/" for n in names), "a sample type without a name"
    period = message(one(p, 11)) if 11 in p else None
    assert period and text(one(period, 1)), "no period type"
    mappings = [message(m) for m in p.get(3, [])]
    locations = [message(m) for m in p.get(4, [])]
    functions = [message(m) for m in p.get(5, [])]
    in_order(mappings, "mappings")
    in_order(locations, "locations")
    in_order(functions, "functions")
    for m in mappings:
        text(one(m, 5))
        text(one(m, 6))
        assert one(m, 2) <= one(m, 3), "a mapping that ends before it begins"
    for m in functions:
        assert text(one(m, 2)), "a function without a name"
    for m in locations:
        assert one(m, 2) <= len(mappings), "a mapping that is not there"
        for line in m.get(4, []):
            assert 1 <= one(message(line), 1) <= len(functions), "a function that is not there"
    sums = [0] * len(types)
    samples = [message(s) for s in p.get(2, [])]
    for s in samples:
        values = list(packed(s.get(2, [])))
        assert len(values) == len(types), "values that have no type"
        stack = list(packed(s.get(1, [])))
        assert stack and all(1 <= i <= len(locations) for i in stack), "a location that is not there"
        for label in s.get(3, []):
            assert text(one(message(label), 1)), "a label without a key"
        sums = [a + (b - (1 << 64) if b >> 63 else b) for a, b in zip(sums, values)]
    assert one(p, 9) > 0, "no time"
    print(" ".join(names), len(samples), *sums)


for path in sys.argv[1:]:
    try:
        look(path)
    except (AssertionError, IndexError, KeyError, UnicodeDecodeError, OSError, EOFError) as e:
        sys.exit(f"{path}: {type(e).__name__}: {e}")
