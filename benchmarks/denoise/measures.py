"""Measures of one denoised micrograph against its truth. Scale and offset of an image never matter.

Images are flattened first (optics.flatten). "SNR" is rho^2 / (1 - rho^2) of the correlation rho with the truth: the
power of the part that is proportional to the truth over the power of everything else.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.denoise.optics import discs
from core.physics.fourier import frequency_grid, irfft2, rfft2

BANDS = 48  # hat functions over frequency that a radial filter is made of


def decibel(ratio: float) -> float:
    """10 log10."""
    return float(10 * np.log10(max(ratio, 1e-12)))


def snr_db(image: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """Signal-to-noise ratio in dB over the pixels `where` (h, w) bool."""
    return _from_correlation(_correlation(image[where], truth[where]) ** 2)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt(max((a @ a) * (b @ b), 1e-30)))


def _from_correlation(squared: float) -> float:
    return decibel(squared / max(1 - squared, 1e-12))


def wiener_bounds_db(
    image: np.ndarray, truth: np.ndarray, inside: np.ndarray, field: np.ndarray
) -> tuple[float, float]:
    """The highest SNR (dB) that any radial linear filter of `image` can reach, inside discs and on the whole field.

    A radial filter H(k) is written as a sum of BANDS hat functions over frequency (piecewise linear between knots that
    lie densely at low frequency). The filtered image is then a sum of band images x_b, and the filter whose output
    correlates best with the truth s on a set of pixels is the least-squares fit of s by the x_b there: the bound is
    R^2 / (1 - R^2) of that regression. Unlike sum S^2/(S+N) / sum S N/(S+N) over shells it knows what a filter
    carries into a disc from around it. No user can reach it: the fit knows the truth.
    """
    pick_in, pick_field = np.flatnonzero(inside), np.flatnonzero(field)
    if len(pick_field) > 150_000:
        pick_field = pick_field[:: len(pick_field) // 150_000 + 1]
    union = np.union1d(pick_in, pick_field)
    columns = np.stack([band.ravel()[union] for band in _bands(image)], axis=1)
    results = []
    for pick in (pick_in, pick_field):
        rows = np.searchsorted(union, pick)
        x = columns[rows] - columns[rows].mean(axis=0)
        s = truth.ravel()[pick] - truth.ravel()[pick].mean()
        x = x / np.maximum(x.std(axis=0), 1e-12)
        gram = x.T @ x
        moment = x.T @ s
        fit = np.linalg.lstsq(gram, moment, rcond=1e-12)[0]  # a narrow band may hold no coefficient at all
        explained = float(moment @ fit) / float(s @ s)
        results.append(_from_correlation(min(max(explained, 0.0), 1.0)))
    return results[0], results[1]


def _bands(image: np.ndarray) -> Iterator[np.ndarray]:
    """The image through each hat function; they add up to the image."""
    height, width = image.shape
    waves, k = rfft2(image), frequency_grid(height, width)
    # squares: a particle's signal is at the low end; the corners beyond Nyquist belong to the last hat
    knots = np.concatenate([0.5 * np.linspace(0, 1, BANDS - 1) ** 2, [0.75]])
    for i in range(BANDS):
        unit = np.zeros(BANDS)
        unit[i] = 1.0
        yield irfft2(waves * np.interp(k, knots, unit), image.shape)


def ssnr_bound_db(image: np.ndarray, truth: np.ndarray, xy: np.ndarray, diameter: float) -> float:
    """The textbook form of the bound inside discs, for comparison with `wiener_bounds_db`.

    With S(k) and N(k) the power of truth and of image - truth in soft discs, the filter S / (S + N) gives
    SNR = sum S^2/(S+N) / sum S N/(S+N), each shell weighted by its number of coefficients.
    """
    size = 2 * round(0.75 * diameter)
    offset = np.hypot(*(np.indices((size, size)) - size // 2))
    window = np.clip((0.5 * diameter + 2 - offset) / 4, 0, 1)
    signal = noise = 0.0
    for crop_s, crop_n in zip(_crops(truth, xy, size), _crops(image - truth, xy, size), strict=True):
        signal = signal + np.abs(rfft2((crop_s - crop_s.mean()) * window)) ** 2
        noise = noise + np.abs(rfft2((crop_n - crop_n.mean()) * window)) ** 2
    shells = np.rint(frequency_grid(size, size) * size).astype(int).ravel()
    s, n = (np.bincount(shells, np.ravel(p)) for p in (signal, noise))
    total = np.maximum(s + n, 1e-30)
    return decibel(float((s * s / total).sum() / max((s * n / total).sum(), 1e-30)))


def _crops(image: np.ndarray, xy: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for x, y in np.asarray(xy, int):
        top, left = y - size // 2, x - size // 2
        if top >= 0 and left >= 0 and top + size <= image.shape[0] and left + size <= image.shape[1]:
            yield image[top : top + size, left : left + size]


def boxes(image: np.ndarray, xy: np.ndarray, size: int) -> np.ndarray:
    """Squares (n, size, size) whose pixel size // 2 is at positions (n, 2) x, y."""
    found = list(_crops(image, xy, size))
    return np.stack(found) if found else np.empty((0, size, size))


def slopes(image: np.ndarray, truth: np.ndarray, xy: np.ndarray, size: int) -> np.ndarray:
    """Contrast of each particle (n,): regression of the image on the truth in its box."""
    x, s = boxes(image, xy, size), boxes(truth, xy, size)
    return (x * s).sum(axis=(1, 2)) / np.maximum((s * s).sum(axis=(1, 2)), 1e-30)


def gain(image: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """Factor by which the image shows the truth."""
    s = truth[where]
    return float(image[where] @ s / max(s @ s, 1e-30))


def mean_frc(image: np.ndarray, truth: np.ndarray, pixel_size_a: float, until_a: float = 10.0) -> float:
    """Mean Fourier ring correlation with the truth from the third ring to 10 Å (or the Nyquist frequency)."""
    a, b = rfft2(image), rfft2(truth)
    ring = np.rint(frequency_grid(*image.shape) * min(image.shape) / 4).astype(int).ravel()  # four rings in one
    sums = [np.bincount(ring, np.ravel(v)) for v in (np.real(a * np.conj(b)), np.abs(a) ** 2, np.abs(b) ** 2)]
    curve = sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-30))
    last = int(min(min(image.shape) / 4 * pixel_size_a / until_a, min(image.shape) / 8))
    return float(curve[1 : max(2, last)].mean())


def inner(shape: tuple[int, ...], margin: int) -> np.ndarray:
    """All pixels but a rim of `margin`."""
    where = np.zeros(shape, bool)
    where[margin : shape[0] - margin, margin : shape[1] - margin] = True
    return where


def disc_pixels(shape: tuple[int, ...], xy: np.ndarray, diameter: float) -> np.ndarray:
    """Pixels inside particle discs."""
    return discs(shape, xy, diameter / 2)
