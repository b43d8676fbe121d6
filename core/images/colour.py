"""How values become colours: levels, gamma, inversion and the colour table, as one small value.

Painters of any kind (8-bit tiles, shaders) use the same 256 colours, so they agree.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from core.images.contrast import lookup_table

LUTS = ("grey",)


@dataclass(frozen=True)
class Look:
    """Linear from `black` to `white`, then gamma (> 1 brightens the middle), maybe inverted, then the table `lut`."""

    black: float = 0.0
    white: float = 1.0
    gamma: float = 1.0
    invert: bool = False
    lut: str = "grey"


@functools.lru_cache(maxsize=64)
def colours(lut: str = "grey", gamma: float = 1.0, invert: bool = False) -> np.ndarray:
    """(256,) uint32 0xffRRGGBB for a linear position 0..255 between black and white; do not write into it."""
    grey = lookup_table(gamma, invert).astype(np.uint32)
    table = 0xFF000000 | (grey << 16) | (grey << 8) | grey
    table.flags.writeable = False
    return table
