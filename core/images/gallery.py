"""Many small images of a stack at once, reduced to thumbnails: what a gallery of particles shows.

Only the frames asked for are read, a few at a time. Large micrographs have preview.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images.pyramid import Cancelled
from core.images.source import ImageSource, open_source
from core.io.rows import BLOCK_BYTES, open_rows

_LARGEST = np.float32(1e30)


def montage_frames(
    path: Path | str,
    first: int = 0,
    count: int = 100,
    bin: int = 1,
    cancelled: Callable[[], bool] | None = None,
) -> np.ndarray:
    """Frames `first` to `first + count - 1` of a stack, as far as there are so many: float32 (n, h, w), finite.

    A pixel is the mean of `bin` x `bin` pixels, at the last row and column of what is there: h = ceil(ny / bin).
    `Cancelled` between blocks of frames when `cancelled()`.
    """
    if bin < 1:
        raise ValueError(f"bin must be 1 or more, not {bin}")
    source = open_source(path)
    count = min(count, source.n - first)
    if first < 0 or count < 1:
        raise InputError(f"{source.path} has {source.n} image(s), not {first + 1}.", "Choose others.", source.path)
    ny, nx = source.shape
    frames = np.empty((count, -(-ny // bin), -(-nx // bin)), np.float32)
    layout = source.rows(first, count)
    if layout is None:
        _read_singly(source, first, bin, frames, cancelled)
    else:
        several = max(1, BLOCK_BYTES // (4 * ny * nx))
        buffer = np.empty((several * ny, nx), np.float32)
        with open_rows(layout) as reader:
            for start in range(0, count, several):
                _check(cancelled)
                stop = min(start + several, count)
                block = buffer[: (stop - start) * ny]
                reader.read(start * ny, block)
                _tame(block)
                binned(block.reshape(-1, ny, nx), bin, frames[start:stop])
    for frame in frames:
        fine = np.isfinite(frame)
        if not fine.all():
            frame[~fine] = np.median(frame[fine]) if fine.any() else 0.0
    return frames


def _read_singly(
    source: ImageSource, first: int, bin: int, frames: np.ndarray, cancelled: Callable[[], bool] | None
) -> None:
    for number in range(len(frames)):
        _check(cancelled)
        image = source.read(first + number, cancelled)
        _tame(image)
        binned(image[None], bin, frames[number : number + 1])


def _check(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled


def _tame(images: np.ndarray) -> None:
    """Cut damage off, in place: sums of what is left stay finite. NaN and infinities stay and are seen to later."""
    if not (images.min() >= -_LARGEST and images.max() <= _LARGEST):
        images[np.isfinite(images) & (images > _LARGEST)] = _LARGEST
        images[np.isfinite(images) & (images < -_LARGEST)] = -_LARGEST


def binned(images: np.ndarray, bin: int, out: np.ndarray) -> None:
    """Means of `bin` x `bin` pixels of (n, ny, nx) into float32 `out` (n, ceil(ny / bin), ceil(nx / bin))."""
    if bin == 1:
        out[...] = images
        return
    ny, nx = images.shape[1:]
    rows = np.zeros((len(images), out.shape[1], nx), np.float32)
    for offset in range(min(bin, ny)):  # strided sums: several times as fast as sums over axes of a reshaped array
        part = images[:, offset::bin]
        rows[:, : part.shape[1]] += part
    out[...] = 0
    for offset in range(min(bin, nx)):
        part = rows[:, :, offset::bin]
        out[:, :, : part.shape[2]] += part
    out /= _counts(ny, bin)[:, None] * _counts(nx, bin)


def _counts(size: int, bin: int) -> np.ndarray:
    """How many pixels of a side of `size` go into each binned one."""
    counts = np.full(-(-size // bin), bin, np.float32)
    counts[-1] = size - (len(counts) - 1) * bin
    return counts
