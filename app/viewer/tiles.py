"""Float tiles of a picture for the painters: exact ones of the screen's pixels, quick ones of a level's pixels.

Exact tiles (core/images/resample.py) are what a view at rest shows. While the zoom changes, stretched tiles of
the level just finer than the screen stand in: they serve many zooms. No Qt and no OpenGL here.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from core.images.contrast import auto_levels, subsample
from core.images.pyramid import Pyramid
from core.images.resample import sample_window, zoomed_size

SCREEN_TILE = 256  # device pixels
LEVEL_TILE = 512  # pixels of a level
PAINT_SECONDS = 0.012  # for exact tiles in one paint; the rest follows in the next turns of the event loop
_DRAFT_SIDE = 640
_SAMPLE = 1 << 17
_serials = itertools.count()

Box = tuple[int, int, int, int]  # left, top, right, bottom; right and bottom are beyond the last pixel


class TileSource:
    """Values of one pyramid, or of `pyramid` minus `minus` (two of one shape: means are linear, so are levels)."""

    def __init__(self, pyramid: Pyramid, minus: Pyramid | None = None) -> None:
        self.pyramid, self.minus = pyramid, minus
        self.serial = next(_serials)  # names its tiles in a cache
        self.finest = max(pyramid.finest, minus.finest if minus else 0)
        self.coarsest = min(pyramid.coarsest, minus.coarsest if minus else pyramid.coarsest)

    def zoomed_size(self, zoom: float) -> tuple[int, int]:
        """(height, width) in device pixels."""
        return zoomed_size(self.pyramid.shape, zoom)

    def screen(self, zoom: float, box: Box) -> np.ndarray:
        """Exact values of the pixels `box` of the zoomed picture: float32 (height, width)."""
        left, top, right, bottom = box
        window = (zoom, left, top, right - left, bottom - top)
        values = sample_window(self.pyramid, *window)
        return values if self.minus is None else values - sample_window(self.minus, *window)

    def quick_level(self, zoom: float) -> int:
        """The level whose pixels are 1/2 to 1 screen pixel wide, or the nearest there is."""
        number = math.floor(math.log2(1 / zoom) + 1e-9) if zoom < 1 else 0
        return min(max(number, self.finest), self.coarsest)

    def draft_level(self) -> int:
        """The finest level that is converted as a whole in no time."""
        small = (k for k in range(self.finest, self.coarsest) if max(self.level_shape(k)) <= _DRAFT_SIDE)
        return next(small, self.coarsest)

    def level_shape(self, number: int) -> tuple[int, int]:
        """(ny, nx) of a level."""
        ny, nx = self.pyramid.level(number).shape
        return (ny, nx)

    def level(self, number: int, box: Box) -> np.ndarray:
        """Values of a level's pixels `box`; a view of the pyramid where that is possible."""
        left, top, right, bottom = box
        part = (slice(top, bottom), slice(left, right))
        values = self.pyramid.level(number)[part]
        return values if self.minus is None else values - self.minus.level(number)[part]


def difference_range(first: Pyramid, second: Pyramid, zoom: float) -> tuple[float, float]:
    """Automatic (black, white) for first - second at `zoom`, symmetric about zero."""
    level = max(first.seen_level(zoom), second.seen_level(zoom))
    low, high = auto_levels(subsample(first.level(level), _SAMPLE) - subsample(second.level(level), _SAMPLE))
    end = max(abs(low), abs(high))
    return (-end, end)


def boxes_in(area: Box, width: int, height: int, side: int) -> list[Box]:
    """Squares of `side` of a grid over a (height, width) picture that touch `area`, those in its middle first."""
    left, top, right, bottom = area
    boxes = [
        (x, y, min(x + side, width), min(y + side, height))
        for y in range(top // side * side, bottom, side)
        for x in range(left // side * side, right, side)
    ]
    x, y = (left + right) / 2, (top + bottom) / 2
    return sorted(boxes, key=lambda box: abs((box[0] + box[2]) / 2 - x) + abs((box[1] + box[3]) / 2 - y))
