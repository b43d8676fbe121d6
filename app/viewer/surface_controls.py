"""The controls below a surface: whose surface, level in σ and in % of the voxels, colours, the second surface.

They ask, surface_view.py does. Levels of the slider are spaced by the part of the voxels above them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from PySide6.QtCore import QSignalBlocker, Qt, Signal, SignalInstance
from PySide6.QtWidgets import QComboBox, QSlider, QVBoxLayout, QWidget

from app.viewer.view_toolbar import tool_button
from app.widgets.colour_bar import ColourBar
from app.widgets.labels import ElidedLabel, row
from app.widgets.number_boxes import FloatBox
from core.volumes.volume import KINDS, Statistics, Volume

SPAN = 1000  # slider units
MOST_SHARE, LEAST_SHARE = 0.5, 1e-4  # of the voxels above the level, at the ends of the slider
SURFACES = ("map", "half1", "half2", "other", "mask")
COMPANIONS = ("std", "weight", "other")
_SECOND_OPACITY = 45  # per cent


class SurfaceControls(QWidget):
    """`sigma_chosen(sigma)` and the other signals are for the view to act on."""

    sigma_chosen = Signal(float)
    map_chosen = Signal()
    colour_chosen = Signal()
    second_chosen = Signal()
    opacity_chosen = Signal(float)  # 0 .. 1
    front_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._statistics: Statistics | None = None
        letter = self.fontMetrics().averageCharWidth()
        self.what = self._choice("Surface of", "Whose surface is drawn", self.map_chosen)
        self.slider = self._slider("Level of the surface", "Level: left shows more, right less")
        self.slider.setRange(0, SPAN)
        self.slider.valueChanged.connect(self._on_slider)
        self.box = FloatBox(None, None, "σ")
        self.box.setAccessibleName("Level in standard deviations above the mean")
        self.box.setToolTip("Level in standard deviations above the mean of the map")
        self.box.setMinimumWidth(letter * 11)
        self.box.edited.connect(lambda: self.sigma_chosen.emit(self.box.value()))
        self.text = ElidedLabel()
        self.colour = self._choice("Colour", "Colours of the surface: values of another map there", self.colour_chosen)
        tip = "A second, translucent surface, at the level that has as many voxels above it"
        self.second = self._choice("Second surface", tip, self.second_chosen)
        self.opacity = self._slider("Opacity of the second surface", "Opacity of the second surface")
        self.opacity.setRange(10, 100)
        self.opacity.setValue(_SECOND_OPACITY)
        self.opacity.setMaximumWidth(letter * 16)
        self.opacity.valueChanged.connect(lambda value: self.opacity_chosen.emit(value / 100))
        self.front = tool_button(self, "Front", "From the front, all of it in sight (F, double click)")
        self.front.clicked.connect(self.front_requested)
        self.bar = ColourBar()
        self.bar.hide()
        first = row(self.slider, self.box, self.text, self.front, spacing=8)
        first.setStretch(0, 3)
        first.setStretch(2, 2)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(4, 0, 4, 0)
        rows.setSpacing(2)
        rows.addWidget(self.bar)
        rows.addLayout(first)
        rows.addLayout(row(self.what, self.colour, self.second, self.opacity, None, spacing=8))

    def _slider(self, name: str, tip: str) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setAccessibleName(name)
        slider.setToolTip(tip)
        slider.setMinimumWidth(self.fontMetrics().averageCharWidth() * 8)
        return slider

    def _choice(self, name: str, tip: str, chosen: SignalInstance) -> QComboBox:
        box = QComboBox()
        box.setAccessibleName(name)
        box.setToolTip(tip)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        box.activated.connect(lambda _: chosen.emit())
        return box

    # -- state --------------------------------------------------------------------------------------------

    @property
    def volume(self) -> Volume | None:
        """The map whose surface is drawn."""
        return self.what.currentData()

    @property
    def companion(self) -> Volume | None:
        """The map that gives the colours."""
        return self.colour.currentData()

    @property
    def other(self) -> Volume | None:
        """The map of the second surface."""
        return self.second.currentData()

    @property
    def second_opacity(self) -> float:
        """Of the second surface, 0 .. 1."""
        return self.opacity.value() / 100

    def set_volumes(self, volumes: Iterable[Volume]) -> None:
        """Which maps can be chosen. Choices stay by kind."""
        found = list(volumes)
        self._fill(self.what, [v for v in found if v.kind in SURFACES], "", None)
        self._fill(self.colour, [v for v in found if v.kind in COMPANIONS], "Colour: ", "One colour")
        self._fill(self.second, [v for v in found if v.kind in SURFACES], "With: ", "Alone")
        self.refresh()

    def _fill(self, box: QComboBox, found: list[Volume], lead: str, nothing: str | None) -> None:
        kept = getattr(box.currentData(), "kind", "")
        box.clear()
        if nothing is not None:
            box.addItem(nothing, None)
        for volume in found:
            box.addItem(lead + (KINDS[volume.kind].lower() if lead else KINDS[volume.kind]), volume)
        place = next((k for k in range(box.count()) if getattr(box.itemData(k), "kind", "") == kept), 0)
        box.setCurrentIndex(place if box.count() else -1)

    def refresh(self) -> None:
        """Only what can be chosen is seen."""
        for box in (self.what, self.colour):
            box.setVisible(box.count() > 1)
        self.second.setVisible(self.what.count() > 1)
        self.opacity.setVisible(self.other is not None)
        self.bar.setVisible(self.companion is not None)

    def show_level(self, found: Statistics | None, sigma: float) -> None:
        """The level in all its words; without statistics the controls wait. No signal."""
        self._statistics = found
        for widget in (self.slider, self.box):
            widget.setEnabled(found is not None)
        if found is None:
            self.text.setText("")
            return
        level = found.level(sigma)
        share = found.share_above(level)
        place = math.log(max(share, 1e-9) / MOST_SHARE) / math.log(LEAST_SHARE / MOST_SHARE)
        with QSignalBlocker(self.slider), QSignalBlocker(self.box):
            self.slider.setValue(round(min(max(place, 0.0), 1.0) * SPAN))
            if abs(self.box.value() - sigma) > 1e-6:
                self.box.set_value(float(f"{sigma:.3g}"))
        unit = f" {self.volume.unit}" if self.volume is not None and self.volume.unit else ""
        self.text.setText(f"{100 * share:.2g} % of voxels, level {level:.4g}{unit}")

    def show_colours(self, limits: tuple[float, float]) -> None:
        """The bar of colours with its ends."""
        companion = self.companion
        if companion is not None:
            unit = f", {companion.unit}" if companion.unit else ""
            self.bar.set_scale(f"{KINDS[companion.kind]}{unit}", *limits)

    def _on_slider(self, place: int) -> None:
        if self._statistics is not None:
            share = MOST_SHARE * (LEAST_SHARE / MOST_SHARE) ** (place / SPAN)
            self.sigma_chosen.emit(self._statistics.sigma(self._statistics.level_of_share(share)))
