"""Particles that no list names: a matched filter at the particle's size over the whole micrograph.

Works on block means about 16 pixels per diameter, so that a 4K micrograph takes a few hundredths of a second.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage as ndi
import scipy.signal

DIAMETER = 16  # reduced px
ENOUGH = 12  # listed particles whose mean is a better template than a disc
REACH = 0.7  # diameters: radius of the template; a rim of background belongs to it
OWN = 0.6  # diameters: what lies so near to a listed particle is that particle


class ParticleSearch:
    """The response of the matched filter over one micrograph, without the neighbourhood of listed particles."""

    def __init__(self, image: np.ndarray, particles: np.ndarray, diameter: float) -> None:
        """`particles` (n, 2) x, y may be empty: then any dark disc of the diameter (px) is looked for."""
        self.factor = max(1, round(diameter / DIAMETER))
        small = _block_means(image, self.factor)
        self._diameter = diameter / self.factor
        xy = (np.asarray(particles, float).reshape(-1, 2) + 0.5) / self.factor - 0.5
        template, self.learnt = _template(small, xy, self._diameter)
        half = len(template) // 2
        padded = np.pad(small - np.median(small), half, mode="reflect")
        found = scipy.signal.fftconvolve(padded, template[::-1, ::-1], mode="valid").astype(np.float32)
        self.listed = float(np.median(_best(found, xy))) if self.learnt else None
        self._response = _without(found, xy, OWN * self._diameter)

    def score(self, centres: np.ndarray, box: int) -> np.ndarray:
        """Strongest response (n,) of a particle whose centre lies in or close to the boxes."""
        side = box / self.factor + 0.5 * self._diameter
        best = np.asarray(ndi.maximum_filter(self._response, size=2 * int(side / 2) + 1, mode="nearest"))
        col, row = np.rint((np.asarray(centres, float) + 0.5) / self.factor - 0.5).astype(int).T
        return best[np.clip(row, 0, best.shape[0] - 1), np.clip(col, 0, best.shape[1] - 1)]


def _block_means(image: np.ndarray, factor: int) -> np.ndarray:
    rows, cols = image.shape[0] // factor, image.shape[1] // factor
    whole = np.asarray(image[: rows * factor, : cols * factor], np.float32)
    across = whole.reshape(rows * factor, cols, factor).sum(axis=2)
    return across.reshape(rows, factor, cols).sum(axis=1) / np.float32(factor**2)


def _template(small: np.ndarray, xy: np.ndarray, diameter: float) -> tuple[np.ndarray, bool]:
    """Zero mean and unit sum of squares, round; and whether it was learnt from the listed particles."""
    half = int(np.ceil(REACH * diameter))
    offset = np.arange(-half, half + 1)
    radius = np.hypot(offset[:, None], offset[None])
    inside = radius <= REACH * diameter
    at = np.rint(xy).astype(int)
    fits = ((at >= half) & (at < np.array(small.shape)[::-1] - half)).all(axis=1) if len(at) else np.zeros(0, bool)
    learnt = int(fits.sum()) >= ENOUGH
    if learnt:
        crops = [small[y - half : y + half + 1, x - half : x + half + 1] for x, y in at[fits][:400]]
        mean = np.median([c - np.median(c) for c in crops], axis=0)
        ring = np.rint(radius).astype(int)
        profile = np.bincount(ring.ravel(), mean.ravel()) / np.bincount(ring.ravel())
        template = profile[ring]
    else:
        template = -1.0 / (1 + np.exp(2 * (radius - diameter / 2)))
    template = np.where(inside, template - template[inside].mean(), 0.0)
    return (template / max(np.sqrt((template**2).sum()), 1e-20)).astype(np.float32), learnt


def _best(response: np.ndarray, xy: np.ndarray) -> np.ndarray:
    near = np.asarray(ndi.maximum_filter(response, size=5))
    col, row = np.rint(xy).astype(int).T
    inside = (row >= 0) & (col >= 0) & (row < near.shape[0]) & (col < near.shape[1])
    return near[row[inside], col[inside]]


def _without(response: np.ndarray, xy: np.ndarray, radius: float) -> np.ndarray:
    free = np.full_like(response, True, dtype=bool)
    col, row = np.rint(xy).astype(int).T if len(xy) else np.empty((2, 0), int)
    inside = (row >= 0) & (col >= 0) & (row < response.shape[0]) & (col < response.shape[1])
    free[row[inside], col[inside]] = False
    if not free.all():
        free = np.asarray(ndi.distance_transform_edt(free)) > radius
    return np.where(free, response, -np.float32(np.abs(response).max()))
