"""The grid of a gallery: which images are on the screen, painting them, choosing some by mouse and keys.

Nothing here depends on how many images there are, except one flag for each. Images come from gallery_loader.py.
"""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from app import theme
from app.viewer.gallery_loader import GalleryLoader

SIZES = (3, 24)  # side of a cell in lines of text
_STEPS = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
_NONE = np.zeros(0, bool)


class GalleryGrid(QAbstractScrollArea):
    """Signals: `opened(index)` by Enter or double click, `selection_changed(count)`, `size_step(+1 or -1)`."""

    opened = Signal(int)
    selection_changed = Signal(int)
    current_changed = Signal(int)
    size_step = Signal(int)

    def __init__(self, loader: GalleryLoader, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._loader = loader
        self._chosen = _NONE
        self._current = self._anchor = 0
        self.lines = 6  # side of a cell in lines of text
        self.numbered = True
        self.message = "No images"
        self._aspect = 1.0  # height / width
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Images of the stack")
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.verticalScrollBar().valueChanged.connect(self._want)
        loader.loaded.connect(self._on_loaded)

    # -- content ------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self._chosen)

    @property
    def current(self) -> int:
        """The image the keys start from."""
        return self._current

    def reset(self, n: int, shape: tuple[int, int]) -> None:
        """Other images, none chosen."""
        self._chosen = np.zeros(n, bool)
        self._current = self._anchor = 0
        self._aspect = shape[0] / max(1, shape[1])
        self.verticalScrollBar().setValue(0)
        self.relayout()
        self.selection_changed.emit(0)

    def selected(self) -> np.ndarray:
        """Indexes of the chosen images, in order."""
        return np.flatnonzero(self._chosen)

    def select(self, indexes: np.ndarray | list[int]) -> None:
        """Choose these images and no others."""
        self._chosen[:] = False
        self._chosen[np.asarray(indexes, dtype=np.intp)] = True
        self._changed()

    def _changed(self) -> None:
        self.viewport().update()
        count = int(self._chosen.sum())
        self.setAccessibleDescription(f"image {self._current + 1} of {self.count}, {count} selected")
        self.selection_changed.emit(count)

    def set_cells(self, lines: int, numbered: bool) -> None:
        """Size of the cells and whether they have numbers; the first image that is seen stays on the screen."""
        top = self.seen()[0]
        self.lines, self.numbered = min(max(lines, SIZES[0]), SIZES[1]), numbered
        self.relayout()
        self._scroll_to(top, at_top=True)

    # -- geometry, in logical pixels ----------------------------------------------------------------------

    @property
    def side(self) -> int:
        """Width of an image on the screen."""
        return self.lines * self.fontMetrics().height()

    @property
    def _gap(self) -> int:
        return max(4, self.fontMetrics().height() // 3)

    @property
    def _pitch(self) -> tuple[int, int]:
        """From one cell to the next, right and down."""
        words = self.fontMetrics().height() + 2 if self.numbered else 0
        return self.side + self._gap, round(self.side * self._aspect) + words + self._gap

    @property
    def columns(self) -> int:
        """Images in a row."""
        return max(1, (self.viewport().width() - self._gap) // self._pitch[0])

    def relayout(self) -> None:
        """The size of cells or window has changed: scroll range, and what is wanted."""
        rows = -(-self.count // self.columns)
        height = self._gap + rows * self._pitch[1]
        bar = self.verticalScrollBar()
        bar.setRange(0, max(0, height - self.viewport().height()))
        bar.setPageStep(self.viewport().height())
        bar.setSingleStep(max(1, self._pitch[1] // 2))
        self.viewport().update()
        self._want()

    def seen(self) -> tuple[int, int]:
        """First and last image on the screen, at least partly; last < first when there is none."""
        down, top = self._pitch[1], self.verticalScrollBar().value() - self._gap
        first = max(0, top // down) * self.columns
        last = ((top + self.viewport().height()) // down + 1) * self.columns - 1
        return min(first, max(0, self.count - 1)), min(last, self.count - 1)

    def cell(self, index: int) -> QRect:
        """Where an image is painted (without its number)."""
        row, column = divmod(index, self.columns)
        right, down = self._pitch
        top = self._gap + row * down - self.verticalScrollBar().value()
        return QRect(self._gap + column * right, top, self.side, round(self.side * self._aspect))

    def index_at(self, position: QPointF) -> int | None:
        """The image under a position of the viewport."""
        right, down = self._pitch
        column = int((position.x() - self._gap / 2) // right)
        row = int((position.y() + self.verticalScrollBar().value() - self._gap / 2) // down)
        index = row * self.columns + column
        return index if 0 <= column < self.columns and row >= 0 and index < self.count else None

    def _scroll_to(self, index: int, at_top: bool = False) -> None:
        down, bar = self._pitch[1], self.verticalScrollBar()
        top = index // self.columns * down
        if at_top or top < bar.value():
            bar.setValue(top)
        elif top + down + self._gap > bar.value() + self.viewport().height():
            bar.setValue(top + down + self._gap - self.viewport().height())

    def _want(self) -> None:
        self._loader.want(*self.seen())
        self.viewport().update()

    def _on_loaded(self, first: int, count: int) -> None:
        begin, end = self.seen()
        if first <= end and first + count > begin:
            top, bottom = self.cell(max(first, begin)).top(), self.cell(min(first + count - 1, end)).bottom()
            self.viewport().update(0, top, self.viewport().width(), bottom - top + 1)

    # -- events -------------------------------------------------------------------------------------------

    def resizeEvent(self, event: QResizeEvent) -> None:
        top = self.seen()[0] if event.oldSize().width() > 0 else 0
        self.relayout()
        if event.oldSize().width() != event.size().width():
            self._scroll_to(top, at_top=True)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            delta = event.angleDelta().y()
            if delta:
                self.size_step.emit(1 if delta > 0 else -1)
            event.accept()
        else:
            super().wheelEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if index is None:
            if not event.modifiers():
                self.select([])
            return
        self._go(index, event.modifiers())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        index = self.index_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and index is not None:
            self.opened.emit(index)

    def _go(self, index: int, modifiers: Qt.KeyboardModifier) -> None:
        """Make an image current and choose it: alone, in addition (Ctrl), or up to it (Shift)."""
        moved, self._current = index != self._current, index
        if modifiers & Qt.KeyboardModifier.ShiftModifier:
            low, high = sorted((self._anchor, index))
            if not modifiers & Qt.KeyboardModifier.ControlModifier:
                self._chosen[:] = False
            self._chosen[low : high + 1] = True
        else:
            self._anchor = index
            if modifiers & Qt.KeyboardModifier.ControlModifier:
                self._chosen[index] ^= True
            else:
                self._chosen[:] = False
                self._chosen[index] = True
        self._scroll_to(index)
        self._changed()
        if moved:
            self.current_changed.emit(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, modifiers = Qt.Key(event.key()), event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        target = self._target(key)
        if not self.count:
            super().keyPressEvent(event)
        elif target is not None:
            if modifiers == Qt.KeyboardModifier.ControlModifier and key in _STEPS:
                self._current = target  # Ctrl moves without choosing, Ctrl+Space then chooses
                self._scroll_to(target)
                self._changed()
                self.current_changed.emit(target)
            else:
                self._go(target, modifiers & Qt.KeyboardModifier.ShiftModifier)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.opened.emit(self._current)
        elif key == Qt.Key.Key_Space:
            self._go(self._current, Qt.KeyboardModifier.ControlModifier)
        elif key == Qt.Key.Key_A and modifiers == Qt.KeyboardModifier.ControlModifier:
            self._chosen[:] = True
            self._changed()
        elif key == Qt.Key.Key_Escape and self._chosen.any():
            self.select([])
        else:
            super().keyPressEvent(event)

    def _target(self, key: Qt.Key) -> int | None:
        """The image a key leads to."""
        page = max(1, self.viewport().height() // self._pitch[1]) * self.columns
        if key in _STEPS:
            by = _STEPS[key][0] + _STEPS[key][1] * self.columns
        elif key in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            by = page if key == Qt.Key.Key_PageDown else -page
        elif key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            return 0 if key == Qt.Key.Key_Home else self.count - 1
        else:
            return None
        return min(max(self._current + by, 0), self.count - 1)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        try:
            painter.fillRect(event.rect(), theme.stage())
            if not self.count:
                painter.setPen(theme.colour("on_stage"))
                painter.drawText(self.viewport().rect(), int(Qt.AlignmentFlag.AlignCenter), self.message)
                return
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            missing = self._paint_cells(painter, event.rect())
        finally:
            painter.end()
        if missing:
            QTimer.singleShot(0, self, lambda: self._loader.want_again(*self.seen()))

    def _paint_cells(self, painter: QPainter, part: QRect) -> bool:
        """The cells that reach into `part`; whether an image of them is not here."""
        (first, last), missing = self.seen(), False
        gap, (right, down), columns = self._gap, self._pitch, self.columns  # once: there may be a thousand cells
        start = self.cell(0)
        words = self.fontMetrics().height()
        for index in range(first, last + 1):
            row, column = divmod(index, columns)
            cell = start.translated(column * right, row * down)
            if cell.adjusted(-gap, -gap, gap, down).intersects(part):
                pixels = self._loader.image(index)
                missing = missing or pixels is None
                self._paint_cell(painter, index, cell, pixels, gap, words)
        return missing

    def _paint_cell(
        self, painter: QPainter, index: int, cell: QRect, pixels: np.ndarray | None, gap: int, line: int
    ) -> None:
        if pixels is None:
            painter.fillRect(cell, theme.colour("panel"))
        else:
            h, w = pixels.shape
            painter.drawImage(QRectF(cell), QImage(pixels.data, w, h, w, QImage.Format.Format_Grayscale8))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self._chosen[index]:  # a frame and a tick: not colour alone
            painter.setPen(QPen(theme.colour("accent"), 3))
            painter.drawRect(cell.adjusted(-1, -1, 1, 1))
            badge = QRect(cell.right() - 2 * gap, cell.top(), 2 * gap + 1, 2 * gap + 1)
            painter.fillRect(badge, theme.colour("accent"))
            painter.setPen(theme.colour("on_accent"))
            painter.drawText(badge, int(Qt.AlignmentFlag.AlignCenter), "✓")
        if index == self._current and self.hasFocus():
            painter.setPen(QPen(theme.colour("on_stage"), 1, Qt.PenStyle.DashLine))
            painter.drawRect(cell.adjusted(-3, -3, 3, 3))
        if self.numbered:
            painter.setPen(theme.colour("on_stage"))
            words = QRect(cell.left(), cell.bottom() + 3, cell.width(), line)
            painter.drawText(words, int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop), str(index + 1))
