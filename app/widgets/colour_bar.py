"""A bar of colours with the values at its ends and what they are. What it explains is drawn elsewhere."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QImage, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.images.colour import colours


class ColourBar(QWidget):
    """`set_scale(text, low, high)` shows it."""

    def __init__(self) -> None:
        super().__init__()
        self._text, self._low, self._high, self._lut = "", 0.0, 1.0, "viridis"
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_scale(self, text: str, low: float, high: float, lut: str = "viridis") -> None:
        """What the values are (with unit), and those of the first and the last colour."""
        self._text, self._low, self._high, self._lut = text, low, high, lut
        words = f"{text}: colours from {low:.4g} to {high:.4g}"
        self.setAccessibleName(words)
        self.setToolTip(words)
        self.update()

    @property
    def ends(self) -> tuple[float, float]:
        """Values of the first and the last colour."""
        return self._low, self._high

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().averageCharWidth() * 40, round(self.fontMetrics().height() * 1.4))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        metrics = QFontMetricsF(self.font())
        low, high = f"{self._low:.4g}", f"{self._high:.4g}"
        wide = [metrics.horizontalAdvance(text) for text in (self._text, low, high)]
        gap = metrics.averageCharWidth()
        bar_left = wide[0] + wide[1] + 3 * gap
        bar = QRectF(bar_left, self.height() * 0.2, self.width() - bar_left - wide[2] - 2 * gap, self.height() * 0.6)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        line = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        places = ((self._text, 0.0), (low, wide[0] + 2 * gap), (high, self.width() - wide[2] - gap))
        for text, left in places:
            painter.drawText(QRectF(left, 0, self.width(), self.height()), line, text)
        if bar.width() > 0:
            strip = QImage(colours(self._lut).tobytes(), 256, 1, 1024, QImage.Format.Format_RGB32)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(bar, strip)
            painter.setPen(self.palette().color(QPalette.ColorRole.Mid))
            painter.drawRect(bar)
        painter.end()
