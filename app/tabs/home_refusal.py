"""Where a noise box may not be: outside, in an excluded area, on a particle, on another box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.images.polygon import touched_by_any


def refusal(
    x: float,
    y: float,
    box: int,
    shape: tuple[int, int],
    particles: np.ndarray,  # (n, 2) x, y
    diameter: float,
    others: np.ndarray,  # (n, 2) centres of the boxes that are there
    areas: Sequence[np.ndarray] = (),  # excluded polygons (m, 2)
) -> str:
    """Why a noise box of side `box` px may not have its centre at (x, y); empty when it may.

    `shape` is (ny, nx). The box covers the pixels centre - box // 2 ... + box, as the jobs cut it.
    """
    if outside(np.array([[x, y]]), box, shape)[0]:
        return f"A box of {box} px would leave the micrograph here."
    if touched_by_any(np.array([[x, y]]), box, areas)[0]:
        return "This box would lie in an excluded area."
    if len(particles):
        gap = np.maximum(np.abs(np.asarray(particles, float) - (round(x), round(y))) - box / 2, 0)
        if (np.hypot(gap[:, 0], gap[:, 1]) < diameter / 2).any():
            return "This box would overlap a particle: noise boxes must hold no particle."
    if len(others) and (np.abs(np.asarray(others, float) - (x, y)).max(axis=1) < box / 4).any():
        return "There is a noise box here already."
    return ""


def outside(centres: np.ndarray, box: int, shape: tuple[int, int]) -> np.ndarray:
    """Which boxes around the centres (n, 2) leave a micrograph of shape (ny, nx): (n,) bool."""
    corners = np.rint(np.asarray(centres, float).reshape(-1, 2)) - box // 2
    wrong: np.ndarray = np.any((corners < 0) | (corners + box > np.array(shape[::-1])), axis=1)
    return wrong


def refused_among(
    centres: np.ndarray,  # (k, 2) boxes that move together
    box: int,
    shape: tuple[int, int],
    particles: np.ndarray,
    diameter: float,
    areas: Sequence[np.ndarray] = (),
) -> str:
    """Why boxes that move together may not be there (what the first refused one says); empty when they may."""
    nowhere = np.empty((0, 2))
    wrong = outside(centres, box, shape) | touched_by_any(centres, box, areas)
    for i in range(0, len(centres), 256):  # blocks: thousands of boxes times thousands of particles is much memory
        if len(particles) and not wrong.any():
            offsets = np.abs(centres[i : i + 256, None] - np.asarray(particles, float)[None])
            near = np.hypot(*np.maximum(offsets - box / 2, 0).transpose(2, 0, 1)) < diameter / 2
            wrong[i : i + 256] |= near.any(axis=1)
    if not wrong.any():
        return ""
    x, y = centres[int(np.argmax(wrong))]
    return refusal(x, y, box, shape, particles, diameter, nowhere, areas)
