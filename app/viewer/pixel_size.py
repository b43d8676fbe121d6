"""The pixel size that the user gives where a file tells none, or a wrong one. For looking only.

It holds for all files of a folder until the program ends; jobs have a parameter of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from app.widgets.labels import label
from app.widgets.number_boxes import FloatBox

LEAST_A, MOST_A = 0.01, 10_000.0
_given: dict[Path, float] = {}  # folder -> Å per pixel


def given_for(path: Path | None) -> float | None:
    """What the user said about the files of this folder."""
    return _given.get(path.parent) if path is not None else None


def remember(path: Path, pixel_size_a: float | None) -> None:
    """Keep it for the folder; None: what the files say."""
    if pixel_size_a is None:
        _given.pop(path.parent, None)
    else:
        _given[path.parent] = pixel_size_a


class PixelSizeDialog(QDialog):
    """Calls `done(Å or None)` when a choice was made."""

    def __init__(self, path: Path, shown: float | None, done: Callable[[float | None], None], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Pixel size")
        self.box = FloatBox(LEAST_A, MOST_A, "Å/px")
        self.box.set_value(shown or 1.0)
        self.box.setAccessibleName("Pixel size")
        name = QLabel("&Pixel size")
        name.setBuddy(self.box)
        form = QFormLayout()
        form.addRow(name, self.box)
        text = f"For looking at the files in {path.parent.name}: scale bar, lengths, filters, spectrum. "
        text += "The files stay as they are."
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        from_file = QPushButton("As in the file")
        buttons.addButton(from_file, QDialogButtonBox.ButtonRole.ResetRole)
        buttons.accepted.connect(lambda: self._answer(self.box.value(), done))
        from_file.clicked.connect(lambda _=False: self._answer(None, done))
        buttons.rejected.connect(self.reject)
        whole = QVBoxLayout(self)
        whole.addLayout(form)
        whole.addWidget(label(text, "muted", wrap=True))
        whole.addWidget(buttons)

    def _answer(self, value: float | None, done: Callable[[float | None], None]) -> None:
        done(value)
        self.accept()
