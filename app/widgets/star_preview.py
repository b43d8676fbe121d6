"""What a conversion to STAR will write, before it is made: words, a table of its first rows, what is left out.

Shows a core.cryosparc.preview.Preview; who makes it, and when, is the tab's business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QPlainTextEdit,
    QSplitter,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.widgets.labels import card_title, column, label
from core.cryosparc.join import Joined
from core.cryosparc.labels import MEANINGS
from core.cryosparc.preview import INVERTED_Y, Preview

Index = QModelIndex | QPersistentModelIndex
MOST_WIDTH = 34  # characters of a column
MOST_LINES = 14  # of what is not written, before it scrolls
LOOKED_AT = 60  # rows that set the width of a column
EMPTY = (
    "Choose a CryoSPARC job",
    "A job folder (J24), an export folder, a .csg or a .cs file: drop it here, or choose it on the left. "
    "What it becomes in RELION is shown before anything is written.",
)


class PreviewModel(QAbstractTableModel):
    """The first rows of particles_relion.star; cells are asked for when they come into sight."""

    def __init__(self) -> None:
        super().__init__()
        self._columns: Sequence = ()
        self._rows = 0

    def set_preview(self, preview: Preview | None) -> None:
        """Show another table, or none."""
        self.beginResetModel()
        self._columns = preview.columns if preview is not None else ()
        self._rows = preview.shown if preview is not None else 0
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else self._rows

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        shown = self._columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return shown.cells[index.row()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return None if shown.numeric else shown.cells[index.row()]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if shown.numeric else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation == Qt.Orientation.Vertical:
            return section + 1 if role == Qt.ItemDataRole.DisplayRole else None
        shown = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return shown.label
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"<qt>{meaning(shown.label)}</qt>"
        if role == Qt.ItemDataRole.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if shown.numeric else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


def meaning(name: str) -> str:
    """What stands in a column of the preview."""
    if name == INVERTED_Y:
        return "The same with y counted from the other edge, NY - Y, pixels: what Invert.star has as rlnCoordinateY."
    return MEANINGS.get(name, name)


class TextCard(QFrame):
    """A heading and sentences below each other, to scroll, select and copy."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("card")
        self.texts: tuple[str, ...] = ()
        self.box = QPlainTextEdit(readOnly=True)
        self.box.setFrameShape(QFrame.Shape.NoFrame)
        self.box.setAcceptDrops(False)
        self.box.setTabChangesFocus(True)
        self.box.setAccessibleName(title)
        self.title = card_title(title)
        self._name = title
        self.setLayout(column(self.title, self.box, spacing=4, margins=(12, 8, 12, 10)))
        self.setMinimumHeight(self.fontMetrics().height() * 5)

    def show_texts(self, texts: Sequence[str]) -> None:
        """Show these, or hide when there are none."""
        self.texts = tuple(texts)
        self.title.setText(f"{self._name} ({len(texts)})")
        self.box.setPlainText("\n".join(f"•  {text}" for text in texts))
        self.setVisible(bool(texts))


class PreviewPane(QStackedWidget):
    """Nothing yet, a preview, or the sentence that says why there is none."""

    def __init__(self, in_words: Callable[[str], str] = str) -> None:
        super().__init__()
        self._in_words = in_words
        self.heading = label("", "heading", wrap=True)
        self.counts = label("", "muted", wrap=True)
        self.model = PreviewModel()
        self.table = QTableView()
        self.absent, self.warnings = TextCard("Not written"), TextCard("To be minded")
        self.message_title, self.message = label("", "title", wrap=True), label("", "muted", wrap=True)
        for part in (self.heading, self.counts, self.message_title, self.message):
            part.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._style_table()
        self._build()
        self.show_empty()

    def _style_table(self) -> None:
        self.table.setModel(self.model)
        self.table.setAccessibleName("First rows of particles_relion.star")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setAlternatingRowColors(True)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setTabKeyNavigation(False)
        self.table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.table.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.table.verticalHeader().setDefaultSectionSize(round(self.fontMetrics().height() * 1.5))
        self.table.verticalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.horizontalHeader().setResizeContentsPrecision(LOOKED_AT)
        self.table.setMinimumHeight(self.fontMetrics().height() * 7)

    def _build(self) -> None:
        self.lists = QSplitter(Qt.Orientation.Horizontal)
        self.lists.addWidget(self.absent)
        self.lists.addWidget(self.warnings)
        self.lists.setMaximumHeight(self.fontMetrics().height() * MOST_LINES)
        self._parts = QSplitter(Qt.Orientation.Vertical)
        self._parts.addWidget(self.table)
        self._parts.addWidget(self.lists)
        self._parts.setStretchFactor(0, 3)
        self._parts.setStretchFactor(1, 1)
        for splitter in (self.lists, self._parts):
            splitter.setChildrenCollapsible(False)
            splitter.setHandleWidth(10)
            splitter.setObjectName("cards")
        shown = QWidget()
        layout = column(self.heading, self.counts, spacing=4, margins=(0, 10, 0, 0))
        layout.addWidget(self._parts, 1)
        shown.setLayout(layout)
        said = QWidget()
        middle = QVBoxLayout(said)
        middle.addStretch(2)
        for part in (self.message_title, self.message):
            part.setAlignment(Qt.AlignmentFlag.AlignCenter)
            part.setMaximumWidth(self.fontMetrics().averageCharWidth() * 100)
            line = QHBoxLayout()
            line.addStretch(1)
            line.addWidget(part, 20)
            line.addStretch(1)
            middle.addLayout(line)
        middle.addStretch(3)
        self.addWidget(said)
        self.addWidget(shown)

    def show_empty(self) -> None:
        """Nothing is chosen yet."""
        self.show_message(*EMPTY)

    def show_message(self, title: str, text: str) -> None:
        """Why there is no table, and what to do."""
        self.model.set_preview(None)
        self.message_title.setText(self._in_words(title))
        self.message.setText(self._in_words(text))
        self.setCurrentIndex(0)

    def show_reading(self, name: str) -> None:
        """What is shown belongs to other settings; the new is on its way."""
        if self.model.columnCount():
            self.counts.setText(f"Reading {name} …")
            self.table.setEnabled(False)
        else:
            self.show_message("Reading …", name)

    def show_preview(self, preview: Preview) -> None:
        """Show a preview."""
        self.heading.setText(preview.why)
        self.heading.setToolTip(str(preview.main))
        self.counts.setText("\n".join(counts_in_words(preview)))
        self.model.set_preview(preview)
        self.table.setEnabled(True)
        self.absent.show_texts([self._in_words(text) for text in preview.absent])
        self.warnings.show_texts([self._in_words(text) for text in preview.warnings])
        self.lists.setVisible(bool(preview.absent or preview.warnings))
        self._set_widths()
        self.table.scrollToTop()
        self.setCurrentIndex(1)

    def _set_widths(self) -> None:
        """As wide as their contents; long names are cut so that all columns come into sight, if need be."""
        most = self.fontMetrics().averageCharWidth() * MOST_WIDTH
        self.table.resizeColumnsToContents()
        sections = range(self.model.columnCount())
        whole = {section: self.table.columnWidth(section) for section in sections}
        long = [section for section in sections if whole[section] > most]
        spare = self.table.viewport().width() - sum(min(width, most) for width in whole.values())
        for section in long:
            self.table.setColumnWidth(section, min(whole[section], most + max(0, spare) // len(long)))


def counts_in_words(preview: Preview) -> list[str]:
    """Rows, joined files and what the table is of, in lines."""
    lines = []
    if preview.jobs:
        text = f"This is {preview.jobs[0]}, the first of {len(preview.jobs)} jobs: {', '.join(preview.jobs)}."
        if preview.missing:
            text += f" Not there: {', '.join(preview.missing)}."
        lines.append(text)
    whole = preview.read == preview.rows
    rows = f"{preview.rows:,} particles"
    if preview.optics_groups > 1:
        rows += f" in {preview.optics_groups} optics groups"
    left = sum(preview.dropped.values())
    if left:
        rows += f", {left:,} left out ({'; '.join(preview.dropped)})"
    if not whole:
        rows = f"{preview.rows:,} particles. Looked at: the first {preview.read:,}"
    shown = f"the first {preview.shown:,} rows" if preview.shown < preview.read else "all rows"
    lines.append(f"{rows}. Below: {shown} of particles_relion.star{'' if whole else ' made of them'}.")
    lines += [joined_in_words(one) for one in preview.joined] or ["No passthrough file is joined."]
    return lines


def joined_in_words(one: Joined) -> str:
    """How many rows a passthrough file knows."""
    how = "the uid they were expanded from" if one.by_source else "uid"
    return f"{one.path.name}: {one.matched:,} of {one.matched + one.missing:,} joined by {how}."
