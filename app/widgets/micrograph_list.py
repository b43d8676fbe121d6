"""The list of micrographs with the number of noise boxes and particles of each. Reads no file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from app.widgets.short_names import short_names

Index = QModelIndex | QPersistentModelIndex
ROLE = Qt.ItemDataRole


class NameDelegate(QStyledItemDelegate):
    """Shortens a name that does not fit by what it shares with the others: the rest is what differs."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        super().initStyleOption(option, index)
        model = index.model()
        if isinstance(model, MicrographModel):
            metrics, width = option.fontMetrics, option.rect.width() - 8
            fits = [t for t in model.shorter(index.row()) if metrics.horizontalAdvance(t) <= width]
            option.text = fits[0] if fits else model.shorter(index.row())[-1]


class MicrographModel(QAbstractTableModel):
    """Rows are files; the other columns call a function of the file (shown as text)."""

    def __init__(self, columns: Sequence[tuple[str, Callable[[Path], str], str]]) -> None:
        super().__init__()
        self.files: list[Path] = []
        self._short: list[tuple[str, str]] = []
        self._columns = columns  # (header, text of a file, tooltip)

    def set_files(self, files: Sequence[Path]) -> None:
        """Show other files."""
        self.beginResetModel()
        self.files = list(files)
        self._short = short_names([f.name for f in self.files])
        self.endResetModel()

    def shorter(self, row: int) -> list[str]:
        """The name of a row, and shorter forms of it."""
        return [self.files[row].name, *self._short[row]]

    def is_empty(self, column: int) -> bool:
        """Has no file a text in this column?"""
        text = self._columns[column - 1][1]
        return not any(text(file) for file in self.files)

    def refresh(self) -> None:
        """The texts of the columns may have changed."""
        if self.files:
            self.dataChanged.emit(self.index(0, 1), self.index(len(self.files) - 1, len(self._columns)))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.files)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 1 + len(self._columns)

    def data(self, index: Index, role: int = ROLE.DisplayRole) -> Any:
        file, column = self.files[index.row()], index.column()
        if role == ROLE.DisplayRole:
            return file.name if column == 0 else self._columns[column - 1][1](file)
        if role == ROLE.ToolTipRole:
            return str(file)
        if role == ROLE.TextAlignmentRole and column:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = ROLE.DisplayRole) -> Any:
        if orientation == Qt.Orientation.Vertical:
            return None
        if role == ROLE.DisplayRole:
            return "Micrograph" if section == 0 else self._columns[section - 1][0]
        if role == ROLE.ToolTipRole and section:
            return self._columns[section - 1][2]
        if role == ROLE.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignRight if section else Qt.AlignmentFlag.AlignLeft
            return int(side | Qt.AlignmentFlag.AlignVCenter)
        return None


class MicrographList(QTableView):
    """Table of micrographs; `selected(path)` when another one becomes current."""

    selected = Signal(object)

    def __init__(self, columns: Sequence[tuple[str, Callable[[Path], str], str]]) -> None:
        super().__init__()
        self.files_model = MicrographModel(columns)
        self.setModel(self.files_model)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setTabKeyNavigation(False)
        self.setAccessibleName("Micrographs")
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.setItemDelegateForColumn(0, NameDelegate(self))
        header = self.horizontalHeader()
        header.setSectionsClickable(False)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(self.fontMetrics().averageCharWidth() * 6)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in range(1, 1 + len(columns)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(20)
        self.selectionModel().currentRowChanged.connect(self._on_current)
        self.files_model.modelReset.connect(lambda: self._show_columns(True))
        self.files_model.dataChanged.connect(lambda *_: self._show_columns(False))

    def _show_columns(self, anew: bool) -> None:
        """A column in which nothing stands leaves its room to the names; it stays once it was needed."""
        for column in range(1, self.files_model.columnCount()):
            if anew or self.isColumnHidden(column):
                self.setColumnHidden(column, self.files_model.is_empty(column))

    @property
    def files(self) -> list[Path]:
        """The files that are shown."""
        return self.files_model.files

    def set_files(self, files: Sequence[Path], select: int = 0) -> None:
        """Show other files and select one."""
        self.files_model.set_files(files)
        if files:
            self.selectRow(min(select, len(files) - 1))

    def current(self) -> Path | None:
        """The file that is selected."""
        row = self.currentIndex().row()
        return self.files[row] if 0 <= row < len(self.files) else None

    def step(self, by: int) -> None:
        """Select the next (+1) or the previous (-1) file."""
        row = self.currentIndex().row() + by
        if 0 <= row < len(self.files):
            self.selectRow(row)

    def show_file(self, path: Path) -> None:
        """Select a file of the list."""
        if path in self.files:
            self.selectRow(self.files.index(path))

    def neighbours(self) -> list[Path]:
        """The files after and before the current one, the likelier first."""
        row = self.currentIndex().row()
        return [self.files[r] for r in (row + 1, row - 1) if 0 <= r < len(self.files)]

    def _on_current(self, index: QModelIndex, _: QModelIndex) -> None:
        if index.isValid():
            self.selected.emit(self.files[index.row()])
