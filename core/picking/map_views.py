"""Views of a 3D map as templates: projections from an even set of directions, at the scale of the search.

A map is read slab by slab and averaged down before anything else, so that its size costs no memory. Axis order
(z, y, x); density of protein is positive, as maps are deposited, and comes out dark.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage as ndi

from core.errors import InputError
from core.picking.templates import Templates, template_size, turn_all

VIEW_STEP_DEG = 30.0  # between neighbouring directions
FINE = 2.0  # voxels per template px kept when a map is averaged down, at least


def directions(step_deg: float = VIEW_STEP_DEG) -> np.ndarray:
    """Unit vectors (n, 3), spread evenly over the sphere (a Fibonacci spiral), about `step_deg` apart."""
    count = max(2, round(4 * np.pi / np.deg2rad(step_deg) ** 2))
    i = np.arange(count) + 0.5
    z, angle = 1 - 2 * i / count, np.pi * (1 + np.sqrt(5)) * i
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), z], axis=1)


def frame(direction: np.ndarray) -> np.ndarray:
    """A rotation matrix (3, 3) whose rows are two axes across the direction (x, y, z) and the direction itself."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(direction, across), direction])


def map_views(path: Path, diameter: float, scale: float, step_deg: float) -> Templates:
    """Projections of a map, turned in their plane by every `step_deg`. `scale`: template px per voxel."""
    volume, factor, centre = _reduced(path, scale)
    size = template_size(diameter)
    zoom = scale * factor
    smooth = ndi.gaussian_filter(volume, 0.4 / zoom) if zoom < 1 else volume
    views = [_project(smooth, direction, size, zoom, centre) for direction in directions()]
    if not max(float(v.std()) for v in views) > 0:
        raise InputError(f"{path.name} holds one value only.", "Choose another map.", path)
    return turn_all([-v for v in views], diameter, step_deg, path.name)


def _project(volume: np.ndarray, direction: np.ndarray, size: int, zoom: float, centre: np.ndarray) -> np.ndarray:
    """Sum along a direction on a (size, size) grid, `zoom` of its px per voxel."""
    rows = frame(direction)[:, ::-1]  # components in the order (z, y, x) of the array
    matrix = rows[[2, 1, 0]].T / zoom  # output (depth, row, column) -> array
    offset: Any = centre - matrix @ np.full(3, size // 2)
    turned = ndi.affine_transform(volume, matrix, offset, (size, size, size), order=1)
    return np.asarray(turned.sum(axis=0))


def _reduced(path: Path, scale: float) -> tuple[np.ndarray, int, np.ndarray]:
    """The map averaged over cubes so that FINE voxels make a template px, the side of the cubes, and its centre."""
    from core.io.mrc import open_mrc

    stored = open_mrc(path)
    if stored.ndim != 3 or min(stored.shape) < 8 or max(stored.shape) > 4 * min(stored.shape):
        raise InputError(
            f"{path.name} is no 3D map: its shape is {' x '.join(map(str, stored.shape))}.", "Choose an .mrc map.", path
        )
    factor = max(1, int(1 / (scale * FINE)))
    nz, ny, nx = (n // factor for n in stored.shape)
    if max(nz, ny, nx) > 512:
        raise InputError(
            f"{path.name} is far larger than a particle of this diameter.", "Check --diameter and pixel sizes.", path
        )
    volume = np.empty((nz, ny, nx), np.float32)
    for z in range(nz):
        slab = np.asarray(stored[z * factor : (z + 1) * factor, : ny * factor, : nx * factor], np.float32)
        volume[z] = slab.reshape(factor, ny, factor, nx, factor).mean(axis=(0, 2, 4))
    if not np.isfinite(volume).all():
        raise InputError(f"{path.name} holds values that are not numbers.", "Export it again.", path)
    return volume, factor, (np.array([n // 2 for n in stored.shape]) - (factor - 1) / 2) / factor
