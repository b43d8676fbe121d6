"""Particles that no list names: a matched filter with the listed particles' own mean, over the whole micrograph.

Works on block means about 16 pixels per diameter, so that a 4K micrograph takes about a tenth of a second. The filter
is normalised where it hangs over the border, after Padfield, IEEE Trans. Image Process. 21 (2012) 2706.
"""

from __future__ import annotations

import numpy as np
import scipy.ndimage as ndi
from scipy.special import ndtri

from core.picking.correlation import Correlator

DIAMETER = 16  # reduced px
ENOUGH = 6  # listed particles whose round mean is a better template than a disc
REACH = 0.7  # diameters: radius of the template; a rim of background belongs to it
OWN = 0.6  # diameters: what lies so near to a listed particle is that particle
OUTSIDE = 0.3  # diameters: so far outside the image the centre of a particle may lie that reaches in
BESIDE = 0.325  # diameters: so far outside a box the centre of a particle may lie that reaches in
WIDE = 3.0  # diameters: brightness is taken off that changes over such distances
GREYEST = 8.0  # robust deviations: gold and hot pixels count no more than this
CELL = 8.0  # reduced px^2 within which noise gives one and the same response
BELOW = 0.1587  # of a Gaussian lies more than one deviation below its median
SUSPECT = 0.5  # of a listed particle's response
SAMPLE = 4  # diameters squared of background at least, to know its noise
NEVER = -1e3  # a response


class ParticleSearch:
    """The response of the matched filter over one micrograph, without the neighbourhood of listed particles.

    Responses count strength and likeness alike: they are the geometric mean of the contrast and of the correlation
    coefficient. Where the template was learnt they are in units of the listed particles' median.
    """

    def __init__(self, image: np.ndarray, particles: np.ndarray, diameter: float) -> None:
        """`particles` (n, 2) x, y may be empty: then any disc of the diameter (px) is looked for, dark or bright."""
        self.factor = max(1, round(diameter / DIAMETER))
        small = _levelled(_block_means(image, self.factor), diameter / self.factor)
        self._diameter = diameter / self.factor
        xy = (np.asarray(particles, float).reshape(-1, 2) + 0.5) / self.factor - 0.5
        template, learnt = _template(small, xy, self._diameter)
        self._border = int(OUTSIDE * self._diameter)
        xy = xy + self._border
        found = _response(small, template, self._border)
        listed = float(np.median(_best(found, xy))) if learnt else 0.0
        self.listed = 1.0 if listed > 0 else None
        if listed > 0:
            found = found / np.float32(listed)
        elif len(xy):
            found = found * np.float32(1.0 if _at(found, xy).sum() >= 0 else -1.0)  # dark particles, or bright ones
        else:
            found = np.abs(found)
        away = _distance(found.shape, xy)
        self.noise = _noise(found, away, self._diameter) if listed > 0 else 0.0
        self._response = np.where(away > OWN * self._diameter, found, np.float32(NEVER))

    def score(self, centres: np.ndarray, box: int) -> np.ndarray:
        """Strongest response (n,) of a particle whose centre lies in or close to the boxes."""
        best = np.asarray(ndi.maximum_filter(self._response, size=self._window(box), mode="nearest"))
        at = (np.asarray(centres, float) + 0.5) / self.factor - 0.5 + self._border
        col, row = np.rint(at).astype(int).T
        return best[np.clip(row, 0, best.shape[0] - 1), np.clip(col, 0, best.shape[1] - 1)]

    def by_chance(self, box: int, chance: float) -> float:
        """The score that a box of pure noise exceeds with this probability; only where `listed` is known."""
        cells = max(1.0, self._window(box) ** 2 / CELL)
        return float(-ndtri(-np.expm1(np.log1p(-chance) / cells))) * self.noise

    def _window(self, box: int) -> int:
        side = box / self.factor + 2 * BESIDE * self._diameter
        return 2 * int(side / 2) + 1


def _block_means(image: np.ndarray, factor: int) -> np.ndarray:
    rows, cols = image.shape[0] // factor, image.shape[1] // factor
    whole = np.asarray(image[: rows * factor, : cols * factor], np.float32)
    across = whole.reshape(rows * factor, cols, factor).sum(axis=2)
    return across.reshape(rows, factor, cols).sum(axis=1) / np.float32(factor**2)


def _levelled(small: np.ndarray, diameter: float) -> np.ndarray:
    """Without the slow changes of brightness, outliers held back; deviation about 1."""
    size = int(WIDE * diameter) | 1
    level = small - ndi.uniform_filter(ndi.uniform_filter(small, size, mode="nearest"), size, mode="nearest")
    level -= np.median(level)
    scale = 1.4826 * float(np.median(np.abs(level))) or float(level.std()) or 1.0
    return np.clip(level / np.float32(scale), -GREYEST, GREYEST)


def _template(small: np.ndarray, xy: np.ndarray, diameter: float) -> tuple[np.ndarray, bool]:
    """Zero mean and unit sum of squares, round; and whether it was learnt from the listed particles.

    Learnt ones have the particles' own contrast, dark or bright.
    """
    half = int(np.ceil(REACH * diameter))
    radius = _radius(half)
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


def _radius(half: int) -> np.ndarray:
    offset = np.arange(-half, half + 1)
    return np.hypot(offset[:, None], offset[None])


def _response(small: np.ndarray, template: np.ndarray, border: int) -> np.ndarray:
    """Contrast times correlation, its root with the sign, at every centre up to `border` px outside the image.

    Over the border only the pixels that exist are compared; the noise of the contrast is then the same everywhere.
    """
    image = np.pad(small, border)
    there = np.pad(np.ones_like(small), border)
    correlator = Correlator([image, image**2, there], len(template))
    support = (template != 0).astype(np.float32)
    kernels = [correlator.transform(k) for k in (template, template**2, support)]
    half = len(template) // 2

    def compared(plane: int, kernel: int) -> np.ndarray:
        return correlator.compare(plane, kernels[kernel], half)

    count = np.maximum(compared(2, 2), 1.0)
    mean, level = compared(2, 0), compared(0, 2)
    product = compared(0, 0) - level * mean / count
    power = np.clip(compared(2, 1) - mean**2 / count, 1e-4, 1.0)
    energy = compared(1, 2) - level**2 / count
    energy = np.maximum(energy, max(0.05 * float(np.median(energy)), 1e-30))  # masked places have none
    contrast = product / np.sqrt(power)
    likeness = product / np.sqrt(energy)  # times the share of the template that is there, as for the contrast
    return (np.sign(product) * np.sqrt(np.abs(contrast * likeness))).astype(np.float32)


def _best(response: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Largest response about each position."""
    return _at(np.asarray(ndi.maximum_filter(response, size=5)), xy)


def _at(plane: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Values (n,) at those of the positions (n, 2) that lie inside."""
    col, row = np.rint(xy).astype(int).T
    inside = (row >= 0) & (col >= 0) & (row < plane.shape[0]) & (col < plane.shape[1])
    return plane[row[inside], col[inside]]


def _noise(found: np.ndarray, away: np.ndarray, diameter: float) -> float:
    """Deviation of the response to noise alone: from its lower half, away from whatever responds strongly.

    `away`: distance of each centre to the nearest listed particle.
    """
    row, col = np.nonzero((found > SUSPECT) & (found == ndi.maximum_filter(found, size=5)))
    suspects = _distance(found.shape, np.stack([col, row], axis=1).astype(float))
    for distance, reach in ((np.minimum(away, suspects), 1.0), (away, 1.0), (away, OWN), (away, 0.0)):
        some = found[distance >= reach * diameter]
        if len(some) >= SAMPLE * diameter**2:
            break
    low, middle = np.quantile(some, (BELOW, 0.5))
    return float(middle - low)


def _distance(shape: tuple[int, ...], xy: np.ndarray) -> np.ndarray:
    """Distance of every centre to the nearest of the positions (n, 2)."""
    free = np.ones(shape, bool)
    col, row = np.rint(xy).astype(int).T if len(xy) else np.empty((2, 0), int)
    inside = (row >= 0) & (col >= 0) & (row < shape[0]) & (col < shape[1])
    free[row[inside], col[inside]] = False
    if free.all():
        return np.full(shape, np.inf, np.float32)
    return np.asarray(ndi.distance_transform_edt(free)).astype(np.float32)
