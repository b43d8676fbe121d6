"""Reading CryoSPARC datasets (.cs): numpy's structured arrays, and the compressed column container CSDAT.

Nothing in a .cs file can run code here, and no array is made that the file could not fill. What the columns
mean is core/cryosparc's business; writing rows back is cs_write.py's.

CSDAT (written by CryoSPARC since version 4, and by cryosparc-tools): the bytes 95 "CSDAT", a little-endian
uint32 and so many bytes of JSON (length, dtype, compressed_fields), then per column a uint32 and so many bytes,
plain or one LZ4 block, then a heap of zero-terminated texts into which columns of type "|O" hold uint64 offsets.
A dataset without rows has no column parts.
"""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.errors import AppError, InputError
from core.io.mrc_header import explained

NUMPY_MAGIC, CSDAT_MAGIC = b"\x93NUMPY", b"\x95CSDAT"
BLOCK_ROWS = 1 << 16
_BLOCK_BYTES = 64 << 20
_MOST_HEADER = 1_000_000  # characters of an .npy header: 20 classes need 14 000, numpy's own limit is 10 000
_MOST_JSON = 16 << 20
_MOST_ROWS = 1 << 40
_LZ4_RATIO = 255  # an LZ4 block cannot grow more than this
_HINT = "Choose a .cs file with particles, as CryoSPARC wrote it."

Block = Mapping[str, np.ndarray]  # column name -> rows of this block, in the file's own type


@dataclass(frozen=True)
class CsFile:
    """What the header of a .cs file says: `n` rows of `dtype`, whose texts are bytes (S) or, in CSDAT, objects."""

    path: Path
    n: int
    dtype: np.dtype[Any]
    csdat: bool
    offset: int  # of the first row, or of the first column part
    compressed: frozenset[str] = field(default_factory=frozenset)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, as in `blob/path`."""
        return self.dtype.names or ()

    def __contains__(self, name: str) -> bool:
        return name in self.names


def open_cs(path: Path | str) -> CsFile:
    """Read the header alone. `InputError` for what is no dataset, would have to run code, or is cut short."""
    path = Path(path)
    with explained(path), path.open("rb") as stream:
        magic = stream.read(6)
        if magic == CSDAT_MAGIC:
            return _open_csdat(path, stream)
        if magic == NUMPY_MAGIC:
            return _open_npy(path, stream)
        raise InputError(f"{path} is not a CryoSPARC dataset: {_what_instead(magic + stream.read(500))}.", _HINT, path)


def _what_instead(start: bytes) -> str:
    if not start:
        return "it is empty (0 bytes)"
    if start.startswith(b"PK"):
        return "it is a zip archive"
    if b"\0" in start:
        return "it is another binary file"
    text = start.decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    if text.startswith(("using ", "namespace ", "//", "/*")):
        return "it looks like C# source code"
    if text.startswith("<"):
        return "it looks like a web page"
    return f"it is text that begins with {text.splitlines()[0][:40]!r}" if text else "it is blank"


# ---- numpy's container ----------------------------------------------------------------------------------


def _open_npy(path: Path, stream: BinaryIO) -> CsFile:
    stream.seek(0)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        size = struct.unpack("<H" if version == (1, 0) else "<I", stream.read(2 if version == (1, 0) else 4))[0]
        if size > _MOST_HEADER:
            raise ValueError(f"its header claims {size} bytes")
        stream.seek(8)
        shape, _, dtype = read(stream, max_header_size=_MOST_HEADER)
    except AppError:
        raise
    except Exception as err:  # whatever a damaged header makes of numpy's parser
        reason = str(err).splitlines()[0][:120] if str(err) else type(err).__name__
        raise InputError(f"{path} has a damaged header: {reason}.", "Copy it again from its source.", path) from None
    if dtype.hasobject:
        raise InputError(
            f"{path} holds Python objects, which could run code when read, and is refused.",
            "Save it again from CryoSPARC or cryosparc-tools.",
            path,
        )
    if dtype.names is None or len(shape) != 1 or dtype.itemsize == 0:
        raise InputError(f"{path} is a plain array of numbers, not a table of particles.", _HINT, path)
    return _checked(CsFile(path, int(shape[0]), dtype, False, stream.tell()))


def _checked(file: CsFile) -> CsFile:
    there = max(0, file.path.stat().st_size - file.offset) // file.dtype.itemsize
    if file.n < 0 or file.n > there:
        raise InputError(
            f"{file.path} is cut short: {file.n} rows are declared, {there} are present.",
            "Copy it again from its source.",
            file.path,
        )
    return file


def _npy_blocks(file: CsFile, names: list[str], rows: int) -> Iterator[Block]:
    rows = min(rows, max(1, _BLOCK_BYTES // file.dtype.itemsize))
    with explained(file.path), file.path.open("rb", buffering=0) as stream:
        stream.seek(file.offset)
        for first in range(0, file.n, rows):
            part = np.empty(min(rows, file.n - first), file.dtype)
            if _fill(stream, part) < part.nbytes:
                raise _changed(file)
            yield {name: part[name] for name in names}


def _fill(stream: Any, out: np.ndarray) -> int:
    """Bytes read into `out`."""
    view = out.view(np.uint8).reshape(-1).data if out.size else memoryview(b"")
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            break
        done += count
    return done


def _changed(file: CsFile) -> InputError:
    return InputError(f"{file.path} changed while it was read.", "Wait until its job has ended, then try again.")


# ---- CSDAT ----------------------------------------------------------------------------------------------


def _open_csdat(path: Path, stream: BinaryIO) -> CsFile:
    damaged = InputError(f"{path} has a damaged CSDAT header.", "Copy it again from its source.", path)
    raw = stream.read(4)
    size = struct.unpack("<I", raw)[0] if len(raw) == 4 else _MOST_JSON + 1
    text = stream.read(size) if size <= _MOST_JSON else b""
    if len(text) != size:
        raise damaged
    try:
        header = json.loads(text)
        n, fields, packed = header["length"], header["dtype"], header["compressed_fields"]
        dtype = np.dtype([_csdat_field(*entry) for entry in fields])
        compressed = frozenset(packed)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError, MemoryError, SyntaxError):
        raise damaged from None
    if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n < _MOST_ROWS or not dtype.names:
        raise damaged
    file = CsFile(path, n, dtype, True, stream.tell(), compressed)
    _check_parts(file, stream)
    return file


def _check_parts(file: CsFile, stream: BinaryIO) -> None:
    """Is every column part there, and can it hold as many rows as are declared?"""
    start = stream.tell()
    end = stream.seek(0, io.SEEK_END)
    stream.seek(start)
    for name in file.names if file.n else ():
        raw = stream.read(4)
        size = struct.unpack("<I", raw)[0] if len(raw) == 4 else end
        base, shape = _base(file.dtype[name])
        needed = file.n * math.prod(shape) * (8 if base.kind == "O" else base.itemsize)
        held = _LZ4_RATIO * size + 64 if name in file.compressed else size
        if stream.tell() + size > end or needed > held:
            raise _cut_short(file, name)
        stream.seek(size, io.SEEK_CUR)


def _csdat_field(name: str, kind: str, shape: list[int] | None = None) -> tuple[Any, ...]:
    dtype = np.dtype(object) if kind in ("|O", "O") else np.dtype(kind)
    if dtype.kind not in "iufbcSO" or dtype.names:
        raise ValueError(kind)
    sides = tuple(int(side) for side in shape or ())
    if any(side < 0 for side in sides) or math.prod(sides) > 1 << 20:
        raise ValueError(sides)
    return (str(name), dtype, sides) if sides else (str(name), dtype)


def _csdat_columns(file: CsFile, wanted: set[str]) -> dict[str, np.ndarray]:
    """The wanted columns, whole; texts as bytes in an object array."""
    columns: dict[str, np.ndarray] = {}
    texts: list[str] = []
    with explained(file.path), file.path.open("rb") as stream:
        end = stream.seek(0, io.SEEK_END)
        stream.seek(file.offset)
        for name in file.names if file.n else ():
            raw = stream.read(4)
            size = struct.unpack("<I", raw)[0] if len(raw) == 4 else end
            if stream.tell() + size > end:
                raise _cut_short(file, name)
            if name not in wanted:
                stream.seek(size, io.SEEK_CUR)
                continue
            base, shape = _base(file.dtype[name])
            texts += [name] if base.kind == "O" else []
            columns[name] = _unpacked(file, name, stream.read(size), base, (file.n, *shape))
        heap = stream.read() if texts else b""
    for name in texts:
        columns[name] = _texts(file, columns[name], heap)
    return columns


def _base(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of one row's value."""
    return dtype.subdtype or (dtype, ())


def _cut_short(file: CsFile, name: str) -> InputError:
    return InputError(
        f"{file.path} is cut short: its {file.n} rows of {name} are not all there.",
        "Copy it again from its source.",
        file.path,
    )


def _unpacked(file: CsFile, name: str, raw: bytes, base: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    stored = np.dtype("<u8") if base.kind == "O" else base
    size = math.prod(shape) * stored.itemsize
    if name in file.compressed:
        if size > _LZ4_RATIO * len(raw) + 64:
            raise _cut_short(file, name)
        import pyarrow as pa

        try:
            raw = pa.decompress(raw, decompressed_size=size, codec="lz4_raw", asbytes=True)
        except (OSError, pa.ArrowException) as err:
            raise InputError(
                f"{file.path} is damaged: its column {name} cannot be unpacked ({err}).",
                "Copy it again from its source.",
                file.path,
            ) from None
    if len(raw) != size:
        raise _cut_short(file, name)
    return np.frombuffer(raw, stored).reshape(shape)


def _texts(file: CsFile, offsets: np.ndarray, heap: bytes) -> np.ndarray:
    """Texts by their offsets in the heap: every distinct one is cut out once."""
    places, which = np.unique(offsets, return_inverse=True)
    if places.size and int(places[-1]) >= len(heap):
        raise InputError(
            f"{file.path} is cut short: some of its texts are missing.", "Copy it again from its source.", file.path
        )
    values = np.empty(len(places), object)
    for i, place in enumerate(places.tolist()):
        end = heap.find(b"\0", place)
        values[i] = heap[place : end if end >= 0 else len(heap)]
    return values[which.reshape(offsets.shape)]


# ---- both -----------------------------------------------------------------------------------------------


def read_blocks(file: CsFile, wanted: Callable[[str], bool], rows: int = BLOCK_ROWS) -> Iterator[Block]:
    """The wanted columns, `rows` rows at a time (none when there are no rows).

    Texts are bytes, zero-padded in numpy's container (S), exact in CSDAT (object). CSDAT is unpacked column by
    column, so there the wanted columns must fit into memory.
    """
    names = [name for name in file.names if wanted(name)]
    if not file.csdat:
        yield from _npy_blocks(file, names, rows)
        return
    columns = _csdat_columns(file, set(names))
    for first in range(0, file.n, rows):
        yield {name: columns[name][first : first + rows] for name in names}


def read_columns(path: Path | str, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, np.ndarray]:
    """Whole columns of a small dataset: numbers in native byte order, texts as str (object arrays)."""
    file = open_cs(path)
    blocks = list(read_blocks(file, wanted))
    columns: dict[str, np.ndarray] = {}
    for name in filter(wanted, file.names):
        base, shape = _base(file.dtype[name])
        columns[name] = _native(np.concatenate([b[name] for b in blocks]) if blocks else np.empty((0, *shape), base))
    return columns


def _native(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "SO":
        return np.array([as_text(v) for v in values.tolist()], object)
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def as_text(value: object) -> str:
    """A text of a dataset; bytes that are not UTF-8 are kept readable as escapes."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
