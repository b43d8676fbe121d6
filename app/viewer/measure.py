"""The measure tool: a line with its length, drawn over the picture."""

from __future__ import annotations

import math
from typing import Any

from PySide6.QtCore import QObject, QPointF
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from app.viewer.decorations import device_font, draw_caption
from app.viewer.gestures import Gestures
from app.viewer.scene import Scene
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


class MeasureTool(QObject):
    """The line on a scene, drawn with the measure tool of the gestures; `button` (with setChecked) shows the tool."""

    def __init__(self, scene: Scene, gestures: Gestures, button: Any, font: QFont) -> None:
        super().__init__(gestures)
        self._scene, self._gestures = scene, gestures
        self.line = MeasureLine(font)
        scene.overlays.append(self.line)
        gestures.measured.connect(lambda *ends: self.set_ends(ends))
        gestures.measure_cleared.connect(lambda: self.set_ends(None))
        gestures.tool_changed.connect(lambda tool: button.setChecked(tool == "measure"))

    def toggle(self, on: bool) -> None:
        """Take the tool in hand, or the usual one again."""
        if on:
            self._gestures.set_tool("measure")
        elif self._gestures.tool == "measure":
            self._gestures.set_tool("pick")

    def set_ends(self, ends: tuple[float, float, float, float] | None) -> None:
        """Another line, or none."""
        if ends != self.line.ends:
            self.line.ends = ends
            self._scene.changed()
