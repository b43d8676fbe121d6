"""Where the background is: boxes that keep clear of every particle, of each other and of the border.

A box is the square of pixels centre - size // 2 ... + size, x = column, y = row. Boxes whose low-pass filtered
spread is well above the calmest ones of their micrograph (ice crystals, carbon, unlisted particles) are refused.
Boxes that reach into a masked region (constant pixels) hold no noise: they are no candidates at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.physics.noise import low_pass_spread

UNEVEN_LIMIT = 1.3  # a clean patch is within this factor of the calmest four
CALMEST = 4
FILLED = 0.05  # a larger share of one value in a box is a mask, not noise


@dataclass(frozen=True)
class PickedBoxes:
    """Centres (n, 2) x, y of accepted boxes and how many were refused as uneven."""

    centres: np.ndarray
    refused: int


def pick_boxes(
    image: np.ndarray,
    particles: np.ndarray,  # (n, 2) x, y
    box_size: int,
    particle_size: float,
    clearance: float,
    most: int,
    rng: np.random.Generator,
) -> PickedBoxes:
    """Pack boxes, refuse uneven ones, keep a random choice.

    Each particle is a square of side max(particle_size, box_size), wider by `clearance` on every side.
    """
    free_y, free_x = _candidate_axes(image.shape, box_size)
    if not free_y.size or not free_x.size:
        return PickedBoxes(np.empty((0, 2)), 0)
    allowed = np.ones((free_y.size, free_x.size), bool)
    reach = (box_size + max(particle_size, box_size)) / 2 + clearance
    allowed &= ~_masked(image, free_x, free_y, box_size)
    for x, y in particles:
        _forbid(allowed, free_x, free_y, x, y, reach)
    chosen: list[tuple[int, int]] = []
    # row by row, not at random: it packs up to half as many boxes again between crowded particles
    for row, y in enumerate(free_y):
        for col in np.flatnonzero(allowed[row]):
            if allowed[row, col]:
                chosen.append((int(free_x[col]), int(y)))
                _forbid(allowed, free_x, free_y, free_x[col], y, box_size)
    some = rng.permutation(len(chosen))[: 3 * most]  # enough to choose the even ones from
    chosen = [chosen[i] for i in some]
    even = _even_ones(image, chosen, box_size)
    accepted = [c for c, keep in zip(chosen, even, strict=True) if keep][:most]
    return PickedBoxes(np.array(accepted, float).reshape(-1, 2), int(len(chosen) - sum(even)))


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
    return count > FILLED * box * box


def _even_ones(image: np.ndarray, centres: list[tuple[int, int]], box: int) -> list[bool]:
    if not centres:
        return []
    half = box // 2
    patches = [image[y - half : y - half + box, x - half : x - half + box] for x, y in centres]
    spread = np.array([low_pass_spread(np.asarray(p, np.float32), box / 16) for p in patches])
    limit = UNEVEN_LIMIT * np.sort(spread)[:CALMEST].mean()
    return list(spread <= limit)
