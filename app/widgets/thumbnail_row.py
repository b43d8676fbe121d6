"""The list inside the strip of thumbnails: one row that scrolls sideways, and the keys for flags."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QKeySequence, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QSizePolicy, QWidget

from app.widgets.thumbnail_model import Index, ThumbnailDelegate

KEYS = {"K": "keep", "R": "reject", "*": "star", "U": ""}


class ThumbnailRow(QListView):
    """`moved` when other items come into sight; `flag_key(flag)`, `undo_key`, `menu_at(global position)`."""

    moved = Signal()
    flag_key = Signal(str)
    undo_key = Signal()
    menu_at = Signal(QPoint)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setFlow(QListView.Flow.LeftToRight)
        self.setWrapping(False)
        self.setUniformItemSizes(True)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Thumbnails of the micrographs")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.horizontalScrollBar().valueChanged.connect(lambda _: self.moved.emit())

    def sizeHint(self) -> QSize:
        item = self.item_size()
        height = item.height() + self.horizontalScrollBar().sizeHint().height() + 2 * self.frameWidth()
        return QSize(8 * item.width(), height)

    def minimumSizeHint(self) -> QSize:
        return QSize(2 * self.item_size().width(), self.sizeHint().height())

    def item_size(self) -> QSize:
        """Size of one item, with or without items."""
        return ThumbnailDelegate.size_of(self.fontMetrics())

    def rows_in_sight(self) -> tuple[int, int]:
        """First and last row on the screen, at least partly; (0, -1) when there is none."""
        model = self.model()
        n = model.rowCount() if model is not None else 0
        width = self.item_size().width()
        start = self.horizontalScrollBar().value()
        first = max(0, start // width)
        return first, min(n - 1, (start + self.viewport().width()) // width)

    def dataChanged(self, first: Index, last: Index, roles: Sequence[int] = ()) -> None:
        """Paint the items anew; Qt's own way lays out all of them for every thumbnail that arrives."""
        if first == last:
            self.update(first)
        else:
            self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.moved.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta().y() or event.angleDelta().x()
        bar = self.horizontalScrollBar()
        bar.setValue(bar.value() - round(delta / 120 * self.item_size().width()))
        event.accept()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.menu_at.emit(event.globalPos())

    def event(self, event: QEvent) -> bool:
        # Ctrl+Z here means the flag; elsewhere in the tab it means the last box.
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride and _is_undo(event):
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        text = event.text().upper()
        if _is_undo(event):
            self.undo_key.emit()
        elif text in KEYS and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.flag_key.emit(KEYS[text])
        elif text.strip() and text.isprintable() and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            event.ignore()  # a key of the tab, not a search for a name
        else:
            super().keyPressEvent(event)


def _is_undo(event: QKeyEvent) -> bool:
    return event.matches(QKeySequence.StandardKey.Undo)
