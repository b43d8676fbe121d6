"""How values become colours: levels, gamma, inversion and the colour table, as one small value.

Painters of any kind (8-bit tiles, shaders) use the same 256 colours, so they agree. The tables are data:
resources/colour_tables.toml tells where they come from.
"""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.images.contrast import lookup_table

TABLES = Path(__file__).resolve().parents[2] / "resources" / "colour_tables.toml"
LUTS = ("grey", "viridis", "magma", "inferno", "cividis", "diverging")
DIVERGING = ("diverging",)  # their middle means zero: gamma works outwards from it


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
    """(256,) uint32 0xffRRGGBB for a linear position 0..255 between black and white; do not write into it.

    In a diverging table the colours at equal distances from the middle stay a pair at every gamma: > 1 makes
    small differences stronger.
    """
    positions = _around_the_middle(gamma, invert) if lut in DIVERGING else lookup_table(gamma, invert)
    red, green, blue = table(lut)[positions].astype(np.uint32).T
    result = 0xFF000000 | (red << 16) | (green << 8) | blue
    result.flags.writeable = False
    return result


def table(lut: str) -> np.ndarray:
    """(256, 3) uint8 red, green, blue from the lowest to the highest value, gamma 1."""
    if lut not in LUTS:
        raise ValueError(f"unknown colour table {lut}")
    if lut == "grey":
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return np.frombuffer(bytes.fromhex(_texts()[lut]), np.uint8).reshape(256, 3)


@functools.cache
def _texts() -> dict[str, str]:
    return tomllib.loads(TABLES.read_text(encoding="utf-8"))


def _around_the_middle(gamma: float, invert: bool) -> np.ndarray:
    offset = np.linspace(-1.0, 1.0, 256)
    bent = np.copysign(np.abs(offset) ** (1.0 / gamma), offset)
    positions = np.rint(127.5 + 127.5 * bent).astype(np.uint8)
    return positions[::-1].copy() if invert else positions
