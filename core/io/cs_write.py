"""Writing selected rows of a CryoSPARC dataset back into the same container, every column as it was.

Reading lives in cs.py, which also describes the containers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from core.io.atomic import atomic_path
from core.io.cs import CSDAT_MAGIC, CsFile, read_blocks

_ROWS = 1 << 14


def write_selected(
    source: CsFile, keep: np.ndarray, path: Path, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the rows of `source` where `keep` (n,) says so, in their order, to `path`, all or nothing.

    `progress(rows done, rows in all)` may raise to stop.
    """
    if len(keep) != source.n:
        raise ValueError(f"{len(keep)} marks for {source.n} rows")
    with atomic_path(path) as partial, partial.open("wb") as stream:
        if source.csdat:
            _write_csdat(source, keep, stream, progress)
        else:
            _write_npy(source, keep, stream, progress)


def _write_npy(
    source: CsFile, keep: np.ndarray, stream: IO[bytes], progress: Callable[[int, int], None] | None
) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(source.dtype), "fortran_order": False, "shape": (int(keep.sum()),)}
    try:
        np.lib.format.write_array_header_1_0(stream, header)
    except ValueError:  # more than 64 KiB of column names
        stream.seek(0)
        np.lib.format.write_array_header_2_0(stream, header)
    first = 0
    for block in read_blocks(source, lambda name: True, _ROWS):
        size = len(block[source.names[0]])
        if progress is not None:
            progress(first, source.n)
        rows = np.flatnonzero(keep[first : first + size])
        chosen = np.empty(len(rows), source.dtype)
        for name in source.names:
            chosen[name] = block[name][rows]
        stream.write(chosen.tobytes())
        first += size


def _write_csdat(
    source: CsFile, keep: np.ndarray, stream: IO[bytes], progress: Callable[[int, int], None] | None
) -> None:
    blocks = list(read_blocks(source, lambda name: True, max(source.n, 1)))
    columns = {name: blocks[0][name][keep] for name in source.names} if blocks else {}
    count = int(keep.sum())
    fields = [_field(name, source.dtype[name]) for name in source.names]
    packed = [name for name in source.names if name in source.compressed]
    header = {"length": count, "dtype": fields, "compression": "lz4" if packed else None, "compressed_fields": packed}
    text = json.dumps(header).encode()
    stream.write(CSDAT_MAGIC + struct.pack("<I", len(text)) + text)
    heap = _Heap()
    for done, name in enumerate(source.names if count else ()):
        if progress is not None:
            progress(done, len(source.names))
        values = columns[name]
        raw = (heap.places(values) if values.dtype.kind == "O" else np.ascontiguousarray(values)).tobytes()
        if name in source.compressed:
            import pyarrow as pa

            raw = pa.compress(raw, codec="lz4_raw", asbytes=True)
        stream.write(struct.pack("<I", len(raw)) + raw)
    stream.write(heap.content())


def _field(name: str, dtype: np.dtype[Any]) -> list[Any]:
    base, shape = dtype.subdtype or (dtype, ())
    return [name, base.str, list(shape)] if shape else [name, base.str]


class _Heap:
    """Zero-terminated texts one after another, every distinct one once; the empty one is at 0."""

    def __init__(self) -> None:
        self._texts = bytearray(b"\0")
        self._places: dict[bytes, int] = {b"": 0}

    def places(self, texts: np.ndarray) -> np.ndarray:
        """Offsets (uint64) of texts (bytes objects)."""
        found = np.empty(texts.size, np.uint64)
        for i, text in enumerate(texts.reshape(-1).tolist()):
            place = self._places.get(text)
            if place is None:
                place = self._places[text] = len(self._texts)
                self._texts += text + b"\0"
            found[i] = place
        return found.reshape(texts.shape)

    def content(self) -> bytes:
        return bytes(self._texts)
