"""The slim row of controls above a picture. They ask, the view does."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QToolButton, QWidget

from app.viewer.levels_bar import LevelsBar
from core.images.colour import Look, colours
from core.images.contrast import histogram
from core.images.pyramid import Pyramid


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
        self._histogram_of: tuple[int, int] | None = None
        self._look: Look | None = None
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

    def show_contrast(self, look: Look, pyramid: Pyramid, zoom: float) -> None:
        """Move the handles to what is seen at `zoom`, without a signal; nothing happens while nothing changes."""
        level = pyramid.seen_level(zoom)
        if self._histogram_of != (id(pyramid), level):
            self._histogram_of, self._look = (id(pyramid), level), None
            self._show_histogram(pyramid, level)
        if look != self._look:
            self._look = look
            self.bar.set_levels(look.black, look.white)
            self.bar.set_colours(colours(look.lut, look.gamma, look.invert))

    def _show_histogram(self, pyramid: Pyramid, level: int) -> None:
        """The histogram is of the level that is seen; its ends leave room beyond the automatic levels."""
        black, white = pyramid.grey_ranges[level - pyramid.finest]
        room = 0.6 * (white - black)
        self.bar.set_histogram(histogram(pyramid.level(level), black - room, white + room), black - room, white + room)

    def set_picture(self, there: bool) -> None:
        """Contrast and saving work only when there is a picture."""
        for widget in (self.bar, self.look, self.measure, self.save, *self.panels.values()):
            widget.setEnabled(there)

    def add_tool(self, widget: QWidget) -> None:
        """Append a control of the tab."""
        self._row.addWidget(widget)
