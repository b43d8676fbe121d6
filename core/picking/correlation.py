"""Correlating one image with many small templates by FFT, normalised by the image's own spread under each of them.

Normalisation after J. P. Lewis, Fast Normalized Cross-Correlation (1995); many rotated templates share a few
principal components, so that hundreds of them cost tens of transforms. Templates are centred at pixel s // 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

FLOOR = (
    0.2  # of the mean spread of the image: where there is less, as in the empty ice of a denoised one, no more counts
)
FEW = 8  # templates that are correlated one by one
KEPT_ENERGY = 0.98  # of the templates, by their principal components
MOST_COMPONENTS = 64
CHUNK = 8192  # positions whose values with all templates are held at once


class Correlator:
    """Transforms of planes (h, w) of one shape, for correlation with kernels up to `size` px across."""

    def __init__(self, planes: list[np.ndarray], size: int) -> None:
        self._image_shape = planes[0].shape
        self._shape = [int(scipy.fft.next_fast_len(n + size, real=True) or n + size) for n in self._image_shape]
        self._planes = [np.asarray(scipy.fft.rfft2(p, self._shape)) for p in planes]

    def transform(self, kernel: np.ndarray) -> np.ndarray:
        """What `compare` takes of a kernel (s, s)."""
        return np.conj(np.asarray(scipy.fft.rfft2(kernel, self._shape)))

    def compare(self, plane: int, kernel: np.ndarray, half: int) -> np.ndarray:
        """Correlation (h, w) of a plane with a transformed kernel whose centre is its pixel `half`."""
        whole = np.asarray(scipy.fft.irfft2(self._planes[plane] * kernel, self._shape))
        height, width = self._image_shape
        return np.roll(whole, (half, half), (0, 1))[:height, :width]


@dataclass(frozen=True)
class Response:
    """`score` (h, w): correlation coefficient with the best template, -1 to 1; `best` (h, w): its number.

    `contrast` (h, w) is the same before the normalisation: strength in grey values.
    """

    score: np.ndarray
    contrast: np.ndarray
    best: np.ndarray


def respond(image: np.ndarray, templates: np.ndarray, support: np.ndarray) -> Response:
    """Compare a float32 (h, w) image with templates (t, s, s), zero mean and unit sum of squares in `support` (s, s).

    Beyond its border the image is taken as its mirror image.
    """
    half = templates.shape[-1] // 2
    padded = np.pad(image, half, mode="symmetric")
    correlator = Correlator([padded, padded * padded], templates.shape[-1])
    inner = (slice(half, -half or None),) * 2
    disc = correlator.transform(support.astype(np.float32))
    level = correlator.compare(0, disc, half)[inner]
    energy = correlator.compare(1, disc, half)[inner] - level * level / np.float32(support.sum())
    energy = np.maximum(energy, max(FLOOR * float(energy.mean()), 1e-20))
    if len(templates) <= FEW:
        maps = [correlator.compare(0, correlator.transform(t), half)[inner] for t in templates]
        contrast, best = _largest(maps)
    else:
        components, weights = principal_components(templates)
        maps = [correlator.compare(0, correlator.transform(c), half)[inner] for c in components]
        contrast, best = _largest_mixture(maps, weights)
    return Response(contrast / np.sqrt(energy), contrast, best)


def _largest(maps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    contrast, best = np.array(maps[0], np.float32), np.zeros(maps[0].shape, np.int16)
    for number, one in enumerate(maps[1:], 1):
        better = one > contrast
        contrast[better], best[better] = one[better], number
    return contrast, best


def principal_components(templates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal images (k, s, s) and weights (t, k) whose products are the templates (t, s, s), nearly."""
    flat = templates.reshape(len(templates), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(flat.T @ flat)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    share = np.cumsum(values) / max(values.sum(), 1e-30)
    count = min(int(np.searchsorted(share, KEPT_ENERGY)) + 1, MOST_COMPONENTS, len(templates))
    components = vectors[:, :count].T
    weights = flat @ components.T
    shape = (count, *templates.shape[1:])
    return components.reshape(shape).astype(np.float32), weights.astype(np.float32)


def _largest_mixture(maps: list[np.ndarray], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Largest of the mixtures (t, k) of maps at each position, and which one it is."""
    shape = maps[0].shape
    planes = np.stack([m.ravel() for m in maps])  # (k, h * w)
    contrast, best = np.empty(planes.shape[1], np.float32), np.empty(planes.shape[1], np.int16)
    for start in range(0, planes.shape[1], CHUNK):
        part = slice(start, start + CHUNK)
        values = weights @ planes[:, part]
        best[part] = values.argmax(axis=0)
        contrast[part] = values.max(axis=0)
    return contrast.reshape(shape), best.reshape(shape)
