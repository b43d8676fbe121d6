"""The first 1024 bytes of what should be an MRC file: their byte order, or one sentence on why they are no header.

What the fields mean is mrc_header.py.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from core.errors import InputError

HEADER_BYTES = 1024
DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2", 101: "u1"}
REFUSED = {
    3: "complex integers (mode 3), a Fourier transform",
    4: "complex numbers (mode 4), a Fourier transform",
    16: "an RGB colour image (mode 16)",
}
MOST_PIXELS = 1 << 40
_MAX_SIDE = 1 << 20
_SIDES = ("nx", "ny", "nz")
_STAMPS: dict[bytes, Literal["<", ">"]] = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_COPY = "Copy it again from its source."


def interpret(raw: bytes, path: Path, compressed: bool = False) -> tuple[np.ndarray, list[str]]:
    """The header in its own byte order, and what is odd about it; `InputError` when the bytes cannot be one.

    Machine stamps are wrong in the wild: the stamp is believed first, the numbers if it makes no sense.
    """
    if not raw:
        raise InputError(f"{path} is empty (0 bytes).", "The copy or download did not finish? Copy it again.", path)
    _refuse_other_formats(raw, path, compressed)
    if len(raw) < HEADER_BYTES:
        raise InputError(
            f"{path} is not an MRC file, or cut short ({len(raw)} of {HEADER_BYTES} header bytes).", _COPY, path
        )
    stamp = _STAMPS.get(raw[212:214], "<")
    orders: tuple[Literal["<", ">"], ...] = ("<", ">") if stamp == "<" else (">", "<")
    headers = [np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0] for order in orders]
    for header, order in zip(headers, orders, strict=True):
        if _sense(header) == 3 and not damage(header):
            return header, _oddities(raw, order)
    best = max(headers, key=_sense)
    if raw[208:211] != b"MAP" and _sense(best) < 2:
        raise InputError(f"{path} is not an MRC file.", "Choose .mrc, .mrcs, .tif or .eer files.", path)
    raise InputError(f"{path}: {damage(best)}.", "Convert it again with the program that wrote it, or copy it.", path)


def damage(header: np.ndarray) -> str:
    """What cannot be in this header, in words; "" when all can be."""
    sides = {name: int(header[name]) for name in _SIDES}
    for name, side in sides.items():
        if side <= 0:
            return f"damaged header ({name} = {side})"
    if math.prod(sides.values()) > MOST_PIXELS or max(sides.values()) > _MAX_SIDE:
        return f"its header claims {' x '.join(map(str, sides.values()))} pixels: damaged header"
    if int(header["nsymbt"]) < 0:
        return f"damaged header (nsymbt = {int(header['nsymbt'])})"
    if int(header["mode"]) not in DTYPES and int(header["mode"]) not in REFUSED:
        return f"unsupported or damaged (mode {int(header['mode'])})"
    return ""


def _sense(header: np.ndarray) -> int:
    """How many of three things are as in a header: the mode, the sides, the size of the extended header."""
    mode = int(header["mode"]) in DTYPES or int(header["mode"]) in REFUSED
    sides = all(0 < int(header[name]) <= _MAX_SIDE for name in _SIDES)
    return mode + sides + (int(header["nsymbt"]) >= 0)


def _oddities(raw: bytes, order: str) -> list[str]:
    if raw[208:211] != b"MAP":
        return ["its header has no MAP stamp: not quite an MRC file, but read as one"]
    stamp = _STAMPS.get(raw[212:214])
    if stamp is None:
        return [f"its machine stamp ({raw[212:214].hex(' ')}) is unknown: the byte order is told from the numbers"]
    if stamp != order:
        return ["its machine stamp is wrong: the byte order is told from the numbers"]
    return []


def _refuse_other_formats(raw: bytes, path: Path, compressed: bool) -> None:
    if raw[:4] in _TIFF and compressed:
        raise InputError(f"{path} holds a TIFF inside the compressed file.", "Decompress it first.", path)
    if raw[:4] in _TIFF:
        raise InputError(f"{path} is a TIFF file, and an MRC file is needed here.", "Convert it to MRC.", path)
    start = raw[:512].lstrip(b"\xef\xbb\xbf \t\r\n")[:64].lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<body")):
        raise InputError(
            f"{path} looks like a web page, not an image.", "The download went wrong? Download it again.", path
        )
    if _is_text(raw):
        raise InputError(f"{path} looks like a text file, not an image.", "Choose the image itself.", path)


def _is_text(raw: bytes) -> bool:
    """No zero bytes, and hardly anything but letters and line ends, in UTF-8."""
    sample: Any = raw[:HEADER_BYTES]
    if b"\0" in sample or len(sample) < 16:
        return False
    text = sample.decode("utf-8", "ignore")
    lost = len(sample) - len(text.encode())
    printable = sum(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
    return lost <= 3 and printable >= 0.97 * len(text)
