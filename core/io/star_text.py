"""The text of a STAR file in parts of whole lines: decompressed, and checked for what is no text of a table.

What the lines mean is star_scan.py's.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.errors import InputError, ResourceError

BLOCK_BYTES = 1 << 22  # read at once
_LONGEST_LINE = 1 << 16
_GZIP_RATIO, _GZIP_SPARE = 100, 64 << 20  # tables shrink to a quarter; a hundredth is no table


def checked_parts(path: Path) -> Iterator[tuple[bytes, int, int]]:
    """Whole lines, some megabytes at a time, as checked text without byte order mark; with bytes done and in all."""
    try:
        with path.open("rb") as raw:
            total = path.stat().st_size
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            yield from _lines(path, raw, total, packed)
    except OSError as err:
        if isinstance(err, gzip.BadGzipFile):
            raise _damaged(path) from None
        raise ResourceError(
            f"{path} cannot be read: {err.strerror or err}.", "Check the disk and permissions."
        ) from None
    except (EOFError, zlib.error):
        raise _damaged(path) from None


def _lines(path: Path, raw: BinaryIO, total: int, packed: bool) -> Iterator[tuple[bytes, int, int]]:
    stream = gzip.GzipFile(fileobj=raw) if packed else raw
    rest, line, size = b"", 1, 0
    while part := stream.read(BLOCK_BYTES):
        size += len(part)
        if packed and size > _GZIP_RATIO * total + _GZIP_SPARE:
            raise _damaged(path)
        if size == len(part):
            part = _checked_start(path, part)
        whole = part.rfind(b"\n") + 1
        text, rest = (rest + part[:whole], part[whole:]) if whole else (b"", rest + part)
        if len(rest) > _LONGEST_LINE:
            raise InputError(f"{path} has a line of more than {_LONGEST_LINE} characters.", "Choose a STAR file.", path)
        if text:
            _check_text(path, text, line)
            yield text, raw.tell(), total
            line += text.count(b"\n")
    if rest:
        _check_text(path, rest, line)
        yield rest + b"\n", total, total


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: it cannot be decompressed.", "Copy it again from its source.", path)


def _checked_start(path: Path, part: bytes) -> bytes:
    if part[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{path} is UTF-16 text.", "Save it as UTF-8 text.", path)
    if b"\0" in part[:4096]:
        raise InputError(f"{path} is a binary file, not a STAR file.", "Choose a STAR file.", path)
    part = part.removeprefix(b"\xef\xbb\xbf")
    if part[:256].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError(
            f"{path} is a web page, not a STAR file.", "Download the file itself, not the page that shows it.", path
        )
    if b"\r" in part[:4096] and b"\n" not in part:
        raise InputError(f"{path} has line ends of old Macintosh systems.", "Save it with Unix line ends.", path)
    return part


def _check_text(path: Path, text: bytes, line: int) -> None:
    """UTF-8 and no control characters: anything else would be read as other columns, or not at all."""
    bad = -1
    if not text.isascii():
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as err:
            bad = err.start
    if bad >= 0:
        at = line + text[:bad].count(b"\n")
        raise InputError(f"{path}, line {at}: a character is not UTF-8.", "Save the file as UTF-8 text.", path)
    controls = int(np.count_nonzero(np.frombuffer(text, np.uint8) < 32))
    returns = text.count(b"\r")
    if controls == text.count(b"\n") + text.count(b"\t") + returns and returns == text.count(b"\r\n"):
        return
    found = re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)", text)
    at = line + text[: found.start() if found else 0].count(b"\n")
    raise InputError(f"{path}, line {at}: a control character is no part of a table.", "Delete that line.", path)
