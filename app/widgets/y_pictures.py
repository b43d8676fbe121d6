"""Two drawn micrographs that say from which edge y is counted: as CryoSPARC has them, and upside-down.

Drawings only, in the colours of the theme and as large as the font asks for.
"""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app import theme

LINES = 6.0  # lines of text that the micrograph is high
PARTICLE = QPointF(0.34, 0.26)  # place in the micrograph as CryoSPARC has it, from the upper left
EDGE = 0.55  # where the carbon film begins, so that up and down are told apart
NAMES = ("RELION", "CryoSPARC")
COLOURS = ("curve1", "curve2")


class YPicture(QWidget):
    """A micrograph with one particle, and arrows from the edges at which RELION and CryoSPARC begin to count y."""

    def __init__(self, upside_down: bool) -> None:
        super().__init__()
        self.upside_down = upside_down
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Micrograph upside-down" if upside_down else "Micrograph as CryoSPARC used it")

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        side = LINES * metrics.height()
        return QSize(round(side + self._words() + 3.6 * self._gap()), round(side) + 4)

    def _gap(self) -> float:
        return self.fontMetrics().height() * 0.5

    def _words(self) -> float:
        return max(self.fontMetrics().horizontalAdvance(name) for name in NAMES)

    def particle(self) -> QPointF:
        """Where the particle lies in the drawn micrograph, as shares of its sides."""
        return QPointF(PARTICLE.x(), 1 - PARTICLE.y()) if self.upside_down else PARTICLE

    def origins(self) -> tuple[float, float]:
        """From which height RELION and CryoSPARC count y: 0 is the upper edge, 1 the lower.

        CryoSPARC's edge is a part of its own micrograph: it turns with it.
        """
        return 0.0, 0.0 if self.upside_down else 1.0

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        side, gap = self.height() - 4.0, self._gap()
        frame = QRectF(self.width() - side - 2, 2, side, side)
        self._paint_micrograph(painter, frame)
        height = frame.top() + self.particle().y() * side
        painter.setPen(QPen(theme.colour("muted"), 1, Qt.PenStyle.DotLine))
        painter.drawLine(QPointF(frame.left() - 2.4 * gap, height), QPointF(frame.left(), height))
        line = self.fontMetrics().height()
        for number, (name, token, origin) in enumerate(zip(NAMES, COLOURS, self.origins(), strict=True)):
            x = frame.left() - gap * (0.8 + 1.2 * number)
            self._paint_arrow(painter, x, frame.top() + origin * side, height, token)
            top = frame.top() + (number * line if origin == 0 else side - line)
            words = QRectF(0, top, self._words() + 1, line)
            painter.drawText(words, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, name)
        painter.end()

    def _paint_micrograph(self, painter: QPainter, frame: QRectF) -> None:
        painter.fillRect(frame, theme.colour("raised"))
        edge = QPainterPath(QPointF(EDGE, 1.0))
        edge.quadTo(QPointF(0.62, 0.72), QPointF(1.0, 0.62))
        edge.lineTo(1.0, 1.0)
        edge.closeSubpath()
        painter.save()
        painter.translate(frame.left(), frame.bottom() if self.upside_down else frame.top())
        painter.scale(frame.width(), -frame.height() if self.upside_down else frame.height())
        painter.fillPath(edge, theme.colour("border"))
        painter.restore()
        painter.setPen(QPen(theme.colour("strong_border"), 1))
        painter.drawRect(frame)
        place = self.particle()
        middle = QPointF(frame.left() + place.x() * frame.width(), frame.top() + place.y() * frame.height())
        radius = self._gap() * 0.75
        painter.setBrush(theme.colour("text"))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.drawEllipse(middle, radius, radius)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _paint_arrow(self, painter: QPainter, x: float, start: float, end: float, token: str) -> None:
        """An arrow along y, with a bar where it begins."""
        colour, tip = theme.colour(token), self._gap() * 0.4
        painter.setPen(QPen(colour, max(1.5, self._gap() * 0.2)))
        painter.drawLine(QPointF(x, start), QPointF(x, end))
        painter.drawLine(QPointF(x - tip, start), QPointF(x + tip, start))
        back = tip if end > start else -tip
        painter.drawPolyline([QPointF(x - tip, end - back), QPointF(x, end), QPointF(x + tip, end - back)])
