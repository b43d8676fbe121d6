"""Density on a grid: from atoms, or from a map of another box and pixel size; both exact up to the Nyquist frequency.

Volumes are float32 (z, y, x) of an even box; the centre is at index box // 2 of every axis. Everything is
band-limited to the ball of frequencies below Nyquist, so that a volume can be turned and shifted without loss
(projection.py). Nonuniform FFTs (finufft) take atoms at their places: nothing is rounded to voxels.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

_EPS = 1e-7, 5e-5  # relative accuracy of the nonuniform transforms, in double and in single precision
_BLUR = 8 * np.pi**2  # B factor of a Gaussian whose spread along an axis is 1 Å


def voxelise(
    positions_a: np.ndarray,  # (n, 3) x, y, z from the centre
    weights: np.ndarray,  # (n,)
    box: int,
    pixel_size_a: float,
    b_factor_a2: float,
    threads: int = 1,
) -> np.ndarray:
    """Gaussians of one B factor (spread sqrt(B / 8 pi^2) Å) at the positions: float32 (box, box, box).

    The sum over the voxels is the sum of the weights. Gaussians sharper than about 1.2 voxels ring, as what is
    band-limited must. ValueError when a position is outside of the box.
    """
    import finufft

    _check_box(box)
    if len(positions_a) and np.abs(positions_a).max() > 0.5 * box * pixel_size_a:
        raise ValueError("a position is outside of the box")
    turns = 2 * np.pi / (box * pixel_size_a)
    x, y, z = (np.ascontiguousarray(v, np.float64) for v in np.asarray(positions_a).T * turns)
    strengths = np.asarray(weights).astype(np.complex128)
    modes = finufft.nufft3d1(z, y, x, strengths, (box,) * 3, isign=-1, eps=_EPS[0], modeord=1, upsampfac=1.25,
                             nthreads=threads)  # fmt: skip
    half = np.asarray(modes)[:, :, : box // 2 + 1].astype(np.complex64)
    squared = _squared(box)
    half = half * np.exp(-0.25 * b_factor_a2 / (box * pixel_size_a) ** 2 * squared)
    half[squared >= (box / 2) ** 2] = 0
    return _volume(half, threads)


def b_factor_of(spread_a: float) -> float:
    """The B factor (Å^2) of a Gaussian with this standard deviation along an axis (Å)."""
    return _BLUR * spread_a**2


def resample(
    volume: np.ndarray, pixel_size_a: float, box: int, new_pixel_size_a: float, threads: int = 1
) -> np.ndarray:
    """A map (nz, ny, nx) on another grid about the same centre: float32 (box, box, box); grey values are kept.

    The map's own trigonometric interpolation, cut to the ball below both Nyquist frequencies. What does not fit
    into the new box comes in again at the other side: cut it away before.
    """
    import finufft

    _check_box(box)
    squared = _squared(box)
    ratio = pixel_size_a / new_pixel_size_a
    inside = squared < (0.5 * box * min(1.0, 1.0 / ratio)) ** 2
    step = 2 * np.pi * ratio / box
    kz, ky, kx = np.nonzero(inside)
    z, y = (np.where(k < box // 2, k, k - box).astype(np.float32) * np.float32(step) for k in (kz, ky))
    x = kx.astype(np.float32) * np.float32(step)
    half = np.zeros(inside.shape, np.complex64)
    half[inside] = finufft.nufft3d2(z, y, x, np.ascontiguousarray(volume, np.complex64), isign=-1, eps=_EPS[1],
                                    upsampfac=1.25, nthreads=threads)  # fmt: skip
    return _volume(half * np.float32(ratio**3), threads)


def diameter_px(volume: np.ndarray) -> float:
    """Twice the 98th percentile of the radius of voxels above 15 % of the maximum."""
    places = np.argwhere(volume > 0.15 * volume.max()) - volume.shape[0] // 2
    return float(2 * np.percentile(np.linalg.norm(places, axis=1), 98))


def _check_box(box: int) -> None:
    if box < 4 or box % 2:
        raise ValueError(f"a box is an even number of voxels, not {box}")


def _squared(box: int) -> np.ndarray:
    """Squared frequency in cycles per box on the rfft grid of a volume: float32 (box, box, box // 2 + 1)."""
    k = np.fft.fftfreq(box, 1 / box).astype(np.float32) ** 2
    x = np.arange(box // 2 + 1, dtype=np.float32) ** 2
    return k[:, None, None] + k[:, None] + x


def _volume(half: np.ndarray, threads: int) -> np.ndarray:
    """The volume of a spectrum whose phases count from the centre."""
    box = half.shape[0]
    sign = 1 - 2 * (np.arange(box) % 2).astype(np.float32)
    half = half * sign[:, None, None] * sign[:, None] * sign[: box // 2 + 1]  # moves the centre to box // 2
    return np.asarray(scipy.fft.irfftn(half, (box,) * 3, workers=threads)).astype(np.float32, copy=False)
