"""The panel that tells what is known about the image: file, header, microscope, statistics of all pixels.

The texts come from core/images/statistics.py, in a task; the newest image wins.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QHeaderView,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.viewer.latest_task import LatestTask
from app.widgets.labels import label, row
from core.errors import AppError
from core.images.pyramid import Pyramid
from core.images.statistics import Group, as_text, describe

Index = QModelIndex | QPersistentModelIndex
_ROOM = 8  # logical pixels of a cell beside its text
_EMPTY = "Open a micrograph to see its header and statistics."


class _Table(QTreeWidget):
    """Ctrl+C asks: the view's own copy takes one cell."""

    copy_requested = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_requested.emit()
        else:
            super().keyPressEvent(event)


class _Breakable(QStyledItemDelegate):
    """Long paths and names may be broken behind their separators too."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        super().initStyleOption(option, index)
        option.features |= QStyleOptionViewItem.ViewItemFeature.WrapText
        option.text = re.sub(r"(?<=[/\\_.:,])(?=[^\s\d])", "\u200b", option.text)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        size, whole = super().sizeHint(option, index), QStyleOptionViewItem(option)
        self.initStyleOption(whole, index)
        tree = self.parent()
        width = tree.columnWidth(index.column()) - _ROOM if isinstance(tree, QTreeWidget) else 0
        room = QRect(0, 0, max(1, width), 1 << 20)
        high = whole.fontMetrics.boundingRect(room, int(Qt.TextFlag.TextWordWrap), whole.text).height()
        return QSize(size.width(), max(size.height(), high))


class InfoPanel(QWidget):
    """`set_image(path, pyramid)`: what it is, in groups of names and values that can be copied."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.groups: list[Group] = []
        self._image: tuple[Path | None, Pyramid | None] = (None, None)
        self._due = False
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        self.table = _Table()
        self.table.setColumnCount(2)
        self.table.setHeaderHidden(True)
        self.table.setRootIsDecorated(False)
        self.table.setIndentation(0)
        self.table.setAlternatingRowColors(True)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setWordWrap(True)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # for a single word without an end
        self.table.setItemDelegateForColumn(1, _Breakable(self.table))
        self.table.setAccessibleName("Header and statistics of the image")
        self.table.setToolTip("Ctrl+C copies the selected lines")
        header = self.table.header()
        header.setStretchLastSection(True)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        header.sectionResized.connect(lambda *_: self.table.scheduleDelayedItemsLayout())  # other heights
        self.table.copy_requested.connect(self.copy_selected)
        self.copy = QPushButton("Copy all")
        self.copy.setToolTip("Copy all names and values, one line each")
        self.copy.clicked.connect(self.copy_all)
        self.words = label("", "muted", wrap=True)
        self.words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        body = QVBoxLayout(self)
        body.setContentsMargins(8, 8, 8, 8)
        body.setSpacing(6)
        body.addWidget(self.table, 1)
        body.addWidget(self.words, 1)
        body.addLayout(row(None, self.copy))
        self._show([], _EMPTY)

    def set_image(self, path: Path | str | None, pyramid: Pyramid | None) -> None:
        """Another image: its file and its picture (either may be missing); both None: nothing is open."""
        image = (None if path is None else Path(path), pyramid)
        if image == self._image and (self.groups or self._task.busy):
            return
        self._image = image
        if path is None and pyramid is None:
            self._due = False
            self._task.cancel()
            self._show([], _EMPTY)
        elif self.isVisible():
            self._compute()
        else:
            self._due = True

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._due:
            self._compute()

    def _compute(self) -> None:
        self._due = False
        path, pyramid = self._image

        def work(cancelled: Callable[[], bool]) -> list[Group]:
            return describe(path, pyramid, cancelled)

        self._task.start(work)

    def _on_done(self, groups: list[Group]) -> None:
        self._show(groups)

    def _on_failed(self, error: AppError) -> None:
        self._show([], f"{error.message}\n{error.hint}".strip())

    def _show(self, groups: list[Group], words: str = "") -> None:
        self.groups = groups
        place = self.table.verticalScrollBar().value()
        self.table.clear()
        for title, rows in groups:
            head = QTreeWidgetItem(self.table, [title])
            head.setFirstColumnSpanned(True)
            font = head.font(0)
            font.setBold(True)
            head.setFont(0, font)
            for name, text in rows:
                line = QTreeWidgetItem(self.table, [name, text])
                line.setToolTip(1, text)
                line.setTextAlignment(0, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.table.verticalScrollBar().setValue(place)  # the next micrograph's number is where this one's was
        self.table.setVisible(not words)
        self.words.setVisible(bool(words))
        self.words.setText(words)
        self.copy.setEnabled(bool(groups))

    def copy_all(self) -> None:
        """Everything to the clipboard: name, tab, value."""
        QApplication.clipboard().setText(as_text(self.groups))

    def copy_selected(self) -> None:
        """The selected lines to the clipboard; a single one gives its value alone."""
        lines = [item for item in self.table.selectedItems() if item.text(1)]
        if len(lines) == 1:
            QApplication.clipboard().setText(lines[0].text(1))
        elif lines:
            QApplication.clipboard().setText("\n".join(f"{item.text(0)}\t{item.text(1)}" for item in lines))
