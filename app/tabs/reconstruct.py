"""Reconstruct: the user's own particles, or simulated ones to see what each method can do; one of them is on show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QStackedWidget, QWidget

from app.session import Session
from app.tabs.reconstruct_particles import ParticlesTab
from app.tabs.reconstruct_try import TryTab


class ReconstructTab(QStackedWidget):
    """Two job tabs: `particles` (reconstruct) and `trial` (try-reconstruct), which is built when it is asked for."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self._trial: TryTab | None = None
        self.particles = ParticlesTab(session)
        self.particles.try_clicked.connect(self.try_it)
        self.addWidget(self.particles)
        if any(worker.job == TryTab.job for worker in session.active()):
            self.setCurrentWidget(self.trial)

    @property
    def trial(self) -> TryTab:
        """The page of simulated particles."""
        if self._trial is None:
            self._trial = TryTab(self.session)
            self._trial.back_clicked.connect(lambda: self.setCurrentWidget(self.particles))
            self._trial.show_clicked.connect(self._show_maps)
            self.addWidget(self._trial)
        return self._trial

    def try_it(self) -> None:
        """Go to the simulated particles."""
        self.setCurrentWidget(self.trial)

    def begin_trial(self) -> None:
        """Go there and start, unless it runs already."""
        self.try_it()
        if self.trial.worker is None or not self.trial.worker.active:
            self.trial.start()

    def receive(self, values: Mapping[str, Any]) -> None:
        """Particles that another tab hands over."""
        self.setCurrentWidget(self.particles)
        self.particles.receive(values)

    def take_drop(self, paths: list[Path]) -> bool:
        """Files dropped on the window while this tab is shown: True when they were for it."""
        if not self.particles.take_drop(paths):
            return False
        self.setCurrentWidget(self.particles)
        return True

    def _show_maps(self, folder: Path, words: str) -> None:
        self.setCurrentWidget(self.particles)
        self.particles.show_folder(folder, words)

    def close_tab(self) -> None:
        """The window closes."""
        self.particles.close_tab()
