"""The contrast control: a histogram with a black and a white handle, above the colours between them.

Mouse: drag a handle, or both by what is between them; the wheel narrows and widens. Keys: Left and Right move black,
Down and Up move white, Page Up and Down both, + and - narrow and widen; Enter for exact numbers. Values are pixel
values.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QHelpEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPolygonF,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QStyle, QStyleOptionFocusRect, QToolTip, QWidget

from app.viewer.levels_popup import LevelsPopup
from core.images.colour import colours

_PAD = 6  # logical pixels: room for half a handle
_GRIP = 7  # logical pixels from a handle that still take it
_LEAST_PART = 1 / 500  # of the bar's range between the handles
_WHEEL_STEP = 0.9
_MOVES = {  # key: (handle, direction)
    Qt.Key.Key_Left: ("black", -1),
    Qt.Key.Key_Right: ("black", 1),
    Qt.Key.Key_Down: ("white", -1),
    Qt.Key.Key_Up: ("white", 1),
    Qt.Key.Key_PageDown: ("both", -1),
    Qt.Key.Key_PageUp: ("both", 1),
}
_WIDTHS = {Qt.Key.Key_Plus: 1, Qt.Key.Key_Equal: 1, Qt.Key.Key_Minus: -1}
_CURSORS = {"both": Qt.CursorShape.SizeHorCursor, "": Qt.CursorShape.ArrowCursor}


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
        self._grabbed_at = 0.0  # value under the mouse when a handle was taken
        self._grabbed = (0.0, 1.0)  # levels at that moment
        self.set_colours(colours())
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Contrast: black and white level")
        self._describe()

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.averageCharWidth() * 26, round(metrics.height() * 1.9))

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
        self._black, self._white = float(black), float(white)
        self._describe()
        self.update()

    def set_colours(self, table: np.ndarray) -> None:
        """The (256,) uint32 0xffRRGGBB colours that lie between the handles."""
        self._colours = np.ascontiguousarray(table, dtype=np.uint32)
        self._strip = QImage(self._colours.tobytes(), 256, 1, 256 * 4, QImage.Format.Format_RGB32).copy()
        self.update()

    def edit_numbers(self) -> None:
        """Open the small window for exact numbers below the bar."""
        popup = LevelsPopup(self._black, self._white, self)
        popup.edited.connect(self._set)
        popup.automatic.connect(self.reset_requested)
        popup.open_at(self.mapToGlobal(self.rect().bottomLeft()))

    # -- geometry and moves -------------------------------------------------------------------------------

    def _to_x(self, value: float) -> float:
        low, high = self._range
        place = (value - low) / (high - low)
        return _PAD + min(max(place, 0.0), 1.0) * (self.width() - 2 * _PAD)

    def _to_value(self, x: float) -> float:
        low, high = self._range
        place = (x - _PAD) / max(1, self.width() - 2 * _PAD)
        return low + min(max(place, 0.0), 1.0) * (high - low)

    @property
    def _gap(self) -> float:
        return (self._range[1] - self._range[0]) * _LEAST_PART

    def _set(self, black: float, white: float) -> None:
        self._black, self._white = float(black), float(white)
        self._describe()
        self.update()
        self.edited.emit(self._black, self._white)

    def _move(self, handle: str, shift: float, start: tuple[float, float]) -> None:
        """Shift a handle, or both, from where they were at the `start`."""
        black, white = start
        if handle == "both":
            low, high = self._range
            # Both stay on the bar when they were; levels beyond it may only come nearer.
            shift = min(max(shift, min(low - black, 0.0)), max(high - white, 0.0))
            self._set(black + shift, white + shift)
        elif handle == "either":
            return
        elif handle == "black":
            self._set(min(black + shift, white - self._gap), white)
        else:
            self._set(black, max(white + shift, black + self._gap))

    def _widen(self, factor: float) -> None:
        middle = (self._black + self._white) / 2
        half = max((self._white - self._black) / 2 * factor, self._gap / 2)
        self._set(middle - half, middle + half)

    def _part_at(self, x: float) -> str:
        """What a press at `x` takes: black, white, both, or either (they touch: the drag's direction decides)."""
        left, right = self._to_x(self._black), self._to_x(self._white)
        to_black, to_white = abs(x - left), abs(x - right)
        if left + _GRIP < x < right - _GRIP:
            return "both"
        if right - left < _GRIP and min(to_black, to_white) <= _GRIP:
            return "either"
        return "black" if to_black < to_white or (to_black == to_white and x < left) else "white"

    # -- events -------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.position().x()
        self._held = self._part_at(x)
        place = self._black if self._held == "black" else self._white
        if self._held in ("black", "white") and abs(x - self._to_x(place)) > _GRIP:
            self._move(self._held, self._to_value(x) - place, self.levels)  # beside them: the nearer one comes
        self._grabbed_at, self._grabbed = self._to_value(x), self.levels

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        x = event.position().x()
        if self._held:
            shift = self._to_value(x) - self._grabbed_at
            if self._held == "either" and shift:
                self._held = "white" if shift > 0 else "black"
            self._move(self._held, shift, self._grabbed)
            self._show_values(event.globalPosition().toPoint())
        part = self._held or self._part_at(x)
        self.setCursor(_CURSORS.get(part, Qt.CursorShape.SplitHCursor))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._held:
            QToolTip.hideText()
        self._held = ""

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._held = ""
        self.reset_requested.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if steps:
            self._widen(_WHEEL_STEP**steps)
            self._show_values(event.globalPosition().toPoint())
        event.accept()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.edit_numbers()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in _MOVES:
            handle, sign = _MOVES[key]
            part = 0.1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0.01
            self._move(handle, sign * part * (self._range[1] - self._range[0]), self.levels)
        elif key in _WIDTHS:
            self._widen(_WHEEL_STEP ** _WIDTHS[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.edit_numbers()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self._tip(), self)
            return True
        if event.type() == QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            key = Qt.Key(event.key())
            if key in _MOVES or key in _WIDTHS:  # before Page Up goes to the next micrograph
                event.accept()
                return True
        return super().event(event)

    def _values_text(self) -> str:
        return f"black {self._black:.6g}, white {self._white:.6g}"

    def _tip(self) -> str:
        return (
            f"Contrast: {self._values_text()}\n"
            "Drag a handle, or both by the middle; wheel: narrower, wider.\n"
            "Left/Right move black, Down/Up white, Page Up/Down both, + and - narrow and widen; Shift: far.\n"
            "Enter or right click: exact numbers. Double click: automatic (A)."
        )

    def _describe(self) -> None:
        self.setAccessibleDescription(self._values_text())
        self.setToolTip(self._tip())

    def _show_values(self, place: QPoint) -> None:
        QToolTip.showText(place, self._values_text(), self)

    # -- painting -----------------------------------------------------------------------------------------

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
        strip_top = self.height() * 0.72
        if not self.isEnabled():
            painter.setOpacity(0.4)
        self._paint_histogram(painter, strip_top)
        self._paint_strip(painter, QRectF(_PAD, strip_top, self.width() - 2 * _PAD, self.height() - 3 - strip_top))
        for value, place in ((self._black, 0), (self._white, 255)):
            self._paint_handle(painter, self._to_x(value), QColor(int(self._colours[place]) & 0xFFFFFF))
        painter.setOpacity(1.0)
        if self.hasFocus():
            option = QStyleOptionFocusRect()
            option.initFrom(self)
            self.style().drawPrimitive(QStyle.PrimitiveElement.PE_FrameFocusRect, option, painter, self)

    def _paint_histogram(self, painter: QPainter, bottom: float) -> None:
        if not len(self._counts):
            return
        step, height = (self.width() - 2 * _PAD) / len(self._counts), bottom - 3
        points = [QPointF(_PAD + (k + 0.5) * step, bottom - float(c) * height) for k, c in enumerate(self._counts)]
        points = [QPointF(_PAD, bottom), *points, QPointF(self.width() - _PAD, bottom)]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.palette().color(QPalette.ColorRole.PlaceholderText))
        painter.drawPolygon(QPolygonF(points))

    def _paint_strip(self, painter: QPainter, room: QRectF) -> None:
        """The colours of the values below: the first one up to black, the last one from white on."""
        left, right = self._to_x(self._black), self._to_x(self._white)
        ends = (QColor.fromRgb(int(self._colours[0])), QColor.fromRgb(int(self._colours[-1])))
        painter.fillRect(QRectF(room.left(), room.top(), left - room.left(), room.height()), ends[0])
        painter.fillRect(QRectF(right, room.top(), room.right() - right, room.height()), ends[1])
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(left, room.top(), max(right - left, 1.0), room.height()), self._strip)
        painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Mid), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(room)

    def _paint_handle(self, painter: QPainter, x: float, fill: QColor) -> None:
        text = self.palette().color(QPalette.ColorRole.Text)
        painter.setPen(QPen(text, 1.2))
        painter.drawLine(QPointF(x, 2), QPointF(x, self.height() - 2.0))
        painter.setBrush(fill)
        painter.drawRoundedRect(QRectF(x - 4, self.height() * 0.22, 8, self.height() * 0.42), 2, 2)
