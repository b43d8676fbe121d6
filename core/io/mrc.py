"""Reading MRC images and stacks: memory map, or one image as float32.

The header lives in mrc_header.py, writing in mrc_write.py; their public names are importable from here too.
x = column, y = row as stored, row 0 first; volumes are (z, y, x).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.errors import InputError, ResourceError
from core.io.mrc_header import MrcInfo, explained, opener_of, read_extended_header, read_header
from core.io.mrc_write import MrcStackWriter, write_mrc
from core.io.rows import RowLayout, open_rows, read_rows

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

log = logging.getLogger(__name__)

LARGEST = np.float32(1e37)
BLOCK_BYTES = 4 << 20  # one conversion: short enough to leave the interpreter lock to the window


def _check_length(info: MrcInfo) -> None:
    needed = info.data_offset + info.shape[0] * info.image_bytes
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
    """All sections of a compressed file (n, ny, nx), in its own type: what the header promises, never more."""
    _check_memory(info, info.shape[0] * info.image_bytes)
    sections, ny, nx = info.shape
    layout = RowLayout(info.path, info.data_offset, info.dtype, (sections * ny, nx), opener_of(info.path))
    data = np.empty((sections * ny, nx), info.dtype)
    rows = layout.block_rows()
    with open_rows(layout) as reader:
        for top in range(0, len(data), rows):
            reader.read_raw(top, data[top : top + rows])
    return data.reshape(info.shape)


def open_mrc(path: Path | str) -> np.ndarray:
    """The pixels in the file's own type and byte order: (ny, nx) for one image, else (n, ny, nx).

    A read-only memory map when the file is plain, an array in memory when it is compressed.
    """
    path = Path(path)
    info = read_header(path)
    with explained(path):
        if info.compressed:
            data = _decode(info)
        else:
            _check_length(info)
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
    offset = info.data_offset + index * info.image_bytes
    return RowLayout(info.path, offset, info.dtype, (count * info.shape[1], info.shape[2]), opener)


def read_image(path: Path | str, index: int = 0, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
    """One image as float32 (ny, nx): C-contiguous, native byte order, its own memory, every value finite.

    NaN and infinities become the median of the finite values (a warning is logged). `cancelled` is asked
    between blocks; when it says yes, the rest of the array stays zero and the caller must drop it.
    """
    path = Path(path)
    info = read_header(path)
    layout = image_rows(info, index)
    with explained(path):
        image = read_rows(layout, cancelled)
    return replace_not_finite(image, path) if info.dtype.kind == "f" else image


def replace_not_finite(image: np.ndarray, path: Path | str = "image") -> np.ndarray:
    """Put the finite median where `image` (ny, nx) is NaN or infinite, in place; log how many.

    Values beyond +-LARGEST, which are damage too, become that: four of them can be added.
    """
    rows = max(1, BLOCK_BYTES // (image.shape[1] * 4))
    blocks = [image[top : top + rows] for top in range(0, image.shape[0], rows)]
    suspects = [block for block in blocks if not (block.min() >= -LARGEST and block.max() <= LARGEST)]
    if not suspects:
        return image
    finite = image[np.isfinite(image)]
    median = np.float32(np.median(finite.astype(np.float64))) if finite.size else np.float32(0)
    bad = 0
    for block in suspects:
        wrong = ~np.isfinite(block)
        bad += int(wrong.sum())
        block[wrong] = median
        np.clip(block, -LARGEST, LARGEST, out=block)
    if bad:
        log.warning("%s: %d pixels are NaN or infinite; replaced by the median %g", Path(path).name, bad, median)
    else:
        log.warning("%s: some values are beyond %g and taken for that", Path(path).name, LARGEST)
    return image
