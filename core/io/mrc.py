"""Reading MRC images and stacks: memory map, or one image as float32.

The header lives in mrc_header.py, writing in mrc_write.py; their public names are importable from here too.
x = column, y = row as stored, row 0 first; volumes are (z, y, x).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError, ResourceError
from core.io.mrc_header import MrcInfo, explained, opener_of, read_extended_header, read_header
from core.io.mrc_write import MrcStackWriter, write_mrc

__all__ = [
    "MrcInfo",
    "MrcStackWriter",
    "open_mrc",
    "read_extended_header",
    "read_header",
    "read_image",
    "replace_not_finite",
    "write_mrc",
]

log = logging.getLogger(__name__)

BLOCK_BYTES = 4 << 20  # one read or conversion: short enough to leave the interpreter lock to the window


def _check_length(info: MrcInfo) -> None:
    needed = info.data_offset + info.shape[0] * info.image_bytes
    size = info.path.stat().st_size
    if size < needed:
        raise _cut_short(info, needed, size)


def _cut_short(info: MrcInfo, needed: int, size: int) -> InputError:
    return InputError(
        f"{info.path} is cut short: its header promises {needed} bytes and only {size} are there.",
        "Copy it again from its source.",
        info.path,
    )


def _decode(info: MrcInfo, first: int = 0, count: int | None = None) -> np.ndarray:
    """Decompress `count` sections from `first` on: what the header promises, never more. (count, ny, nx)"""
    count = info.shape[0] if count is None else count
    start, total = info.data_offset + first * info.image_bytes, count * info.image_bytes
    _check_memory(info, total)
    data = np.empty(total, np.uint8)
    view = data.data
    opener = opener_of(info.path) or (lambda: info.path.open("rb"))
    with opener() as stream:
        done = 0
        while done < start + total:
            left = start - done if done < start else start + total - done
            chunk = stream.read(min(BLOCK_BYTES, left))
            if not chunk:
                raise _cut_short(info, info.data_offset + info.shape[0] * info.image_bytes, done)
            if done >= start:
                view[done - start : done - start + len(chunk)] = chunk
            done += len(chunk)
    return data.view(info.dtype).reshape(count, *info.shape[1:])


def _check_memory(info: MrcInfo, needed: int) -> None:
    """A lying header in a small compressed file must not exhaust the machine."""
    import psutil

    if needed > 0.9 * psutil.virtual_memory().available:
        raise ResourceError(
            f"{info.path} needs {needed / 2**30:.1f} GiB of memory when decompressed.",
            "Decompress it on disk first: plain files are read piece by piece.",
        )


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


def read_image(path: Path | str, index: int = 0, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
    """One image as float32 (ny, nx): C-contiguous, native byte order, its own memory, every value finite.

    NaN and infinities become the median of the finite values (a warning is logged). `cancelled` is asked
    between blocks; when it says yes, the rest of the array stays zero and the caller must drop it.
    """
    path = Path(path)
    info = read_header(path)
    if not 0 <= index < info.shape[0]:
        raise InputError(
            f"{path} has {info.shape[0]} image(s), so there is no number {index + 1}.",
            "Choose another.",
            path,
        )
    with explained(path):
        if info.compressed:
            image = np.ascontiguousarray(_decode(info, index, 1)[0], dtype=np.float32)
        else:
            _check_length(info)
            image = _read_plain(info, index, cancelled)
    return replace_not_finite(image, path) if info.dtype.kind == "f" else image


def _read_plain(info: MrcInfo, index: int, cancelled: Callable[[], bool] | None) -> np.ndarray:
    """Read row blocks into float32. No memory map: a vanished network disk is an error here, not a crash."""
    _, ny, nx = info.shape
    image = np.zeros((ny, nx), np.float32)
    direct = info.dtype == np.dtype(np.float32)
    rows = max(1, BLOCK_BYTES // (nx * max(info.dtype.itemsize, 4)))
    scratch = np.empty(0 if direct else rows * nx, info.dtype)
    with info.path.open("rb", buffering=0) as stream:
        stream.seek(info.data_offset + index * info.image_bytes)
        for top in range(0, ny, rows):
            if cancelled is not None and cancelled():
                break
            target = image[top : top + rows].reshape(-1)  # rows are contiguous: a view
            buffer = target if direct else scratch[: target.size]
            _fill(stream, buffer.view(np.uint8).data, info)
            if not direct:
                target[...] = buffer
    return image


def _fill(stream: Any, view: memoryview, info: MrcInfo) -> None:
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            needed = info.data_offset + info.shape[0] * info.image_bytes
            raise _cut_short(info, needed, info.path.stat().st_size)
        done += count


def replace_not_finite(image: np.ndarray, path: Path | str = "image") -> np.ndarray:
    """Put the finite median where `image` (ny, nx) is NaN or infinite, in place; log how many."""
    bad = 0
    rows = max(1, BLOCK_BYTES // (image.shape[1] * 4))
    blocks = [image[top : top + rows] for top in range(0, image.shape[0], rows)]
    # A sum is finite only when every term is: one cheap pass for the normal case.
    with np.errstate(invalid="ignore", over="ignore"):
        suspects = [block for block in blocks if not np.isfinite(block.sum(dtype=np.float64))]
    if not suspects:
        return image
    finite = image[np.isfinite(image)]
    median = np.float32(np.median(finite)) if finite.size else np.float32(0)
    for block in suspects:
        wrong = ~np.isfinite(block)
        bad += int(wrong.sum())
        block[wrong] = median
    log.warning("%s: %d pixels are NaN or infinite; replaced by the median %g", Path(path).name, bad, median)
    return image
