"""Which of the user's noise boxes are not empty after all: each micrograph's boxes are held against each other.

The judgement and its words are those of automatic picking (core/denoising/patch_rating.py, patch_words.py); added here
is a comparison with the calmest boxes, because boxes picked by hand may hold particles in their majority, and a limit
to what is left out: a noise model of very few patches is worse than one of doubtful ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.denoising.patch_measure import expected_deviations, measure
from core.denoising.patch_rating import rate_patches

SPREAD_LIMIT = 1.25  # times the calm boxes' low-pass spread; ice crystals and unlisted particles lie above it
CHANCE_SIGMAS = 3.0  # but never within what chance makes of equal boxes
CALM_SHARE = 0.25  # of a micrograph's boxes are its calm ones
CALM_OFFSET = 1.27  # deviations that the mean of the lowest quarter of a Gaussian lies below its middle
MOST_REJECTED = 0.5  # of a micrograph's boxes
LEAST_KEPT = 4


@dataclass(frozen=True)
class Screened:
    """The boxes of one micrograph: `reasons` has one sentence for each box, "" where it is clean.

    `codes` are those of patch_words.CODES. `doubtful`: boxes that were kept only because too few would be left.
    """

    reasons: list[str]
    codes: list[str]
    doubtful: int = 0

    @property
    def kept(self) -> np.ndarray:
        """Which boxes are used: (n,) bool."""
        return np.array([not reason for reason in self.reasons], bool)


def screen_boxes(
    image: np.ndarray,  # (h, w) raw micrograph
    centres: np.ndarray,  # (n, 2) x, y; the boxes lie inside the image
    box: int,
    particles: np.ndarray | None = None,
    diameter: float | None = None,
    pixel_size_a: float | None = None,
) -> Screened:
    """Judge the noise boxes of one micrograph, and say of each that is left out why."""
    count = len(centres)
    if count <= LEAST_KEPT:  # nothing may be left out
        return Screened([""] * count, [""] * count)
    ratings, _ = rate_patches(image, centres, box, particles, diameter, pixel_size_a)
    times, limit = _against_calm(image, centres, box)
    found: dict[int, tuple[float, str, str]] = {}
    for i, rating in enumerate(ratings):
        badness = max(rating.scores.values(), default=0.0)
        if not rating.accepted:
            found[i] = (badness, rating.code, rating.text)
        elif times[i] > limit:
            text = f"Uneven: broad features are {times[i]:.2g} times as strong as in the calmest boxes here."
            found[i] = (times[i] / limit, "uneven", text)
    room = min(int(count * MOST_REJECTED), count - LEAST_KEPT)
    worst = sorted(found, key=lambda i: -found[i][0])[:room]
    reasons, codes = [""] * count, [""] * count
    for i in worst:
        _, codes[i], reasons[i] = found[i]
    return Screened(reasons, codes, len(found) - len(worst))


def _against_calm(image: np.ndarray, centres: np.ndarray, box: int) -> tuple[np.ndarray, float]:
    """Low-pass spread (n,) of each box over the level of the calm ones, and the limit that it should not exceed.

    The calm boxes are a selection: their mean is brought back to where the middle of equal boxes would lie.
    """
    measured = measure(image, centres, box)
    spread = np.log(measured.spread)
    calm = np.argsort(spread)[: max(2, round(CALM_SHARE * len(spread)))]
    chance, _ = expected_deviations(np.median(measured.power[calm], axis=0), box)
    level = spread[calm].mean() + CALM_OFFSET * chance
    return np.exp(spread - level), max(SPREAD_LIMIT, float(np.exp(CHANCE_SIGMAS * chance)))
