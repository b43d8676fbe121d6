"""A quick, coarse picture of a file that allows reading some of its rows: what is shown while the rest is read.

Rows are read interlaced, a few all over the image first, more between them as long as time allows: a fast disk gives
a good picture, a slow one gives a rough picture in the same time. streamed.py reads everything.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.images.contrast import HIGH_PERCENT, LOW_PERCENT, auto_levels, ordered, subsample
from core.images.pyramid import TOP_SIDE, Cancelled, Pyramid, halve, halve_into
from core.images.resample import sample_window
from core.images.source import ImageSource, open_source
from core.images.streamed import load_pyramid
from core.io.rows import RowLayout, RowReader, open_rows

LONGEST = 1536  # px, longest side of a preview: a bit more than a window shows
SMALLEST = 4 << 20  # pixels: smaller images are there before a preview would be
TIME_S = 0.025  # of images up to 4096 x 4096, more in proportion to the side: reading stops before this is exceeded

_RANGE_SAMPLE = 1 << 15
_SIGMAS = 2.576  # half a range in standard deviations of Gaussian noise
_HUGE = 1e15  # squares of such values leave float32: a damaged file, whose pixels are seen to when all are read
_LEAST_SIDE = 32
_DETAIL_NOISE = 0.75  # of the variance of white noise is not in its 2 x 2 means
_FULL_BANDS = 16  # bands read whole, to learn what averaging fewer rows does to the grey range


def _never() -> bool:
    return False


def preview_pyramid(
    source: ImageSource,
    index: int = 0,
    cancelled: Callable[[], bool] | None = None,
    longest: int = LONGEST,
    time_s: float = TIME_S,
    most_rows: int | None = None,
    smallest: int = SMALLEST,
) -> Pyramid | None:
    """Coarse levels of image `index` from some of its rows; None when the file gives nothing before it gives all.

    A pixel of the finest level here is the mean of some rows of the square it stands for: at most `most_rows` (None:
    half of them), fewer, then coarser levels only, when reading takes longer than about `time_s`. The noise
    that this leaves is filtered out, and grey ranges are those expected of the full means: the contrast stays when
    the whole image arrives. Images of fewer than `smallest` pixels have no preview.
    """
    stop = cancelled or _never
    ny, nx = source.shape
    layout = source.rows(index)
    if layout is None or not layout.seekable or ny * nx < smallest:
        return None
    finest = max(1, math.ceil(math.log2(max(ny, nx) / longest) - 1e-9))
    side = 1 << finest
    with open_rows(layout) as reader, np.errstate(invalid="ignore", over="ignore"):
        bands = _Bands(layout, reader, side, stop)
        bands.read(min(most_rows or side, max(1, side // 2)), time_s * max(1.0, math.sqrt(ny * nx) / 4096))
        first, group = bands.means()
        if max(float(first.max()), -float(first.min())) > _HUGE:
            return None
        error = bands.range_error()
    levels = [first]
    while max(levels[-1].shape) > TOP_SIDE:
        levels.append(halve(levels[-1], stop))
    # Noise of single rows, known from `side` x `side` squares, in squares of `group` times that side.
    wider = (1 - 1 / (side * group)) / (1 - 1 / side) / group
    ranges = tuple(_expected_range(level, error, wider * 4.0**-number) for number, level in enumerate(levels))
    finest += group.bit_length() - 1
    levels[0] = less_noise(levels[0], wider * (error[0] + error[1]) / 2 / _SIGMAS**2)
    for number in range(1, len(levels)):
        halve_into(levels[number - 1], levels[number], stop)
    name = source.path.name
    return Pyramid(tuple(levels), source.pixel_size_a, name, source.n, index, ranges, finest, (ny, nx), preview=True)


def less_noise(image: np.ndarray, variance: float) -> np.ndarray:
    """Estimate of float32 (ny, nx) without white noise of `variance`: a Wiener filter with one factor per octave.

    Octave by octave, what exceeds the noise stays: real micrographs lose little, pure noise its finest grain.
    """
    if variance <= 0 or min(image.shape) < _LEAST_SIDE:
        return image
    half = halve(image)
    corner = image[::2, ::2] - half
    found = float(np.square(corner).mean(dtype=np.float64))
    kept = np.float32(max(0.0, 1.0 - _DETAIL_NOISE * variance / found) if found > 0 else 0.0)
    result = _doubled(less_noise(half, variance / 4) - kept * half, image.shape)
    result += kept * image
    return result


def _doubled(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Twice as many rows and columns, interpolated, cut to `shape`: where the centres of halved pixels belong."""
    ny, nx = image.shape
    near, far = image * np.float32(0.75), image * np.float32(0.25)
    wide = np.empty((ny, 2 * nx), np.float32)
    np.add(near[:, 1:], far[:, :-1], out=wide[:, 2::2])
    np.add(near[:, :-1], far[:, 1:], out=wide[:, 1:-1:2])
    wide[:, 0], wide[:, -1] = image[:, 0], image[:, -1]
    near, far = wide * np.float32(0.75), wide * np.float32(0.25)
    tall = np.empty((2 * ny, 2 * nx), np.float32)
    np.add(near[1:], far[:-1], out=tall[2::2])
    np.add(near[:-1], far[1:], out=tall[1:-1:2])
    tall[0], tall[-1] = wide[0], wide[-1]
    return tall[: shape[0], : shape[1]]


class _Bands:
    """The image cut into bands of `side` rows, each becoming one row of the preview."""

    def __init__(self, layout: RowLayout, reader: RowReader, side: int, stop: Callable[[], bool]) -> None:
        self._reader, self._side, self._stop = reader, side, stop
        self._ny, nx = layout.shape
        self._count = -(-self._ny // side)
        self._sums = np.zeros((self._count, -(-nx // side)), np.float32)
        self._rows = np.zeros(self._count, np.int32)  # how many are in the sums
        self._group = 1  # bands that share one row, when there was time for no more
        self._batch = max(1, layout.block_rows() // 2)
        self._buffer = np.empty((self._batch, nx), np.float32)

    def read(self, most: int, time_s: float) -> None:
        """Up to `most` rows of every band, as many as fit into `time_s` seconds (the first pass always)."""
        start = time.perf_counter()
        for pitch, offset, part, self._group in _passes(most):
            self._read_pass(np.arange(offset, self._count, pitch), part)
            # Every round of passes reads as much as all before it together.
            if 2 * (time.perf_counter() - start) > time_s:
                break

    def _read_pass(self, bands: np.ndarray, part: float) -> None:
        """One row of each of `bands`, the one at `part` (0..1) of its height."""
        for first in range(0, len(bands), self._batch):
            if self._stop():
                raise Cancelled
            some = bands[first : first + self._batch]
            block = self._buffer[: len(some)]
            tops = some * self._side
            rows = tops + (part * np.minimum(self._side, self._ny - tops)).astype(np.intp)
            self._reader.read_each(rows.tolist(), block)
            self._sums[some] += row_means(block, self._side)
            self._rows[some] += 1

    def means(self) -> tuple[np.ndarray, int]:
        """The picture, float32 and finite, and how many bands (a power of two) make one of its rows."""
        group = self._group
        if group == 1:
            image = self._sums / self._rows[:, None].astype(np.float32)
        else:
            starts = np.arange(0, self._count, group)
            rows = np.add.reduceat(self._rows, starts)
            sums = row_means(np.add.reduceat(self._sums, starts, axis=0), group)
            image = sums / np.maximum(rows, 1)[:, None].astype(np.float32)
            if not rows[-1] and len(rows) > 1:  # a narrow last group may have got no row
                image[-1] = image[-2]
        _make_finite(image)
        return image, group

    def range_error(self) -> tuple[float, float]:
        """By how much (below, above the median) the square of the half range exceeds that of the full means.

        Learned from some bands that are read whole: true whatever the noise, also where neighbours are correlated.
        """
        known = np.flatnonzero(self._rows[: self._ny // self._side])
        if not len(known):
            return 0.0, 0.0
        some = known[np.linspace(0, len(known) - 1, min(_FULL_BANDS, len(known))).astype(np.intp)]
        partly = self._sums[some] / self._rows[some, None].astype(np.float32)
        full = np.empty_like(partly)
        block = np.empty((self._side, self._buffer.shape[1]), np.float32)
        for number, band in enumerate(some):
            if self._stop():
                raise Cancelled
            self._reader.read(int(band) * self._side, block)
            full[number] = row_means(block, self._side).mean(axis=0)
        fine = np.isfinite(partly) & np.isfinite(full)
        if not fine.any():
            return 0.0, 0.0
        (below, _, above), (below2, _, above2) = _half_ranges(partly[fine]), _half_ranges(full[fine])
        return max(below**2 - below2**2, 0.0), max(above**2 - above2**2, 0.0)


def _passes(most: int) -> list[tuple[int, int, float, int]]:
    """(pitch, first band, place in the band 0..1, bands that then share a row) of each pass over the bands."""
    passes = [(8, 4, 0.5, 8), (8, 0, 0.5, 4), (4, 2, 0.5, 2), (2, 1, 0.5, 1)]
    count = 1
    while 2 * count <= most:  # rows double by filling the gaps between those there are
        passes += [(1, 0, (k + 0.5) / count if count > 1 else 0.0, 1) for k in range(count)]
        count *= 2
    return passes


def row_means(rows: np.ndarray, side: int) -> np.ndarray:
    """Means of `side` (a power of two) neighbouring columns of float32 (n, nx): (n, ceil(nx / side))."""
    count, nx = rows.shape
    whole = nx // side
    part = rows[:, : whole * side]
    width = side
    while width > 1:
        part = part[:, 0::2] + part[:, 1::2]
        width //= 2
    result = np.empty((count, -(-nx // side)), np.float32)
    np.multiply(part, np.float32(1 / side), out=result[:, :whole])
    if nx % side:
        result[:, -1] = rows[:, whole * side :].mean(axis=1)
    return result


def thumbnail(
    path: Path | str, side: int, cancelled: Callable[[], bool] | None = None
) -> tuple[np.ndarray, tuple[float, float]]:
    """Area means of the first image of a file: float32 (h, w), at most `side` px, and its automatic (black, white).

    A plain large file is read in part, a compressed or small one whole; images are never enlarged.
    """
    source = open_source(path)
    pyramid = None
    if max(source.shape) > 4 * side:
        pyramid = preview_pyramid(source, 0, cancelled, 2 * side, time_s=math.inf, most_rows=8)
    if pyramid is None:
        pyramid = load_pyramid(source, 0, cancelled)
    zoom = min(1.0, side / max(source.shape))
    height, width = (max(1, math.floor(length * zoom + 0.5)) for length in source.shape)
    image = sample_window(pyramid, zoom, 0, 0, width, height)
    return image, auto_levels(image)


def _make_finite(image: np.ndarray) -> None:
    fine = np.isfinite(image)
    if not fine.all():
        image[~fine] = np.median(image[fine]) if fine.any() else 0.0


def _half_ranges(values: np.ndarray) -> tuple[float, float, float]:
    """(median - black, median, white - median) of the automatic levels."""
    low, middle, high = (float(v) for v in np.percentile(values, (LOW_PERCENT, 50.0, HIGH_PERCENT)))
    return middle - low, middle, high - middle


def _expected_range(level: np.ndarray, error: tuple[float, float], part: float) -> tuple[float, float]:
    """The automatic (black, white) that the level would have if its pixels were means of all their rows.

    What missing rows add is noise, independent from pixel to pixel: its square adds to that of the half range, and
    a quarter of it is left in the next coarser level.
    """
    below, middle, above = _half_ranges(subsample(level, _RANGE_SAMPLE))
    below = math.sqrt(max(below**2 - part * error[0], 0.04 * below**2))
    above = math.sqrt(max(above**2 - part * error[1], 0.04 * above**2))
    return ordered(middle - below, middle + above)
