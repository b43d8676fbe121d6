"""A tab whose job is not built yet: one plain sentence, and nothing that pretends."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.widgets.labels import label


class ComingTab(QWidget):
    """Title and one sentence in the middle of the page."""

    title = ""
    sentence = ""

    def __init__(self) -> None:
        super().__init__()
        heading, text = label(self.title, "title"), label(self.sentence, "muted", wrap=True)
        self._room = layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 24, 24, 24)
        layout.addStretch(2)
        for part in (heading, text):
            part.setAlignment(Qt.AlignmentFlag.AlignCenter)
            layout.addWidget(part)
        layout.addStretch(3)

    def add(self, widget: QWidget) -> None:
        """One more part below the sentence."""
        self._room.insertWidget(self._room.count() - 1, widget)
