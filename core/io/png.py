"""Writing PNG pictures from rows as they come, so that memory stays small whatever the size of the picture.

8-bit grey or RGB, texts as tEXt or, beyond Latin-1, iTXt (PNG specification, 3rd edition, W3C 2025). Reading
pictures back is nobody's business here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.io.atomic import atomic_path

_LEVEL = 4  # noise hardly compresses: more effort buys under 1 %
_NONE, _SUB, _UP = 0, 1, 2
_SAMPLE = 1 << 16


def write_png(
    path: Path | str, shape: tuple[int, ...], blocks: Iterable[np.ndarray], texts: Mapping[str, str] | None = None
) -> None:
    """Write uint8 rows, all or nothing: `shape` (ny, nx) or (ny, nx, 3), blocks of rows that add up to it."""
    with atomic_path(path) as partial, partial.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        _chunk(stream, b"IHDR", struct.pack(">IIBBBBB", shape[1], shape[0], 8, 0 if len(shape) == 2 else 2, 0, 0, 0))
        for key, text in (texts or {}).items():
            _text(stream, key, text)
        _pixels(stream, shape, blocks)
        _chunk(stream, b"IEND", b"")


def _pixels(stream: BinaryIO, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> None:
    step = 1 if len(shape) == 2 else shape[2]  # bytes from a pixel to its neighbour
    above = np.zeros(shape[1] * step, np.uint8)
    packer, written = zlib.compressobj(_LEVEL), 0
    for block in blocks:
        if block.dtype != np.uint8 or block.shape[1:] != shape[1:]:
            raise ValueError(f"rows of uint8 {shape[1:]} are needed, not {block.dtype} {block.shape[1:]}")
        rows = block.reshape(len(block), -1)
        packed = packer.compress(_filtered(rows, above, step))
        if packed:
            _chunk(stream, b"IDAT", packed)
        above, written = rows[-1], written + len(rows)
    if written != shape[0]:
        raise ValueError(f"{written} rows were given for a picture of {shape[0]}")
    _chunk(stream, b"IDAT", packer.flush())


def _filtered(rows: np.ndarray, above: np.ndarray, step: int) -> memoryview:
    """Rows with their filter byte: plain, differences to the left, or to the row above, whichever varies least."""
    left = rows.copy()
    left[:, step:] -= rows[:, :-step]
    up = rows - np.concatenate([above[None], rows[:-1]])
    kind, best = min(((_NONE, rows), (_SUB, left), (_UP, up)), key=lambda choice: _entropy(choice[1]))
    result = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
    result[:, 0] = kind
    result[:, 1:] = best
    return result.data


def _entropy(values: np.ndarray) -> float:
    """Bits per byte of some of the rows, as if each were independent: what a compressor makes of noise."""
    some = values[:: max(1, values.size // _SAMPLE)]
    share = np.bincount(some.ravel(), minlength=256) / some.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def _text(stream: BinaryIO, key: str, text: str) -> None:
    try:
        _chunk(stream, b"tEXt", key.encode("latin-1") + b"\0" + text.encode("latin-1"))
    except UnicodeEncodeError:
        _chunk(stream, b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8"))


def _chunk(stream: BinaryIO, kind: bytes, data: bytes) -> None:
    stream.write(struct.pack(">I", len(data)) + kind)
    stream.write(data)
    stream.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(kind))))
