"""What Home shows before anything is open: the first step, the demo, and what was open lately."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from app.widgets.labels import button, column, label, row


class EmptyPage(QWidget):
    """Signals: open_files, open_folder, demo, recent(path)."""

    open_files = Signal()
    open_folder = Signal()
    demo = Signal()
    recent = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.files_button = button("Open micrographs…", "primary", "MRC or TIFF files (Ctrl+O)")
        self.folder_button = button("Open folder…", tip="All micrographs of a folder")
        self.demo_button = button("Try the demo", tip="Three real micrographs: pick noise, train, denoise, report")
        self.files_button.clicked.connect(self.open_files)
        self.folder_button.clicked.connect(self.open_folder)
        self.demo_button.clicked.connect(self.demo)
        first = self._card(
            "Start with your micrographs",
            "Open motion-corrected micrographs (MRC, TIFF), or drop files or a folder on this window. "
            "Then mark places without particles: that is the noise the network learns.",
            row(self.files_button, self.folder_button, None),
        )
        second = self._card(
            "Or see it work first",
            "The demo takes three real apoferritin micrographs (EMPIAR-10146) the whole way in a few "
            "minutes: noise boxes, training set, training, denoising, report. A short training on real data.",
            row(self.demo_button, None),
        )
        self._recent = column(spacing=0)
        self._links: list[QWidget] = []
        self._recent_box = QWidget()
        inside = column(label("Recent", "heading"), spacing=2)
        inside.addLayout(self._recent)
        self._recent_box.setLayout(inside)
        middle = QWidget()
        middle.setMaximumWidth(self.fontMetrics().averageCharWidth() * 110)
        body = QVBoxLayout(middle)
        body.setSpacing(14)
        body.addWidget(label("Vitreous", "title"))
        body.addWidget(
            label("Learn the noise of your own micrographs, and see the particles below it.", "muted", wrap=True)
        )
        cards = QHBoxLayout()
        cards.setSpacing(14)
        cards.addWidget(first, 1)
        cards.addWidget(second, 1)
        body.addLayout(cards)
        body.addWidget(self._recent_box)
        whole = QHBoxLayout(self)
        whole.addStretch(1)
        whole.addWidget(middle, 8, Qt.AlignmentFlag.AlignVCenter)
        whole.addStretch(1)

    def _card(self, title: str, text: str, buttons: QHBoxLayout) -> QFrame:
        card = QFrame()
        card.setObjectName("card")
        inside = column(label(title, "heading"), label(text, "muted", wrap=True), spacing=8, margins=(18, 16, 18, 16))
        inside.addStretch(1)
        inside.addLayout(buttons)
        card.setLayout(inside)
        return card

    def set_recent(self, paths: list[str]) -> None:
        """Show what was open lately (at most six)."""
        for link in self._links:
            self._recent.removeWidget(link)
            link.deleteLater()
        self._links.clear()
        for path in paths[:6]:
            link = button(f"{Path(path).name}   —   {Path(path).parent}", "flat", path)
            link.clicked.connect(lambda _=False, p=path: self.recent.emit(p))
            self._links.append(link)
            self._recent.addWidget(link, 0, Qt.AlignmentFlag.AlignLeft)
        self._recent_box.setVisible(bool(paths))
