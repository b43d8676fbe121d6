"""The levels of an image, each half the size of the one before: what a viewer needs to show area means.

Built in row blocks: every numpy call is short, so a worker thread leaves the interpreter lock to the window
and can be cancelled. Reading files lives in source.py, choosing a level in app/viewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from core.images.contrast import auto_levels, ordered

TOP_SIDE = 256  # the last level fits into this square
_BLOCK_VALUES = 1 << 19  # values halved in one go: about a millisecond
_RANGE_SAMPLE = 1 << 16  # pixels: the ends of the range are right to 2 % of the standard deviation


class Cancelled(Exception):
    """The build was given up because nobody waits for it any more."""


@dataclass(frozen=True, eq=False)
class Pyramid:
    """Level k is float32 (ceil(ny / 2^k), ceil(nx / 2^k)), a pixel the mean of a 2^k square of the image.

    Squares that hang over the last row or column are means of what is there. `levels` begins with level
    `finest`: 0 for a whole image, more for a quick preview or a low-pass filtered picture, which have no
    finer detail to show.
    """

    levels: tuple[np.ndarray, ...]
    pixel_size_a: float | None = None
    name: str = ""
    n: int = 1  # images in the file this one came from
    index: int = 0  # which of them
    grey_ranges: tuple[tuple[float, float], ...] = ()  # automatic (black, white) of `levels`; () computes them
    finest: int = 0  # number of the first of `levels`
    image_shape: tuple[int, int] | None = None  # (ny, nx) of level 0; None: finest is 0
    label: str = ""  # what the picture is where it is not simply the file's own; shown over it
    not_finite: int = 0  # pixels of the file that were NaN or infinite, and are the median here
    preview: bool = False  # made in a hurry from a part of the file; the whole image follows

    def __post_init__(self) -> None:
        if len(self.grey_ranges) != len(self.levels):
            ranges = tuple(auto_levels(level, limit=_RANGE_SAMPLE) for level in self.levels)
            object.__setattr__(self, "grey_ranges", ranges)

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of level 0."""
        return self.image_shape or (self.levels[0].shape[0], self.levels[0].shape[1])

    @property
    def coarsest(self) -> int:
        """Number of the last level."""
        return self.finest + len(self.levels) - 1

    def nearest_level(self, number: int) -> int:
        """The number of the level nearest to `number` that is here."""
        return min(max(number, self.finest), self.coarsest)

    def level(self, number: int) -> np.ndarray:
        """Level `number`, or the nearest that is here."""
        return self.levels[self.nearest_level(number) - self.finest]

    def value(self, x: float, y: float) -> float:
        """The pixel's own value at image position (x, y); nan beyond the image or when level 0 is not here."""
        column, row = math.floor(x + 0.5), math.floor(y + 0.5)
        if self.finest or not (0 <= row < self.shape[0] and 0 <= column < self.shape[1]):
            return math.nan
        return float(self.levels[0][row, column])

    def grey_range(self, zoom: float) -> tuple[float, float]:
        """Automatic (black, white) for what is seen at `zoom`: between those of the two nearest levels."""
        place = min(max(-math.log2(zoom) - self.finest, 0.0), len(self.levels) - 1.0)
        low = int(place)
        high, part = min(low + 1, len(self.levels) - 1), place - low
        (black, white), (black2, white2) = self.grey_ranges[low], self.grey_ranges[high]
        return ordered(black + part * (black2 - black), white + part * (white2 - white))

    def seen_level(self, zoom: float) -> int:
        """The level whose pixels are nearest in size to the screen's: it has the statistics of the view."""
        return self.nearest_level(round(-math.log2(zoom)))

    @property
    def nbytes(self) -> int:
        """Bytes of all levels."""
        return sum(level.nbytes for level in self.levels)


def _never() -> bool:
    return False


def level_shapes(ny: int, nx: int) -> list[tuple[int, int]]:
    """Shapes of all levels of an image (ny, nx): halved, rounded up, until both sides are <= 256 px."""
    shapes = [(ny, nx)]
    while max(shapes[-1]) > TOP_SIDE:
        ny, nx = shapes[-1]
        shapes.append(((ny + 1) // 2, (nx + 1) // 2))
    return shapes


def empty_levels(shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Uninitialised float32 levels in one piece of memory: it goes back to the system whole, and leaves no gaps."""
    ends = np.cumsum([ny * nx for ny, nx in shapes])
    memory = np.empty(int(ends[-1]), np.float32)
    return [memory[end - ny * nx : end].reshape(ny, nx) for end, (ny, nx) in zip(ends, shapes, strict=True)]


def halve_rows(image: np.ndarray, half: np.ndarray, scratch: np.ndarray) -> None:
    """Means of 2x2 squares of float32 (ny, nx) into `half`; `scratch` is float32, as large as half of `image`."""
    ny, nx = image.shape
    pairs_y, pairs_x = ny // 2, nx // 2
    summed = scratch[: pairs_y * nx].reshape(pairs_y, nx)
    np.add(image[0 : 2 * pairs_y : 2], image[1 : 2 * pairs_y : 2], out=summed)
    target = half[:pairs_y]
    np.add(summed[:, 0 : 2 * pairs_x : 2], summed[:, 1 : 2 * pairs_x : 2], out=target[:, :pairs_x])
    target[:, :pairs_x] *= np.float32(0.25)
    if nx % 2:
        np.multiply(summed[:, -1], np.float32(0.5), out=target[:, -1])
    if ny % 2:
        last = image[-1]
        half[-1, :pairs_x] = (last[0 : 2 * pairs_x : 2] + last[1 : 2 * pairs_x : 2]) * np.float32(0.5)
        if nx % 2:
            half[-1, -1] = last[-1]


def halve_into(image: np.ndarray, half: np.ndarray, cancelled: Callable[[], bool] = _never) -> None:
    """Means of 2x2 squares of float32 (ny, nx) into `half`, in row blocks; `Cancelled` when `cancelled()`."""
    ny, nx = image.shape
    rows = max(2, _BLOCK_VALUES // nx // 2 * 2)
    scratch = np.empty((min(rows, ny) // 2) * nx, np.float32)
    for top in range(0, ny, rows):
        if cancelled():
            raise Cancelled
        halve_rows(image[top : top + rows], half[top // 2 : (top + rows) // 2], scratch)


def halve(image: np.ndarray, cancelled: Callable[[], bool] = _never) -> np.ndarray:
    """Means of 2x2 squares of float32 (ny, nx): (ceil(ny/2), ceil(nx/2)); edges average what is there."""
    half = np.empty(((image.shape[0] + 1) // 2, (image.shape[1] + 1) // 2), np.float32)
    halve_into(image, half, cancelled)
    return half


def ranges_of(levels: Sequence[np.ndarray], cancelled: Callable[[], bool] = _never) -> tuple[tuple[float, float], ...]:
    """Automatic (black, white) of each level, from a sample of its pixels."""
    ranges = []
    for level in levels:
        if cancelled():
            raise Cancelled
        ranges.append(auto_levels(level, limit=_RANGE_SAMPLE))
    return tuple(ranges)


def build_pyramid(
    image: np.ndarray,
    pixel_size_a: float | None = None,
    name: str = "",
    n: int = 1,
    index: int = 0,
    cancelled: Callable[[], bool] | None = None,
) -> Pyramid:
    """Levels of a finite (ny, nx) image until both sides are <= 256 px; `Cancelled` when `cancelled()`."""
    if image.ndim != 2 or 0 in image.shape:
        raise ValueError(f"an image (ny, nx) is needed, not shape {image.shape}")
    stop = cancelled or _never
    levels = [np.ascontiguousarray(image, dtype=np.float32)]
    shapes = level_shapes(image.shape[0], image.shape[1])[1:]
    for half in empty_levels(shapes) if shapes else ():
        halve_into(levels[-1], half, stop)
        levels.append(half)
    return Pyramid(tuple(levels), pixel_size_a, name, n, index, ranges_of(levels, stop))
