"""The cross in the other panel of a side-by-side comparison: the same image position as under the mouse.

It says which small parts of the canvas change when it moves, so that nothing else is painted again.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QLineF, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from app.viewer.view_model import ViewModel

_INK = QColor("#ffe14d")
_SHADE = QColor(0, 0, 0, 160)
_REACH, _HOLE = 13.0, 5.0  # logical pixels from the middle: ends of the arms; the pixel itself stays visible


class LinkedCursor:
    """`side`: panel (0, 1) that the mouse is in; the cross is in the other one."""

    def __init__(self) -> None:
        self.side = 0
        self.position: tuple[float, float] | None = None  # image pixels

    def put(self, side: int, x: float, y: float) -> bool:
        """The mouse is at (x, y) in this panel, or nowhere (nan); whether that is news."""
        position = None if math.isnan(x) else (x, y)
        if (side, position) == (self.side, self.position):
            return False
        self.side, self.position = side, position
        return True

    def area(self, model: ViewModel, panels: list[QRect], ratio: float) -> QRect:
        """Device pixels that the cross covers now; empty when it is not seen."""
        if self.position is None or len(panels) < 2:
            return QRect()
        panel = panels[1 - self.side]
        x, y = model.to_screen(*self.position)
        reach = (_REACH + 2) * ratio
        cross = QRectF(panel.left() + x - reach, panel.top() + y - reach, 2 * reach, 2 * reach)
        return cross.toAlignedRect().intersected(panel)

    def draw(self, painter: QPainter, model: ViewModel, panel: QRect, ratio: float) -> None:
        """Draw the cross in `panel`."""
        if self.position is None:
            return
        x, y = model.to_screen(*self.position)
        middle = QPointF(panel.left() + x, panel.top() + y)
        near, far = _HOLE * ratio, _REACH * ratio
        arms = [
            QLineF(middle + QPointF(dx * near, dy * near), middle + QPointF(dx * far, dy * far))
            for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1))
        ]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in ((_SHADE, 4.0), (_INK, 2.0)):
            painter.setPen(QPen(colour, width * ratio))
            painter.drawLines(arms)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
