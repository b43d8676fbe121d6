"""Choosing one image: from a list of known files, from a dialog, and which image of a stack. Reads no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QSizePolicy, QSpinBox, QWidget

from app.widgets.labels import button, label

PATTERN = "Micrographs (*.mrc *.mrcs *.tif *.tiff *.mrc.gz *.mrc.bz2 *.eer);;All files (*)"


class ImageChooser(QWidget):
    """`chosen(path, index)` when the user wants another image; the owner says what came of it."""

    chosen = Signal(object, int)

    def __init__(self, letter: str) -> None:
        super().__init__()
        self._known: list[Path] = []
        self._path: Path | None = None
        name = label(f"&{letter}", "heading")
        self.box = QComboBox()
        self.box.setPlaceholderText("Choose a micrograph, or drop one here")
        self.box.setAccessibleName(f"Image {letter}")
        self.box.setToolTip(f"Image {letter}: one of the open micrographs, or of the denoised ones of Predict")
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(12)
        self.box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.box.activated.connect(self._on_activated)
        name.setBuddy(self.box)
        self.frame = QSpinBox()
        self.frame.setAccessibleName(f"Image of the stack {letter}")
        self.frame.setToolTip("Which image of the stack; type a number and press Enter")
        self.frame.setKeyboardTracking(False)
        self.frame.valueChanged.connect(self._on_frame)
        self.other = button("Other file…", tip=f"Open another file as image {letter}")
        self.other.clicked.connect(self._browse)
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(6)
        line.addWidget(name)
        line.addWidget(self.box, 1)
        line.addWidget(self.frame)
        line.addWidget(self.other)
        self.set_frames(1, 0)

    @property
    def path(self) -> Path | None:
        """The file that is chosen."""
        return self._path

    @property
    def index(self) -> int:
        """Which image of it, 0-based."""
        return self.frame.value() - 1

    def set_known(self, files: Sequence[Path]) -> None:
        """The files to choose from; the choice stays."""
        files = list(dict.fromkeys(files))
        if files != self._known:
            self._known = files
            self._fill()

    def set_path(self, path: Path | None, n: int = 1, index: int = 0) -> None:
        """This file is chosen now. No signal."""
        self._path = path
        self._fill()
        self.set_frames(n, index)

    def set_frames(self, n: int, index: int) -> None:
        """The file has `n` images, of which `index` is chosen. No signal."""
        with QSignalBlocker(self.frame):
            self.frame.setRange(1, max(1, n))
            self.frame.setPrefix("image ")
            self.frame.setSuffix(f" of {n}")
            self.frame.setValue(index + 1)
        self.frame.setVisible(n > 1)

    def _fill(self) -> None:
        files = self._known if self._path is None or self._path in self._known else [self._path, *self._known]
        with QSignalBlocker(self.box):
            self.box.clear()
            for text, path in zip(short_names(files), files, strict=True):
                self.box.addItem(text, path)
                self.box.setItemData(self.box.count() - 1, str(path), Qt.ItemDataRole.ToolTipRole)
            self.box.setCurrentIndex(files.index(self._path) if self._path is not None else -1)

    def _on_activated(self, row: int) -> None:
        path = self.box.itemData(row)
        if path is not None and path != self._path:
            self.choose(path)

    def choose(self, path: Path) -> None:
        """Choose this file, as the user does."""
        self.set_path(path)
        self.chosen.emit(path, 0)

    def _on_frame(self, number: int) -> None:
        if self._path is not None:
            self.chosen.emit(self._path, number - 1)

    def _browse(self) -> None:
        start = str(self._path.parent) if self._path is not None else str(self._known[0].parent) if self._known else ""
        chosen, _ = QFileDialog.getOpenFileName(self, "Open an image", start, PATTERN)
        if chosen:
            self.choose(Path(chosen))


def short_names(files: Sequence[Path]) -> list[str]:
    """File names; with their folder where several files are called the same."""
    times = Counter(path.name for path in files)
    return [path.name if times[path.name] == 1 else f"{path.parent.name}/{path.name}" for path in files]
