"""Pixels of a zoomed image: exact area means below 1:1, the nearest pixel from 1:1 on.

Works on a pyramid, so the cost depends on what is asked for, not on the size of the image. app/viewer paints.
"""

from __future__ import annotations

import math

import numpy as np

from core.images.pyramid import Pyramid

# Level pixels per screen pixel, at least: see `level_for`.
FINE_FIRST, FINE = 4.2, 5.6


def level_for(zoom: float) -> int:
    """Number of the level that exact pixels are computed from at `zoom` (screen px per image px).

    Squares of a level straddle the borders of the screen's pixels and are shared out by area. The correlation with
    the exact area mean stays above 0.95 on pure noise, the worst case, with 5.6 squares to a screen pixel (4.2 of
    the first level, whose squares hold only four pixels); with 1 to 2 squares it is 0.75.
    """
    wide = 1 / zoom
    if wide < 2 * FINE_FIRST:
        return 0
    return max(1, math.floor(math.log2(wide / FINE) + 1e-9))


def zoomed_size(shape: tuple[int, int], zoom: float) -> tuple[int, int]:
    """(height, width) in whole screen pixels of an image of `shape` (ny, nx)."""
    return (max(1, math.ceil(shape[0] * zoom - 1e-6)), max(1, math.ceil(shape[1] * zoom - 1e-6)))


def sample_window(pyramid: Pyramid, zoom: float, left: int, top: int, width: int, height: int) -> np.ndarray:
    """float32 (height, width): the window of the zoomed image whose first pixel is (left, top).

    Pixel j of the zoomed image covers [j / zoom, (j + 1) / zoom) of the image, counted from its left edge.
    """
    level = pyramid.nearest_level(level_for(zoom))
    image = pyramid.level(level)
    ratio = 1.0 / (zoom * 2**level)  # level pixels to a screen pixel
    if ratio <= 1.0:
        if level:  # a preview or a filtered picture: its pixels are samples of something smooth
            return _bilinear(image, left, top, width, height, ratio)
        rows, columns = _nearest(top, height, zoom, image.shape[0]), _nearest(left, width, zoom, image.shape[1])
        part = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return np.take(np.take(part, columns - columns[0], axis=1), rows - rows[0], axis=0)
    row_taps, row_weights = _area_taps(top, height, ratio, image.shape[0])
    column_taps, column_weights = _area_taps(left, width, ratio, image.shape[1])
    first, last = int(column_taps.min()), int(column_taps.max()) + 1
    strip = _row_means(image[:, first:last], row_taps, row_weights)
    return np.ascontiguousarray(_row_means(strip.T, column_taps - first, column_weights).T)


def _bilinear(image: np.ndarray, left: int, top: int, width: int, height: int, ratio: float) -> np.ndarray:
    """Values between the pixels of a level that are wider than the screen's; the border ones repeat beyond."""
    parts = []
    for start, count, size in ((top, height, image.shape[0]), (left, width, image.shape[1])):
        place = np.clip((start + np.arange(count) + 0.5) * ratio - 0.5, 0, size - 1)
        low = np.minimum(place.astype(np.intp), max(size - 2, 0))
        parts.append((low, np.minimum(low + 1, size - 1), (place - low).astype(np.float32)))
    (y0, y1, fy), (x0, x1, fx) = parts
    rows = image[y0] * (1 - fy)[:, None] + image[y1] * fy[:, None]
    return rows[:, x0] * (1 - fx) + rows[:, x1] * fx


def _nearest(start: int, count: int, zoom: float, size: int) -> np.ndarray:
    positions = np.floor((start + np.arange(count) + 0.5) / zoom).astype(np.intp)
    return np.clip(positions, 0, size - 1)


def _area_taps(start: int, count: int, ratio: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Which level pixels (taps, count) each output pixel covers and how much of it each makes up."""
    begin = (start + np.arange(count)) * ratio
    end = np.minimum(begin + ratio, size)
    offsets = np.arange(math.ceil(ratio - 1e-9) + 1)[:, None]
    taps = np.floor(begin).astype(np.intp) + offsets
    weights = np.maximum(0.0, np.minimum(end, taps + 1) - np.maximum(begin, taps))
    total = weights.sum(axis=0)
    weights[0, total <= 0] = 1.0  # beyond the edge: repeat the last pixel
    weights /= np.where(total <= 0, 1.0, total)
    return np.clip(taps, 0, size - 1), weights.astype(np.float32)


def _row_means(image: np.ndarray, taps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sums of the rows `taps` (taps, count) of `image`: (count, width)."""
    first = int(taps.min())
    part = np.ascontiguousarray(image[first : int(taps.max()) + 1])  # np.take would copy it for every tap
    taps = taps - first
    result = np.take(part, taps[0], axis=0)
    result *= weights[0][:, None]
    scratch = np.empty_like(result)
    for tap, weight in zip(taps[1:], weights[1:], strict=True):
        np.take(part, tap, axis=0, out=scratch, mode="clip")
        scratch *= weight[:, None]
        result += scratch
    return result
