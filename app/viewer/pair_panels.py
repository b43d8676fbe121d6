"""The panels beside a comparison: agreement (FRC), power spectrum of one of the two, files and statistics of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QSplitter, QVBoxLayout, QWidget

from app.viewer.side_panels import SidePanels
from app.widgets.labels import card_title, label, row
from core.images.pyramid import Pyramid

_NONE = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two pictures: what it is called, its pixels (None: not there), its file."""

    name: str
    picture: Pyramid | None = None
    path: Path | None = None


class _Spectrum(QWidget):
    """A spectrum panel with the choice of the picture above it."""

    def __init__(self) -> None:
        super().__init__()
        from app.viewer.spectrum_panel import SpectrumPanel

        self.side = QComboBox()
        self.side.setAccessibleName("Spectrum of which picture")
        self.side.setToolTip("Which of the two pictures")
        self.side.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.side.setMinimumContentsLength(8)
        self.panel = SpectrumPanel()
        name = label("&Picture")
        name.setBuddy(self.side)
        line = row(name, self.side)
        line.setStretch(1, 1)
        line.setContentsMargins(8, 8, 8, 0)
        body = QVBoxLayout(self)
        body.setContentsMargins(0, 0, 0, 0)
        body.setSpacing(0)
        body.addLayout(line)
        body.addWidget(self.panel, 1)

    def set_names(self, names: Sequence[str]) -> None:
        """What the pictures are called; the choice stays."""
        chosen = max(0, self.side.currentIndex())
        self.side.blockSignals(True)
        self.side.clear()
        self.side.addItems(list(names))
        self.side.setCurrentIndex(chosen)
        self.side.blockSignals(False)


class _Infos(QSplitter):
    """Two information panels, one above the other."""

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Vertical)
        from app.viewer.info_panel import InfoPanel

        self.setChildrenCollapsible(False)
        self.titles, self.panels = [], []
        for _ in range(2):
            part = QWidget()
            title, panel = card_title(""), InfoPanel()
            title.setContentsMargins(8, 6, 8, 0)
            body = QVBoxLayout(part)
            body.setContentsMargins(0, 0, 0, 0)
            body.setSpacing(0)
            body.addWidget(title)
            body.addWidget(panel, 1)
            self.titles.append(title)
            self.panels.append(panel)
            self.addWidget(part)


class PairPanels(SidePanels):
    """`set_sides(first, second)` instead of one picture; only the panel in front computes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        self._sides: tuple[Side, Side] = (Side(""), Side(""))
        self._compared: list[tuple[str, Pyramid]] = []
        super().__init__(parent)

    def _make(self, name: str) -> Any:
        if name == "frc":
            from app.viewer.frc_panel import FrcPanel

            return FrcPanel()
        if name == "info":
            return _Infos()
        spectrum = _Spectrum()
        spectrum.set_names([side.name for side in self._sides])
        spectrum.side.currentIndexChanged.connect(lambda _: self._refresh())
        return spectrum

    def set_sides(self, first: Side, second: Side, visible: tuple[float, float, float, float]) -> None:
        """Another pair; no previews."""
        self._sides, self._visible = (first, second), visible
        self._picture = first.picture or second.picture
        if "spectrum" in self.panels:
            self.panels["spectrum"].set_names([side.name for side in self._sides])
        self._refresh()

    def _refresh(self) -> None:
        name = self._name(self.currentWidget())
        if not name or self.isHidden():
            return
        panel = self.panels[name]
        if name == "frc":
            panel.set_visible_rect(self._visible if self._visible != _NONE else None)
            pair = [(side.name, side.picture) for side in self._sides if side.picture is not None]
            if pair != self._compared:  # the panel would compute again
                self._compared = pair
                panel.set_images(pair)
        elif name == "spectrum":
            panel.panel.set_image(self._sides[max(0, panel.side.currentIndex())].picture, self._visible)
        else:
            for side, title, part in zip(self._sides, panel.titles, panel.panels, strict=True):
                title.setText(side.name)
                part.set_image(side.path if side.picture is not None else None, side.picture)

    def _refresh_visible(self) -> None:
        name = self._name(self.currentWidget())
        if name == "spectrum":
            self.panels["spectrum"].panel.set_visible_rect(self._visible if self._visible != _NONE else None)
        elif name == "frc":
            self.panels["frc"].set_visible_rect(self._visible if self._visible != _NONE else None)
