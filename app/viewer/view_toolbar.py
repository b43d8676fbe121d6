"""The slim row of controls above a picture: fit, 1:1, automatic contrast, levels, gamma, invert, reset."""

from __future__ import annotations

import math
from collections.abc import Callable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from app.viewer.levels_bar import LevelsBar

_GAMMA_SPAN = 100  # slider units for a factor of e


class ViewToolbar(QWidget):
    """Buttons and sliders; they ask, the view does."""

    fit_requested = Signal()
    one_to_one_requested = Signal()
    auto_requested = Signal()
    reset_requested = Signal()
    levels_edited = Signal(float, float)  # black, white
    look_edited = Signal()  # gamma or invert

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(4, 2, 4, 0)
        self._row.setSpacing(4)
        self._button("Fit", "Show the whole picture (F, double click)", self.fit_requested.emit)
        self._button("1:1", "One screen pixel per image pixel (1)", self.one_to_one_requested.emit)
        self._button("Auto", "Contrast from what is seen (A)", self.auto_requested.emit)
        self.bar = LevelsBar(self)
        self.bar.edited.connect(self.levels_edited)
        self.bar.reset_requested.connect(self.auto_requested)
        self._row.addWidget(self.bar, 1)
        self._gamma = self._make_gamma()
        self._invert = self._button("Invert", "Exchange black and white (I)", self.look_edited.emit)
        self._invert.setCheckable(True)
        self._button("Reset", "Fit, automatic contrast, gamma 1, not inverted", self.reset_requested.emit)

    def _button(self, text: str, tip: str, action: Callable[[], None]) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setAutoRaise(True)
        button.clicked.connect(lambda _checked=False: action())
        self._row.addWidget(button)
        return button

    def _make_gamma(self) -> QSlider:
        label = QLabel("γ", self)
        slider = QSlider(Qt.Orientation.Horizontal, self)
        slider.setRange(-_GAMMA_SPAN, _GAMMA_SPAN)
        slider.setFixedWidth(self.fontMetrics().averageCharWidth() * 10)
        slider.setAccessibleName("Gamma")
        slider.setToolTip("Gamma: right brightens the middle greys")
        label.setBuddy(slider)
        slider.valueChanged.connect(lambda _value: self.look_edited.emit())
        self._row.addWidget(label)
        self._row.addWidget(slider)
        return slider

    @property
    def gamma(self) -> float:
        """1/e .. e; 1 in the middle."""
        return math.exp(self._gamma.value() / _GAMMA_SPAN)

    @property
    def inverted(self) -> bool:
        """Whether black and white are exchanged."""
        return self._invert.isChecked()

    def set_look(self, gamma: float, inverted: bool) -> None:
        """Move the controls without a signal."""
        self._gamma.blockSignals(True)
        self._gamma.setValue(round(math.log(gamma) * _GAMMA_SPAN))
        self._gamma.blockSignals(False)
        self._invert.setChecked(inverted)  # a program's change does not emit clicked

    def set_picture(self, there: bool) -> None:
        """Contrast controls work only when there is a picture."""
        self.bar.setEnabled(there)

    def add_tool(self, widget: QWidget) -> None:
        """Append a control of the tab."""
        self._row.addWidget(widget)
