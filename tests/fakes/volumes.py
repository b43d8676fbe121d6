"""Small maps for tests: a ball, and MRC files of maps with a header as other programs write it."""

from __future__ import annotations

from pathlib import Path

import mrcfile
import numpy as np

from core.volumes.volume import Volume


def ball(size: int = 32, radius: float = 8.0, soft: float = 1.5, at: tuple[float, float, float] | None = None):
    """float32 (z, y, x): 1 inside, 0 outside, falling linearly; `at` is (z, y, x), the middle of the box without it."""
    middle = at or (size // 2,) * 3
    grid = np.indices((size,) * 3, dtype=np.float32)
    distance = np.sqrt(sum((axis - place) ** 2 for axis, place in zip(grid, middle, strict=True)))
    return np.clip(0.5 + (radius - distance) / (2 * soft), 0.0, 1.0).astype(np.float32)


def volume(size: int = 32, **more) -> Volume:
    """A ball as a map."""
    return Volume(ball(size), **({"pixel_size_a": 2.0, "title": "ball.mrc"} | more))


def write_map(
    path: Path, values: np.ndarray, pixel_size_a: float = 2.0, axes: tuple[int, int, int] = (1, 2, 3)
) -> Path:
    """A map with space group 1; `axes` are mapc, mapr, maps."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(np.asarray(values, np.float32))
        mrc.set_volume()
        mrc.voxel_size = pixel_size_a
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = axes
    return path
