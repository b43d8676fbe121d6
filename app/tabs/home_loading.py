"""What Home shows while a large file of positions is read, and what it asks about the positions it has read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMessageBox, QProgressBar, QWidget

from app.widgets.labels import button, label
from core.errors import AppError

if TYPE_CHECKING:
    from app.tabs.home_files import HomeFiles

_STEPS = 1000  # of the bar: byte counts may exceed what Qt takes


class LoadingLine(QFrame):
    """A line at the foot of Home: how far the file is read, and Cancel (Esc). Small files are read without it."""

    def __init__(self, files: HomeFiles, parent: QWidget) -> None:
        super().__init__(parent)
        self._files = files
        self.text = label("")
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(False)
        self.cancel_button = button("Cancel", tip="Esc")
        self.cancel_button.setAccessibleName("Cancel loading")
        line = QHBoxLayout(self)
        line.setContentsMargins(14, 8, 14, 8)
        line.addWidget(self.text)
        line.addWidget(self.bar, 1)
        line.addWidget(self.cancel_button)
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), parent)  # only while there is something to cancel
        self._escape.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self._escape.activated.connect(files.cancel)
        self.cancel_button.clicked.connect(files.cancel)
        files.progress.connect(self._show)
        files.ended.connect(self._hide)
        self._hide()

    def _show(self, done: int, total: int) -> None:
        if done >= total or not self._files.loading:  # a report that comes after the end
            return
        self.text.setText(f"Reading positions… {done >> 20} of {total >> 20} MB")
        self.bar.setValue(_STEPS * done // total)
        self._escape.setEnabled(True)
        self.show()

    def _hide(self) -> None:
        self._escape.setEnabled(False)
        self.hide()


def ask_about(files: HomeFiles, parent: QWidget) -> None:
    """Put the questions of `files` to the user, in dialogs that nothing waits for."""

    def bad_rows(err: AppError, again: Callable[[], None]) -> None:
        _ask(parent, err.message, err.hint, "Skip such rows", "Do not load", again)

    def inverted(path: Path) -> None:
        _ask(
            parent,
            f"The positions of {path.name} fit the micrographs better when Y is inverted. Is Y inverted?",
            "Inverted positions are written to a file of their own; this file stays as it is.",
            "Invert Y",
            "Leave as it is",
            files.invert_y,
            lambda: files.accept(path),
        )

    files.bad_rows.connect(bad_rows)
    files.inverted.connect(inverted)


def _ask(
    parent: QWidget,
    text: str,
    hint: str,
    yes: str,
    no: str,
    then: Callable[[], None],
    otherwise: Callable[[], None] = lambda: None,
) -> None:
    box = QMessageBox(QMessageBox.Icon.Question, "Vitreous", text, parent=parent)
    box.setInformativeText(hint)
    accept = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    refuse = box.addButton(no, QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(refuse)
    box.setEscapeButton(refuse)
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.buttonClicked.connect(lambda pressed: then() if pressed is accept else otherwise())
    box.open()
