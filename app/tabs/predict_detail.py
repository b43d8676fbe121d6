"""The bar below the comparison of Predict: how much raw detail is kept, and the gate. It asks, predict.py does."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QSlider, QVBoxLayout, QWidget

from app.widgets.labels import ElidedLabel, button, label, row
from app.widgets.number_boxes import IntBox

TICKS = ("network alone", "measured balance", "filtered raw")
MOST_LETTERS = 100  # width of the slider: in a wide window it stays in reach
TIP = (
    "How much of the raw data the denoised picture keeps inside particles. 0 %: the network alone. 50 %: the balance "
    "of network and raw data that was nearest to known signals in your noise. 100 %: linearly filtered raw data "
    "everywhere, without the gate."
)
GATE_TIP = (
    "Colours the places where the network sees particles (O). There the picture is a mixture of network and raw "
    "data; elsewhere only a faint rest of the filtered raw data is left. A particle outside the colour was missed: "
    "look at the raw picture, too."
)


class DetailBar(QFrame):
    """`keep_edited(percent)` with each step, `apply_clicked`, `gate_toggled(on)`."""

    keep_edited = Signal(int)
    apply_clicked = Signal()
    gate_toggled = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setPageStep(10)
        self.slider.setTickInterval(50)
        self.slider.setTickPosition(QSlider.TickPosition.TicksBelow)
        self.slider.setAccessibleName("Keep raw detail")
        self.box = IntBox(0, 100, "%")
        self.box.setAccessibleName("Keep raw detail, percent")
        for widget in (self.slider, self.box):
            widget.setToolTip(f"<qt>{TIP}</qt>")
        self.gate = button("Gate", tip=f"<qt>{GATE_TIP}</qt>")
        self.gate.setCheckable(True)
        self.gate.setAccessibleDescription(GATE_TIP)
        self.words = ElidedLabel()
        self.apply = button("Apply to all", tip="Put all micrographs of the list together like this; no network runs")
        stays = self.apply.sizePolicy()
        stays.setRetainSizeWhenHidden(True)  # the picture above must not jump
        self.apply.setSizePolicy(stays)
        self.apply.hide()
        holder = QWidget()
        holder.setMaximumWidth(self.fontMetrics().averageCharWidth() * MOST_LETTERS)
        ticks = QGridLayout(holder)
        ticks.setContentsMargins(0, 0, 0, 0)
        ticks.setVerticalSpacing(0)
        ticks.addWidget(self.slider, 0, 0, 1, 3)
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignRight)
        self.ticks = [label(text, "muted") for text in TICKS]
        for column, (text, side) in enumerate(zip(self.ticks, sides, strict=True)):
            text.setAlignment(side)
            ticks.addWidget(text, 1, column)
            ticks.setColumnStretch(column, 1)
        line = row(label("Keep raw detail", "heading"), spacing=10)
        line.addWidget(holder, 100)
        line.addWidget(self.box, 0, Qt.AlignmentFlag.AlignTop)
        line.addWidget(self.gate, 0, Qt.AlignmentFlag.AlignTop)
        line.addStretch(1)
        below = row(spacing=10)
        below.addWidget(self.words, 1)
        below.addWidget(self.apply)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 4, 0, 0)
        whole.setSpacing(2)
        whole.addLayout(line)
        whole.addLayout(below)
        self.slider.valueChanged.connect(self._on_slider)
        self.box.edited.connect(self._on_box)
        self.apply.clicked.connect(self.apply_clicked)
        self.gate.toggled.connect(self.gate_toggled)

    def percent(self) -> int:
        """Where the slider is."""
        return self.slider.value()

    def set_percent(self, value: int) -> None:
        """Move the slider without a signal."""
        with QSignalBlocker(self.slider), QSignalBlocker(self.box):
            self.slider.setValue(value)
            self.box.set_value(value)

    def show_state(self, words: str, reason: str, can_apply: bool, gate: bool) -> None:
        """The text beside; with a `reason` nothing can be moved. `gate`: there is one to show."""
        self.words.setText(reason or words)
        for widget in (self.slider, self.box, *self.ticks):
            widget.setEnabled(not reason)
        self.gate.setEnabled(gate)
        self.apply.setVisible(can_apply and not reason)

    def _on_slider(self, value: int) -> None:
        with QSignalBlocker(self.box):
            self.box.set_value(value)
        self.keep_edited.emit(value)

    def _on_box(self) -> None:
        if not self.box.problem():
            self.slider.setValue(self.box.value())
