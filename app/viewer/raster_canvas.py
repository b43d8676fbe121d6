"""The painter that needs no OpenGL: visible coloured tiles, and pans that move the pixels already painted.

Over a remote X connection a pan sends the uncovered strips only.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QRect, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QPainter, QPaintEvent, QRegion
from PySide6.QtWidgets import QWidget

from app import theme
from app.viewer.raster_tiles import RasterTiles

if TYPE_CHECKING:
    from app.viewer.canvas import Canvas

log = logging.getLogger(__name__)


def paint_pictures(
    painter: QPainter, canvas: Canvas, tiles: RasterTiles, exposed: QRect, deadline: float, moving: bool
) -> bool:
    """Ground and pictures inside `exposed` (device pixels); False while some of it is not exact."""
    device = canvas.device_rect()
    painter.setClipRect(exposed)
    painter.fillRect(exposed, theme.stage())
    exact = True
    for picture in canvas.scene.pictures(device):
        source = canvas.source(picture.pyramid, picture.minus)
        exact = tiles.paint(painter, canvas.model, picture, source, exposed, deadline, moving) and exact
    painter.setClipRect(exposed)
    return exact


def paint_scene(canvas: Canvas, image: QImage, device: QRect) -> None:
    """Paint all of a canvas into an image of its size, exact."""
    painter = QPainter(image)
    try:
        paint_pictures(painter, canvas, RasterTiles(1), device, math.inf, False)
        canvas.scene.draw_over(painter, device, canvas.style_now())
    finally:
        painter.end()


class RasterCanvas(QWidget):
    """Paints the scene of a Canvas with QPainter and survives an exception while painting."""

    painted = Signal(bool)
    name = "raster"

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._tiles = RasterTiles(canvas.budget())
        self._fixed: list[QRect] = []  # what does not move with the picture, in device pixels
        self._failed = False
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def refresh(self) -> None:
        """Paint all of it in the next turn of the event loop."""
        self.update()

    def pan_by(self, dx: int, dy: int) -> None:
        """Move what is painted by device pixels; only what is uncovered is painted."""
        ratio = self._canvas.ratio
        step_x, step_y = dx / ratio, dy / ratio
        if not (step_x.is_integer() and step_y.is_integer()):
            self.update()  # a fraction of a logical pixel cannot be scrolled
            return
        if not dx and not dy:
            return
        for panel in self._canvas.scene.panels(self._canvas.device_rect()):
            self.scroll(int(step_x), int(step_y), self._logical(QRectF(panel)))
        for rect in self._fixed:
            self.update(self._logical(QRectF(rect.united(rect.translated(dx, dy)))))

    def forget(self) -> None:
        """Other pictures: the tiles of the old ones only take memory."""
        self._tiles.clear()

    def _logical(self, rect: QRectF) -> QRect:
        ratio = self._canvas.ratio
        scaled = QRectF(rect.left() / ratio, rect.top() / ratio, rect.width() / ratio, rect.height() / ratio)
        return scaled.toAlignedRect().intersected(self.rect())

    def _device(self, rect: QRect) -> QRect:
        ratio = self._canvas.ratio
        scaled = QRectF(rect.left() * ratio, rect.top() * ratio, rect.width() * ratio, rect.height() * ratio)
        return scaled.toAlignedRect().intersected(self._canvas.device_rect())

    def resizeEvent(self, event: object) -> None:
        self._tiles.resize(self._canvas.budget())

    def paintEvent(self, event: QPaintEvent) -> None:
        # An exception that leaves a painter open ends the interpreter: close it first, then log, once.
        painter = QPainter(self)
        exact = True
        try:
            self._canvas.layout_panels()  # the window may have moved to a screen with another ratio
            exact = self._paint(painter, event.region())
            self._failed = False
        except Exception:
            if not self._failed:
                log.exception("The viewer could not paint")
            self._failed = True
        finally:
            painter.end()
        if not exact and not self._canvas.moving:
            QTimer.singleShot(0, self.update)
        self.painted.emit(exact)

    def _paint(self, painter: QPainter, region: QRegion) -> bool:
        canvas = self._canvas
        painter.scale(1 / canvas.ratio, 1 / canvas.ratio)
        deadline = canvas.deadline()
        device, style = canvas.device_rect(), canvas.style_now()
        exact = True
        for rect in list(region):  # type: ignore[call-overload]  # iterable; its stub hides it
            exposed = self._device(rect)
            exact = paint_pictures(painter, canvas, self._tiles, exposed, deadline, canvas.moving) and exact
            self._fixed = canvas.scene.draw_over(painter, device, style)
        return exact
