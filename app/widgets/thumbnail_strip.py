"""A row of thumbnails of the open micrographs, with flags, filter and sorting. It reads no file.

Asks with `wanted(paths)` for what is in sight and gets `set_thumbnail` or `set_failed`. Keys: K keep, R reject,
* star, U no flag (on the strip, and on every widget given to `add_keys`); Ctrl+Z on the strip takes a flag back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QItemSelectionModel, QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.widgets.labels import ElidedLabel
from app.widgets.thumbnail_model import FILTERS, SIGNS, SORTS, ThumbnailDelegate, ThumbnailModel
from app.widgets.thumbnail_row import KEYS, ThumbnailRow
from core.io.flags import Flags

_KEY_OF = {"keep": "K", "reject": "R", "star": "*", "": "U"}
_WORDS = {"keep": "Keep", "reject": "Reject", "star": "Star", "": "No flag"}
ASK_MS = 30  # after the last scroll


class ThumbnailStrip(QWidget):
    """`chosen(path)`: the user went to another micrograph; `flag_changed(path, flag)`; `wanted(paths)`."""

    chosen = Signal(object)
    flag_changed = Signal(object, str)
    wanted = Signal(list)

    def __init__(
        self, flags: Flags, count: Callable[[Path], int] = lambda path: 0, parent: QWidget | None = None
    ) -> None:
        """`flags` are shared with whoever saves them; `count(path)` says how many boxes a micrograph has."""
        super().__init__(parent)
        self.flags = flags
        self.model = ThumbnailModel(flags, count)
        self.list = ThumbnailRow(self)
        self._asked: list[Path] = []
        self._timer = QTimer(self, interval=ASK_MS, singleShot=True)
        self._timer.timeout.connect(self._ask)
        self._build()
        self._connect()
        self._show_counts()

    def _build(self) -> None:
        self.list.setModel(self.model)
        self.list.setItemDelegate(ThumbnailDelegate(self.list))
        self.filter = QComboBox()
        self.filter.setAccessibleName("Which micrographs are shown")
        self.filter.setToolTip("Which micrographs are shown")
        for key, text in FILTERS.items():
            self.filter.addItem(text, key)
        self.sort = QComboBox()
        self.sort.setAccessibleName("Order of the micrographs")
        self.sort.setToolTip("Order of the micrographs; most boxes first")
        for key, text in SORTS.items():
            self.sort.addItem(text, key)
        line = QHBoxLayout()
        line.setContentsMargins(6, 2, 6, 0)
        line.setSpacing(6)
        line.addWidget(self.filter)
        line.addWidget(self.sort)
        self.buttons: dict[str, QToolButton] = {}
        for flag, word in _WORDS.items():
            button = QToolButton()
            button.setText(SIGNS[flag][0] if flag else "–")
            button.setToolTip(f"{word}: the selected micrographs ({_KEY_OF[flag]})")
            button.setAccessibleName(word)
            button.clicked.connect(lambda _=False, flag=flag: self.set_flag(flag))
            self.buttons[flag] = button
            line.addWidget(button)
        self.counts = ElidedLabel("")
        line.addWidget(self.counts, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        rows.addLayout(line)
        rows.addWidget(self.list)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self.list)

    def _connect(self) -> None:
        self.filter.currentIndexChanged.connect(self._on_arranged)
        self.sort.currentIndexChanged.connect(self._on_arranged)
        self.list.moved.connect(self._ask_soon)
        self.list.flag_key.connect(self.set_flag)
        self.list.undo_key.connect(self.undo_flag)
        self.list.menu_at.connect(self._menu)
        self.model.modelReset.connect(self._ask_soon)
        self.list.selectionModel().currentChanged.connect(self._on_current)
        self.flags.subscribe(self._on_flags)

    # -- what is shown ------------------------------------------------------------------------------------

    def set_files(
        self, files: Sequence[Path], keys: Mapping[Path, str] | None = None, current: Path | None = None
    ) -> None:
        """Show other micrographs; `keys` are their names in the noise file (None: the file names). No signal."""
        self._asked = []
        self.model.set_files(files, keys)
        if files:
            self.set_current(current or files[0])
        self._show_counts()

    @property
    def arranged(self) -> bool:
        """Whether a filter or an order other than that of the files was chosen."""
        return self.filter.currentIndex() > 0 or self.sort.currentIndex() > 0

    def current(self) -> Path | None:
        """The micrograph that is shown large."""
        row = self.list.currentIndex().row()
        return self.model.shown[row] if 0 <= row < len(self.model.shown) else None

    def set_current(self, path: Path) -> None:
        """Another micrograph is shown large, chosen elsewhere. No signal; a filter does not hide it."""
        if path == self.current():
            return
        if self.model.row_of(path) is None and path in self.model.files:
            self.model.arrange(path)
            self._show_counts()
        row = self.model.row_of(path)
        if row is not None:
            self._go(row)

    def _go(self, row: int) -> None:
        """Select a row and nothing else, without telling anybody."""
        selection, index = self.list.selectionModel(), self.model.index(row)
        blocked = selection.blockSignals(True)
        selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        selection.blockSignals(blocked)
        self.list.scrollTo(index)
        self.list.viewport().update()
        self._ask_soon()

    def step(self, by: int) -> None:
        """Go to the next (+1) or the previous (-1) micrograph of those shown; `chosen` follows."""
        row = self.list.currentIndex().row() + by
        if 0 <= row < len(self.model.shown):
            self.list.setCurrentIndex(self.model.index(row))

    def refresh_counts(self, path: Path | None = None) -> None:
        """The boxes of a micrograph, or of all (None), have changed. The order stays until it is chosen again."""
        self.model.touch(path)

    def set_thumbnail(self, path: Path, pixels: np.ndarray) -> None:
        """A picture that was wanted: uint8 (h, w)."""
        self.model.set_picture(path, pixels)

    def set_failed(self, path: Path, message: str) -> None:
        """A picture that was wanted cannot be made."""
        self.model.set_failed(path, message)

    # -- flags --------------------------------------------------------------------------------------------

    def selected(self) -> list[Path]:
        """The micrographs that flags are given to."""
        rows = sorted(index.row() for index in self.list.selectionModel().selectedIndexes())
        current = self.current()
        return [self.model.shown[row] for row in rows] or ([current] if current else [])

    def set_flag(self, flag: str) -> None:
        """Give the selected micrographs a flag; "" takes it away."""
        self.flags.set([self.model.key(path) for path in self.selected()], flag)

    def undo_flag(self) -> None:
        """Take the last flag back."""
        self.flags.undo()

    def add_keys(self, host: QWidget) -> None:
        """Let K, R, * and U flag while the focus is on `host` or inside it (not while typing)."""
        for key, flag in KEYS.items():
            shortcut = QShortcut(QKeySequence(key), host)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda flag=flag: self.set_flag(flag))

    def _on_flags(self, keys: list[str]) -> None:
        paths = self.model.owners(keys)
        if self.model.passing in ("keep", "reject", "star", "none"):
            self._on_arranged()
        self._show_counts()
        for path in paths:
            self.model.touch(path)
            self.flag_changed.emit(path, self.model.flag(path))

    # -- inside -------------------------------------------------------------------------------------------

    def _on_current(self) -> None:
        path = self.current()
        if path is not None:
            self.list.scrollTo(self.list.currentIndex())
            self.chosen.emit(path)

    def _on_arranged(self) -> None:
        """Another filter or order: the current micrograph stays, whether it passes or not."""
        current = self.current()
        self.model.passing, self.model.order = self.filter.currentData(), self.sort.currentData()
        selection = self.list.selectionModel()
        blocked = selection.blockSignals(True)
        self.model.arrange(current)
        selection.blockSignals(blocked)
        row = None if current is None else self.model.row_of(current)
        if row is not None:
            self._go(row)
        self._show_counts()

    def _show_counts(self) -> None:
        shown, total = len(self.model.shown), len(self.model.files)
        words = [f"{shown:,} of {total:,}" if shown != total else f"{total:,} micrographs"]
        flags = self.model.flag_counts()
        words += [f"{sign} {flags[flag]:,} {spoken}" for flag, (sign, _, spoken) in SIGNS.items() if flags[flag]]
        self.counts.setText("   ".join(words))

    def _ask_soon(self) -> None:
        self._timer.start()

    def _ask(self) -> None:
        """Want the pictures in sight, then those of a strip's width to the right and to the left."""
        first, last = self.list.rows_in_sight()
        if last < first:
            return
        width = last - first + 1
        rows = [*range(first, last + 1), *range(last + 1, last + 1 + width), *range(first - 1, first - 1 - width, -1)]
        files = [self.model.shown[row] for row in rows if 0 <= row < len(self.model.shown)]
        missing = [path for path in files if self.model.lacks_picture(path)]
        if missing or self._asked:
            self._asked = missing
            self.wanted.emit(missing)

    def _menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for flag, word in _WORDS.items():
            sign = f"{SIGNS[flag][0]}  " if flag else ""
            menu.addAction(f"{sign}{word}\t{_KEY_OF[flag]}", lambda flag=flag: self.set_flag(flag))
        menu.addSeparator()
        undo = menu.addAction("Undo flag\tCtrl+Z", self.undo_flag)
        undo.setEnabled(self.flags.can_undo)
        menu.popup(place)
