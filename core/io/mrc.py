"""Reading MRC images and stacks: memory map, or one image as float32.

The header lives in mrc_header.py, writing in mrc_write.py; their public names are importable from here too.
x = column, y = row as stored, row 0 first; volumes are (z, y, x).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from core.errors import InputError, ResourceError
from core.io.file_errors import explained
from core.io.finite import LARGEST, Tell, replace_not_finite
from core.io.mrc_header import MrcInfo, opener_of, read_extended_header, read_header
from core.io.mrc_write import MrcStackWriter, write_mrc
from core.io.rows import RowLayout, open_rows, read_rows, unpack

__all__ = [
    "LARGEST",
    "MrcInfo",
    "MrcStackWriter",
    "image_rows",
    "open_mrc",
    "read_extended_header",
    "read_header",
    "read_image",
    "replace_not_finite",
    "write_mrc",
]


def _check_length(info: MrcInfo) -> None:
    needed = info.needed_bytes
    size = info.path.stat().st_size
    if size < needed:
        raise InputError(
            f"{info.path} is cut short: its header promises {needed} bytes and only {size} are there.",
            "Copy it again from its source.",
            info.path,
        )


def _check_images(info: MrcInfo, index: int, count: int) -> None:
    """Are these images there? Of a stack that is cut short those before can be seen."""
    if info.shape[0] == 1:
        _check_length(info)
        return
    there = max(0, info.path.stat().st_size - info.data_offset) // info.image_bytes
    if index + count > there:
        missing = max(there, index) + 1
        raise InputError(
            f"Image {missing} of {info.path} is missing: the file is cut short, "
            f"{there} of its {info.shape[0]} images are there.",
            "Copy it again from its source.",
            info.path,
        )


def _check_memory(info: MrcInfo, needed: int) -> None:
    """A lying header in a small compressed file must not exhaust the machine."""
    import psutil

    if needed > 0.9 * psutil.virtual_memory().available:
        raise ResourceError(
            f"{info.path} needs {needed / 2**30:.1f} GiB of memory when decompressed.",
            "Decompress it on disk first: plain files are read piece by piece.",
        )


def _decode(info: MrcInfo) -> np.ndarray:
    """All sections of a compressed or packed file (n, ny, nx), in its own type: what the header promises, no more."""
    _check_memory(info, info.shape[0] * info.shape[1] * info.shape[2] * info.dtype.itemsize)
    layout = _layout(info, 0, info.shape[0], opener_of(info.path))
    data = np.empty(layout.shape, info.dtype)
    rows = layout.block_rows()
    with open_rows(layout) as reader:
        for top in range(0, len(data), rows):
            block = data[top : top + rows]
            raw = np.empty((len(block), layout.row_bytes), np.uint8) if info.packed else block
            reader.read_raw(top, raw)
            if info.packed:
                unpack(raw, block)
        reader.finish()
    return data.reshape(info.shape)


def _layout(info: MrcInfo, index: int, count: int, opener: Callable[[], BinaryIO] | None) -> RowLayout:
    offset = info.data_offset + index * info.image_bytes
    return RowLayout(info.path, offset, info.dtype, (count * info.shape[1], info.shape[2]), opener, info.packed)


def open_mrc(path: Path | str) -> np.ndarray:
    """The pixels in the file's own type and byte order: (ny, nx) for one image, else (n, ny, nx).

    A read-only memory map when the file is plain, an array in memory when it is compressed or packed.
    """
    path = Path(path)
    info = read_header(path)
    with explained(path):
        if not info.compressed:
            _check_length(info)
        if info.compressed or info.packed:
            data = _decode(info)
        else:
            data = np.memmap(path, dtype=info.dtype, mode="r", offset=info.data_offset, shape=info.shape)
    return data[0] if info.shape[0] == 1 else data


def image_rows(info: MrcInfo, index: int = 0, count: int = 1) -> RowLayout:
    """Where the rows of `count` images from `index` on lie, as one tall image.

    `InputError` when there are no such images or the file is cut short before their end.
    """
    if not 0 <= index <= index + count - 1 < info.shape[0]:
        raise InputError(
            f"{info.path} has {info.shape[0]} image(s), so there is no number {index + count}.",
            "Choose another.",
            info.path,
        )
    with explained(info.path):
        if info.compressed:
            _check_memory(info, 4 * count * info.shape[1] * info.shape[2])
        else:
            _check_images(info, index, count)
        opener = opener_of(info.path) if info.compressed else None
    return _layout(info, index, count, opener)


def read_image(
    path: Path | str, index: int = 0, cancelled: Callable[[], bool] | None = None, tell: Tell | None = None
) -> np.ndarray:
    """One image as float32 (ny, nx): C-contiguous, native byte order, its own memory, every value finite.

    NaN and infinities become the median of the finite values; `tell` hears of it, or else the log. `cancelled` is asked
    between blocks; when it says yes, the rest of the array stays zero and the caller must drop it.
    """
    path = Path(path)
    info = read_header(path)
    layout = image_rows(info, index)
    with explained(path):
        image = read_rows(layout, cancelled)
    return replace_not_finite(image, path, tell) if info.dtype.kind == "f" else image
