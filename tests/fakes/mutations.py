"""Damage to files: single edits of bytes, and random series of them. What the bytes mean is fuzz_formats.py's."""

from __future__ import annotations

import random
import re
import struct

NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    5,
    12,
    101,
    127,
    128,
    255,
    256,
    1024,
    32767,
    65535,
    1 << 20,
    1 << 24,
    (1 << 31) - 1,
    -(1 << 31),
)
FLOATS = (0.0, -1.0, 1e-30, 1e30, float("inf"), float("-inf"), float("nan"))
TEXTS = (b"0", b"-1", b"1e308", b"-1e999", b"nan", b"inf", b"99999999999999999999", b"1e-400", b"0x10", b"", b"1.5.2")
SEPARATORS = (
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"_",
    b"#",
    b"'",
    b'"',
    b"data_\n",
    b"loop_\n",
    b"\0",
    b",",
    b"{",
    b"[",
    b"\xff\xfe",
)
KINDS = ("flip", "insert", "cut", "double", "move", "word", "text", "separator", "end")


def edit(data: bytes, kind: str, rng: random.Random) -> bytes:
    """One edit of `data`, of a kind in KINDS."""
    place = rng.randrange(len(data) + 1) if rng.random() < 0.5 else rng.randrange(min(len(data), 1024) + 1)
    length = rng.choice((1, 2, 4, 8, rng.randrange(1, 64), rng.randrange(1, len(data) + 2)))
    head, piece, tail = data[:place], data[place : place + length], data[place + length :]
    if kind == "flip":
        return head + bytes(b ^ (1 << rng.randrange(8)) for b in piece[:3]) + piece[3:] + tail
    if kind == "insert":
        return head + rng.randbytes(min(length, 64)) + piece + tail
    if kind == "cut":
        return head + tail
    if kind == "double":
        return head + piece * rng.randrange(2, 5) + tail
    if kind == "move":
        other = rng.randrange(len(data) + 1)
        return data[:other] + piece + data[other + len(piece) :]
    if kind == "word":
        return _word(data, place & ~3, rng)
    if kind == "text":
        return _text(data, rng)
    if kind == "separator":
        return head + rng.choice(SEPARATORS) + piece + tail
    return head


def _word(data: bytes, place: int, rng: random.Random) -> bytes:
    """A number of 2, 4 or 8 bytes, in either byte order, where one may have stood."""
    order = rng.choice("<>")
    kind = rng.choice("hiqf")
    value = rng.choice(FLOATS) if kind == "f" else rng.choice(NUMBERS)
    if kind == "h":
        value = (int(value) + 32768) % 65536 - 32768
    packed = struct.pack(order + kind, value)
    return data[:place] + packed + data[place + len(packed) :]


def _text(data: bytes, rng: random.Random) -> bytes:
    """Another text for one of the numbers written in digits."""
    found = list(re.finditer(rb"-?\d[\d.eE+-]*", data))
    if not found:
        return data
    number = rng.choice(found)
    return data[: number.start()] + rng.choice(TEXTS) + data[number.end() :]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to six edits; the result is at most a few times as long."""
    most = 4 * len(data) + 4096
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = edit(data, rng.choice(KINDS), rng)[:most]
    return data
