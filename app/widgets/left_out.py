"""A card that tells how many noise boxes a training set uses, and why the others were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QSizePolicy, QVBoxLayout

from app.widgets.labels import card_title, label
from core.denoising.patch_words import wrapped

EMPTY = "How many noise boxes are used, and why others are left out."


class LeftOutCard(QFrame):
    """A sentence, and one line for each box that was left out."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.title = card_title("Noise boxes")
        self.text = label(EMPTY, "muted", wrap=True)
        self.list = QListWidget()
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setWordWrap(True)
        self.list.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.list.setSpacing(2)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)
        self.list.setAccessibleName("Noise boxes that were left out")
        self.list.hide()
        body = QVBoxLayout(self)
        body.setContentsMargins(12, 8, 12, 10)
        body.setSpacing(4)
        body.addWidget(self.title)
        body.addWidget(self.text)
        body.addWidget(self.list, 1)
        body.addStretch(0)

    def show_result(self, result: Mapping[str, Any]) -> None:
        """Show what a finished forward run says about its noise boxes."""
        total, gone = int(result.get("noise_boxes", 0)), int(result.get("noise_boxes_left_out", 0))
        places: Sequence[Mapping[str, Any]] = result.get("left_out", ())
        differ = float(result.get("noise_disagreement", 0.0))
        how = f"differ by {differ:.0%} in power" if differ > 0 else "differ no more than by chance"
        self.title.setText(f"Noise boxes: {total - gone} used, {gone} left out")
        self.text.setText(f"Those used {how}.")
        self.list.clear()
        for place in places:
            item = QListWidgetItem(f"{place['reason']} {place['micrograph']} at {place['x']}, {place['y']}")
            item.setToolTip(f"{wrapped(str(place['reason']))}\n{place['micrograph']}, x {place['x']}, y {place['y']}")
            self.list.addItem(item)
        if gone > len(places):
            self.list.addItem(f"... and {gone - len(places)} more: see manifest.json")
        self.list.setVisible(gone > 0)

    def clear(self) -> None:
        """Nothing is known."""
        self.title.setText("Noise boxes")
        self.text.setText(EMPTY)
        self.list.clear()
        self.list.hide()
