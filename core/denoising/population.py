"""The main population among patches: where most of those that look alike lie, and how far clean ones lie apart.

Robust without a majority: unlisted particles, ice and carbon may be more than half of the places, but they differ from
each other more than background does. Nothing here knows what the values mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PRIOR_WEIGHT = 8  # the expected scale counts as much as this many patches: few patches cannot tell their own
ALIKE = 2.5  # scales, per value: two draws of one Gaussian population are nearly always nearer than sqrt(2) times this
RIVAL = 0.25  # of the densest place's neighbours: where the calmest such place is, the search begins
MEMBER = 3.0  # scales
ROUNDS = 6
LOOSEST = 1.25  # times the expected scale; beyond it, what is not alike would be let in and widen the scale further


@dataclass(frozen=True)
class Population:
    """Centre and scale (k,) of the main population, and which of the n rows belong to it."""

    centre: np.ndarray
    scale: np.ndarray
    members: np.ndarray


def main_population(values: np.ndarray, expected: np.ndarray, calm: np.ndarray) -> Population:
    """Find the main population of values (n, k), whose deviations should be about `expected` (k,) if all is ideal.

    Mode seeking: begin where most rows lie close together in every value, then let centre, scale and membership
    settle. `calm` (n,) is low for what background should be: where two crowds are of like size (ice and carbon), the
    calmer one is background, because carbon, ice crystals and particles only ever add to the spectrum.
    """
    reach = ALIKE * np.sqrt(2) * expected
    members = np.zeros(len(values), bool)
    for widen in (1.0, 1.5, 2.0, 3.0):  # real micrographs are less even than Gaussian noise
        near = np.all(np.abs(values[:, None] - values[None]) <= widen * reach, axis=2)
        count = near.sum(axis=1)
        rival = count >= RIVAL * count.max()
        members = near[np.flatnonzero(rival)[np.argmin(calm[rival])]]
        if count.max() >= max(5, 0.3 * len(values)):
            break
    centre, scale = _settled(values[members], expected)
    for _ in range(ROUNDS):
        found = np.all(np.abs(values - centre) <= MEMBER * scale, axis=1)
        if not found.any() or (found == members).all():
            break
        members = found
        centre, scale = _settled(values[members], expected)
    return Population(centre, scale, members)


def _settled(values: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.median(values, axis=0), np.minimum(robust_scale(values, expected), LOOSEST * expected)


def robust_scale(values: np.ndarray, expected: np.ndarray, trust: float = PRIOR_WEIGHT) -> np.ndarray:
    """Deviation (k,) of (n, k) values about their median: measured, drawn towards `expected`, never much below it."""
    measured = 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)
    n = len(values)
    blend = np.sqrt((n * measured**2 + trust * expected**2) / (n + trust))
    return np.maximum(blend, 0.8 * expected)


@dataclass(frozen=True)
class Surface:
    """A smooth surface over the image: a polynomial of order 0 to 2 in x and y, scaled to -1 ... 1."""

    shape: tuple[int, int]
    coefficients: np.ndarray
    covariance: np.ndarray  # of the coefficients, where points scatter by 1

    def at(self, xy: np.ndarray) -> np.ndarray:
        """Heights (n,) at positions (n, 2)."""
        return _terms(xy, self.shape)[:, : len(self.coefficients)] @ self.coefficients

    def uncertainty(self, xy: np.ndarray) -> np.ndarray:
        """Deviation (n,) of a new point from the surface, in scatters: well above 1 far from the points it is of."""
        terms = _terms(xy, self.shape)[:, : len(self.coefficients)]
        return np.sqrt(1 + np.einsum("ni,ij,nj->n", terms, self.covariance, terms))


def fit_surface(xy: np.ndarray, heights: np.ndarray, shape: tuple[int, int]) -> tuple[Surface, np.ndarray]:
    """Least absolute deviations through (n, 2) positions, of an order that n can carry; also the residuals (n,).

    The residuals are scaled up for what the fit has taken of them.
    """
    count = 6 if len(xy) >= 40 else 3 if len(xy) >= 12 else 1
    terms = _terms(xy, shape)[:, :count]
    coefficients = np.zeros(count)
    coefficients[0] = np.median(heights)
    for _ in range(20):
        rest = np.abs(heights - terms @ coefficients)
        weights = 1.0 / np.maximum(rest, max(np.median(rest) * 0.1, 1e-12))
        weights /= weights.max()
        # the little diagonal keeps a surface flat where no patch holds it
        normal = terms.T @ (terms * weights[:, None]) + 1e-3 * weights.sum() * np.diag(np.arange(count) > 0)
        coefficients = np.linalg.solve(normal, terms.T @ (weights * heights))
    flat = 1e-3 * len(xy) * np.diag(np.arange(count) > 0)
    covariance = 1.57 * np.linalg.inv(terms.T @ terms + flat)  # 1.57: what a median loses against a mean
    residuals = (heights - terms @ coefficients) * len(xy) / max(len(xy) - count, 1)
    return Surface(shape, coefficients, covariance), residuals


def _terms(xy: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    x = 2 * xy[:, 0] / max(shape[1] - 1, 1) - 1
    y = 2 * xy[:, 1] / max(shape[0] - 1, 1) - 1
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
