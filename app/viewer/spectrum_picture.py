"""The picture of a power spectrum: resolution rings with their numbers, and a ring that follows the mouse.

Mouse: point at a ring, wheel zooms about the centre. Keys: Left and Right move the ring, + and - zoom, 0 shows all.
The spectrum is computed in core/images/spectrum.py; here it is only drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app import theme

_RING, _POINTER, _SHADE = QColor("#6fd6e4"), QColor("#ffc45c"), QColor(0, 0, 0, 150)
_STEP, _MOST = 1.25, 16.0


class SpectrumPicture(QWidget):
    """`pointed(frequency)`: 1/Å (or 1/px) under the mouse or chosen by keys, nan for none."""

    pointed = Signal(float)
    zoomed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._scaled: tuple[tuple[int, float], QImage] | None = None
        self._step, self._unit = 0.0, "Å"
        self._rings: tuple[float, ...] = ()
        self._pointer = math.nan
        self._words = ""
        self.zoom = 1.0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Power spectrum")
        self.setToolTip(
            "Centre: coarse detail; edge: fine detail. Point at a ring to read its resolution.\n"
            "Wheel, + and - zoom, 0 shows all; Left and Right move the ring."
        )

    def sizeHint(self) -> QSize:
        side = self.fontMetrics().averageCharWidth() * 44
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        side = self.fontMetrics().averageCharWidth() * 22
        return QSize(side, side)

    def set_picture(self, grey: np.ndarray | None, step: float = 1.0, unit: str = "Å") -> None:
        """Centred uint8 (n, n), `step` the frequency of one pixel; None: only words."""
        self._step, self._unit, self._scaled = step, unit, None
        if grey is None:
            self._image = None
        else:
            grey = np.ascontiguousarray(grey)
            n = grey.shape[0]
            self._image = QImage(grey.tobytes(), n, n, n, QImage.Format.Format_Grayscale8).copy()
        self.update()

    def set_words(self, text: str) -> None:
        """A sentence over (or instead of) the picture; "" for none."""
        self._words = text
        self.update()

    def set_rings(self, resolutions: Sequence[float]) -> None:
        """Rings at these Å (or px)."""
        self._rings = tuple(resolutions)
        self.update()

    def set_pointer(self, frequency: float) -> None:
        """Move the ring that follows the mouse, without a signal; nan hides it."""
        self._pointer = frequency
        self.update()

    @property
    def edge(self) -> float:
        """Frequency at the middle of an edge."""
        return 0.0 if self._image is None else self._image.width() / 2 * self._step / self.zoom

    def set_edge(self, frequency: float) -> None:
        """Zoom so that this frequency is at the edge."""
        if self._image is not None and frequency > 0:
            self._set_zoom(self._image.width() / 2 * self._step / frequency)

    def _set_zoom(self, zoom: float) -> None:
        self.zoom = min(max(zoom, 1.0), _MOST)
        self._scaled = None
        self.update()
        self.zoomed.emit()

    # -- geometry -----------------------------------------------------------------------------------------

    def _square(self) -> QRectF:
        side = min(self.width(), self.height())
        return QRectF((self.width() - side) / 2, 0, side, side)

    def _centre(self) -> QPointF:
        """Where frequency zero is drawn: the middle of pixel (n // 2, n // 2)."""
        return self._square().center()

    def radius_of(self, frequency: float) -> float:
        """Logical pixels from the centre."""
        return self._square().width() / 2 * frequency / self.edge if self.edge else 0.0

    def frequency_at(self, place: QPointF) -> float:
        """Of the ring through a place of the widget; nan outside of the picture."""
        if not self.edge or not self._square().contains(place):
            return math.nan
        offset = place - self._centre()
        return math.hypot(offset.x(), offset.y()) / (self._square().width() / 2) * self.edge

    # -- events -------------------------------------------------------------------------------------------

    def _point(self, frequency: float) -> None:
        self.set_pointer(frequency)
        self.pointed.emit(frequency)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._point(self.frequency_at(event.position()))

    def leaveEvent(self, event: QEvent) -> None:
        self._point(math.nan)

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if self._image is not None and steps:
            self._set_zoom(self.zoom * _STEP**steps)
            self._point(self.frequency_at(event.position()))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, far = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._set_zoom(self.zoom * _STEP)
        elif key == Qt.Key.Key_Minus:
            self._set_zoom(self.zoom / _STEP)
        elif key == Qt.Key.Key_0:
            self._set_zoom(1.0)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self._image is not None:
            start = self._pointer if math.isfinite(self._pointer) else self.edge / 2
            shift = (1 if key == Qt.Key.Key_Right else -1) * (10 if far else 1) * self._step
            self._point(min(max(start + shift, self._step), self.edge))
        else:
            super().keyPressEvent(event)

    # -- painting -----------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        try:
            self._paint(painter)
        finally:
            painter.end()

    def _paint(self, painter: QPainter) -> None:
        square = self._square()
        painter.fillRect(square, theme.colour("field"))
        painter.setClipRect(square)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._image is not None:
            painter.drawImage(square, self._seen())
            for number, resolution in enumerate(self._rings):
                self._ring(painter, 1 / resolution, _RING, f"{resolution:g} {self._unit}", number)
            if math.isfinite(self._pointer) and self._pointer > 0:
                self._ring(painter, self._pointer, _POINTER, f"{1 / self._pointer:.3g} {self._unit}", -1)
        if self._words:
            self._write(painter, square)
        if self.hasFocus():
            painter.setPen(QPen(theme.colour("accent"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(square.adjusted(0.5, 0.5, -0.5, -0.5))

    def _seen(self) -> QImage:
        """The zoomed part in device pixels: area means when it shrinks, smooth when it grows."""
        assert self._image is not None
        side = max(1, round(self._square().width() * self.devicePixelRatioF()))
        key = (side, self.zoom)
        if self._scaled is None or self._scaled[0] != key:
            n = self._image.width()
            half = n / 2 / self.zoom
            # Frequency zero is the middle of pixel n // 2, so the window is shifted by half a pixel.
            first = max(0, math.floor(n // 2 + 0.5 - half))
            last = min(n, math.ceil(n // 2 + 0.5 + half))
            scale = side / (2 * half)
            part = self._image.copy(first, first, last - first, last - first)
            length = max(1, round((last - first) * scale))
            modes = (Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
            part = part.scaled(length, length, *modes)
            offset = (first - (n // 2 + 0.5 - half)) * scale
            whole = QImage(side, side, QImage.Format.Format_Grayscale8)
            whole.fill(0)
            painter = QPainter(whole)
            try:
                painter.drawImage(QPointF(offset, offset), part)
            finally:
                painter.end()
            self._scaled = (key, whole)
        return self._scaled[1]

    def _ring(self, painter: QPainter, frequency: float, ink: QColor, text: str, number: int) -> None:
        radius, centre = self.radius_of(frequency), self._centre()
        if radius > self._square().width() * 0.72 or radius < 2:
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in ((_SHADE, 3.0), (ink, 1.3)):
            painter.setPen(QPen(colour, width))
            painter.drawEllipse(centre, radius, radius)
        # Numbers of neighbouring rings go to different sides; the mouse's own is at the bottom.
        angle = math.radians(90 if number < 0 else (-45, -135)[number % 2])
        place = centre + QPointF(math.cos(angle) * radius, math.sin(angle) * radius)
        metrics = QFontMetricsF(painter.font())
        box = QRectF(0, 0, metrics.horizontalAdvance(text) + 8, metrics.height() + 2)
        box.moveCenter(place)
        room = self._square().adjusted(2, 2, -2, -2)
        box.moveLeft(min(max(box.left(), room.left()), room.right() - box.width()))
        box.moveTop(min(max(box.top(), room.top()), room.bottom() - box.height()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(_SHADE)
        painter.drawRoundedRect(box, 3, 3)
        painter.setPen(ink)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _write(self, painter: QPainter, square: QRectF) -> None:
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        room = square.adjusted(square.width() * 0.1, 0, -square.width() * 0.1, 0)
        if self._image is not None:
            bounds = QFontMetricsF(painter.font()).boundingRect(room, int(flags), self._words)
            painter.fillRect(bounds.adjusted(-8, -5, 8, 5), _SHADE)
            painter.setPen(QColor("white"))
        else:
            painter.setPen(theme.colour("muted"))
        painter.drawText(room, int(flags), self._words)
