"""Where the background is: boxes that keep clear of every particle, of each other, of excluded areas and the border.

A box is the square of pixels centre - size // 2 ... + size, x = column, y = row. Boxes that reach into a masked
region (constant pixels) hold no noise: they are no candidates at all. Which of the candidates are clean background is
core/denoising/patch_rating.py's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.denoising.patch_rating import MASKED, Background, Rating, rate_patches
from core.images.polygon import touched_by_any

CALMEST = 4  # how many calm windows a stand-in for empty patches needs (core/denoising/baselines.py)


@dataclass(frozen=True)
class PickedBoxes:
    """Centres (n, 2) x, y of accepted boxes; the refused ones (m, 2) with what speaks against each."""

    centres: np.ndarray
    refused: np.ndarray
    ratings: list[Rating]  # of the refused
    background: Background | None = None  # None where there was no candidate


def pick_boxes(
    image: np.ndarray,
    particles: np.ndarray,  # (n, 2) x, y
    box_size: int,
    particle_size: float,
    clearance: float,
    most: int,
    rng: np.random.Generator,
    excluded_areas: Sequence[np.ndarray] = (),  # (m, 2) vertices x, y
    diameter: float | None = None,  # of the particle, where it is known: unlisted ones are looked for
    pixel_size_a: float | None = None,
) -> PickedBoxes:
    """Pack boxes, refuse those that are no clean background, keep a random choice of the others.

    Each particle is a square of side max(particle_size, box_size), wider by `clearance` on every side.
    """
    places = candidates(image, particles, box_size, particle_size, clearance, excluded_areas)
    places = places[rng.permutation(len(places))[: 3 * most]]  # enough to choose the clean ones from
    ratings, background = rate_patches(image, places, box_size, particles, diameter, pixel_size_a)
    clean = np.array([r.accepted for r in ratings], bool)
    refused = [r for r in ratings if not r.accepted]
    return PickedBoxes(places[clean][:most], places[~clean], refused, background)


def candidates(
    image: np.ndarray,
    particles: np.ndarray,
    box_size: int,
    particle_size: float,
    clearance: float,
    excluded_areas: Sequence[np.ndarray] = (),
) -> np.ndarray:
    """Centres (n, 2) x, y of boxes that touch nothing known, packed row by row."""
    free_y, free_x = _candidate_axes(image.shape, box_size)
    if not free_y.size or not free_x.size:
        return np.empty((0, 2))
    reach = (box_size + max(particle_size, box_size)) / 2 + clearance
    allowed = ~_masked(image, free_x, free_y, box_size)
    if len(excluded_areas):
        rows, cols = np.nonzero(allowed)
        allowed[rows, cols] = ~excluded(free_x[cols], free_y[rows], box_size, excluded_areas)
    for x, y in particles:
        _forbid(allowed, free_x, free_y, x, y, reach)
    chosen: list[tuple[int, int]] = []
    # row by row, not at random: it packs up to half as many boxes again between crowded particles
    for row, y in enumerate(free_y):
        for col in np.flatnonzero(allowed[row]):
            if allowed[row, col]:
                chosen.append((int(free_x[col]), int(y)))
                _forbid(allowed, free_x, free_y, free_x[col], y, box_size)
    return np.array(chosen, float).reshape(-1, 2)


def excluded(x: np.ndarray, y: np.ndarray, box: int, polygons: Sequence[np.ndarray]) -> np.ndarray:
    """Which boxes about x, y (n,) touch one of the polygons, vertices (m, 2) x, y: (n,) bool.

    The whole box must stay outside; one pixel more is asked, because an even box has no middle pixel.
    """
    return touched_by_any(np.stack([np.atleast_1d(x), np.atleast_1d(y)], axis=1), box + 1, polygons)


def _candidate_axes(shape: tuple[int, ...], box: int) -> tuple[np.ndarray, np.ndarray]:
    step = max(4, box // 10)
    axes = [np.arange(box // 2, n - (box - box // 2) + 1, step) for n in shape]
    return axes[0], axes[1]


def _forbid(allowed: np.ndarray, xs: np.ndarray, ys: np.ndarray, x: float, y: float, reach: float) -> None:
    """Forbid every candidate nearer than `reach` along both axes."""
    left, right = np.searchsorted(xs, x - reach, "right"), np.searchsorted(xs, x + reach, "left")
    top, bottom = np.searchsorted(ys, y - reach, "right"), np.searchsorted(ys, y + reach, "left")
    allowed[top:bottom, left:right] = False


def _masked(image: np.ndarray, xs: np.ndarray, ys: np.ndarray, box: int) -> np.ndarray:
    """Candidates (rows, columns) whose box is filled with one value: masks, borders of motion correction.

    A pixel counts when all eight neighbours equal it: whole numbers of few counts hardly ever do that by chance.
    """
    across = (image[:, 1:-1] == image[:, :-2]) & (image[:, 1:-1] == image[:, 2:])
    along = (image[1:-1] == image[:-2]) & (image[1:-1] == image[2:])
    flat = across[:-2] & across[1:-1] & across[2:] & along[:, 1:-1]
    if not flat.any():
        return np.zeros((ys.size, xs.size), bool)
    total = np.zeros((image.shape[0] + 1, image.shape[1] + 1), np.int32)
    np.cumsum(np.cumsum(flat, axis=0, dtype=np.int32), axis=1, out=total[2:-1, 2:-1])
    total[-1], total[:, -1] = total[-2], total[:, -2]
    left, top = xs - box // 2, ys - box // 2
    upper, lower = total[top], total[top + box]
    count = lower[:, left + box] - lower[:, left] - upper[:, left + box] + upper[:, left]
    return count > MASKED * box * box
