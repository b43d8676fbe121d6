"""Candidates of one micrograph: correlation maxima with a score, each either usable or left out for a reason.

Positions are raw pixels (x = column, y = row, a centre); scores are robust sigmas of the background's scores, so that
they do not depend on grey values. Works at SCALE px across a particle: a 4096 x 4096 micrograph takes seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi

from core.denoising.canonical import Canonical, to_canonical
from core.denoising.quality import peaks
from core.io.picks import Picks
from core.picking.correlation import respond
from core.picking.exclusion import reasons_of
from core.picking.templates import Templates

SCALE = 24.0  # px across a particle; smaller particles keep their size
SPACING = 0.6  # diameters between two particles: seen from above, neighbours in thick ice overlap a little
LOWEST = 1.0  # sigmas: weaker maxima are not kept
STRONG = 4.0  # sigmas: what is so strong may be a particle, and is not counted as background
BELOW = 0.1587  # of a Gaussian lies more than one deviation below its median
STRONGEST = (0.9, 0.97, 0.99)  # quantiles of the maxima that tell dark from light particles
SAMPLE = 4.0  # diameters squared of background, at least, to know its spread


def search_scale(diameter_px: float) -> float:
    """Diameter of a particle where it is searched, px."""
    return min(SCALE, float(diameter_px))


@dataclass(frozen=True)
class Rules:
    """How maxima become candidates; lengths in raw px. `sign` -1: particles are light."""

    diameter: float
    spacing: float
    border: float
    sign: float = 1.0


@dataclass(frozen=True)
class Candidates(Picks):
    """Best score first; `reason` is a code of exclusion.CODES or "". `source` (n,): number of the template's origin.

    `null` (m,): scores of the minima, turned over: about what as many maxima of mere noise would have.
    """

    source: np.ndarray
    null: np.ndarray


def search_micrograph(
    image: np.ndarray, templates: Templates, rules: Rules, areas: Sequence[np.ndarray] = ()
) -> Candidates:
    """Search a float32 (h, w) micrograph; `areas`: polygons (m, 2) in raw px whose inside is left out."""
    small = to_canonical(image, rules.diameter, rules.sign, search_scale(rules.diameter))
    return find(small, templates, rules, areas)


def find(small: Canonical, templates: Templates, rules: Rules, areas: Sequence[np.ndarray] = ()) -> Candidates:
    """The same for a micrograph at the scale of the search."""
    response = respond(small.image, templates.images, templates.support)
    inside = _inside(small)
    apart = rules.spacing * (small.scale_x + small.scale_y) / 2
    diameter = rules.diameter * (small.scale_x + small.scale_y) / 2
    scores = np.where(inside, response.score, -1.0).astype(np.float32)
    at, _ = peaks(scores, apart, 1)
    at = at[inside[tuple(at.T[::-1].astype(int))]] if len(at) else at
    middle, sigma = background_scores(response.score, inside, at, diameter)
    col, row = at.astype(int).T if len(at) else np.empty((2, 0), int)
    score = (response.score[row, col] - middle) / sigma
    kept = score >= LOWEST
    at, row, col, score = at[kept], row[kept], col[kept], score[kept]
    xy = refined(response.score, at) / [small.scale_x, small.scale_y]
    reason = reasons_of(small, response, at, xy, score, diameter, rules.border, areas)
    _, low = peaks(np.where(inside, -response.score, -1.0).astype(np.float32), apart, int(diameter / 2))
    null = (low + middle) / sigma
    return Candidates(xy, score, reason, templates.source[response.best[row, col]], null[null >= LOWEST])


def _inside(small: Canonical) -> np.ndarray:
    """Where the image is: bool (h, w); the padding beyond it does not count."""
    inside = np.zeros(small.image.shape, bool)
    rows, cols = round(small.shape[0] * small.scale_y), round(small.shape[1] * small.scale_x)
    inside[:rows, :cols] = True
    return inside


def background_scores(score: np.ndarray, inside: np.ndarray, at: np.ndarray, diameter: float) -> tuple[float, float]:
    """Median and deviation of the scores of background: from the lower half, away from whatever is strong."""
    middle, sigma = _lower_half(score[inside])
    values = score[tuple(at.T[::-1].astype(int))] if len(at) else np.empty(0)
    strong = at[values >= middle + STRONG * sigma]
    if not len(strong):
        return middle, sigma
    free = np.ones(score.shape, bool)
    free[tuple(strong.T[::-1].astype(int))] = False
    away = (np.asarray(ndi.distance_transform_edt(free)) >= diameter) & inside
    return _lower_half(score[away]) if away.sum() >= SAMPLE * diameter**2 else (middle, sigma)


def _lower_half(values: np.ndarray) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, middle = np.quantile(values, (BELOW, 0.5))
    return float(middle), max(float(middle - low), 1e-6)


def refined(score: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Tops (n, 2) of parabolas through each maximum and its neighbours, in fractions of a px."""
    padded = np.pad(score, 1, mode="edge")
    col, row = at.astype(int).T + 1 if len(at) else np.empty((2, 0), int)
    middle = padded[row, col]
    moved = []
    for before, after in (
        (padded[row, col - 1], padded[row, col + 1]),
        (padded[row - 1, col], padded[row + 1, col]),
    ):
        bend = before - 2 * middle + after
        step = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, -1.0), 0.0)
        moved.append(np.clip(step, -0.5, 0.5))
    return at + np.stack(moved, axis=1)


def contrast_sign(image: np.ndarray, templates: Templates, rules: Rules) -> float:
    """How much more the strongest scores stand out for dark particles than for light ones, in sigmas (signed)."""
    small = to_canonical(image, rules.diameter, 1.0, search_scale(rules.diameter))
    response = respond(small.image, templates.images, templates.support)
    inside, apart = _inside(small), rules.spacing * small.scale_x
    sigma = _lower_half(response.score[inside])[1]
    tops = []
    for sign in (1.0, -1.0):
        found, value = peaks(np.where(inside, sign * response.score, -1.0).astype(np.float32), apart, 1)
        tops.append(np.quantile(value, STRONGEST) if len(found) else np.zeros(len(STRONGEST)))
    margins = (tops[0] - tops[1]) / sigma  # few particles show among the strongest only, many also further down
    return float(margins[np.argmax(np.abs(margins))])
