"""Whole simulated micrographs: where particles lie, and what the camera counts. Dark on light, as raw micrographs.

Ice, its gradient, electrons and detector are exposure.py's. Positions are x = column, y = row in pixels, with
fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.physics import exposure
from core.physics.optics import Optics, ctf_grid
from core.physics.projection import central_slices, shift_phases, to_images, views_at_once
from core.physics.rotations import random_rotations

APART = 1.05  # diameters between two particles, at least
CROWDED = 0.25  # share of the area that particles cover where their number is not given
_TRIES = 20_000


@dataclass(frozen=True)
class Field:
    """The particles of one micrograph: positions (n, 2) x, y in px, rotations (n, 3, 3), and its optics (1)."""

    xy: np.ndarray
    matrices: np.ndarray
    optics: Optics


def usual_count(shape: tuple[int, int], diameter_px: float) -> int:
    """How many particles a well filled micrograph shows."""
    return max(1, round(CROWDED * shape[0] * shape[1] / (np.pi / 4 * diameter_px**2)))


def draw_field(
    shape: tuple[int, int], count: int, box: int, diameter_px: float, optics: Optics, rng: np.random.Generator
) -> Field:
    """Particles at random places and in random orientations; fewer than `count` when no more fit."""
    xy = np.empty((count, 2))
    found = 0
    low, high = np.full(2, box / 2), np.array([shape[1], shape[0]]) - box / 2 - 1
    for place in rng.uniform(low, high, (max(_TRIES, 50 * count), 2)):
        if found == count:
            break
        if not found or np.square(xy[:found] - place).sum(axis=1).min() >= (APART * diameter_px) ** 2:
            xy[found] = place
            found += 1
    return Field(xy[:found].copy(), random_rotations(found, rng), optics)


def micrograph(
    volume: np.ndarray,
    pixel_size_a: float,
    field: Field,
    shape: tuple[int, int],
    gain: float,
    dose_e_a2: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Electron counts (h, w) float32 of a field; `gain` times the projected density is the relative signal."""
    density = np.zeros(shape, np.float32)
    box = volume.shape[0]
    corner = np.rint(field.xy).astype(int)
    for first in range(0, len(corner), views_at_once(box)):
        some = slice(first, first + views_at_once(box))
        rest = field.xy[some] - corner[some]
        images = to_images(central_slices(volume, field.matrices[some]) * shift_phases(box, rest))
        for (x, y), image in zip(corner[some] - box // 2, images, strict=True):
            density[y : y + box, x : x + box] += image
    transfer = -ctf_grid(field.optics, shape, pixel_size_a)[0]
    transfer *= exposure.detector(shape, exposure.SIGNAL_FALL)
    signal = exposure.filtered(density, transfer) * np.float32(gain)
    dose = dose_e_a2 * pixel_size_a**2
    ice = exposure.relative_noise(shape, dose) * np.sqrt(exposure.ICE_SHARE)
    return exposure.exposed(signal, transfer, pixel_size_a, dose, ice, rng).astype(np.float32)
