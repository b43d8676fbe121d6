"""The row of controls above a comparison. They ask, the view does. Narrow enough for the tabs: 700 px at 100 %."""

from __future__ import annotations

import math

from PySide6.QtCore import QPoint, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QButtonGroup, QHBoxLayout, QMenu, QSizePolicy, QSlider, QToolButton, QWidget

from app.viewer.compare_scene import MODES, Mode
from app.viewer.view_toolbar import tool_button

_SPAN = 150  # slider units on either side; 100 units are a factor of 4
MODE_TEXTS: dict[Mode, tuple[str, str]] = {
    "side": ("Side", "Two pictures side by side, one zoom (S)"),
    "swipe": ("Swipe", "Drag the line across the picture (W)"),
    "blink": ("Blink", "The second picture; hold B for the first (B)"),
    "difference": ("Difference", "First minus second picture: what was removed (D)"),
}
PANELS = {  # name -> text in the menu, key
    "spectrum": ("Power spectrum", "T"),
    "info": ("Files and statistics", "H"),
}


class CompareToolbar(QWidget):
    """Modes, zoom, contrast, look, panels, saving."""

    mode_chosen = Signal(str)
    first_toggled = Signal(bool)  # in blink mode: the first picture instead of the second
    fit_requested = Signal()
    one_to_one_requested = Signal()
    spread_edited = Signal(float)  # automatic levels so many times as wide
    look_requested = Signal(QPoint)
    measure_toggled = Signal(bool)
    panel_toggled = Signal(str, bool)  # frc, spectrum or info
    save_requested = Signal(str)  # seen, first or second
    copy_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(4, 2, 4, 0)
        self._row.setSpacing(2)
        self.modes: dict[Mode, QToolButton] = {}
        group = QButtonGroup(self)
        for mode in MODES:
            button = self.modes[mode] = self._button(*MODE_TEXTS[mode], checkable=True)
            button.clicked.connect(lambda _checked=False, mode=mode: self.mode_chosen.emit(mode))
            group.addButton(button)
        self.first = self._button("Raw", "The first picture instead of the second (hold B)", checkable=True)
        self.first.toggled.connect(self.first_toggled)
        fit = self._button("Fit", "Show the whole picture (F, double click)")
        fit.clicked.connect(lambda _=False: self.fit_requested.emit())
        one = self._button("1:1", "One screen pixel per image pixel (1)")
        one.clicked.connect(lambda _=False: self.one_to_one_requested.emit())
        self.contrast = self._slider()
        self._row.addWidget(self.contrast, 8)
        self._row.addStretch(1)
        self.look = self._button("Look", "Colours, gamma, invert (I), low-pass and high-pass filter (L)")
        self.look.clicked.connect(self._on_look)
        self.panels: dict[str, QAction | QToolButton] = {}
        frc = self._button("FRC", "Agreement of the two pictures at each resolution (G)", checkable=True)
        frc.toggled.connect(lambda on: self.panel_toggled.emit("frc", on))
        self.panels["frc"] = frc
        self.tools = self._menu_button("Tools", "Measure (M), power spectrum (T), files and statistics (H)")
        self.measure = self._action("Measure", "M", self.measure_toggled.emit)
        for name, (text, key) in PANELS.items():
            self.panels[name] = self._action(text, key, lambda on, name=name: self.panel_toggled.emit(name, on))
        self.save = self._menu_button("Save", "Save or copy the pictures (Ctrl+E, Ctrl+C)")
        self.saves: dict[str, QAction] = {}
        for what in ("seen", "first", "second"):
            action = self.save.menu().addAction("", lambda what=what: self.save_requested.emit(what))
            self.saves[what] = action
        self.save.menu().addAction("Copy what is seen\tCtrl+C", self.copy_requested.emit)
        self.set_names("raw", "denoised")
        self.set_mode("side")

    # -- making -------------------------------------------------------------------------------------------

    def _button(self, text: str, tip: str, checkable: bool = False) -> QToolButton:
        button = tool_button(self, text, tip, checkable)
        self._row.addWidget(button)
        return button

    def _menu_button(self, text: str, tip: str) -> QToolButton:
        button = self._button(text, tip)
        button.setMenu(QMenu(button))
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        return button

    def _action(self, text: str, key: str, slot: object) -> QAction:
        action = self.tools.menu().addAction(f"{text}\t{key}")
        action.setCheckable(True)
        action.toggled.connect(slot)
        return action

    def _slider(self) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal, self)
        slider.setRange(-_SPAN, _SPAN)
        slider.setPageStep(25)
        unit = self.fontMetrics().averageCharWidth()
        slider.setMinimumWidth(9 * unit)
        slider.setMaximumWidth(40 * unit)
        slider.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        slider.setAccessibleName("Contrast")
        slider.setToolTip("Contrast of both pictures about the automatic one (Alt+wheel, comma and full stop; A)")
        slider.valueChanged.connect(lambda value: self.spread_edited.emit(4.0 ** (-value / 100)))
        return slider

    def _on_look(self) -> None:
        self.look_requested.emit(self.look.mapToGlobal(self.look.rect().bottomRight()))

    # -- state --------------------------------------------------------------------------------------------

    def set_mode(self, mode: Mode) -> None:
        """Show which mode is on."""
        self.modes[mode].setChecked(True)
        self.first.setChecked(False)
        self.first.setVisible(mode == "blink")

    def set_names(self, first: str, second: str) -> None:
        """What the two pictures are called, in a word or two each."""
        self.first.setText(first if len(first) <= 4 else "First")
        self.first.setText(self.first.text()[:1].upper() + self.first.text()[1:])
        self.first.setToolTip(f"{first} instead of {second} (hold B)")
        self.first.setAccessibleName(self.first.toolTip())
        self.modes["blink"].setToolTip(f"{second}; hold B for {first} (B)")
        self.modes["difference"].setToolTip(f"{first} minus {second} (D)")
        for mode in ("blink", "difference"):
            self.modes[mode].setAccessibleName(self.modes[mode].toolTip())
        self.saves["seen"].setText("Save what is seen…\tCtrl+E")
        self.saves["first"].setText(f"Save the whole image: {first}…")
        self.saves["second"].setText(f"Save the whole image: {second}…")

    def set_spread(self, spread: float) -> None:
        """Move the contrast slider without a signal."""
        with QSignalBlocker(self.contrast):
            self.contrast.setValue(round(-100 * math.log(spread, 4)))

    def set_pictures(self, first: bool, second: bool) -> None:
        """Which pictures are there: the others cannot be saved."""
        self.saves["first"].setEnabled(first)
        self.saves["second"].setEnabled(second)
        for widget in (self.contrast, self.look, self.measure, self.save):
            widget.setEnabled(first or second)

    def add_tool(self, widget: QWidget) -> None:
        """Append a control of the owner."""
        self._row.addWidget(widget)
