"""Sections and projections of a map as images of the viewer: arrays in memory become ImageSources.

The section across z shows x to the right and y down, as images and projections are stored; the one across y shows
x to the right and z down; the one across x shows z to the right and y down. So neighbours share an axis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.images.contrast import auto_levels, ordered
from core.images.pyramid import Cancelled, Pyramid, empty_levels, halve_into, level_shapes
from core.images.source import ImageKey
from core.io.rows import RowLayout
from core.volumes.volume import SAMPLE, Volume

PROJECTIONS = ("sum", "max")
_BLOCK_VALUES = 1 << 20


@dataclass(frozen=True)
class Plane:
    """One of the three directions. Axes are numbers of the array: 0 = z, 1 = y, 2 = x."""

    name: str
    axis: int  # looked along
    right: int  # from left to right
    down: int  # from top to bottom

    @property
    def words(self) -> str:
        """`x →, y ↓`."""
        return f"{'zyx'[self.right]} →, {'zyx'[self.down]} ↓"


PLANES = {"z": Plane("z", 0, 2, 1), "x": Plane("x", 2, 0, 1), "y": Plane("y", 1, 2, 0)}


class SliceSource:
    """The sections of a map along one axis as an ImageSource of `n` images."""

    def __init__(self, volume: Volume, plane: Plane) -> None:
        self._volume, self._plane = volume, plane
        self.path = volume.path or Path(volume.title or "map")
        self.n = volume.shape[plane.axis]
        self.shape = (volume.shape[plane.down], volume.shape[plane.right])
        self.pixel_size_a = volume.pixel_size_a

    def read(self, index: int = 0, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
        """Section `index` as float32 (ny, nx), its own memory."""
        if not 0 <= index < self.n:
            raise ValueError(f"there are {self.n} sections along {self._plane.name}, no number {index}")
        return np.array(_upright(np.take(self._volume.values, index, self._plane.axis), self._plane), np.float32)

    def rows(self, index: int = 0, count: int = 1) -> RowLayout | None:
        """None: the pixels are in memory, not in rows of a file."""
        return None

    def key(self, index: int = 0) -> ImageKey:
        """Names the array and the section; another array has another key."""
        return (f"{self.path}#{self._plane.name}", id(self._volume.values), self._volume.nbytes, index)


def _upright(section: np.ndarray, plane: Plane) -> np.ndarray:
    """The section as it is shown: its axes are in the order of the array, `down` must come first."""
    return section.T if plane.down > plane.right else section


def project(values: np.ndarray, plane: Plane, how: str, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
    """float32 (ny, nx): sum or maximum of (z, y, x) along the axis of a plane; `Cancelled` when `cancelled()`.

    The sum along z is the projection of the map at Euler angles zero.
    """
    if how not in PROJECTIONS:
        raise ValueError(f"how must be sum or max, not {how}")
    parts = []
    step = max(1, _BLOCK_VALUES // (values.shape[1] * values.shape[2]))
    for top in range(0, values.shape[0], step):
        if cancelled is not None and cancelled():
            raise Cancelled
        block = values[top : top + step]
        parts.append(block.sum(plane.axis, dtype=np.float64) if how == "sum" else block.max(plane.axis))
    if plane.axis == 0:
        whole = np.sum(parts, axis=0) if how == "sum" else np.max(parts, axis=0)
    else:
        whole = np.concatenate(parts)
    return np.ascontiguousarray(_upright(whole, plane), np.float32)


def grey_range(volume: Volume) -> tuple[float, float]:
    """Automatic (black, white) for all sections: percentiles of the whole box, and of its middle with the particle."""
    inner = tuple(slice(size // 4, max(size // 4 + 1, size - size // 4)) for size in volume.shape)
    ranges = [auto_levels(sample(part)) for part in (volume.values, volume.values[inner])]
    return ordered(min(low for low, _ in ranges), max(high for _, high in ranges))


def sample(values: np.ndarray, limit: int = SAMPLE) -> np.ndarray:
    """About `limit` values of (z, y, x) on a regular grid, as a picture (n, m)."""
    step = max(1, round((values.size / limit) ** (1 / 3)))
    some = values[::step, ::step, ::step]
    return some.reshape(some.shape[0], -1)


def pyramid_of(image: np.ndarray, volume: Volume, levels: tuple[float, float], n: int = 1, index: int = 0) -> Pyramid:
    """A picture of the viewer with these automatic (black, white) at every zoom, so that all planes agree."""
    shapes = level_shapes(image.shape[0], image.shape[1])[1:]
    pictures = [np.ascontiguousarray(image, np.float32)]
    for half in empty_levels(shapes) if shapes else ():
        halve_into(pictures[-1], half)
        pictures.append(half)
    ranges = (levels,) * len(pictures)
    return Pyramid(tuple(pictures), volume.pixel_size_a, volume.title, n, index, ranges)
