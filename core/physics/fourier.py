"""Fourier helpers on 2D images: resampling, frequency grids, shell averages.

Centring: transforms are not shifted; pixel (0, 0) is the origin and stays at (0, 0) under resampling, so that
position x of the old grid is x * new_size / old_size of the new one. Frequencies are in cycles per pixel.
"""

from __future__ import annotations

import numpy as np
import scipy.fft


def rfft2(image: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Real transform of the last two axes, zero-padded to `shape`; float32 stays single precision."""
    return np.asarray(scipy.fft.rfft2(image, s=shape))


def irfft2(spectrum: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Inverse of rfft2 onto a grid of `shape` (its last two axes)."""
    return np.asarray(scipy.fft.irfft2(spectrum, s=shape[-2:]))


def frequency_grid(height: int, width: int) -> np.ndarray:
    """Radial frequency of each rfft2 coefficient: (height, width // 2 + 1), cycles/px."""
    fy = np.fft.fftfreq(height).astype(np.float32)
    fx = np.fft.rfftfreq(width).astype(np.float32)
    return np.hypot(fy[:, None], fx[None])


def fourier_resample(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Crop or pad the transform of a float32 (h, w) image to `shape`; grey values are kept.

    Even sizes only: coefficients at the smaller grid's Nyquist frequency are dropped, which keeps the
    result real and the operation its own inverse for what lies below it.
    """
    height, width = image.shape
    new_h, new_w = shape
    if (new_h, new_w) == (height, width):
        return image
    spectrum = rfft2(image)
    resized = np.zeros((new_h, new_w // 2 + 1), spectrum.dtype)
    rows, cols = min(height, new_h) // 2, min(width, new_w) // 2
    resized[:rows, :cols] = spectrum[:rows, :cols]
    resized[-rows + 1 :, :cols] = spectrum[-rows + 1 :, :cols]
    del spectrum
    out = irfft2(resized, shape)
    out *= np.float32(new_h * new_w / (height * width))
    return out.astype(np.float32, copy=False)


def shell_index(size: int) -> np.ndarray:
    """Shell number 0..size // 2 of each rfft2 coefficient of a (size, size) image."""
    shells = np.rint(frequency_grid(size, size) * size).astype(np.int64)
    return np.minimum(shells, size // 2)


def shell_average(power: np.ndarray, size: int) -> np.ndarray:
    """Mean of an rfft2-shaped (..., size, size // 2 + 1) array over shells: (..., size // 2 + 1)."""
    index = shell_index(size).ravel()
    count = np.bincount(index)
    flat = power.reshape(-1, index.size)
    means = np.stack([np.bincount(index, row) / count for row in flat])
    return means.reshape(*power.shape[:-2], count.size)


def shell_counts(size: int) -> np.ndarray:
    """How many of the size x size Fourier coefficients each shell holds: (size // 2 + 1,)."""
    twice = np.full((size, size // 2 + 1), 2.0)
    twice[:, 0] = 1.0
    if size % 2 == 0:
        twice[:, -1] = 1.0
    return np.bincount(shell_index(size).ravel(), twice.ravel())
