"""From which score on a candidate is taken for a particle, when the user does not say it.

Where the scores make two heaps, the emptiest score between them; else the lowest one from which on minima of the
scores, turned over, are no more than FALSE of the picks. Minima know nothing of particles, as long as these
do not lie so close that the gaps between them are minima of their own: then there are two heaps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 60
FALSE = 0.1  # of the picks may be noise, by the estimate
LUCKLESS = 6  # picks above every minimum: noise alone does that once in 2 ** 6 times
GRID = 0.02  # sigmas
BANDWIDTH = 0.25  # sigmas: of the smoothed histogram in which heaps are looked for
DEEP = 0.75  # of the lower heap: a valley that is not so deep is none
SURE = 3.0  # deviations of the counts by which the lower heap must rise above the valley
FEWEST = 20  # candidates from which heaps are looked for


@dataclass(frozen=True)
class Threshold:
    """`value` in sigmas; `how`: given, valley, noise or none; `words` for the log."""

    value: float
    how: str
    words: str


def automatic_threshold(scores: np.ndarray, null: np.ndarray) -> Threshold:
    """A threshold for candidates with `scores` (n,); `null` (m,): scores of minima, turned over."""
    valley = heaps_valley(scores)
    if valley is not None:
        return Threshold(valley, "valley", f"{valley:.2f} sigmas, the emptiest score between particles and background")
    value = noise_threshold(scores, null)
    if value is not None:
        words = f"{value:.2f} sigmas, where the scores' negative side lets expect {FALSE:.0%} false picks"
        return Threshold(value, "noise", words)
    highest = float(max(scores.max(initial=0.0), null.max(initial=0.0)))
    value = round(highest + 0.01, 2)
    return Threshold(value, "none", f"{value:.2f} sigmas, above all: no candidate stands out of the noise")


def heaps_valley(scores: np.ndarray) -> float | None:
    """The emptiest score between two heaps of scores, or None where they make one heap."""
    if len(scores) < FEWEST:
        return None
    low, high = float(scores.min()), float(scores.max())
    grid = np.arange(low, high + GRID, GRID)
    counts = np.histogram(scores, np.append(grid - GRID / 2, grid[-1] + GRID / 2))[0].astype(float)
    reach = int(4 * BANDWIDTH / GRID)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * GRID / BANDWIDTH) ** 2)
    padded = np.pad(counts, reach, mode="symmetric" if len(counts) >= reach else "constant")
    density = np.convolve(padded, kernel / kernel.sum(), mode="valid") / GRID  # candidates per sigma
    left = np.maximum.accumulate(density)
    right = np.maximum.accumulate(density[::-1])[::-1]
    lower = np.minimum(left, right)
    width = BANDWIDTH * 2 * np.sqrt(np.pi)  # of the box that smooths as much
    rise = (lower - density) * width / np.sqrt(np.maximum((lower + density) * width, 1.0))
    valley = (density <= DEEP * lower) & (rise >= SURE)
    if not valley.any():
        return None
    at = int(np.argmax(np.where(valley, rise, 0.0)))
    return round(float(grid[at]), 2)


def noise_threshold(scores: np.ndarray, null: np.ndarray) -> float | None:
    """The lowest score from which on the turned-over minima (m,) number no more than FALSE of the candidates."""
    if not len(scores):
        return None
    ordered = np.sort(scores)
    picked = len(ordered) - np.arange(len(ordered))
    noise = len(null) - np.searchsorted(np.sort(null), ordered)
    # one more minimum is counted than there is, so that a few lucky picks prove nothing; LUCKLESS in a row do
    fine = ((noise + 1) <= FALSE * picked) | ((noise == 0) & (picked >= LUCKLESS))
    if not fine.any():
        return None
    return round(float(ordered[np.flatnonzero(fine)[0]]), 2)


def histogram(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (BINS + 1,) and counts (BINS,) of the scores."""
    high = float(np.ceil(scores.max())) if len(scores) else 1.0
    low = min(float(np.floor(scores.min())), high - 1.0) if len(scores) else 0.0
    counts, edges = np.histogram(scores, BINS, (low, high))
    return edges, counts
