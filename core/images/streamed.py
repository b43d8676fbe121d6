"""A pyramid straight from a file: rows are read, converted and halved block by block while they are in the cache.

Everything is touched once, and memory never exceeds the pyramid and one block. Halving lives in pyramid.py.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from core.images.pyramid import (
    Cancelled,
    Pyramid,
    build_pyramid,
    empty_levels,
    halve_into,
    halve_rows,
    level_shapes,
    ranges_of,
)
from core.images.source import ImageSource
from core.io.finite import LARGEST, Mended, Tell, replace_not_finite
from core.io.rows import RowLayout, open_rows

log = logging.getLogger(__name__)

_DEPTH = 2  # levels made of a block at once; the calls for smaller ones cost more than the memory they spare


def _never() -> bool:
    return False


def load_pyramid(source: ImageSource, index: int = 0, cancelled: Callable[[], bool] | None = None) -> Pyramid:
    """Image `index` of a file with all its levels, every value finite; `Cancelled` within a block of `cancelled()`."""
    stop = cancelled or _never
    mended: list[Mended] = []
    layout = source.rows(index)
    if layout is None:
        image = source.read(index, stop, mended.append)
        if stop():
            raise Cancelled
        pyramid = build_pyramid(image, source.pixel_size_a, source.path.name, source.n, index, stop)
        return replace(pyramid, not_finite=_told(mended), label=source.label)
    levels = _read_levels(layout, stop, mended.append)
    bad = _told(mended)
    name, grey = source.path.name, ranges_of(levels, stop)
    return Pyramid(tuple(levels), source.pixel_size_a, name, source.n, index, grey, not_finite=bad, label=source.label)


def _told(mended: list[Mended]) -> int:
    """How many pixels were not finite; the log hears of it."""
    for one in mended:
        log.warning("%s", one.sentence)
    return sum(one.bad for one in mended)


def _read_levels(layout: RowLayout, stop: Callable[[], bool], tell: Tell) -> list[np.ndarray]:
    ny, nx = layout.shape
    levels = empty_levels(level_shapes(ny, nx))
    rows = layout.block_rows()
    depth = min(_DEPTH, rows.bit_length() - 1, len(levels) - 1)
    scratch = np.empty((rows // 2) * nx, np.float32)
    with open_rows(layout) as reader, np.errstate(invalid="ignore", over="ignore"):  # infinities: see below
        for top in range(0, ny, rows):
            if stop():
                raise Cancelled
            block = levels[0][top : top + rows]
            reader.read(top, block)
            for number in range(1, depth + 1):  # `rows` is a power of two: blocks of every level begin at its pixels
                half = levels[number][top >> number : (top + rows) >> number]
                halve_rows(block, half, scratch)
                block = half
        reader.finish()
        _halve_rest(levels, depth, stop)
    if layout.dtype.kind == "f" and not _is_sane(levels):
        replace_not_finite(levels[0], layout.path, tell)
        _halve_rest(levels, 0, stop)
    return levels


def _is_sane(levels: list[np.ndarray]) -> bool:
    """A mean is finite only when all its pixels are, and at least a part of each: the last level tells."""
    part = 4.0 ** (len(levels) - 1)
    return max(float(levels[-1].max()), -float(levels[-1].min())) * part <= float(LARGEST)  # NaN is not


def _halve_rest(levels: list[np.ndarray], done: int, stop: Callable[[], bool]) -> None:
    for finer, coarser in itertools.pairwise(levels[done:]):
        halve_into(finer, coarser, stop)
