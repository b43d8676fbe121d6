"""Why a candidate is left out: cut by the border, masked, in an excluded area, ice, carbon or dirt beside it.

What is unusual is told by comparison with the other strong candidates of the same micrograph; no limit is a grey value.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.ndimage as ndi
from scipy import signal

from core.denoising.canonical import Canonical
from core.denoising.collect import disc
from core.images.polygon import inside as inside_polygon
from core.picking.correlation import Response

CODES = {  # code -> words; the first that applies is told
    "edge": "nearer to the border than allowed",
    "masked": "on a masked region",
    "area": "in an excluded area",
    "strong": "far stronger than the particles: ice crystal, gold or dirt",
    "surround": "surroundings far rougher than those of the other candidates: carbon, ice or foil",
}
MASKED = 0.1  # of a particle's disc may be masked
POPULATION = 12  # strong candidates that can say what is usual
STRONGER = 2.0  # times the usual contrast
ROUGHER = 2.2  # times the usual deviation of the surroundings
WIDTHS = 4.5  # robust deviations (of the logarithm) a value must also lie off
RIM = 0.7  # diameters: outer radius of the rim that a particle's disc is compared with
RING = (0.7, 1.6)  # diameters: radii of the surroundings


def reasons_of(
    small: Canonical,
    response: Response,
    at: np.ndarray,
    xy: np.ndarray,
    score: np.ndarray,
    diameter: float,
    border: float,
    areas: Sequence[np.ndarray],
) -> np.ndarray:
    """A code or "" (n,) for candidates `at` (n, 2) on the grid of the search, `xy` in raw px, best first.

    `diameter` is in px of the search, `border` in raw px.
    """
    reason = np.full(len(at), "", dtype="<U8")
    if not len(at):
        return reason
    height, width = small.shape
    away = np.minimum(np.minimum(xy[:, 0], width - 1 - xy[:, 0]), np.minimum(xy[:, 1], height - 1 - xy[:, 1]))
    _mark(reason, away < border, "edge")
    _mark(reason, _masked(small, at, diameter), "masked")
    for area in areas:
        _mark(reason, inside_polygon(xy, area), "area")
    col, row = at.astype(int).T
    usable = reason == ""
    usual = _population(score, usable)
    if usual is not None:
        _mark(reason, _far_above(response.contrast[row, col], usual, STRONGER), "strong")
        _mark(reason, _far_above(_darkness(small.image, diameter)[row, col], usual, STRONGER), "strong")
        _mark(reason, _far_above(_surroundings(small.image, row, col, diameter), usual, ROUGHER), "surround")
    return reason


def _mark(reason: np.ndarray, where: np.ndarray, code: str) -> None:
    reason[where & (reason == "")] = code


def _masked(small: Canonical, at: np.ndarray, diameter: float) -> np.ndarray:
    if small.valid is None:
        return np.zeros(len(at), bool)
    size = 2 * int(diameter / 2) + 1
    window = disc(size, diameter / 2).astype(np.float32)
    masked = np.asarray(ndi.convolve((~small.valid).astype(np.float32), window / window.sum(), mode="nearest"))
    col, row = at.astype(int).T
    return masked[row, col] > MASKED


def _population(score: np.ndarray, usable: np.ndarray) -> np.ndarray | None:
    """The candidates that say what is usual: the stronger half of those that stand out, else None."""
    rows = np.flatnonzero(usable & (score >= 3.0))
    if len(rows) < POPULATION:
        return None
    return rows[: max(POPULATION, len(rows) // 2)]


def _far_above(values: np.ndarray, usual: np.ndarray, times: float) -> np.ndarray:
    logs = np.log(np.maximum(values, 1e-30))
    middle = np.median(logs[usual])
    width = 1.4826 * float(np.median(np.abs(logs[usual] - middle)))
    return logs > middle + max(np.log(times), WIDTHS * width)


def _darkness(image: np.ndarray, diameter: float) -> np.ndarray:
    """How much darker (h, w) than a rim about it a disc of the diameter is, whatever the template."""
    size = 2 * int(RIM * diameter) + 1
    inside, rim = disc(size, diameter / 2), disc(size, RIM * diameter)
    kernel = (rim & ~inside) / (rim & ~inside).sum() - inside / inside.sum()
    return np.asarray(signal.fftconvolve(np.pad(image, size // 2, mode="reflect"), kernel, mode="valid"))


def _surroundings(image: np.ndarray, row: np.ndarray, col: np.ndarray, diameter: float) -> np.ndarray:
    """Deviation (n,) of the pixels in a ring about each candidate, lightly smoothed."""
    half = int(np.ceil(RING[1] * diameter))
    smooth = np.pad(ndi.gaussian_filter(image, 0.05 * diameter), half, mode="reflect")
    size = 2 * half + 1
    ring = disc(size, RING[1] * diameter) & ~disc(size, RING[0] * diameter)
    return np.array([smooth[r : r + size, c : c + size][ring].std() for r, c in zip(row, col, strict=True)])
