"""Fourier ring correlation: how far two images of one size agree, ring by ring of resolution.

Saxton & Baumeister, J. Microsc. 127, 127 (1982); van Heel, Keegstra, Schutter & van Bruggen (1982); thresholds and
sigma curves as in van Heel & Schatz, J. Struct. Biol. 151, 250 (2005). It is a resolution only when the noise of the
two images is independent. An image and its denoised copy share their noise: for them it is agreement, no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.images.pyramid import Cancelled, Pyramid, halve

ONE_SEVENTH, HALF = 1 / 7, 0.5
LARGEST_SIDE = 4096  # larger images are halved first: the rings of their finest detail are given up
LEAST_SIDE = 32
LEAST_INDEPENDENT = 36  # no crossing is read from rings with fewer values: 3 sigma are above one half there
EDGE = 0.1  # part of each side over which the mask falls to zero
_BLOCK_VALUES = 1 << 20

Region = tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the whole image


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """Correlation of two images on rings of spatial frequency, from the centre to the Nyquist frequency."""

    frequency: np.ndarray  # (m,) 1/Å, or 1/px when the pixel size is unknown
    correlation: np.ndarray  # (m,) -1 .. 1; the first, of the mean that was taken out, means nothing
    independent: np.ndarray  # (m,) independent real numbers that each ring holds
    pixel_size_a: float | None  # of the pixels that were compared
    halvings: int = 0  # how often the images were halved first

    @property
    def unit(self) -> str:
        """Of a resolution: Å or px."""
        return "px" if self.pixel_size_a is None else "Å"

    @property
    def first_ring(self) -> int:
        """The innermost ring that holds enough values to mean something by itself."""
        enough = np.flatnonzero(self.independent >= LEAST_INDEPENDENT)
        return int(enough[0]) if enough.size else len(self.independent)

    def sigma(self, times: float = 3.0) -> np.ndarray:
        """(m,) `times` standard deviations of the correlation of two images of independent noise."""
        return np.minimum(1.0, times / np.sqrt(np.maximum(self.independent, 1.0)))

    def crossing(self, threshold: float | np.ndarray) -> float | None:
        """Frequency where the correlation first falls below a number or a curve; None when it never does.

        Interpolated between two rings. Also None when the correlation is never above.
        """
        return first_crossing(self.frequency, self.correlation, threshold, self.first_ring)

    def resolution(self, threshold: float | np.ndarray) -> float | None:
        """Å (or px) of `crossing`."""
        frequency = self.crossing(threshold)
        return None if frequency is None or frequency <= 0 else 1.0 / frequency

    def holds_to_the_end(self, threshold: float | np.ndarray) -> bool:
        """Whether the correlation stays above up to the Nyquist frequency."""
        return bool(np.all((self.correlation - threshold)[self.first_ring :] >= 0))

    @property
    def finest(self) -> float:
        """Resolution at the Nyquist frequency, Å (or px)."""
        return 2.0 * (self.pixel_size_a or 1.0)


def first_crossing(
    frequency: np.ndarray, correlation: np.ndarray, threshold: float | np.ndarray, first: int = 0
) -> float | None:
    """Frequency where a correlation (m,) on rings or shells first falls below a number or a curve (m,).

    Interpolated between two rings; `first`: the innermost that means something. None when it never does.
    """
    above = correlation - threshold
    for ring in range(first + 1, len(above)):
        if above[ring] < 0 <= above[ring - 1]:
            part = float(above[ring - 1] / (above[ring - 1] - above[ring]))
            before, after = float(frequency[ring - 1]), float(frequency[ring])
            return before + part * (after - before)
    return None


def compare(
    first: Pyramid | np.ndarray,
    second: Pyramid | np.ndarray,
    region: Region | None = None,
    cancelled: Callable[[], bool] | None = None,
    pixel_size_a: float | None = None,
) -> RingCorrelation:
    """Correlate two images of one shape, whole or on a region of at least 32 px a side.

    Pyramids bring their pixel size; arrays float32 (ny, nx) take `pixel_size_a`. More than 4096 px a side are
    halved first (`halvings` of the result), so that the finest rings are missing: choose a region to have them.
    """
    stop = cancelled or (lambda: False)
    pixel_size_a = pixel_size_a if pixel_size_a is not None else _common_pixel_size(first, second)
    images = [_pixels(image) for image in (first, second)]
    if images[0].shape != images[1].shape:
        raise InputError(
            f"The two images have different sizes: {_size(images[0])} and {_size(images[1])} pixels.",
            "Choose two pictures of one micrograph, such as its raw and its denoised one.",
        )
    images = [_part(image, region) for image in images]
    halvings = 0
    while max(images[0].shape) > LARGEST_SIDE:
        images = [halve(image, stop) for image in images]
        halvings += 1
    if min(images[0].shape) < LEAST_SIDE:
        raise InputError(
            f"{_size(images[0])} pixels are too few to compare.",
            f"Choose a region of at least {LEAST_SIDE} × {LEAST_SIDE} pixels.",
        )
    pixel = None if pixel_size_a is None else pixel_size_a * 2**halvings
    return _correlate(images[0], images[1], pixel, halvings, stop)


def ring_correlation(first: np.ndarray, second: np.ndarray, pixel_size_a: float | None = None) -> RingCorrelation:
    """Correlate two float32 (ny, nx) arrays as they are; see `compare`."""
    return _correlate(first, second, pixel_size_a, 0, lambda: False)


def _correlate(
    first: np.ndarray, second: np.ndarray, pixel: float | None, halvings: int, stop: Callable[[], bool]
) -> RingCorrelation:
    from core.physics.fourier import rfft2

    ny, nx = first.shape
    size = min(ny, nx)
    windows = _taper(ny), _taper(nx)
    waves = []
    for image in (first, second):
        if stop():
            raise Cancelled
        waves.append(rfft2(_masked(image, *windows)))
    rings = size // 2 + 1
    cross, power_a, power_b, counts = (np.zeros(rings) for _ in range(4))
    # Every column of the half plane stands for two, but the first and (even sizes) the last.
    twice = np.full(nx // 2 + 1, 2.0)
    twice[0] = 1.0
    if nx % 2 == 0:
        twice[-1] = 1.0
    fy, fx = np.fft.fftfreq(ny) * size, np.fft.rfftfreq(nx) * size
    rows = max(1, _BLOCK_VALUES // nx)
    for top in range(0, ny, rows):
        if stop():
            raise Cancelled
        block = slice(top, top + rows)
        ring = np.rint(np.hypot(fy[block, None], fx[None, :])).astype(np.intp)
        ring = np.minimum(ring, rings).ravel()  # corners beyond the Nyquist ring go to one bin that is dropped
        a, b = waves[0][block], waves[1][block]
        real_a, imag_a, real_b, imag_b = np.real(a), np.imag(a), np.real(b), np.imag(b)
        for total, values in (
            (cross, real_a * real_b + imag_a * imag_b),
            (power_a, real_a**2 + imag_a**2),
            (power_b, real_b**2 + imag_b**2),
            (counts, np.ones(a.shape, np.float32)),
        ):
            total += np.bincount(ring, (values * twice).ravel(), rings + 1)[:rings]
    norm = np.sqrt(power_a * power_b)
    correlation = np.divide(cross, norm, out=np.zeros(rings), where=norm > 0)
    frequency = np.arange(rings) / (size * (pixel or 1.0))
    # Of the neighbours that the mask makes alike, about those along the ring are in the same sum.
    independent = counts * math.sqrt(_fill(windows[0]) * _fill(windows[1]))
    return RingCorrelation(frequency, np.clip(correlation, -1, 1), independent, pixel, halvings)


def _taper(count: int) -> np.ndarray:
    """One in the middle, a raised cosine down to zero over a tenth at both ends."""
    edge = max(1, round(count * EDGE))
    place = (np.minimum(np.arange(count), np.arange(count)[::-1]) + 0.5) / edge
    return np.where(place >= 1, 1.0, 0.5 - 0.5 * np.cos(np.pi * np.minimum(place, 1.0))).astype(np.float32)


def _fill(window: np.ndarray) -> float:
    """Independent part of the Fourier values: a mask makes neighbours alike."""
    return float(np.mean(window**2, dtype=np.float64) ** 2 / np.mean(window**4, dtype=np.float64))


def _masked(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The image without the mean that the mask sees, times the mask: float32."""
    seen = rows.astype(np.float64) @ (image @ columns).astype(np.float64)
    mean = seen / (rows.sum(dtype=np.float64) * columns.sum(dtype=np.float64))
    result = np.subtract(image, np.float32(mean), dtype=np.float32)
    result *= rows[:, None]
    result *= columns
    return result


def _pixels(image: Pyramid | np.ndarray) -> np.ndarray:
    if isinstance(image, np.ndarray):
        return image
    if image.finest:
        raise InputError(
            f"{image.name or 'The picture'} is a filtered or preliminary picture without its finest pixels.",
            "Compare the pictures themselves.",
        )
    return image.levels[0]


def _part(image: np.ndarray, region: Region | None) -> np.ndarray:
    if region is None:
        return image
    x0, y0, x1, y1 = (max(0, math.floor(side + 0.5)) for side in region)
    return np.ascontiguousarray(image[y0:y1, x0:x1])


def _common_pixel_size(first: Pyramid | np.ndarray, second: Pyramid | np.ndarray) -> float | None:
    sizes = [image.pixel_size_a for image in (first, second) if isinstance(image, Pyramid)]
    known = [size for size in sizes if size is not None]
    if len(known) == 2 and abs(known[0] - known[1]) > 1e-3 * known[0]:
        raise InputError(
            f"The two images have different pixel sizes: {known[0]:.4g} and {known[1]:.4g} Å.",
            "Choose two pictures of one micrograph.",
        )
    return known[0] if known else None


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} × {image.shape[0]}"
