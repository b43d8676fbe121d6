"""Draws one pyramid through one view model with QPainter: exact screen pixels, tile by tile, in bounded time.

A tile is 256 x 256 device pixels of the zoomed image (core/images/resample.py computes it), so pans reuse
tiles and contrast only converts what is visible. Tiles that the time budget does not reach show a coarse
picture until the next turn of the event loop.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPoint, QRect, QRectF
from PySide6.QtGui import QImage, QPainter

from app.viewer.view_model import GreyLevels, ViewModel
from core.images.cache import ImageCache
from core.images.contrast import auto_levels, subsample, to_8bit
from core.images.pyramid import Pyramid
from core.images.resample import sample_window, zoomed_size

TILE = 256
TILE_BUDGET = 96 << 20  # bytes: enough for a 4K monitor
PAINT_SECONDS = 0.014  # sharp tiles per paint; the rest follows in the next turns of the event loop
_DRAFT_SIDE = 640
_SAMPLE = 1 << 17


@dataclass(frozen=True, eq=False)
class _Grey:
    """An 8-bit picture: the QImage shares the array's memory, so both stay together."""

    pixels: np.ndarray
    image: QImage

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes


def _grey(values: np.ndarray, levels: GreyLevels) -> _Grey:
    pixels = to_8bit(values, levels.black, levels.white, levels.gamma, levels.invert)
    height, width = pixels.shape
    return _Grey(pixels, QImage(pixels.data, width, height, width, QImage.Format.Format_Grayscale8))


class TilePainter:
    """Paints a pyramid; tiles are kept in a byte-budgeted cache of their own."""

    def __init__(self, budget_bytes: int = TILE_BUDGET) -> None:
        self._cache = ImageCache(budget_bytes)
        self._pyramid: Pyramid | None = None
        self._draft: tuple[GreyLevels, int, _Grey] | None = None

    @property
    def pyramid(self) -> Pyramid | None:
        """What is painted."""
        return self._pyramid

    @pyramid.setter
    def pyramid(self, pyramid: Pyramid | None) -> None:
        if pyramid is not self._pyramid:
            self._pyramid, self._draft = pyramid, None
            self._cache.clear()

    def paint(
        self,
        painter: QPainter,
        model: ViewModel,
        levels: GreyLevels,
        exposed: QRect,
        seconds: float = PAINT_SECONDS,
    ) -> bool:
        """Paint the part inside `exposed` (device pixels of the panel); False while some of it is coarse."""
        if self._pyramid is None:
            return True
        left, top = model.origin
        height, width = zoomed_size(self._pyramid.shape, model.zoom)
        area = exposed.translated(-left, -top).intersected(QRect(0, 0, width, height))
        if area.isEmpty():
            return True
        deadline = time.perf_counter() + seconds
        complete = True
        for rect in _tiles(area, width, height):
            tile = self._tile(model.zoom, levels, rect, time.perf_counter() < deadline)
            if tile is None:
                complete = False
                self._paint_draft(painter, model, levels, rect.intersected(area))
            else:
                painter.drawImage(QPoint(left + rect.left(), top + rect.top()), tile.image)
        return complete

    def _tile(self, zoom: float, levels: GreyLevels, rect: QRect, may_compute: bool) -> _Grey | None:
        place = (zoom, rect.left(), rect.top())
        grey = self._cache.get((place, levels))
        if grey is None and may_compute and self._pyramid is not None:
            values = self._cache.get(place)
            if values is None:
                values = self._sample(zoom, rect)
                self._cache.put(place, values)
            grey = _grey(values, levels)
            self._cache.put((place, levels), grey)
        return grey

    def _sample(self, zoom: float, rect: QRect) -> np.ndarray:
        assert self._pyramid is not None
        return sample_window(self._pyramid, zoom, rect.left(), rect.top(), rect.width(), rect.height())

    def _level(self, index: int) -> np.ndarray:
        assert self._pyramid is not None
        return self._pyramid.level(index)

    def _paint_draft(self, painter: QPainter, model: ViewModel, levels: GreyLevels, rect: QRect) -> None:
        """Stretch a coarse level over `rect` (pixels of the zoomed image)."""
        if self._pyramid is None:
            return
        if self._draft is None or self._draft[0] != levels:
            numbers = range(self._pyramid.finest, self._pyramid.coarsest)
            small = (k for k in numbers if max(self._pyramid.level(k).shape) <= _DRAFT_SIDE)
            index = next(small, self._pyramid.coarsest)
            self._draft = (levels, index, _grey(self._level(index), levels))
        _, index, grey = self._draft
        scale = 1.0 / (model.zoom * 2**index)
        source = QRectF(rect.left() * scale, rect.top() * scale, rect.width() * scale, rect.height() * scale)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, True)
        painter.drawImage(QRectF(rect.translated(*model.origin)), grey.image, source)


class DifferencePainter(TilePainter):
    """Paints `pyramid` minus `other`, two pictures of one size. Means are linear: so are levels."""

    other: Pyramid | None = None

    def set_pair(self, first: Pyramid | None, second: Pyramid | None) -> None:
        """Show first - second."""
        if first is not self._pyramid or second is not self.other:
            self.pyramid = None
            self.pyramid, self.other = first, second

    def grey_range(self, zoom: float) -> tuple[float, float]:
        """Automatic (black, white) for the difference at `zoom`, symmetric about zero."""
        if self._pyramid is None or self.other is None:
            return (0.0, 1.0)
        level = self._pyramid.seen_level(zoom)
        pair = (self._pyramid.level(level), self.other.level(level))
        first, second = (subsample(image, _SAMPLE) for image in pair)
        low, high = auto_levels(first - second)
        end = max(abs(low), abs(high))
        return (-end, end)

    def _sample(self, zoom: float, rect: QRect) -> np.ndarray:
        assert self.other is not None
        window = (zoom, rect.left(), rect.top(), rect.width(), rect.height())
        return super()._sample(zoom, rect) - sample_window(self.other, *window)

    def _level(self, index: int) -> np.ndarray:
        assert self.other is not None
        return super()._level(index) - self.other.level(index)


def _tiles(area: QRect, width: int, height: int) -> list[QRect]:
    """Tiles of a (height, width) picture that touch `area`, the middle first: that is where people look."""
    tiles = [
        QRect(left, top, min(TILE, width - left), min(TILE, height - top))
        for top in range(area.top() // TILE * TILE, area.bottom() + 1, TILE)
        for left in range(area.left() // TILE * TILE, area.right() + 1, TILE)
    ]
    middle = area.center()
    return sorted(tiles, key=lambda tile: (tile.center() - middle).manhattanLength())
