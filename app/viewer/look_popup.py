"""The small window behind the button "Look": colours, gamma, inversion, and the view filter."""

from __future__ import annotations

import math

from PySide6.QtCore import QPoint, QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QFormLayout, QFrame, QPushButton, QSlider, QWidget

from app.viewer.view_filter import Band
from app.viewer.view_model import ViewModel
from app.widgets.labels import label, row
from core.images.colour import DIVERGING, LUTS

_GAMMA_SPAN = 100  # slider units for a factor of e
LOW_PASS = (None, 5, 10, 15, 20, 30, 40, 60)
HIGH_PASS = (None, 200, 500, 1000, 2000)
OFF = "off"


class LookPopup(QFrame):
    """Edits the contrast of a model at once; `band_chosen(Band)` and `reset` are for the view to act on."""

    band_chosen = Signal(object)
    reset = Signal()

    def __init__(self, model: ViewModel, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("card")
        self.setAccessibleName("Look of the picture")
        self._model = model
        self.lut = QComboBox()
        self.lut.addItems([name.capitalize() for name in LUTS if name not in DIVERGING])
        self.lut.setToolTip("Colours from black to white level (V: the next ones)")
        self.lut.setAccessibleName("Colours")
        self.gamma = QSlider(Qt.Orientation.Horizontal)
        self.gamma.setRange(-_GAMMA_SPAN, _GAMMA_SPAN)
        self.gamma.setAccessibleName("Gamma")
        self.gamma.setToolTip("Right brightens the middle greys")
        self.gamma_text = label("1", "muted")
        self.gamma_text.setMinimumWidth(self.fontMetrics().averageCharWidth() * 5)
        self.invert = QCheckBox("Exchange black and white")
        self.invert.setToolTip("I")
        self.low = self._filter_box("Low-pass", LOW_PASS, "Detail finer than this is taken away (L: on and off)")
        self.high = self._filter_box("High-pass", HIGH_PASS, "Slow changes, such as ice gradients, are taken away")
        self.note = label(
            "Filters are for looking: files, picks and jobs use the unfiltered pixels.", "muted", wrap=True
        )
        self.note.setMinimumWidth(self.fontMetrics().averageCharWidth() * 38)
        reset = QPushButton("Reset")
        reset.setToolTip("Whole picture, automatic contrast, grey, no filter")
        reset.clicked.connect(self.reset)
        form = QFormLayout(self)
        gamma = label("&Gamma")
        gamma.setBuddy(self.gamma)  # a row that is a layout gets none
        form.addRow("&Colours", self.lut)
        form.addRow(gamma, row(self.gamma, self.gamma_text))
        form.addRow("&Invert", self.invert)
        form.addRow("&Low-pass", self.low)
        form.addRow("&High-pass", self.high)
        form.addRow(self.note)
        form.addRow(reset)
        self.lut.currentIndexChanged.connect(lambda i: model.set_contrast(lut=LUTS[i]))
        self.gamma.valueChanged.connect(self._on_gamma)
        self.invert.toggled.connect(lambda on: model.set_contrast(invert=on))
        for box in (self.low, self.high):
            box.currentIndexChanged.connect(lambda _=0: self._on_band())
            edit = box.lineEdit()
            if edit is not None:
                edit.editingFinished.connect(self._on_band)

    def _filter_box(self, name: str, values: tuple[int | None, ...], tip: str) -> QComboBox:
        box = QComboBox()
        box.setEditable(True)
        box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        box.addItems([OFF if value is None else f"{value} Å" for value in values])
        box.setAccessibleName(name)
        box.setToolTip(f"{tip}. Choose, or type a number")
        return box

    def set_unit(self, pixel_size_a: float | None) -> None:
        """Lengths are Angstrom, or pixels where the pixel size is unknown."""
        unit = "Å" if pixel_size_a else "px"
        for box in (self.low, self.high):
            with QSignalBlocker(box):
                for place in range(1, box.count()):
                    box.setItemText(place, f"{box.itemText(place).split()[0]} {unit}")

    def open_at(self, corner: QPoint, band: Band, unit: str) -> None:
        """Show the present state with the top right corner there (or as near as the screen allows)."""
        contrast = self._model.contrast
        blockers = [QSignalBlocker(w) for w in (self.lut, self.gamma, self.invert, self.low, self.high)]
        self.lut.setCurrentIndex(LUTS.index(contrast.lut) if contrast.lut in LUTS else 0)
        self.gamma.setValue(round(math.log(contrast.gamma) * _GAMMA_SPAN))
        self.gamma_text.setText(f"{contrast.gamma:.2f}")
        self.invert.setChecked(contrast.invert)
        self.low.setCurrentText(OFF if band.low is None else f"{band.low:g} {unit}")
        self.high.setCurrentText(OFF if band.high is None else f"{band.high:g} {unit}")
        del blockers
        self.adjustSize()
        room = self.screen().availableGeometry()
        x = min(max(corner.x() - self.width(), room.left()), room.right() - self.width())
        y = min(max(corner.y(), room.top()), room.bottom() - self.height())
        self.move(x, y)
        self.show()
        self.lut.setFocus()

    def _on_gamma(self, value: int) -> None:
        gamma = math.exp(value / _GAMMA_SPAN)
        self.gamma_text.setText(f"{gamma:.2f}")
        self._model.set_contrast(gamma=gamma)

    def _on_band(self) -> None:
        self.band_chosen.emit(Band(_number(self.low.currentText()), _number(self.high.currentText())))


def _number(text: str) -> float | None:
    """The number at the beginning of a text; None for off, nonsense and zero."""
    try:
        value = float(text.replace(",", ".").split()[0].removesuffix("Å").removesuffix("px"))
    except (ValueError, IndexError):
        return None
    return value if math.isfinite(value) and value > 0 else None
