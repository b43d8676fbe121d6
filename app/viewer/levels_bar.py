"""The contrast control: a histogram with a black and a white handle.

Mouse: drag the nearer handle. Keys: Left and Right move black, Down and Up move white.
Values are pixel values.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QStyle, QStyleOptionFocusRect, QWidget

_PAD = 6  # logical pixels: room for half a handle
_KEYS = {
    Qt.Key.Key_Left: ("black", -1),
    Qt.Key.Key_Right: ("black", 1),
    Qt.Key.Key_Down: ("white", -1),
    Qt.Key.Key_Up: ("white", 1),
}


class LevelsBar(QWidget):
    """Emits `edited(black, white)` when the user moves a handle, `reset_requested` on a double click."""

    edited = Signal(float, float)
    reset_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._range = (0.0, 1.0)
        self._black, self._white = 0.0, 1.0
        self._counts = np.zeros(0)
        self._held = ""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Contrast: black and white level")
        self.setToolTip(
            "Contrast: drag the black or the white handle.\n"
            "Left/Right move black, Down/Up move white; double click: automatic (A)."
        )

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.averageCharWidth() * 26, round(metrics.height() * 1.6))

    def minimumSizeHint(self) -> QSize:
        return QSize(self.fontMetrics().averageCharWidth() * 12, self.sizeHint().height())

    @property
    def levels(self) -> tuple[float, float]:
        """(black, white)."""
        return (self._black, self._white)

    def set_histogram(self, counts: np.ndarray, low: float, high: float) -> None:
        """Counts of equal bins between `low` and `high`; these are the ends of the bar."""
        self._range = (low, high) if high > low else (low, low + 1.0)
        peak = float(counts.max()) if len(counts) else 0.0
        self._counts = np.sqrt(counts / peak) if peak > 0 else np.zeros(0)
        self.update()

    def set_levels(self, black: float, white: float) -> None:
        """Move the handles without a signal."""
        self._black, self._white = black, white
        self.update()

    # -- geometry -----------------------------------------------------------------------------------------

    def _to_x(self, value: float) -> float:
        low, high = self._range
        place = (value - low) / (high - low)
        return _PAD + min(max(place, 0.0), 1.0) * (self.width() - 2 * _PAD)

    def _to_value(self, x: float) -> float:
        low, high = self._range
        place = (x - _PAD) / max(1, self.width() - 2 * _PAD)
        return low + min(max(place, 0.0), 1.0) * (high - low)

    def _move(self, handle: str, value: float) -> None:
        gap = (self._range[1] - self._range[0]) / 500
        if handle == "black":
            self._black = min(value, self._white - gap)
        else:
            self._white = max(value, self._black + gap)
        self.update()
        self.edited.emit(self._black, self._white)

    # -- events -------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self.isEnabled():
            return
        x = event.position().x()
        to_black, to_white = abs(x - self._to_x(self._black)), abs(x - self._to_x(self._white))
        # Handles on top of each other: the side of the click decides.
        nearer_black = x < self._to_x(self._black) if to_black == to_white else to_black < to_white
        self._held = "black" if nearer_black else "white"
        self._move(self._held, self._to_value(x))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held:
            self._move(self._held, self._to_value(event.position().x()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._held = ""

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._held = ""
        self.reset_requested.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        action = _KEYS.get(Qt.Key(event.key()))
        if action is None:
            super().keyPressEvent(event)
            return
        handle, sign = action
        value = self._black if handle == "black" else self._white
        self._move(handle, value + sign * (self._range[1] - self._range[0]) / 100)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        try:
            self._paint(painter)
        finally:
            painter.end()

    def _paint(self, painter: QPainter) -> None:
        palette = self.palette()
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(palette.color(QPalette.ColorRole.Mid))
        painter.setBrush(palette.color(QPalette.ColorRole.Base))
        painter.drawRoundedRect(frame, 3, 3)
        bottom, height = self.height() - 2.0, self.height() - 5.0
        if len(self._counts):
            step = (self.width() - 2 * _PAD) / len(self._counts)
            points = [QPointF(_PAD + (k + 0.5) * step, bottom - float(c) * height) for k, c in enumerate(self._counts)]
            points = [QPointF(_PAD, bottom), *points, QPointF(self.width() - _PAD, bottom)]
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(palette.color(QPalette.ColorRole.PlaceholderText))
            painter.drawPolygon(QPolygonF(points))
        painter.setPen(palette.color(QPalette.ColorRole.Text))
        for value, colour in ((self._black, Qt.GlobalColor.black), (self._white, Qt.GlobalColor.white)):
            x = self._to_x(value)
            painter.drawLine(QPointF(x, 2), QPointF(x, bottom))
            painter.setBrush(colour)
            painter.drawRect(QRectF(x - 3.5, self.height() * 0.3, 7, self.height() * 0.4))
        if self.hasFocus():
            option = QStyleOptionFocusRect()
            option.initFrom(self)
            self.style().drawPrimitive(QStyle.PrimitiveElement.PE_FrameFocusRect, option, painter, self)
