"""The measure tool: a line with its length, drawn over the picture."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from app.viewer.decorations import device_font, draw_caption
from app.viewer.view_model import ViewModel

_INK = QColor("#ffe14d")
_SHADE = QColor(0, 0, 0, 140)


class MeasureLine:
    """One line, from (x0, y0) to (x1, y1) in image pixels; an overlay of a scene."""

    def __init__(self, font: QFont) -> None:
        self._font = font
        self.ends: tuple[float, float, float, float] | None = None
        self.pixel_size_a: float | None = None

    def text(self) -> str:
        """Length in Angstrom and pixels, and the angle to the rows (counter-clockwise on the screen)."""
        if self.ends is None:
            return ""
        x0, y0, x1, y1 = self.ends
        length = math.hypot(x1 - x0, y1 - y0)
        angle = math.degrees(math.atan2(y0 - y1, x1 - x0))
        size = f"{length * self.pixel_size_a:.1f} Å = " if self.pixel_size_a else ""
        return f"{size}{length:.1f} px, {angle:.0f}°"

    def __call__(self, painter: QPainter, model: ViewModel, ratio: float) -> None:
        """Draw it."""
        if self.ends is None:
            return
        x0, y0, x1, y1 = self.ends
        start, end = QPointF(*model.to_screen(x0, y0)), QPointF(*model.to_screen(x1, y1))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        across = end - start
        length = math.hypot(across.x(), across.y()) or 1.0
        tick = QPointF(-across.y(), across.x()) * (6 * ratio / length)
        for colour, width in ((_SHADE, 4.0), (_INK, 2.0)):
            painter.setPen(QPen(colour, width * ratio))
            painter.drawLine(start, end)
            for point in (start, end):
                painter.drawLine(point - tick, point + tick)
        font = device_font(self._font, ratio)
        room = QFontMetricsF(font).boundingRect(self.text())
        corner = end + QPointF(12 * ratio, 12 * ratio)
        width, height = model.viewport
        corner.setX(min(corner.x(), width - room.width() - 20 * ratio))
        corner.setY(min(corner.y(), height - room.height() - 16 * ratio))
        draw_caption(painter, self.text(), corner, font, ratio)
