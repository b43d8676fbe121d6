"""The path box of the forms: Browse, drag and drop, a file, a folder, either, or several files.

It has `value()`, `set_value(value)` and the signal `edited`. Which field gets which box is params_form.py; numbers
are number_boxes.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QWidget,
)


class PathBox(QWidget):
    """A path: text, Browse button, drop target. `dialog` is open, folder, either or save; `many` allows several
    files (value: list of texts)."""

    edited = Signal()

    def __init__(self, dialog: str, pattern: str = "", many: bool = False, placeholder: str = "") -> None:
        super().__init__()
        self._dialog, self._pattern, self._many = dialog or "open", pattern, many
        self._paths: list[str] = []
        self.start_dir = ""
        self.line = QLineEdit()
        self.line.setPlaceholderText(placeholder)
        self.line.setClearButtonEnabled(True)
        self.line.textEdited.connect(self._typed)
        self.line.textChanged.connect(self._cleared)
        self.button = QToolButton()
        self.button.setObjectName("browse")
        self.button.setText("…")
        self.button.setToolTip("Browse")
        self.button.setAccessibleName("Browse")
        if many:
            self._add_menu({"Choose a folder…": self._browse_folder, "Choose files…": self._browse_files})
        elif dialog == "either":
            self._add_menu({"Folder…": self._browse_folder, "File…": self._browse_one})
        else:
            self.button.clicked.connect(self._browse_one)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.line, 1)
        row.addWidget(self.button)
        self.setFocusProxy(self.line)
        self.setAcceptDrops(True)
        self.line.setAcceptDrops(False)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def _add_menu(self, actions: Mapping[str, Callable[[], None]]) -> None:
        menu = QMenu(self.button)
        for text, slot in actions.items():
            menu.addAction(text, slot)
        self.button.setMenu(menu)
        self.button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def value(self) -> Any:
        """Text of the path; with `many` a list of texts."""
        return list(self._paths) if self._many else self.line.text().strip()

    def set_value(self, value: Any) -> None:
        """Show a path, a list of paths, or nothing."""
        if value is None:
            paths = []
        elif isinstance(value, (list, tuple)):
            paths = [str(v) for v in value]
        else:
            paths = [str(value)] if str(value) else []
        self._paths = paths
        self._show()
        self.edited.emit()

    def _show(self) -> None:
        summary = self._many and len(self._paths) > 2
        text = f"{len(self._paths)} files in {Path(self._paths[0]).parent}" if summary else "; ".join(self._paths)
        self.line.blockSignals(True)
        self.line.setText(text)
        self.line.blockSignals(False)
        self.line.setReadOnly(summary)
        self.line.setToolTip("\n".join(self._paths[:20]))
        self.line.setCursorPosition(0 if summary else len(text))

    def _typed(self, text: str) -> None:
        self._paths = [p.strip() for p in text.split(";") if p.strip()] if self._many else [text.strip()]
        self.edited.emit()

    def _cleared(self, text: str) -> None:
        if not text:  # the clear button of a summary that cannot be typed over
            self._paths = []
            self.line.setReadOnly(False)
            self.edited.emit()

    def _start(self) -> str:
        return self._paths[0] if self._paths and self._paths[0] else self.start_dir

    def _browse_one(self) -> None:
        if self._dialog == "folder":
            self._browse_folder()
            return
        pattern = f"{self._pattern};;All files (*)" if self._pattern else "All files (*)"
        if self._dialog == "save":
            chosen, _ = QFileDialog.getSaveFileName(self, "Save as", self._start(), pattern)
        else:
            chosen, _ = QFileDialog.getOpenFileName(self, "Choose a file", self._start(), pattern)
        if chosen:
            self.set_value(chosen)

    def _browse_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Choose a folder", self._start())
        if chosen:
            self.set_value([chosen] if self._many else chosen)

    def _browse_files(self) -> None:
        pattern = f"{self._pattern};;All files (*)" if self._pattern else ""
        chosen, _ = QFileDialog.getOpenFileNames(self, "Choose files", self._start(), pattern)
        if chosen:
            self.set_value(chosen)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [u.toLocalFile() for u in event.mimeData().urls() if u.isLocalFile()]
        if paths:
            self.set_value(paths if self._many else paths[0])
            event.acceptProposedAction()
