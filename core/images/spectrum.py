"""The power spectrum of a micrograph: where Thon rings show, and what its noise is made of.

A periodogram averaged over overlapping windowed squares (Welch, IEEE Trans. Audio Electroacoust. 15, 70, 1967).
Nothing is fitted: defocus is not estimated here. Centred arrays have zero frequency at pixel (n // 2, n // 2);
x and y of the spectrum are those of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.images.pyramid import Cancelled, Pyramid

Region = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the whole image

LARGE_SIDE, SMALL_SQUARE, LARGE_SQUARE = 2048, 512, 1024
LEAST_SQUARE = 32
_PIXELS = 36 << 20  # transformed at most: squares are left out of larger images, evenly
_RING_PART = 1 / 16  # the background is smooth over this part of the radius


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Mean amplitude spectrum of squares of n pixels; the mean of amplitude^2 is the variance of the pixels.

    `step` and `radii` are frequencies in 1/Å, or in 1/px when the pixel size is unknown.
    """

    amplitude: np.ndarray  # (n, n) float32, centred
    step: float  # frequency of one pixel of `amplitude`
    radii: np.ndarray  # (n // 2 + 1,) frequencies of the rings
    power: np.ndarray  # (n // 2 + 1,) mean of amplitude^2 on each ring
    pixel_size_a: float | None  # of the pixels that were transformed
    squares: int  # how many were averaged

    @property
    def unit(self) -> str:
        """Of a resolution: Å or px."""
        return "px" if self.pixel_size_a is None else "Å"

    def resolution(self, radius: float) -> float:
        """Å (or px) of a distance from the centre in pixels of `amplitude`; infinite at the centre."""
        return 1.0 / (radius * self.step) if radius > 0 else float("inf")

    def radius(self, resolution: float) -> float:
        """Distance from the centre, in pixels of `amplitude`, of a resolution in Å (or px)."""
        return 1.0 / (resolution * self.step)

    def background(self) -> np.ndarray:
        """(n // 2 + 1,) `power` without its rings: smooth, for the eye only."""
        return _smooth_background(self.power)


def power_spectrum(
    pyramid: Pyramid, region: Region | None = None, cancelled: Callable[[], bool] | None = None, side: int | None = None
) -> Spectrum:
    """Spectrum of the finest level that is here, of all of it or of a region of at least 32 px a side.

    Squares have 1024 px in large images and 512 in others (less when the region is smaller), overlap by half, and
    are thinned out evenly beyond 36 million pixels. `side` chooses the square. `Cancelled` when `cancelled()`.
    """
    from core.physics.fourier import rfft2

    image, pixel = region_of(pyramid, region)
    side = side or square_side(image.shape)
    window = _hann(side)
    seen = 1.0 / float(window.sum(dtype=np.float64) ** 2)
    taper = np.multiply.outer(window, window)
    taper *= side / float(np.sum(window**2, dtype=np.float64))  # its mean square is 1: variances stay
    total = np.zeros((side, 2 * (side // 2 + 1)), np.float32)  # squares of real and imaginary parts, side by side
    corners = square_corners(image.shape, side)
    for x, y in corners:
        if cancelled is not None and cancelled():
            raise Cancelled
        square = image[y : y + side, x : x + side]
        mean = float(window @ square @ window) * seen  # of what the window sees: nothing is left at the centre
        part = np.subtract(square, np.float32(mean))
        part *= taper
        parts = rfft2(part).view(np.float32)
        parts *= parts
        total += parts
    half = (total[:, 0::2] + total[:, 1::2]) / np.float32(len(corners) * side**2)
    power = _whole_plane(half, side)
    step = 1.0 / (side * (pixel or 1.0))
    rings = ring_means(power)
    return Spectrum(np.sqrt(power), step, np.arange(len(rings)) * step, rings, pixel, len(corners))


def region_of(pyramid: Pyramid, region: Region | None) -> tuple[np.ndarray, float | None]:
    """(pixels, their size in Å or None) of a part of the finest level that is here; a view."""
    image, scale = pyramid.level(pyramid.finest), 2**pyramid.finest
    pixel = None if pyramid.pixel_size_a is None else pyramid.pixel_size_a * scale
    if region is not None:
        x0, y0, x1, y1 = (round((side + 0.5) / scale) for side in region)
        image = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    if min(image.shape) < LEAST_SQUARE:
        raise InputError(
            f"{image.shape[1]} × {image.shape[0]} pixels are too few for a spectrum.",
            f"Zoom out until at least {LEAST_SQUARE} × {LEAST_SQUARE} pixels are seen, or take the whole image.",
        )
    return image, pixel


def square_side(shape: tuple[int, ...]) -> int:
    """Side of the squares that fit an image: 512 or 1024, or the largest power of two below that fits."""
    smallest = min(shape)
    wanted = LARGE_SQUARE if smallest >= LARGE_SIDE else SMALL_SQUARE
    return min(wanted, 1 << (smallest.bit_length() - 1))


def square_corners(shape: tuple[int, ...], side: int) -> list[tuple[int, int]]:
    """(x, y) of squares from edge to edge that overlap by half, or less when that would be too many."""
    most = max(1, _PIXELS // side**2)
    counts = [1 + -(-(length - side) // max(side // 2, 1)) for length in shape]
    while counts[0] * counts[1] > most:
        counts[counts.index(max(counts))] -= 1
    rows, columns = (
        np.rint(np.linspace(0, length - side, count)).astype(int) if count > 1 else np.array([(length - side) // 2])
        for length, count in zip(shape, counts, strict=True)
    )
    return [(int(x), int(y)) for y in rows for x in columns]


def ring_means(power: np.ndarray) -> np.ndarray:
    """Means of a centred (n, n) array over rings one pixel wide: (n // 2 + 1,); the corners beyond are left out."""
    n = power.shape[0]
    place = np.arange(n) - n // 2
    ring = np.rint(np.hypot(place[:, None], place[None, :])).astype(np.intp).ravel()
    sums, counts = np.bincount(ring, power.ravel()), np.bincount(ring)
    return sums[: n // 2 + 1] / counts[: n // 2 + 1]


def display(spectrum: Spectrum, log: bool = True, flat: bool = True) -> np.ndarray:
    """(n, n) float32 to look at: logarithm (base 10) of the power, or the amplitude (its square root).

    `flat`: with the smooth fall towards fine detail taken out, which leaves the rings.
    """
    n = spectrum.amplitude.shape[0]
    floor = float(spectrum.power[1:].max()) * 1e-12 or 1e-30
    power = np.maximum(np.square(spectrum.amplitude), np.float32(floor))
    power[n // 2, n // 2] = max(float(spectrum.power[1]), floor)  # no hole where the mean grey was
    if flat:
        place = np.arange(n) - n // 2
        radius = np.hypot(place[:, None], place[None, :])
        smooth = np.maximum(spectrum.background(), floor)
        power = power / np.interp(radius, np.arange(len(smooth)), smooth)
    return (np.log10(power) if log else np.sqrt(power)).astype(np.float32)


def display_levels(shown: np.ndarray, inner: float = 3.0, outer: float | None = None) -> tuple[float, float]:
    """(black, white) for `display`: percentiles between two rings, in pixels from the centre (outer None: edge)."""
    n = shown.shape[0]
    place = np.arange(n) - n // 2
    radius = np.hypot(place[:, None], place[None, :])
    outer = max(min(n / 2 if outer is None else outer, n / 2), inner + 2)
    low, high = (float(value) for value in np.percentile(shown[(radius <= outer) & (radius >= inner)], (2.0, 99.5)))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _hann(side: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(side) + 0.5) / side)).astype(np.float32)


def _whole_plane(half: np.ndarray, n: int) -> np.ndarray:
    """Centred (n, n) of the (n, n // 2 + 1) half an rfft2 gives: power at -f equals power at f."""
    full = np.empty((n, n), half.dtype)
    full[:, : n // 2 + 1] = half
    left = half[:, 1 : (n + 1) // 2][:, ::-1]
    full[:, n // 2 + 1 :] = left[(-np.arange(n)) % n]
    return np.fft.fftshift(full)


def _smooth_background(power: np.ndarray) -> np.ndarray:
    """Gaussian mean of the logarithm over neighbouring rings, the ends continued by their slope."""
    from scipy.ndimage import gaussian_filter1d

    floor = max(float(power[1:].max()) * 1e-12, 1e-30)
    logs = np.log(np.maximum(power, floor))
    logs[0] = logs[1]
    count = len(logs)
    # Even in log-radius near the centre, where rings are wide and the fall is steep; even in radius further out.
    radius = np.arange(count, dtype=np.float64)
    warped = np.log1p(radius / (count * _RING_PART))
    even = np.linspace(0.0, warped[-1], 2 * count)
    values = np.interp(even, warped, logs)
    sigma = len(even) * 0.06
    pad = int(3 * sigma)
    values = np.concatenate([2 * values[0] - values[pad:0:-1], values, 2 * values[-1] - values[-2 : -pad - 2 : -1]])
    smooth = gaussian_filter1d(values, sigma)[pad:-pad]
    return np.exp(np.interp(warped, even, smooth))
