"""Rows of one image as they lie in a file: where they begin, their type, and reading some of them as float32.

MRC sections and uncompressed TIFF pages are such rows; mrc.py and tiff.py say where. Nothing is kept in memory,
and nothing is mapped: a network disk that vanishes is an error here, not the end of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from core.errors import InputError
from core.io.compressed import SLACK_BYTES
from core.io.file_errors import explained

BLOCK_BYTES = 1 << 20  # of float32: about what a core's own cache holds; half a millisecond, when plain

_HALF_SHIFT = 13  # float16 keeps 10 of the 23 bits of a float32 mantissa
_HALF_MASK = np.int32(-0x70002000)  # sign, 5 bits of exponent, 10 of mantissa, each where float32 wants it
_HALF_SCALE = np.float32(2.0**112)  # the two exponents count from 15 and from 127


def row_bytes(nx: int, dtype: np.dtype[Any], packed: bool) -> int:
    """Bytes that `nx` pixels take."""
    return (nx + 1) // 2 if packed else nx * dtype.itemsize


@dataclass(frozen=True)
class RowLayout:
    """Image of `shape` (ny, nx), rows of `dtype` (the file's byte order) one after another from byte `offset`."""

    path: Path
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    opener: Callable[[], BinaryIO] | None = None  # of a compressed file: offset counts decompressed bytes
    packed: bool = False  # two pixels of 4 bits in a byte, the low half first; every row begins a byte

    @property
    def seekable(self) -> bool:
        """Whether some rows can be read without those before them."""
        return self.opener is None

    @property
    def row_bytes(self) -> int:
        """Bytes of one row in the file, decompressed."""
        return row_bytes(self.shape[1], self.dtype, self.packed)

    @property
    def nbytes(self) -> int:
        """Bytes of the image in the file, decompressed."""
        return self.shape[0] * self.row_bytes

    def block_rows(self) -> int:
        """How many rows are worth reading at once: a power of two."""
        rows = max(2, BLOCK_BYTES // (4 * self.shape[1]))
        return 1 << (rows.bit_length() - 1)


class RowReader:
    """Reads rows of one image into float32 arrays; of a compressed file only forwards."""

    def __init__(self, layout: RowLayout, stream: Any) -> None:
        self._layout, self._stream = layout, stream
        self._place = 0  # byte the stream is at
        self._row_bytes = layout.row_bytes
        self._direct = layout.dtype == np.dtype(np.float32)
        self._scratch = np.empty(0, layout.dtype)

    def read(self, top: int, out: np.ndarray) -> None:
        """Rows `top`, top + 1, ... into C-contiguous float32 `out` (count, nx)."""
        raw = self._raw(out)
        self.read_raw(top, raw)
        self._convert(raw, out)

    def read_raw(self, top: int, out: np.ndarray) -> None:
        """The same into an array of the file's own type; of packed pixels the bytes (count, row_bytes)."""
        self._go_to(self._layout.offset + top * self._row_bytes)
        self._fill(out.reshape(-1).view(np.uint8).data)

    def read_each(self, tops: Iterable[int], out: np.ndarray) -> None:
        """The rows `tops`, one by one, into the rows of C-contiguous float32 `out` (count, nx)."""
        raw = self._raw(out)
        view, size, offset = raw.reshape(-1).view(np.uint8).data, self._row_bytes, self._layout.offset
        for number, top in enumerate(tops):
            self._go_to(offset + top * size)
            self._fill(view[number * size : (number + 1) * size])
        self._convert(raw, out)

    def _raw(self, out: np.ndarray) -> np.ndarray:
        """Where bytes of the file may go that become `out`: `out` itself when they are what it holds."""
        if self._direct:
            return out
        width = self._row_bytes // self._layout.dtype.itemsize
        size = out.shape[0] * width
        if self._scratch.size < size:
            self._scratch = np.empty(size, self._layout.dtype)
        return self._scratch[:size].reshape(-1, width)

    def _convert(self, raw: np.ndarray, out: np.ndarray) -> None:
        if self._layout.packed:
            unpack(raw, out)
        elif raw is not out:
            to_float32(raw.reshape(-1), out.reshape(-1))

    def finish(self) -> None:
        """After the last row: go on to the end of a compressed file where it is near, for its checksum stands there."""
        if not self._layout.seekable:
            self._stream.read(SLACK_BYTES)

    def _go_to(self, place: int) -> None:
        if place == self._place:
            return
        if self._layout.seekable:
            self._stream.seek(place)
        elif place < self._place:
            raise ValueError("a compressed file is read forwards")
        else:
            waste = np.empty(min(place - self._place, BLOCK_BYTES), np.uint8)
            while self._place < place:
                self._fill(waste[: place - self._place].data)
        self._place = place

    def _fill(self, view: memoryview) -> None:
        done = self._stream.readinto(view) or 0
        while done < len(view):
            count = self._stream.readinto(view[done:])
            if not count:
                raise cut_short(self._layout, self._place + done)
            done += count
        self._place += done


@contextmanager
def open_rows(layout: RowLayout) -> Iterator[RowReader]:
    """A reader of `layout`, open for the length of a `with`; what the system says is turned into sentences."""
    with explained(layout.path), layout.opener() if layout.opener else layout.path.open("rb", buffering=0) as stream:
        yield RowReader(layout, stream)


def read_rows(layout: RowLayout, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
    """The whole image as float32 (ny, nx); when `cancelled()` says yes, the rest of it stays zero."""
    image = np.zeros(layout.shape, np.float32)
    rows = layout.block_rows()
    with open_rows(layout) as reader:
        for top in range(0, layout.shape[0], rows):
            if cancelled is not None and cancelled():
                break
            reader.read(top, image[top : top + rows])
        else:
            reader.finish()
    return image


def cut_short(layout: RowLayout, size: int) -> InputError:
    """What to say when the file ends at byte `size`, before the image does."""
    needed = layout.offset + layout.nbytes
    return InputError(
        f"{layout.path} is cut short: its header promises {needed} bytes and only {size} are there.",
        "Copy it again from its source.",
        layout.path,
    )


def to_float32(raw: np.ndarray, out: np.ndarray) -> None:
    """Values of any real type and byte order (n,) into float32 `out` (n,)."""
    if raw.dtype.kind == "f" and raw.dtype.itemsize == 2:
        _half_to_float32(raw, out)
    else:
        np.copyto(out, raw, casting="same_kind" if raw.dtype.kind == "f" else "unsafe")


def unpack(raw: np.ndarray, out: np.ndarray) -> None:
    """Bytes (n, row_bytes) of two 4-bit pixels each, the low half first, into `out` (n, nx): values 0..15."""
    nx = out.shape[1]
    np.copyto(out[:, 0::2], raw[:, : (nx + 1) // 2] & 15)
    np.copyto(out[:, 1::2], raw[:, : nx // 2] >> 4)


def _half_to_float32(raw: np.ndarray, out: np.ndarray) -> None:
    """float16 to float32 by moving its bits, three times as fast as numpy's conversion; the same values."""
    wide = out.view(np.int32)
    np.copyto(wide, raw.view(np.dtype(np.int16).newbyteorder(raw.dtype.byteorder)))  # the sign fills the upper half
    np.left_shift(wide, _HALF_SHIFT, out=wide)
    np.bitwise_and(wide, _HALF_MASK, out=wide)
    np.multiply(out, _HALF_SCALE, out=out)
    if out.size and max(float(out.max()), -float(out.min())) >= 65536.0:
        np.copyto(out, raw)  # NaN and infinities have no place in this arithmetic
