"""Panels beside a picture: power spectrum, and header with statistics. Built when they are first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QSplitter, QTabWidget, QWidget

from core.images.pyramid import Pyramid

TITLES = {"spectrum": "Power spectrum", "info": "File and statistics", "frc": "Agreement"}
_LEAST_LETTERS = 52  # width the panels start with, where the window is small


class SidePanels(QTabWidget):
    """`show_panel` and `hide_panel` by name; the owner hands over the picture and what is seen of it."""

    closed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setDocumentMode(True)
        self.setTabsClosable(True)
        self.tabCloseRequested.connect(lambda index: self.closed.emit(self._name(self.widget(index))))
        self._placed = False
        self.panels: dict[str, Any] = {}
        self._picture: Pyramid | None = None
        self._path: Path | None = None
        self._visible: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
        self.currentChanged.connect(lambda _index: self._refresh())
        self.hide()

    def _name(self, panel: QWidget | None) -> str:
        return next((name for name, known in self.panels.items() if known is panel), "")

    def _panel(self, name: str) -> Any:
        if name not in self.panels:
            self.panels[name] = self._make(name)
        return self.panels[name]

    def _make(self, name: str) -> Any:
        if name == "spectrum":
            from app.viewer.spectrum_panel import SpectrumPanel

            return SpectrumPanel()
        from app.viewer.info_panel import InfoPanel

        return InfoPanel()

    def open_names(self) -> set[str]:
        """Panels that are there now."""
        return {name for name, panel in self.panels.items() if self.indexOf(panel) >= 0}

    def show_panel(self, name: str) -> None:
        """Add the panel and bring it to the front."""
        panel = self._panel(name)
        if self.indexOf(panel) < 0:
            self.addTab(panel, TITLES[name])
        self.setCurrentWidget(panel)
        self.show()
        self._take_room()
        self._refresh()

    def _take_room(self) -> None:
        """The first time in a splitter: a third of the window; afterwards what the user gave."""
        beside = self.parentWidget()
        if self._placed or not isinstance(beside, QSplitter) or beside.width() < 2:
            return
        self._placed = True
        least = _LEAST_LETTERS * self.fontMetrics().averageCharWidth()
        side = min(max(self.window().width() // 3, least), beside.width() // 2)
        beside.setSizes([beside.width() - side, side])

    def hide_panel(self, name: str) -> None:
        """Take the panel away; without any the room goes back to the picture."""
        index = self.indexOf(self.panels[name]) if name in self.panels else -1
        if index >= 0:
            self.removeTab(index)
        self.setVisible(self.count() > 0)

    def set_picture(
        self, picture: Pyramid | None, path: Path | None, visible: tuple[float, float, float, float]
    ) -> None:
        """Another picture; previews are left out."""
        self._picture, self._path, self._visible = picture, path, visible
        self._refresh()

    def set_visible_part(self, visible: tuple[float, float, float, float]) -> None:
        """Another part of it is seen: x0, y0, x1, y1 in image pixels. The panels wait until the view rests."""
        self._visible = visible
        if self.isVisible():
            self._refresh_visible()

    def _refresh(self) -> None:
        """Only the panel in front computes."""
        panel = self.currentWidget()
        if panel is None or self.isHidden():
            return
        if self._name(panel) == "spectrum":
            self.panels["spectrum"].set_image(self._picture, self._visible)
        else:
            self.panels["info"].set_image(self._path, self._picture)

    def _refresh_visible(self) -> None:
        if self._name(self.currentWidget()) == "spectrum" and self._picture is not None:
            self.panels["spectrum"].set_visible_rect(self._visible)
