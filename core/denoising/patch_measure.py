"""What is measured on a square patch of a micrograph, many patches at once: mean, slope, spread, spectrum, outliers.

Only numbers; what is usual and what is not is decided by core/denoising/patch_rating.py.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from core.physics.fourier import frequency_grid, rfft2
from core.physics.noise import low_pass_matrix

PIXELS_AT_ONCE = 2_000_000  # patches are measured in groups of this many pixels, which bounds the memory
LOWEST = 2.0  # cycles a box; below it a patch cannot tell a spectrum from its slope
SPOTS_FROM = 6.0  # cycles a box; sharp spots are looked for from here on
HANN_DOF = 1.94  # of a Hann window and axis: neighbouring coefficients repeat each other, that many fewer count


@dataclass(frozen=True)
class Measured:
    """Measures of n patches, in grey values unless said otherwise."""

    mean: np.ndarray  # (n,)
    slope: np.ndarray  # (n, 2) rise across the box along x and y
    deviation: np.ndarray  # (n,) standard deviation, slope taken off
    spread: np.ndarray  # (n,) standard deviation of the low-passed patch, slope taken off
    blob: np.ndarray  # (n,) largest low-passed value, with its sign, in units of `spread`
    bands: np.ndarray  # (n, k) mean power in each band
    spike: np.ndarray  # (n,) largest difference to the median or to the four neighbours, in their deviations
    flat: np.ndarray  # (n,) share of pixels equal to all their neighbours
    power: np.ndarray  # (n, b, b // 2 + 1) power of the windowed patches

    def __len__(self) -> int:
        return len(self.mean)


def measure(image: np.ndarray, centres: np.ndarray, box: int) -> Measured:
    """Measure the boxes about `centres` (n, 2) x, y, which must lie inside the image."""
    corners = np.rint(np.asarray(centres, float).reshape(-1, 2)).astype(int) - box // 2
    parts = [_measure(p) for p in _groups(image, corners, box)]
    return Measured(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Measured)))


def _groups(image: np.ndarray, corners: np.ndarray, box: int) -> Iterator[np.ndarray]:
    windows = np.lib.stride_tricks.sliding_window_view(image, (box, box))
    step = max(1, PIXELS_AT_ONCE // box**2)
    for first in range(0, max(1, len(corners)), step):
        x, y = corners[first : first + step].T
        yield windows[y, x].astype(np.float32)


def _measure(patches: np.ndarray) -> Measured:
    n, box = len(patches), patches.shape[-1]
    mean = patches.mean(axis=(1, 2), dtype=np.float64)
    patches -= mean[:, None, None].astype(np.float32)
    spike, flat = _spike(patches), _flat(patches)
    low = low_pass_matrix(box, box / 16, 16)
    maps = low @ patches @ low.T
    ramp = np.linspace(-0.5, 0.5, 16, dtype=np.float32)
    ramp /= np.sqrt((ramp**2).sum() * 16)
    norm = ramp.max() - ramp.min()
    slope = np.stack([np.einsum("nij,j->n", maps, ramp), np.einsum("nij,i->n", maps, ramp)], axis=1)
    maps -= slope[:, 0, None, None] * ramp + slope[:, 1, None, None] * ramp[:, None]
    maps -= maps.mean(axis=(1, 2), keepdims=True)
    spread = np.maximum(maps.std(axis=(1, 2)), 1e-20)
    flatmaps = maps.reshape(n, -1)
    top = np.abs(flatmaps).argmax(axis=1)
    blob = flatmaps[np.arange(n), top] / spread
    fine = np.linspace(-0.5, 0.5, box, dtype=np.float32) * norm
    patches -= slope[:, 0, None, None] * fine + slope[:, 1, None, None] * fine[:, None]
    deviation = np.maximum(patches.std(axis=(1, 2)), 1e-20)
    window = np.hanning(box + 1)[:box].astype(np.float32)
    transform = rfft2(patches * (window[:, None] * window))
    power = np.real(transform) ** 2 + np.imag(transform) ** 2
    power /= (window**2).sum() ** 2
    bands = np.maximum(power.reshape(n, -1) @ band_weights(box), 1e-30)
    return Measured(mean, slope * norm, deviation, spread, blob, bands, spike, flat, power)


def _spike(patches: np.ndarray) -> np.ndarray:
    """Largest |z| of a pixel against the patch, or of its difference to the mean of its four neighbours.

    The second finds single pixels also where the noise is smooth; the first finds clusters of hot pixels.
    """
    plain = np.maximum(patches.max(axis=(1, 2)), -patches.min(axis=(1, 2))) / _spread_of(patches)
    single = patches[:, 1:-1, 1:-1] * 4
    single -= patches[:, :-2, 1:-1]
    single -= patches[:, 2:, 1:-1]
    single -= patches[:, 1:-1, :-2]
    single -= patches[:, 1:-1, 2:]
    alone = np.maximum(single.max(axis=(1, 2)), -single.min(axis=(1, 2))) / _spread_of(single)
    return np.maximum(plain, alone)


def _spread_of(values: np.ndarray) -> np.ndarray:
    """Robust standard deviation of each patch, from some of its pixels. Spikes do not raise it."""
    step = max(1, values.shape[1] // 32)
    some = values[:, ::step, ::step].reshape(len(values), -1)
    middle = np.median(some, axis=1, keepdims=True)
    robust = 1.4826 * np.median(np.abs(some - middle), axis=1)
    # counting detectors: most pixels of a single frame are equal, and the median deviation is nought
    return np.where(robust > 0, robust, np.maximum(some.std(axis=1), 1e-20))


def _flat(patches: np.ndarray) -> np.ndarray:
    """Share of pixels that equal all eight neighbours: whole numbers of few counts hardly ever do that by chance."""
    beside = patches[:, :, 1:] == patches[:, :, :-1]
    if not beside.any():
        return np.zeros(len(patches))
    rows = beside[:, :, 1:] & beside[:, :, :-1]  # three equal ones in a row
    below = patches[:, 1:, 1:-1] == patches[:, :-1, 1:-1]
    same = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:] & below[:, 1:] & below[:, :-1]
    return same.mean(axis=(1, 2))


@functools.lru_cache(maxsize=8)
def band_edges(box: int) -> np.ndarray:
    """Edges (k + 1,) of the bands in cycles a box.

    Octaves where a patch has few coefficients, half octaves above: Thon rings and ice rings are narrow.
    """
    edges = [LOWEST]
    while edges[-1] * 1.2 < box / 2:
        edges.append(edges[-1] * (2.0 if edges[-1] < 8 else 2**0.5))
    if len(edges) > 2 and edges[-1] > 0.55 * box:
        edges.pop()
    edges[-1] = box / 2
    return np.array(edges)


@functools.lru_cache(maxsize=8)
def band_weights(box: int) -> np.ndarray:
    """Weights (b * (b // 2 + 1), k) float32 that average the power of rfft2 in each band."""
    frequency = frequency_grid(box, box) * box
    twice = np.full(frequency.shape, 2.0, np.float32)  # the half-plane that rfft2 leaves out
    twice[:, 0] = 1.0
    if box % 2 == 0:
        twice[:, -1] = 1.0
    edges = band_edges(box)
    columns = [twice * ((frequency >= lo) & (frequency < hi)) for lo, hi in itertools.pairwise(edges)]
    weights = np.stack([c.ravel() for c in columns], axis=1)
    return (weights / weights.sum(axis=0)).astype(np.float32)


def band_deviation(box: int) -> np.ndarray:
    """Expected standard deviation (k,) of the log power of each band, for Gaussian noise."""
    return HANN_DOF * np.sqrt((band_weights(box) ** 2).sum(axis=0))


@functools.lru_cache(maxsize=8)
def spot_mask(box: int) -> np.ndarray:
    """Coefficients (b, b // 2 + 1) where a sharp spot may be looked for."""
    frequency = frequency_grid(box, box) * box
    return (frequency >= min(SPOTS_FROM, box / 4)) & (frequency <= box / 2)


def expected_deviations(power: np.ndarray, box: int) -> tuple[float, float]:
    """Standard deviations of the logs of `spread` and `deviation`, for Gaussian noise of (b, b // 2 + 1) `power`.

    A low-passed patch has about forty independent cells; fewer where the noise itself is mostly slow or streaky.
    """
    frequency = frequency_grid(box, box)
    whole = np.where(frequency < 0.9 / box, 0.0, power).astype(np.float64)  # without the mean
    low = whole * np.exp(-((2 * np.pi * frequency * box / 16) ** 2))
    return _log_deviation(low), _log_deviation(whole)


def _log_deviation(power: np.ndarray) -> float:
    """1 / sqrt(2 cells), where cells = (sum of the power)^2 / sum of its squares over the whole plane."""
    total = 2 * power.sum() - power[:, 0].sum()
    squares = 2 * (power**2).sum() - (power[:, 0] ** 2).sum()
    return float(1.0 / np.sqrt(2.0 * max(total**2 / max(squares, 1e-300), 2.0)))
