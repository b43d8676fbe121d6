"""Parts of the trust panel: one check as a row that opens, and a row of pictures with their titles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app import theme
from app.widgets.labels import ElidedLabel, column, label
from core.denoising.trust_files import Picture, value_text
from core.images.contrast import ordered, to_8bit

ROLES = {"green": "good", "amber": "warning", "red": "error", "info": "muted"}
SIGNS = {"green": "●", "amber": "▲", "red": "■", "info": "○"}  # colour is never the only sign


def light_text(verdict: str) -> str:
    """Sign and word of a colour."""
    return f"{SIGNS[verdict]} {verdict}"


class CheckRow(QFrame):
    """Light, title, value and reason of one check; a button opens its numbers."""

    def __init__(self, check: Mapping[str, Any]) -> None:
        super().__init__()
        self.key = str(check["key"])
        self.light = label(light_text(check["verdict"]), ROLES[check["verdict"]])
        self.light.setMinimumWidth(self.fontMetrics().horizontalAdvance("▲ amber  "))
        self.title = label(str(check["title"]), "heading", wrap=True)
        self.value = label(value_text(check["value"], check["unit"]))
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        self.reason = label(str(check["reason"]), "muted", wrap=True)
        self.numbers = _numbers(check["numbers"])
        self.numbers.hide()
        self.opener = QToolButton()
        self.opener.setArrowType(Qt.ArrowType.RightArrow)
        self.opener.setCheckable(True)
        self.opener.setToolTip("All numbers of this check")
        self.opener.setAccessibleName(f"All numbers of {check['title']}")
        self.opener.setEnabled(bool(check["numbers"]))
        self.opener.toggled.connect(self._open)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 4, 0, 6)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(2)
        top = Qt.AlignmentFlag.AlignTop
        grid.addWidget(self.opener, 0, 0, 2, 1, top)
        grid.addWidget(self.light, 0, 1, top)
        grid.addWidget(self.title, 0, 2, top)
        grid.addWidget(self.value, 0, 3, top)
        grid.addWidget(self.reason, 1, 2, 1, 2)
        grid.addWidget(self.numbers, 2, 2, 1, 2)
        grid.setColumnStretch(2, 1)

    def _open(self, opened: bool) -> None:
        self.opener.setArrowType(Qt.ArrowType.DownArrow if opened else Qt.ArrowType.RightArrow)
        self.numbers.setVisible(opened)


def _numbers(numbers: Sequence[Mapping[str, Any]]) -> QWidget:
    whole = QWidget()
    grid = QGridLayout(whole)
    grid.setContentsMargins(0, 4, 0, 4)
    grid.setVerticalSpacing(1)
    grid.setColumnStretch(0, 1)
    for i, number in enumerate(numbers):
        grid.addWidget(label(str(number["label"]), "muted", wrap=True), i, 0)
        value = label(value_text(number["value"], number["unit"]))
        value.setAlignment(Qt.AlignmentFlag.AlignRight)
        grid.addWidget(value, i, 1)
    return whole


class PictureView(QWidget):
    """One picture, scaled into the room there is, its shape kept."""

    def __init__(self, picture: Picture) -> None:
        super().__init__()
        grey = np.ascontiguousarray(to_8bit(picture.image, *ordered(*picture.levels)))
        height, width = grey.shape
        self.image = QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
        self.setAccessibleName(picture.title)
        self.setToolTip(picture.title)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def heightForWidth(self, width: int) -> int:
        return round(width * self.image.height() / max(self.image.width(), 1))

    def sizeHint(self) -> QSize:
        side = self.fontMetrics().averageCharWidth() * 30
        return QSize(side, self.heightForWidth(side))

    def minimumSizeHint(self) -> QSize:
        side = self.fontMetrics().averageCharWidth() * 10
        return QSize(side, self.heightForWidth(side))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.stage())
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        size = self.image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        corner = QRectF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2, 0, 0).topLeft()
        painter.drawImage(QRectF(corner.x(), corner.y(), size.width(), size.height()), self.image)


class PictureRow(QWidget):
    """The pictures of one group side by side, each with its title below."""

    def __init__(self) -> None:
        super().__init__()
        self.views: list[PictureView] = []
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(0, 0, 0, 0)
        self._row.setSpacing(8)

    def set_pictures(self, pictures: Sequence[Picture]) -> None:
        """Show these instead of the ones before."""
        while self._row.count():
            item = self._row.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        self.views = [PictureView(p) for p in pictures]
        for view, picture in zip(self.views, pictures, strict=True):
            holder = QWidget()
            title: QLabel = ElidedLabel(picture.title)
            theme.set_state(title, "role", "muted")
            inside: QVBoxLayout = column(view, title, spacing=2)
            inside.addStretch(1)
            holder.setLayout(inside)
            self._row.addWidget(holder, 1)
