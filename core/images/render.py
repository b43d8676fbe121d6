"""A whole image in its colours, some rows at a time: 8-bit grey, or RGB where the colour table has colour.

The same 256 colours as on the screen (colour.py). Painting scale bars over the rows is app/viewer/export.py;
writing them, core/io/png.py and core/io/tiff_write.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from core.images.colour import Look, colours
from core.images.contrast import to_8bit

BLOCK_VALUES = 1 << 20  # pixels at once: a few MB of scratch, and every call short


def channel_table(look: Look) -> np.ndarray:
    """(256, 3) uint8 red, green, blue for a linear position between black and white."""
    packed = colours(look.lut, look.gamma, look.invert)
    return np.stack([packed >> 16, packed >> 8, packed], axis=1).astype(np.uint8)


def is_grey(look: Look) -> bool:
    """Whether this look has no colour."""
    table = channel_table(look)
    return bool((table[:, :1] == table).all())


def render(values: np.ndarray, look: Look, grey: bool | None = None) -> np.ndarray:
    """uint8 (ny, nx) of float32 (ny, nx) when `grey` (None: when the look is), else (ny, nx, 3)."""
    table = channel_table(look)
    place = to_8bit(values, look.black, look.white)
    if is_grey(look) if grey is None else grey:
        return table[:, 0][place]
    return table[place]


def row_blocks(shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """(top, bottom) of blocks of rows that cover (ny, nx), all but the last `block_rows` high."""
    step = block_rows(shape)
    for top in range(0, shape[0], step):
        yield top, min(top + step, shape[0])


def block_rows(shape: tuple[int, int]) -> int:
    """Rows of one block of an image of (ny, nx)."""
    return min(shape[0], max(1, BLOCK_VALUES // shape[1]))
