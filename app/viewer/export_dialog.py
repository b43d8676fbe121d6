"""The dialog that saves a picture: what, how, where; then its progress. Writing it is export.py.

Choices are kept in a plain dict of the caller's (part of the settings), so the next picture starts from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.viewer.export import FORMATS, Exportable, Exporter, ExportOptions, default_name
from app.viewer.export_paint import Overlay, level_shape
from app.widgets.labels import label, row
from core.errors import AppError

_FORMATS = {
    "png": ("PNG", "For slides and papers"),
    "tiff": ("TIFF, 8 bit", "With pixel size: ImageJ and Fiji show lengths"),
    "tiff32": ("TIFF, 32 bit values", "The values themselves, nothing painted over them; with pixel size"),
}


class ExportDialog(QDialog):
    """Open with `open()`. `saved(path)` when the file is complete; the dialog closes itself then."""

    saved = Signal(object)  # Path

    def __init__(
        self,
        exportable: Exportable,
        folder: Path,
        remembered: MutableMapping[str, Any] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        """`folder`: where pictures go the first time; `remembered`: choices of earlier times, updated."""
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Save picture")
        self.exportable = exportable
        self._memory: MutableMapping[str, Any] = {} if remembered is None else remembered
        self._folder = self._start_folder(folder)
        self._own_name = False  # the user typed a name
        self.exporter = Exporter(self)
        self._build()
        self._restore()
        self._connect()
        self._refresh()

    def _start_folder(self, folder: Path) -> Path:
        remembered = self._memory.get("folder")
        return Path(remembered) if isinstance(remembered, str) and remembered else folder

    # -- parts --------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.choice = QComboBox()
        self.choice.setAccessibleName("Picture")
        self.choice.addItem("What is seen", False)
        self.choice.addItem("Whole image, full resolution", True)
        for place, tip in enumerate(
            ("As on the screen, with its scale bar and marks", "Every pixel of the micrograph")
        ):
            self.choice.setItemData(place, tip, Qt.ItemDataRole.ToolTipRole)
        self.format = QComboBox()
        self.format.setAccessibleName("Format")
        for key, (text, tip) in _FORMATS.items():
            self.format.addItem(text, key)
            self.format.setItemData(self.format.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.scale_bar = self._check("Scale &bar", "A bar with its length, at the bottom left")
        self.marks = self._check("&Marks", "The boxes and circles that are visible now")
        self.caption = self._check("File &name", "The name of the micrograph, at the top right")
        self.levels = self._check(
            "&Contrast as seen", "The grey levels of the view; otherwise those of full resolution"
        )
        self.path = QLineEdit()
        self.path.setAccessibleName("Save as")
        self.path.setMinimumWidth(self.fontMetrics().averageCharWidth() * 52)
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip("Choose folder and name")
        self.browse.setAutoDefault(False)
        self.note = label("", "muted", wrap=True)
        self.error = label("", "error", wrap=True)
        self.error.hide()
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress")
        self.bar.hide()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.save = self.buttons.addButton("Save", QDialogButtonBox.ButtonRole.AcceptRole)
        self.save.setDefault(True)
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setAutoDefault(False)  # Enter saves, always
        theme.set_state(self.save, "role", "primary")
        self._fields = QWidget()
        self._fields.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        form = QFormLayout(self._fields)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("&Picture", self.choice)
        form.addRow("&Format", self.format)
        # Of what is seen only the name can be chosen: the rest is what the screen shows.
        self.as_seen = label("Scale bar, marks and contrast as on the screen", "muted")
        ticks = QGridLayout()
        for place, box in enumerate(self._boxes().values()):
            ticks.addWidget(box, place // 2, place % 2)
        ticks.addWidget(self.as_seen, 0, 0, 1, 2)
        form.addRow("With", ticks)
        name = QLabel("&Save as")
        name.setBuddy(self.path)
        form.addRow(name, row(self.path, self.browse))
        body = QVBoxLayout(self)
        for widget in (self._fields, self.note, self.error, self.bar, self.buttons):
            body.addWidget(widget)

    def _check(self, text: str, tip: str) -> QCheckBox:
        box = QCheckBox(text)
        box.setToolTip(tip)
        return box

    def _restore(self) -> None:
        get = self._memory.get
        known = ExportOptions()
        can_see, can_whole = self.exportable.picture is not None, self.exportable.pyramid is not None
        self._enable(self.choice, False, can_see)
        self._enable(self.choice, True, can_whole)
        whole = can_whole and (get("whole") is True or not can_see)
        self.choice.setCurrentIndex(self.choice.findData(whole))
        self.format.setCurrentIndex(max(0, self.format.findData(get("format"))))
        for name, box in self._boxes().items():
            value = get(name)
            box.setChecked(value if isinstance(value, bool) else getattr(known, name))
        if not self._bar_fits():
            self.scale_bar.setChecked(False)

    def _bar_fits(self) -> bool:
        """A scale bar would not cover most of the whole image."""
        pyramid, pixel = self.exportable.pyramid, self.exportable.pixel_size_a
        return pyramid is None or not pixel or Overlay(pyramid, (), pixel, (), self.font()).bar_fits

    @staticmethod
    def _enable(box: QComboBox, data: object, on: bool) -> None:
        """Offer an entry of a box, or not."""
        model = box.model()
        if isinstance(model, QStandardItemModel):
            model.item(box.findData(data)).setEnabled(on)

    def _boxes(self) -> dict[str, QCheckBox]:
        return {
            "scale_bar": self.scale_bar,
            "marks": self.marks,
            "caption": self.caption,
            "seen_levels": self.levels,
        }

    def _connect(self) -> None:
        self.choice.currentIndexChanged.connect(self._refresh)
        self.format.currentIndexChanged.connect(self._refresh)
        self.path.textEdited.connect(self._on_typed)
        self.browse.clicked.connect(self._browse)
        self.buttons.accepted.connect(self._on_save)
        self.buttons.rejected.connect(self.reject)
        self.exporter.progressed.connect(lambda part: self.bar.setValue(round(1000 * part)))
        self.exporter.saved.connect(self._on_saved)
        self.exporter.failed.connect(self._on_failed)
        self.exporter.given_up.connect(super().reject)

    # -- choices ------------------------------------------------------------------------------------------

    def options(self) -> ExportOptions:
        """What is chosen now."""
        ticks = {name: box.isChecked() for name, box in self._boxes().items()}
        return ExportOptions(self.choice.currentData(), self.format.currentData(), **ticks)

    def _refresh(self) -> None:
        exportable = self.exportable
        whole = bool(self.choice.currentData())
        self._enable(self.format, "tiff32", whole)
        if not whole and self.format.currentData() == "tiff32":
            self.format.setCurrentIndex(self.format.findData("tiff"))
            return  # comes back here
        options = self._refresh_parts()
        if not self._own_name:
            self.path.setText(str(self._folder / default_name(exportable, options)))
        elif Path(self.path.text()).suffix.lower() in (".png", ".tif", ".tiff"):  # else `target` adds it
            self.path.setText(str(Path(self.path.text()).with_suffix(FORMATS[options.format])))
        self._grow()

    def _refresh_parts(self) -> ExportOptions:
        """What can be painted into this format, and the words about it."""
        exportable, options = self.exportable, self.options()
        whole, paints = options.whole, not options.values
        self.as_seen.setVisible(not whole)
        for box in (self.scale_bar, self.marks, self.levels):
            box.setVisible(whole)
        self.scale_bar.setEnabled(options.whole and paints and bool(exportable.pixel_size_a))
        self.marks.setEnabled(options.whole and paints and any(layer.visible for layer in exportable.layers))
        self.caption.setEnabled(paints)
        self.levels.setEnabled(options.whole and paints and exportable.automatic)
        self.note.setText(self._describe(options))
        return options

    def _describe(self, options: ExportOptions) -> str:
        exportable, pyramid = self.exportable, self.exportable.pyramid
        words = []
        if options.whole and pyramid is not None:
            ny, nx = level_shape(pyramid)
            size = ny * nx * (4 if options.values else 1 if exportable.look.lut == "grey" and not options.marks else 3)
            words.append(f"{nx} × {ny} px, at most {max(1, round(size / 1e6))} MB.")
            if pyramid.finest:
                words.append(f"A filtered picture has no finer detail than {2**pyramid.finest} px.")
        if not exportable.pixel_size_a:
            words.append("The pixel size is unknown: no scale bar.")
        if exportable.labels:
            below = "a strip below the picture" if exportable.strip else "the picture"
            where = "the description of the file" if options.values else below
            words.append(f"“{'; '.join(exportable.labels)}” is written into {where}.")
        return " ".join(words)

    def _on_typed(self, text: str) -> None:
        """A name of the user's own; its suffix chooses the format."""
        self._own_name = bool(text.strip())
        self._follow_suffix(text)

    def _follow_suffix(self, text: str) -> None:
        suffix = Path(text).suffix.lower()
        now = self.format.currentData()
        wanted = "png" if suffix == ".png" else "tiff" if suffix in (".tif", ".tiff") and now == "png" else now
        if wanted != now:
            self.format.blockSignals(True)  # the name stays as it was typed
            self.format.setCurrentIndex(self.format.findData(wanted))
            self.format.blockSignals(False)
            self._refresh_parts()

    def _browse(self) -> None:
        pattern = (
            "TIFF (*.tif *.tiff);;PNG (*.png)" if self.format.currentData() != "png" else "PNG (*.png);;TIFF (*.tif)"
        )
        # Whether an existing file may go is asked on Save, once.
        flags = QFileDialog.Option.DontConfirmOverwrite
        chosen, _ = QFileDialog.getSaveFileName(self, "Save picture", self.path.text(), pattern, options=flags)
        if chosen:
            self.path.setText(chosen)
            self._on_typed(chosen)

    # -- saving -------------------------------------------------------------------------------------------

    def target(self) -> Path | None:
        """The file that is meant; its suffix is added where it lacks one."""
        text = self.path.text().strip()
        if not text or text.endswith(("/", "\\")):
            return None
        path = Path(text).expanduser()
        path = path if path.is_absolute() else self._folder / path
        wanted = FORMATS[self.format.currentData()]
        fits = path.suffix.lower() == wanted or (wanted == ".tif" and path.suffix.lower() == ".tiff")
        return path if fits else path.with_name(path.name + wanted)

    def _on_save(self) -> None:
        self._follow_suffix(self.path.text())  # however the name came there
        path = self.target()
        if path is None or path.is_dir():
            self._on_failed(AppError("Give the file a name."))
            return
        self.error.hide()
        if path.exists():
            self._ask(path)
        else:
            self._start(path)

    def _ask(self, path: Path) -> None:
        box = QMessageBox(QMessageBox.Icon.Question, "Save picture", f"{path.name} exists.", parent=self)
        box.setInformativeText(f"In {path.parent}. Replace it?")
        replace = box.addButton("Replace", QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        replace.clicked.connect(lambda: self._start(path))
        box.open()

    def _start(self, path: Path) -> None:
        options = self.options()
        kept = dataclasses.asdict(options)
        if not self._bar_fits():
            del kept["scale_bar"]  # chosen for a small picture, not for the next ones
        self._memory.update(kept, folder=str(path.parent))
        self._set_busy(True)
        self.exporter.start(self.exportable, options, path)

    def _set_busy(self, on: bool) -> None:
        self._fields.setEnabled(not on)
        self.save.setEnabled(not on)
        self.bar.setValue(0)
        self.bar.setVisible(on)
        self._grow()

    def _grow(self) -> None:
        """Make room for what has appeared: wrapped lines do not count in the smallest size of a window."""
        layout = self.layout()
        if layout is not None:
            layout.activate()
            self.resize(self.width(), max(self.height(), layout.totalHeightForWidth(self.width())))

    def _on_saved(self, path: Path) -> None:
        self.saved.emit(path)
        self.accept()

    def _on_failed(self, err: AppError) -> None:
        self._set_busy(False)
        self.error.setText(str(err))
        self.error.show()
        self._grow()
        self.path.setFocus()

    def reject(self) -> None:
        """Close; while a picture is being written: give it up, then close."""
        if self.exporter.busy:
            self.exporter.cancel()
        else:
            super().reject()
