"""Filters for looking: a picture without the detail finer than some resolution, or without slow ice gradients.

The filter is a Gaussian in Fourier space whose amplitude is one half at the resolution asked for (period 1/f, in
Angstrom), so it rings nowhere. The result has the coarsest level of the pyramid that still holds what passes. The
cosine transform continues the image by its mirror image: no opposite edge leaks in, and nothing is padded
(Martucci, IEEE Trans. Signal Process. 42, 1038, 1994). Filtered pixels are for seeing, never for measuring.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from core.errors import ParamError
from core.images.pyramid import TOP_SIDE, Cancelled, Pyramid, halve

PIXELS_PER_RESOLUTION = 4  # the level's pixel is at most a quarter of the resolution: 1/16 passes at its Nyquist
_BLOCK_VALUES = 1 << 20


def _never() -> bool:
    return False


def filter_level(pyramid: Pyramid, resolution_a: float | None) -> int:
    """The number of the coarsest level whose pixel is at most a quarter of the resolution (px if size unknown)."""
    if resolution_a is None:
        return pyramid.finest
    pixel = pyramid.pixel_size_a or 1.0
    wanted = math.floor(math.log2(max(resolution_a / PIXELS_PER_RESOLUTION / pixel, 1.0)) + 1e-9)
    return pyramid.nearest_level(wanted)


def low_pass(
    pyramid: Pyramid,
    resolution_a: float | None,
    cancelled: Callable[[], bool] | None = None,
    high_pass_a: float | None = None,
) -> Pyramid:
    """The pyramid with half the amplitude left at the period `resolution_a` and less beyond, up to sharp edges.

    `high_pass_a` also takes away half of that (longer) period and more of what is slower; the mean grey stays, so
    values keep their unit. Both in Angstrom, in pixels of the image when its pixel size is unknown; None: no such
    filter. The result begins at the level that was filtered. `Cancelled` when `cancelled()`.
    """
    _check(resolution_a, high_pass_a)
    stop = cancelled or _never
    number = filter_level(pyramid, resolution_a)
    # One level finer is read: halving it by 2x2 means would fold more of its noise back into what passes.
    source = pyramid.nearest_level(number - 1) if resolution_a is not None else number
    pixel = (pyramid.pixel_size_a or 1.0) * 2**source
    low = None if resolution_a is None else resolution_a / pixel
    high = None if high_pass_a is None else high_pass_a / pixel
    levels = [filtered(pyramid.level(source), low, high, 2**source, source < number, stop)]
    while max(levels[-1].shape) > TOP_SIDE:
        levels.append(halve(levels[-1], stop))
    if stop():
        raise Cancelled
    return dataclasses.replace(pyramid, levels=tuple(levels), grey_ranges=(), finest=number, image_shape=pyramid.shape)


def _check(resolution_a: float | None, high_pass_a: float | None) -> None:
    for value in (resolution_a, high_pass_a):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ParamError("A filter needs a resolution above zero.", "Give a number such as 20, in Å.")
    if resolution_a is not None and high_pass_a is not None and high_pass_a <= resolution_a:
        raise ParamError(
            f"Nothing is left between {high_pass_a:g} and {resolution_a:g}.",
            "The high-pass takes the larger number, such as 500 Å.",
        )


def filtered(
    image: np.ndarray,
    low: float | None,
    high: float | None = None,
    averaged: int = 1,
    half: bool = False,
    cancelled: Callable[[], bool] = _never,
) -> np.ndarray:
    """Band-pass of float32 (ny, nx): half amplitude at the periods `low` and `high`, in pixels of `image`.

    `averaged`: each pixel is the mean of a square of that many finer pixels; their damping is undone where the
    low-pass leaves something to see. `half`: the result is (ceil(ny / 2), ceil(nx / 2)), sampled where 2x2 squares
    have their middles.
    """
    from scipy.fft import dct, idct

    step = 2 if half else 1
    if half and (image.shape[0] % 2 or image.shape[1] % 2):
        image = np.pad(image, [(0, side % 2) for side in image.shape], mode="edge")
    ny, nx = image.shape[0] // step, image.shape[1] // step
    rows_low, columns_low = (_low_weights(side, low, averaged) for side in image.shape)
    rows_high, columns_high = (_weights(side, high) for side in image.shape)
    waves = np.empty((image.shape[0], nx), np.float32)
    for rows in _blocks(image.shape[0], image.shape[1], cancelled):
        waves[rows] = np.asarray(dct(image[rows], axis=1))[:, :nx]  # fewer cosines on as few points: resampled
    result = np.empty((ny, nx), np.float32)
    for columns in _blocks(nx, image.shape[0], cancelled):
        part = np.asarray(dct(waves[:, columns], axis=0))[:ny]
        mean = part[0, 0]
        part *= rows_low[:ny, None] * columns_low[columns]
        if high is not None:
            part *= 1 - rows_high[:ny, None] * columns_high[columns]
            if columns.start == 0:
                part[0, 0] = mean
        result[:, columns] = np.asarray(idct(part, axis=0))
    for rows in _blocks(ny, nx, cancelled):
        result[rows] = np.asarray(idct(result[rows], axis=1))
    result *= np.float32(1 / step**2)
    return result


def _blocks(count: int, length: int, cancelled: Callable[[], bool]) -> Iterator[slice]:
    """Slices of lines short enough to stop between them."""
    step = max(1, _BLOCK_VALUES // max(length, 1))
    for start in range(0, count, step):
        if cancelled():
            raise Cancelled
        yield slice(start, min(start + step, count))


def _frequencies(count: int) -> np.ndarray:
    """Of the cosines of a DCT-II over `count` pixels, in cycles per pixel: 0 .. 1/2."""
    return np.arange(count) / (2.0 * count)


def _weights(count: int, period: float | None) -> np.ndarray:
    """Gaussian, 1/2 at `period`; the product of those of rows and columns depends on the ring alone."""
    if period is None:
        return np.ones(count, np.float32)
    return (0.5 ** (_frequencies(count) * period) ** 2).astype(np.float32)


def _low_weights(count: int, period: float | None, averaged: int) -> np.ndarray:
    if period is None or averaged == 1:
        return _weights(count, period)
    fine = np.pi * _frequencies(count) / averaged
    with np.errstate(invalid="ignore"):
        damping = np.sin(averaged * fine) / (averaged * np.sin(fine))
    damping[0] = 1.0
    return (_weights(count, period) / damping).astype(np.float32)
