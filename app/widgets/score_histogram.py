"""A histogram of scores with a threshold that is dragged: what lies right of the line is picked.

Counts only; what the threshold picks is the business of whoever listens.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from app import theme

MARGIN = 8  # logical px left and right of the bars
STEP = 0.05  # sigmas that an arrow key moves the line
COARSE = 10  # steps, with Shift


class ScoreHistogram(QWidget):
    """`threshold_changed(value)` when the user drags the line or moves it with the arrow keys."""

    threshold_changed = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self._edges, self._counts = np.array([0.0, 1.0]), np.zeros(1)
        self._threshold: float | None = None
        self.setMinimumHeight(110)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.setAccessibleName("Histogram of the scores with the threshold")
        self.setToolTip("Scores of all candidates. Drag the line: what lies right of it is picked (arrow keys too).")

    def set_histogram(self, edges: np.ndarray, counts: np.ndarray) -> None:
        """Show counts (n,) of scores between edges (n + 1,)."""
        self._edges, self._counts = np.asarray(edges, float), np.asarray(counts, float)
        self.update()

    def set_threshold(self, value: float | None) -> None:
        """Move the line, silently; None: there is none."""
        self._threshold = value
        self.update()

    @property
    def threshold(self) -> float | None:
        """Where the line is, in sigmas."""
        return self._threshold

    def x_of(self, score: float) -> float:
        """Where a score is, in logical px from the left."""
        low, high = self._edges[0], self._edges[-1]
        return MARGIN + (score - low) / max(high - low, 1e-9) * max(self.width() - 2 * MARGIN, 1)

    def score_at(self, x: float) -> float:
        """The score at a place, in logical px from the left."""
        low, high = self._edges[0], self._edges[-1]
        share = (x - MARGIN) / max(self.width() - 2 * MARGIN, 1)
        return float(low + min(max(share, 0.0), 1.0) * (high - low))

    def sizeHint(self) -> QSize:
        return QSize(320, 150)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._drag(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._drag(event)

    def _drag(self, event: QMouseEvent) -> None:
        if self._threshold is not None:
            self._move_to(self.score_at(event.position().x()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if steps is not None and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            steps *= COARSE
        if steps is None or self._threshold is None:
            super().keyPressEvent(event)
        else:
            self._move_to(self._threshold + steps * STEP)

    def _move_to(self, value: float) -> None:
        self._threshold = round(max(0.0, value), 3)
        self.update()
        self.threshold_changed.emit(self._threshold)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.colour("field"))
        metrics = QFontMetrics(self.font())
        foot = self.height() - metrics.height() - 4
        top = float(max(self._counts.max(), 1.0))
        for left, right, count in zip(self._edges[:-1], self._edges[1:], self._counts, strict=True):
            x0, x1 = self.x_of(left), self.x_of(right)
            height = (foot - 6) * count / top
            picked = self._threshold is not None and (left + right) / 2 >= self._threshold
            painter.fillRect(
                QRectF(x0, foot - height, max(x1 - x0 - 1, 1), height), theme.colour("accent" if picked else "disabled")
            )
        painter.setPen(theme.colour("muted"))
        painter.drawLine(QPointF(MARGIN, foot), QPointF(self.width() - MARGIN, foot))
        for value in range(int(np.ceil(self._edges[0])), int(self._edges[-1]) + 1):
            text = str(value)
            painter.drawText(QPointF(self.x_of(value) - metrics.horizontalAdvance(text) / 2, self.height() - 4), text)
        if self._threshold is not None:
            painter.setPen(QPen(theme.colour("text"), 2))
            x = self.x_of(min(max(self._threshold, self._edges[0]), self._edges[-1]))
            painter.drawLine(QPointF(x, 2), QPointF(x, foot))
        if self.hasFocus():
            painter.setPen(theme.colour("accent"))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()
