"""Surfaces of one level of a map: marching cubes (Lewiner et al. 2003, scikit-image) in short calls.

Vertices are (x, y, z) in Å from the middle of the box (voxels when the pixel size is unknown). The library holds the
interpreter lock while it works, so it gets slabs of a few sections: a window stays alive beside it, and a surface
that nobody waits for any more is given up. Drawing is app/viewer/surface_gl.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.images.colour import table
from core.images.pyramid import Cancelled
from core.volumes.volume import Volume

COARSE = 60_000  # triangles that can be drawn while a level or the view changes
MOST = 2_000_000  # of the surface at rest
_SLAB_CELLS = 1 << 17  # a call of about 10 ms
_POINTS = 1 << 15  # interpolated in one go
_LEAST_SIDE = 16  # of a binned map

Stop = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles of one level. `binning`: of how many voxels a side each sample was the mean; 1 is the whole map."""

    vertices: np.ndarray  # (n, 3) float32, x, y, z
    normals: np.ndarray  # (n, 3) float32, unit length, towards lower values
    faces: np.ndarray  # (m, 3) uint32
    level: float
    binning: int = 1
    colours: np.ndarray | None = None  # (n, 4) float32 red, green, blue, opacity
    colour_range: tuple[float, float] | None = None  # values of the first and the last colour

    @property
    def triangles(self) -> int:
        """How many there are."""
        return len(self.faces)


@dataclass(frozen=True, eq=False)
class Levels:
    """A map and its means over 2, 4, ... voxels a side: float32 (z, y, x) each."""

    arrays: tuple[np.ndarray, ...]
    pixel_size_a: float | None
    centre: tuple[int, int, int]  # (z, y, x) of the whole map


def build_levels(volume: Volume, cancelled: Stop | None = None) -> Levels:
    """Means over 2^k voxels a side until the smallest side is below 32; a last odd section is left out."""
    arrays = [volume.values]
    while min(arrays[-1].shape) >= 2 * _LEAST_SIDE:
        arrays.append(halve(arrays[-1], cancelled))
    return Levels(tuple(arrays), volume.pixel_size_a, volume.centre)


def halve(values: np.ndarray, cancelled: Stop | None = None) -> np.ndarray:
    """Means of 2 × 2 × 2 voxels of float32 (z, y, x), section by section."""
    nz, ny, nx = (size // 2 for size in values.shape)
    half = np.empty((nz, ny, nx), np.float32)
    for z in range(nz):
        if cancelled is not None and cancelled():
            raise Cancelled
        half[z] = halve_pair(values[2 * z : 2 * z + 2])
    return half


def halve_pair(pair: np.ndarray) -> np.ndarray:
    """Means of 2 × 2 × 2 voxels of two sections (2, ny, nx): float32 (ny // 2, nx // 2)."""
    ny, nx = pair.shape[1] // 2, pair.shape[2] // 2
    both = pair[0, : 2 * ny, : 2 * nx] + pair[1, : 2 * ny, : 2 * nx]
    rows = both[0::2] + both[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * np.float32(0.125)


def expected_triangles(values: np.ndarray, level: float, most: int, cancelled: Stop | None = None) -> int:
    """About how many triangles the surface has at most: two for each edge of the grid that crosses it.

    Right for large closed surfaces; speckles of single voxels have a third less. Counting stops beyond `most`.
    """
    crossings, before = 0, None
    for section in values:
        if cancelled is not None and cancelled():
            raise Cancelled
        above = section >= level
        crossings += int(np.count_nonzero(above[1:] != above[:-1])) + int(
            np.count_nonzero(above[:, 1:] != above[:, :-1])
        )
        crossings += int(np.count_nonzero(above != before)) if before is not None else 0
        if 2 * crossings > most:
            break
        before = above
    return 2 * crossings


def surface(levels: Levels, level: float, most: int = MOST, cancelled: Stop | None = None) -> Mesh:
    """The surface at `level` from the finest means that give no more than about `most` triangles; may be empty."""
    last = len(levels.arrays) - 1
    for number, values in enumerate(levels.arrays):
        if number == last or expected_triangles(values, level, most, cancelled) <= most:
            return _mesh(levels, number, level, cancelled)
    raise ValueError("a map without voxels has no surface")


def _mesh(levels: Levels, number: int, level: float, cancelled: Stop | None) -> Mesh:
    values, binning = levels.arrays[number], 2**number
    places, faces, count = [], [], 0
    for top, found in _slabs(values, level, cancelled):
        corners, triangles = found
        corners[:, 0] += top
        places.append(corners)
        faces.append(triangles + np.uint32(count))
        count += len(corners)
    if not places:
        none = np.zeros((0, 3), np.float32)
        return Mesh(none, none, np.zeros((0, 3), np.uint32), level, binning)
    grid = np.concatenate(places)
    normals = _normals(values, grid, cancelled)
    # A mean of b voxels lies in their middle; the array counts z, y, x and people x, y, z.
    whole = grid * np.float32(binning) + np.float32((binning - 1) / 2)
    whole -= np.asarray(levels.centre, np.float32)
    vertices = np.ascontiguousarray(whole[:, ::-1]) * np.float32(levels.pixel_size_a or 1.0)
    # The triangles look inwards in z, y, x; the exchange of x and z is a reflection, so now they look outwards.
    return Mesh(vertices, normals, np.concatenate(faces), level, binning)


def _slabs(values: np.ndarray, level: float, cancelled: Stop | None):
    """(first section, (corners (n, 3) z, y, x from there, triangles (m, 3))) of the slabs that the surface crosses."""
    from skimage.measure import marching_cubes

    if min(values.shape) < 2:
        return
    step = max(1, _SLAB_CELLS // (values.shape[1] * values.shape[2]))
    for top in range(0, values.shape[0] - 1, step):
        if cancelled is not None and cancelled():
            raise Cancelled
        slab = values[top : top + step + 1]
        if not slab.min() < level < slab.max():
            continue
        corners, triangles, _, _ = marching_cubes(slab, level, allow_degenerate=True)
        yield top, (corners.astype(np.float32), triangles.astype(np.uint32))


def _normals(values: np.ndarray, grid: np.ndarray, cancelled: Stop | None) -> np.ndarray:
    """Unit vectors (n, 3) x, y, z against the gradient of the map: the same on both sides of a seam between slabs."""
    result = np.empty_like(grid)
    for axis in range(3):
        step = np.zeros(3, np.float32)
        step[axis] = 1.0
        result[:, 2 - axis] = interpolate(values, grid - step, cancelled) - interpolate(values, grid + step, cancelled)
    length = np.linalg.norm(result, axis=1, keepdims=True)
    return result / np.maximum(length, np.float32(1e-30))


def interpolate(values: np.ndarray, grid: np.ndarray, cancelled: Stop | None = None) -> np.ndarray:
    """Values (n,) of float32 (z, y, x) at places (n, 3) in voxels z, y, x; linear, the border goes on outside."""
    from scipy.ndimage import map_coordinates

    found = np.empty(len(grid), np.float32)
    for first in range(0, len(grid), _POINTS):
        if cancelled is not None and cancelled():
            raise Cancelled
        part = slice(first, first + _POINTS)
        found[part] = map_coordinates(values, grid[part].T, order=1, mode="nearest")
    return found


def coloured(
    mesh: Mesh,
    companion: Volume,
    limits: tuple[float, float] | None = None,
    lut: str = "viridis",
    cancelled: Stop | None = None,
) -> Mesh:
    """The mesh in colours of another map at its vertices; `limits` None: from the 2nd to the 98th percentile there."""
    grid = mesh.vertices[:, ::-1] / np.float32(companion.pixel_size_a or 1.0) + np.asarray(companion.centre, np.float32)
    values = interpolate(companion.values, grid, cancelled)
    low, high = limits or limits_of(values)
    place = np.clip((values - low) / (high - low), 0.0, 1.0)
    rgb = table(lut)[np.rint(255 * place).astype(np.uint8)].astype(np.float32) / np.float32(255)
    colours = np.concatenate([rgb, np.ones((len(rgb), 1), np.float32)], axis=1)
    return replace(mesh, colours=colours, colour_range=(low, high))


def limits_of(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """From the 2nd to the 98th percentile, never empty."""
    if not len(values):
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, (2, 98)))
    return (low, high) if high > low else (low - 0.5 * (abs(low) or 1.0), low + 0.5 * (abs(low) or 1.0))


def reach(mesh: Mesh) -> float:
    """Å from the middle of the box within which 99 % of the vertices are: specks do not count; 0 without one."""
    return float(np.percentile(np.linalg.norm(mesh.vertices, axis=1), 99)) if mesh.triangles else 0.0
