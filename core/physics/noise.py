"""Background noise learnt from real empty patches: spectrum, Gaussian draws, and mosaics of the patches themselves.

Patches are float32 (m, h, h) with mean about 0; spectra are rfft2-shaped power per pixel, so that their mean
over a full grid is the variance.
"""

from __future__ import annotations

import functools

import numpy as np
import scipy.fft
import scipy.ndimage as ndi

from core.physics.fourier import irfft2, rfft2


def noise_spectrum(patches: np.ndarray, size: int) -> np.ndarray:
    """Power spectrum of the noise on a (size, size // 2 + 1) grid, from (m, h, h) patches.

    The autocorrelation of the zero-padded patches, divided by the number of pixel pairs at each lag and
    tapered, is transformed back: unlike a windowed periodogram this neither leaks nor blurs with a small patch.
    """
    h = patches.shape[-1]
    n = max(size, 2 * h)
    n += n % 2
    # one patch at a time: memory does not grow with their number
    power = np.zeros((n, n // 2 + 1))
    for patch in patches:
        power += np.abs(rfft2(patch - patch.mean(), (n, n))) ** 2
    correlation = irfft2(power / len(patches), (n, n))
    pairs = irfft2(np.abs(rfft2(np.ones((h, h)), (n, n))) ** 2, (n, n))
    lag = np.fft.fftfreq(n) * n
    distance = np.hypot(lag[:, None], lag[None])
    taper = np.exp(-0.5 * (distance / (0.35 * h)) ** 2) * (distance < 0.7 * h)
    correlation = np.where(taper > 0, correlation / np.maximum(pairs, 1.0) * taper, 0.0)
    if n != size:
        correlation = _crop_lags(correlation, size)
    spectrum = np.real(rfft2(correlation))
    return np.maximum(spectrum, 1e-4 * spectrum.mean()).astype(np.float32)


def _crop_lags(correlation: np.ndarray, size: int) -> np.ndarray:
    """Keep the lags that a (size, size) grid can hold, in unshifted order."""
    centred = scipy.fft.fftshift(correlation)
    first = (centred.shape[0] - size) // 2
    return scipy.fft.ifftshift(centred[first : first + size, first : first + size])


def gaussian_noise(spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One Gaussian field (size, size) with the given power spectrum."""
    size = spectrum.shape[0]
    white = rng.standard_normal((size, size), dtype=np.float32)
    return irfft2(rfft2(white) * np.sqrt(spectrum), (size, size)).astype(np.float32)


def noise_mosaic(patches: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A field of `shape` tiled from real patches with random turns and flips.

    Neighbours fade into each other with sine ramps whose squares add up to one: independent patches keep
    their variance everywhere, where a linear fade would halve it.
    """
    h = patches.shape[-1]
    overlap = max(2, h // 6)
    step = h - overlap
    ramp = np.ones(h, np.float32)
    rise = np.sin(0.5 * np.pi * (np.arange(overlap) + 0.5) / overlap)
    ramp[:overlap], ramp[-overlap:] = rise, rise[::-1]
    window = ramp[:, None] * ramp[None]
    rows, cols = shape[0] // step + 2, shape[1] // step + 2
    field = np.zeros((rows * step + overlap, cols * step + overlap), np.float32)
    for i in range(rows):
        for j in range(cols):
            patch = np.rot90(patches[rng.integers(len(patches))], int(rng.integers(4)))
            if rng.random() < 0.5:
                patch = patch[:, ::-1]
            field[i * step : i * step + h, j * step : j * step + h] += window * patch
    top, left = rng.integers(0, step, 2)
    return field[top : top + shape[0], left : left + shape[1]]


def low_pass_spread(image: np.ndarray, sigma: float) -> float:
    """Standard deviation after a Gaussian low-pass: high where a patch holds ice, carbon or a particle."""
    return float(ndi.gaussian_filter(image - image.mean(), sigma, mode="reflect").std())


@functools.lru_cache(maxsize=8)
def low_pass_matrix(size: int, sigma: float, points: int) -> np.ndarray:
    """Gaussian low-pass along one axis, sampled: (points, size), with the border mirrored.

    `m @ patches @ m.T` low-passes a stack of (n, size, size) patches at points * points places in one product.
    """
    response = ndi.gaussian_filter1d(np.eye(size, dtype=np.float32), sigma, axis=0, mode="reflect")
    places = (np.arange(points) + 0.5) * size / points - 0.5
    low = np.floor(places).astype(int)
    part = (places - low)[:, None].astype(np.float32)
    return response[low] * (1 - part) + response[np.minimum(low + 1, size - 1)] * part
