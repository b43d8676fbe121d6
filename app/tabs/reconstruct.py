"""Reconstruct: not built yet, and it says so; it keeps the particles that are handed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt

from app.session import Session
from app.tabs.coming import ComingTab
from app.widgets.labels import label

FIELD = ("reconstruct", "particles")


class ReconstructTab(ComingTab):
    """Says that reconstruction is not there, and which particles wait for it."""

    title = "Reconstruct"
    sentence = "3D reconstruction with an honest uncertainty is not built yet."

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.kept = label("", wrap=True)
        self.kept.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.kept.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.add(self.kept)
        self._show()

    def receive(self, values: Mapping[str, Any]) -> None:
        """Keep the particles for the time when they can be used."""
        if values.get("particles"):
            self.session.remember_field(*FIELD, str(values["particles"]))
            self.session.save()
        self._show()

    def _show(self) -> None:
        path = self.session.field(*FIELD)
        self.kept.setText(f"These particles are kept for it: {path}" if path else "")
        self.kept.setVisible(bool(path))
