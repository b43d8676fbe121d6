"""Projections of a volume, view directions, and angles between orientations.

A rotation R (3, 3) takes volume coordinates x, y, z to image coordinates: image(x, y) = sum over z of
V(R^T (x, y, z)). Volumes are (z, y, x); origins are at n // 2 of every axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.ndimage as ndi


def project(volume: np.ndarray, rotations: np.ndarray) -> Iterator[np.ndarray]:
    """Sum along z after each rotation (m, 3, 3): float32 (n, n), trilinear, one thread."""
    import torch
    import torch.nn.functional as functional

    torch.set_num_threads(1)
    n = volume.shape[0]
    source = torch.from_numpy(np.ascontiguousarray(volume, np.float32))[None, None]
    axis = torch.arange(n, dtype=torch.float32) - n // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    radius = float(np.linalg.norm(np.argwhere(volume > 0) - n // 2, axis=1).max(initial=1.0)) + 1
    near = (x * x + y * y + z * z) <= radius * radius  # nothing beyond it can land in the picture
    places = torch.stack([x[near], y[near], z[near]], dim=1)
    pixel = ((places[:, 1] + n // 2) * n + places[:, 0] + n // 2).long()
    for rotation in rotations:
        turned = places @ torch.from_numpy(np.asarray(rotation, np.float32))  # rows: R^T p
        grid = (turned + n // 2) * (2 / (n - 1)) - 1
        values = functional.grid_sample(source, grid[None, None, None], align_corners=True)[0, 0, 0, 0]
        yield torch.zeros(n * n).index_add_(0, pixel, values).numpy().reshape(n, n)


def view_rotations(count: int) -> np.ndarray:
    """Rotations (count, 3, 3) whose viewing directions lie evenly on the sphere (Fibonacci spiral)."""
    i = np.arange(count) + 0.5
    tilt, turn = np.arccos(1 - 2 * i / count), np.pi * (1 + 5**0.5) * i
    towards = np.stack([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)], axis=1)
    helper = np.where(np.abs(towards[:, 2:]) < 0.99, [[0.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]])
    across = np.cross(helper, towards)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return np.stack([across, np.cross(towards, across), towards], axis=1)


def in_plane(angle: float) -> np.ndarray:
    """Rotation (3, 3) about the viewing direction, radians, from x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def turned(image: np.ndarray, angle: float) -> np.ndarray:
    """The projection that `in_plane(angle) @ R` gives, from the one of R: linear, about pixel n // 2."""
    c, s = np.cos(angle), np.sin(angle)
    back = np.array([[c, -s], [s, c]])  # rows are y: y' = -s x + c y of the inverse, in (y, x) order
    centre = np.full(2, image.shape[0] // 2)
    offset: Any = centre - back @ centre
    return ndi.affine_transform(image, back, offset, order=1)


def angle_deg(first: np.ndarray, second: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Smallest angle between orientations (m, 3, 3) and (m, 3, 3) of a density with these symmetry rotations."""
    relative = np.einsum("mij,skj->msik", second, symmetry)  # R2 S^T
    trace = np.einsum("mij,msij->ms", first, relative)
    return np.rad2deg(np.arccos(np.clip((trace.max(axis=1) - 1) / 2, -1, 1)))
