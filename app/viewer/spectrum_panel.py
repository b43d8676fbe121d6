"""The panel of the power spectrum: Thon rings of the micrograph (or of the part that is seen), profile, resolution.

Computing is core/images/spectrum.py, in a task; the newest picture wins. Nothing is computed while it is hidden.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QResizeEvent, QShowEvent
from PySide6.QtWidgets import QBoxLayout, QCheckBox, QComboBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from app import theme
from app.viewer.latest_task import LatestTask
from app.viewer.resolution_plot import Curve, Mark, ResolutionPlot
from app.viewer.spectrum_picture import SpectrumPicture
from app.viewer.spectrum_split import SpectrumSplit
from app.widgets.labels import label, row
from core.errors import AppError
from core.images.contrast import to_8bit
from core.images.pyramid import Pyramid
from core.images.spectrum import Region, Spectrum, display, display_levels, power_spectrum

_EMPTY = "Open a micrograph to see its power spectrum."
_FIRST_EDGE_A = 4.0  # Å at the edge at first: Thon rings fill the picture
_MARGIN = 8
_LEAST, _ONE_ROW = 46, 66  # widths in letters: the smallest one, and from where the controls are one row
_REST_MS = 250  # the view must rest this long before its part is computed


@dataclass(frozen=True, eq=False)
class _Shown:
    """What a task brings: the spectrum, and its picture as it was asked for."""

    spectrum: Spectrum
    grey: np.ndarray
    profile: np.ndarray


class SpectrumPanel(QWidget):
    """`set_image(pyramid, visible_rect)` and `set_visible_rect(rect)` are all it needs."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pyramid: Pyramid | None = None
        self._rect: Region | None = None
        self._spectrum: Spectrum | None = None
        self._edge: float | None = None  # frequency the user zoomed to
        self._profile = np.zeros(0)
        self._due = False
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._compute)
        self._build()
        self.picture.set_words(_EMPTY)

    def _build(self) -> None:
        self.where = QComboBox()
        self.where.addItems(["Whole image", "Visible part"])
        self.where.setAccessibleName("Spectrum of")
        self.where.setToolTip("Spectrum of the whole image, or of what the view shows")
        self.where.currentIndexChanged.connect(lambda _: self._renew())
        self.log = self._check("Log", "Logarithm of the power instead of the amplitude", True)
        self.flat = self._check("Flatten", "Without the smooth fall towards fine detail: rings stand out", True)
        self.rings = QLineEdit("20, 10, 7")
        self.rings.setAccessibleName("Rings at these resolutions")
        self.rings.setToolTip(
            "Rings at these resolutions, such as 20, 10, 7: in Å, or px when the pixel size is unknown"
        )
        self.rings.textEdited.connect(lambda _: self._show_rings())
        name = label("Rings")
        name.setBuddy(self.rings)
        self.unit = QLabel("Å")
        self.picture = SpectrumPicture()
        self.picture.pointed.connect(self._on_pointed)
        self.picture.zoomed.connect(self._on_zoomed)
        self.reading = label("", "muted")
        self.reading.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.reading.setAccessibleName("Resolution of the ring")
        self.plot = ResolutionPlot("log power")
        self.plot.setAccessibleName("Radial profile of the power spectrum")
        self.plot.pointed.connect(self._on_plot_pointed)
        self._controls = QBoxLayout(QBoxLayout.Direction.TopToBottom)
        self._controls.setSpacing(6)
        self._controls.addLayout(row(self.where, self.log, self.flat, None))
        self._controls.addLayout(row(name, self.rings, self.unit))
        self.split = SpectrumSplit(self.picture, self.plot)
        body = QVBoxLayout(self)
        body.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        body.setSpacing(6)
        body.addLayout(self._controls)
        body.addWidget(self.split, 1)
        body.addWidget(self.reading)
        self._read(math.nan)
        self._show_rings()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        wide = self.width() >= self.fontMetrics().averageCharWidth() * _ONE_ROW
        across, down = QBoxLayout.Direction.LeftToRight, QBoxLayout.Direction.TopToBottom
        self._controls.setDirection(across if wide else down)  # a low window has no height to spare

    def minimumSizeHint(self) -> QSize:
        side = self.fontMetrics().averageCharWidth() * _LEAST  # the controls are in two rows then
        return QSize(side, super().minimumSizeHint().height())

    def _check(self, text: str, tip: str, on: bool) -> QCheckBox:
        box = QCheckBox(text)
        box.setToolTip(tip)
        box.setAccessibleName(tip)
        box.setChecked(on)
        box.toggled.connect(lambda _: self._compute())
        return box

    # -- what it is told ----------------------------------------------------------------------------------

    def set_image(self, pyramid: Pyramid | None, visible_rect: Region | None = None) -> None:
        """Another picture, and the part of it that is seen (x0, y0, x1, y1 in pixels); None: nothing is open."""
        if pyramid is not None and pyramid is self._pyramid:
            self.set_visible_rect(visible_rect)
            return
        self._pyramid, self._rect = pyramid, visible_rect
        self._renew()

    def set_visible_rect(self, visible_rect: Region | None) -> None:
        """The view moved. Counts only while the panel is set to the visible part; computed when it rests."""
        if visible_rect == self._rect:
            return
        self._rect = visible_rect
        if self._of_visible_part and self._pyramid is not None:
            self._spectrum = None
            self._rest.start()

    @property
    def spectrum(self) -> Spectrum | None:
        """The one that is shown."""
        return self._spectrum

    @property
    def _of_visible_part(self) -> bool:
        return self.where.currentIndex() == 1

    # -- computing ----------------------------------------------------------------------------------------

    def _renew(self) -> None:
        self._spectrum = None
        self._compute()

    def _compute(self) -> None:
        self._rest.stop()
        if self._pyramid is None:
            self._task.cancel()
            self._clear(_EMPTY)
            return
        if not self.isVisible():
            self._due = True
            self._task.cancel()
            return
        self._due = False
        pyramid, known = self._pyramid, self._spectrum
        region = self._rect if self._of_visible_part else None
        log, flat = self.log.isChecked(), self.flat.isChecked()

        def work(cancelled: Callable[[], bool]) -> _Shown:
            spectrum = known or power_spectrum(pyramid, region, cancelled)
            shown = display(spectrum, log, flat)
            return _Shown(spectrum, to_8bit(shown, *display_levels(shown)), _profile(spectrum, log, flat))

        if self._spectrum is None and self.picture.edge == 0:
            self.picture.set_words("Computing …")
        self._task.start(work)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._due:
            self._compute()

    def _on_done(self, shown: _Shown) -> None:
        spectrum = self._spectrum = shown.spectrum
        self.picture.set_words("")
        self.picture.set_picture(shown.grey, spectrum.step, spectrum.unit)
        pixel = spectrum.pixel_size_a
        wanted = self._edge or (1 / _FIRST_EDGE_A if pixel is not None else float(spectrum.radii[-1]))
        blocked = self.picture.blockSignals(True)
        self.picture.set_edge(min(wanted, float(spectrum.radii[-1])))
        self.picture.blockSignals(blocked)
        self.unit.setText(spectrum.unit)
        self._profile = shown.profile
        self._show_rings()

    def _on_failed(self, error: AppError) -> None:
        self._clear(f"{error.message}\n{error.hint}".strip())

    def _clear(self, words: str) -> None:
        self._spectrum = None
        self.picture.set_picture(None)
        self.picture.set_words(words)
        self.plot.set_curves([])
        self._read(math.nan)

    # -- showing ------------------------------------------------------------------------------------------

    def resolutions(self) -> list[float]:
        """The user's rings, Å or px; what cannot be read is left out."""
        words = re.split(r"[;,\s]+", self.rings.text().strip())
        found = [float(word) for word in words if re.fullmatch(r"\d+(\.\d*)?|\.\d+", word)]
        return [value for value in found if value > 0]

    def _show_rings(self) -> None:
        readable = bool(re.fullmatch(r"[\d.;,\s]*", self.rings.text()))
        theme.set_state(self.rings, "state", "" if readable else "error")
        self.picture.set_rings(self.resolutions())
        self._show_profile()

    def _show_profile(self) -> None:
        spectrum = self._spectrum
        if spectrum is None:
            return
        first = 2  # below, the mean that was taken out
        curve = Curve("ring mean", spectrum.radii[first:], self._profile[first:])
        marks = [Mark(1 / value, f"{value:g} {spectrum.unit}") for value in self.resolutions()]
        end = min(self.picture.edge or float(spectrum.radii[-1]), float(spectrum.radii[-1]))
        self.plot.set_limits((0.0, end))
        marks = [mark for mark in marks if mark.x <= end]
        y_label = "log power" if self.log.isChecked() else "amplitude"  # short: the plot is low
        self.plot.set_curves([curve], marks, unit=spectrum.unit, y_label=y_label)

    def _on_zoomed(self) -> None:
        self._edge = self.picture.edge
        self._show_profile()

    def _on_pointed(self, frequency: float) -> None:
        self.plot.set_pointer(frequency)
        self._read(frequency)

    def _on_plot_pointed(self, frequency: float) -> None:
        self.picture.set_pointer(frequency)
        self.plot.set_pointer(frequency)
        self._read(frequency)

    def _read(self, frequency: float) -> None:
        if self._spectrum is None or not frequency > 0:
            self.reading.setText("Point at a ring to read its resolution." if self._spectrum is not None else "")
            return
        unit = self._spectrum.unit
        self.reading.setText(f"{frequency:.4f} 1/{unit} = {1 / frequency:.3g} {unit}")


def _profile(spectrum: Spectrum, log: bool, flat: bool) -> np.ndarray:
    """(m,) what the curve shows: as `display` does it with the picture."""
    floor = max(float(spectrum.power[1:].max()) * 1e-12, 1e-30)
    power = np.maximum(spectrum.power, floor)
    if flat:
        power = power / np.maximum(spectrum.background(), floor)
    return np.log10(power) if log else np.sqrt(power)
