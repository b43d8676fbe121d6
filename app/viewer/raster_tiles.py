"""Paints pictures with QPainter from 8-bit coloured tiles of what is visible. The canvas that needs no OpenGL uses it.

A tile keeps its values and its colours in one cache entry: another contrast colours the visible tiles anew, in
place, and costs nothing for the rest of the image.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, QRect, QRectF
from PySide6.QtGui import QImage, QPainter, QRegion

from app.viewer.scene import Picture
from app.viewer.tiles import LEVEL_TILE, SCREEN_TILE, Box, TileSource, boxes_in
from app.viewer.view_model import ViewModel
from core.images.cache import ImageCache
from core.images.colour import Look, colours
from core.images.contrast import positions


class _Tile:
    """Values with their colours; the QImage shares the array's memory, so both stay together."""

    def __init__(self, values: np.ndarray, kept: bool) -> None:
        height, width = values.shape
        self._values = values
        self._own = 2 if kept else 1  # values that are views of the pyramid cost nothing here
        self._pixels = np.empty((height, width), np.uint32)
        self._look: Look | None = None
        self._image = QImage(self._pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)

    @property
    def nbytes(self) -> int:
        return self._pixels.nbytes * self._own

    def image(self, look: Look) -> QImage:
        """The tile in these colours."""
        if look != self._look:
            table = colours(look.lut, look.gamma, look.invert)
            np.take(table, positions(self._values, look.black, look.white), out=self._pixels, mode="clip")
            self._look = look
        return self._image


class RasterTiles:
    """Coloured tiles of all pictures of one canvas, within a budget of bytes."""

    def __init__(self, budget_bytes: int) -> None:
        self._cache = ImageCache(budget_bytes)

    def resize(self, budget_bytes: int) -> None:
        """Another budget; what still fits stays."""
        self._cache.resize(budget_bytes)

    def clear(self) -> None:
        """Forget all tiles."""
        self._cache.clear()

    def paint(
        self,
        painter: QPainter,
        model: ViewModel,
        picture: Picture,
        source: TileSource,
        exposed: QRect,
        deadline: float,
        moving: bool,
    ) -> bool:
        """Paint the part inside `exposed` (device pixels of the canvas); False while some of it is not exact.

        Exact tiles are computed until `deadline` (time.perf_counter), and none of them while the view is `moving`.
        """
        left, top = model.origin
        left, top = left + picture.panel.left(), top + picture.panel.top()
        height, width = source.zoomed_size(model.zoom)
        seen = exposed.intersected(picture.clip).translated(-left, -top).intersected(QRect(0, 0, width, height))
        if seen.isEmpty():
            return True
        area = (seen.left(), seen.top(), seen.right() + 1, seen.bottom() + 1)
        painter.setClipRect(exposed.intersected(picture.clip))
        missing = QRegion()
        moving = moving or picture.pyramid.preview  # in a moment there is something better to be exact about
        for box in boxes_in(area, width, height, SCREEN_TILE):
            tile = self._exact(source, model.zoom, box, not moving and time.perf_counter() < deadline)
            if tile is None:
                missing += _rect(box).intersected(seen)
            else:
                painter.drawImage(QPoint(left + box[0], top + box[1]), tile.image(picture.look))
        if not missing.isEmpty():
            painter.setClipRegion(missing.translated(left, top))
            self._paint_quick(painter, model.zoom, picture.look, source, missing.boundingRect(), (left, top), deadline)
        return missing.isEmpty() or picture.pyramid.preview

    def _exact(self, source: TileSource, zoom: float, box: Box, may_compute: bool) -> _Tile | None:
        key = (source.serial, zoom, box)
        tile = self._cache.get(key)
        if tile is None and may_compute:
            tile = _Tile(source.screen(zoom, box), kept=True)
            self._cache.put(key, tile)
        return tile

    def _level_tile(self, source: TileSource, number: int, box: Box) -> tuple[_Tile, bool]:
        key: Hashable = (source.serial, "level", number, box)
        tile: Any = self._cache.get(key)
        if tile is not None:
            return tile, True
        tile = _Tile(source.level(number, box), kept=source.minus is not None)
        self._cache.put(key, tile)
        return tile, False

    def _paint_quick(
        self,
        painter: QPainter,
        zoom: float,
        look: Look,
        source: TileSource,
        area: QRect,
        origin: tuple[int, int],
        deadline: float,
    ) -> None:
        """Stretch tiles of a level over `area` (pixels of the zoomed picture at `origin`)."""
        number = source.quick_level(zoom)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, number > 0 or zoom < 1)
        scale = zoom * 2**number
        ny, nx = source.level_shape(number)
        part = (
            max(0, int(area.left() / scale)),
            max(0, int(area.top() / scale)),
            min(nx, int((area.right() + 1) / scale) + 1),
            min(ny, int((area.bottom() + 1) / scale) + 1),
        )
        draft = source.draft_level()
        for box in boxes_in(part, nx, ny, LEVEL_TILE):
            known = (source.serial, "level", number, box) in self._cache
            if known or draft <= number or time.perf_counter() < deadline:
                tile, _ = self._level_tile(source, number, box)
                painter.drawImage(_stretched(box, scale, origin), tile.image(look))
            else:
                self._paint_draft(painter, zoom, look, source, draft, _stretched(box, scale, origin), origin)

    def _paint_draft(
        self,
        painter: QPainter,
        zoom: float,
        look: Look,
        source: TileSource,
        number: int,
        target: QRect,
        origin: tuple[int, int],
    ) -> None:
        ny, nx = source.level_shape(number)
        tile, _ = self._level_tile(source, number, (0, 0, nx, ny))
        scale = 1 / (zoom * 2**number)
        left, top = target.left() - origin[0], target.top() - origin[1]
        part = QRectF(left * scale, top * scale, target.width() * scale, target.height() * scale)
        painter.drawImage(QRectF(target), tile.image(look), part)


def _rect(box: Box) -> QRect:
    return QRect(box[0], box[1], box[2] - box[0], box[3] - box[1])


def _stretched(box: Box, scale: float, origin: tuple[int, int]) -> QRect:
    """Where a box of a level lies on the screen; borders are rounded alike, so neighbours leave no seam."""
    left, top, right, bottom = (round(edge * scale) for edge in box)
    return QRect(origin[0] + left, origin[1] + top, right - left, bottom - top)
