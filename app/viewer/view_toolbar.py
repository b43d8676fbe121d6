"""The slim row of controls above a picture. They ask, the view does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from app.viewer.levels_bar import LevelsBar


def tool_button(parent: QWidget, text: str, tip: str, checkable: bool = False) -> QToolButton:
    """A flat button with a tooltip that screen readers say as well."""
    button = QToolButton(parent)
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setAutoRaise(True)
    button.setCheckable(checkable)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return button


class ViewToolbar(QWidget):
    """Fit, 1:1, automatic contrast, levels, look, measure, panels, save."""

    fit_requested = Signal()
    one_to_one_requested = Signal()
    auto_requested = Signal()
    levels_edited = Signal(float, float)  # black, white
    look_requested = Signal(QPoint)  # where the small window goes, on the screen
    measure_toggled = Signal(bool)
    panel_toggled = Signal(str, bool)  # spectrum or info
    save_requested = Signal()
    copy_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(4, 2, 4, 0)
        self._row.setSpacing(2)
        self._button("Fit", "Show the whole picture (F, double click)", self.fit_requested.emit)
        self._button("1:1", "One screen pixel per image pixel (1)", self.one_to_one_requested.emit)
        self._button("Auto", "Contrast from what is seen (A)", self.auto_requested.emit)
        self.bar = LevelsBar(self)
        self.bar.edited.connect(self.levels_edited)
        self.bar.reset_requested.connect(self.auto_requested)
        self._row.addWidget(self.bar, 1)
        self.look = self._button("Look", "Colours, gamma, invert (I), low-pass and high-pass filter (L)", self._on_look)
        self.measure = self._button("Measure", "Drag across the picture: length in Å (M)", None, checkable=True)
        self.measure.toggled.connect(self.measure_toggled)
        self.panels: dict[str, QToolButton] = {}
        for name, text, tip in (
            ("spectrum", "Spectrum", "Power spectrum with resolution rings (T)"),
            ("info", "Info", "Header and statistics of this file (H)"),
        ):
            button = self._button(text, tip, None, checkable=True)
            button.toggled.connect(lambda on, name=name: self.panel_toggled.emit(name, on))
            self.panels[name] = button
        self.save = self._button("Save", "Save or copy the picture (Ctrl+E, Ctrl+C)", None)
        menu = QMenu(self.save)
        menu.addAction("Save picture…", self.save_requested.emit)
        menu.addAction("Copy picture", self.copy_requested.emit)
        self.save.setMenu(menu)
        self.save.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def _button(self, text: str, tip: str, action: Callable[[], None] | None, checkable: bool = False) -> QToolButton:
        button = tool_button(self, text, tip, checkable)
        if action is not None:
            button.clicked.connect(lambda _checked=False: action())
        self._row.addWidget(button)
        return button

    def _on_look(self) -> None:
        self.look_requested.emit(self.look.mapToGlobal(self.look.rect().bottomRight()))

    def set_levels(self, black: float, white: float, colours: np.ndarray) -> None:
        """Move the handles without a signal, in these (256,) colours."""
        self.bar.set_levels(black, white)
        self.bar.set_colours(colours)

    def set_picture(self, there: bool) -> None:
        """Contrast and saving work only when there is a picture."""
        for widget in (self.bar, self.look, self.measure, self.save, *self.panels.values()):
            widget.setEnabled(there)

    def add_tool(self, widget: QWidget) -> None:
        """Append a control of the tab."""
        self._row.addWidget(widget)
