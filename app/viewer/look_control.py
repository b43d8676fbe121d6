"""What a view does when colours or the view filter are changed: keys, the popup, and the filter's computation.

Shared by the single picture and the comparison. Filtered pictures are labelled where they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QObject, QPoint, Signal
from PySide6.QtWidgets import QWidget

from app.viewer.view_filter import Band, ViewFilter
from app.viewer.view_model import ViewModel
from core.errors import AppError
from core.images.colour import DIVERGING, LUTS
from core.images.pyramid import Pyramid

USUAL_BAND = Band(low=20.0)  # what the key L switches on first


class LookControl(QObject):
    """`filtered(pictures, label)`: show these; with "" they are the unfiltered ones."""

    filtered = Signal(object, str)
    said = Signal(str)
    reset = Signal()  # everything but the filter, which is off already

    def __init__(self, model: ViewModel, owner: QWidget) -> None:
        super().__init__(owner)
        self._model, self._owner = model, owner
        self._filter = ViewFilter(self)
        self._filter.ready.connect(self._on_ready)
        self._filter.failed.connect(self._on_failed)
        self._last_band = USUAL_BAND
        self._popup: Any = None
        self._pictures: list[Pyramid | None] = []
        self._pixel_size_a: float | None = None

    @property
    def band(self) -> Band:
        """The filter in use."""
        return self._filter.band

    def set_pictures(self, pictures: Sequence[Pyramid | None], pixel_size_a: float | None) -> None:
        """Other pictures are shown; they are filtered too, except previews."""
        self._pictures, self._pixel_size_a = list(pictures), pixel_size_a
        if any(p is not None and p.finest > 0 for p in pictures):
            self._filter.cancel()
        else:
            self._filter.apply(self._pictures)

    def set_band(self, band: Band) -> None:
        """Filter what is shown; jobs and files never see it."""
        if not band.open:
            self._last_band = band
        if band == self._filter.band:
            return
        self._filter.band = band
        if band.open:
            self._filter.cancel()
            self.filtered.emit(self._pictures, "")
        else:
            self._filter.apply(self._pictures)

    def toggle_filter(self) -> None:
        """Off, or on as it was last."""
        self.set_band(Band() if not self.band.open else self._last_band)

    def next_colours(self) -> None:
        """The next colour table."""
        names = [name for name in LUTS if name not in DIVERGING]
        place = names.index(self._model.contrast.lut) if self._model.contrast.lut in names else -1
        self._model.set_contrast(lut=names[(place + 1) % len(names)])

    def reset_all(self) -> None:
        """Automatic contrast, gamma 1, not inverted, grey, no filter; then `reset`."""
        self._model.set_contrast(automatic=True, spread=1.0, gamma=1.0, invert=False, lut="grey")
        self.set_band(Band())
        self.reset.emit()

    def open_popup(self, corner: QPoint) -> None:
        """Show the small window with its top right corner there."""
        if self._popup is None:
            from app.viewer.look_popup import LookPopup

            self._popup = LookPopup(self._model, self._owner)
            self._popup.band_chosen.connect(self.set_band)
            self._popup.reset.connect(self._popup.hide)
            self._popup.reset.connect(self.reset_all)
        self._popup.set_unit(self._pixel_size_a)
        self._popup.open_at(corner, self.band, "Å" if self._pixel_size_a else "px")

    def _on_ready(self, pictures: list[Pyramid | None]) -> None:
        self.filtered.emit(pictures, self.band.text(self._pixel_size_a))

    def _on_failed(self, err: AppError) -> None:
        self._filter.band = Band()
        self.filtered.emit(self._pictures, "")
        self.said.emit(str(err))
