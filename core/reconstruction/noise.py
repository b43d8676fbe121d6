"""Noise of particle images: its power per shell, from the corners where there is no particle, and from residuals.

Powers are those of plain DFT coefficients: white noise of variance s^2 has L^2 s^2 in an L x L image.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from core.reconstruction.operator import Disc

_LEAST = 1e-6  # of the mean power: noise-free images would weigh infinitely


def corner_mask(box: int, radius: float) -> np.ndarray:
    """Pixels (L, L) farther than `radius` px from the centre."""
    axis = np.arange(box) - box // 2
    return np.hypot(axis[:, None], axis[None, :]) > radius


def corner_power(images: np.ndarray, used: Disc, radius: float) -> np.ndarray:
    """Sum over images (n, D, D) of the noise power per shell (used.box // 2,), scaled to coefficients of the used box.

    The corners' own mean is taken off; their share of the area is made up for. Divide by n.
    """
    size = images.shape[-1]
    mask = corner_mask(size, radius)
    corner = images[:, mask]
    background = np.zeros_like(images, dtype=np.float32)
    background[:, mask] = corner - corner.mean(axis=1, keepdims=True)
    spectrum = np.asarray(scipy.fft.rfft2(background))
    rows = np.where(used.rows < used.box // 2, used.rows, used.rows + size - used.box)
    power = np.abs(spectrum[:, rows, used.columns]) ** 2
    power *= (used.box / size) ** 4 / mask.mean()
    return _per_shell(power.sum(axis=0), used)


def residual_power(residual: np.ndarray, used: Disc) -> np.ndarray:
    """Sum over images of the power per shell (used.box // 2,) of coefficients (n, m). Divide by n."""
    return _per_shell((np.abs(residual) ** 2).sum(axis=0), used)


def _per_shell(power: np.ndarray, used: Disc) -> np.ndarray:
    """Weighted mean over the coefficients of each shell; the zero frequency takes the value of the first ring."""
    size = used.box // 2
    count = np.bincount(used.shell, used.share, size)
    total = np.bincount(used.shell, used.share * power, size)
    mean = total / np.maximum(count, 1)
    mean[0] = mean[1]
    return mean


def floored(power: np.ndarray) -> np.ndarray:
    """Noise power that can be divided by."""
    return np.maximum(power, _LEAST * max(float(power.mean()), 1e-30))
