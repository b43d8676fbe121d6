"""Small images side by side with a caption each: particles across the steps, a crop before and after.

Images are greyscale arrays (n, h, w); contrast is each image's own or common to all. Whole micrographs belong
into app/viewer.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QSizePolicy, QVBoxLayout, QWidget

from app import theme
from app.widgets.labels import card_title, row

GAP = 10


class _Canvas(QWidget):
    """Paints the images as large as they fit, in as many rows as make them largest."""

    def __init__(self, empty: str) -> None:
        super().__init__()
        self._empty = empty
        self.images: list[QImage] = []
        self.labels: list[str] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(360, 170)

    def minimumSizeHint(self) -> QSize:
        return QSize(120, 80)

    def cells(self) -> list[QRectF]:
        """Where each image goes."""
        n = len(self.images)
        if not n:
            return []
        caption = self.fontMetrics().height() + 4
        aspect = self.images[0].width() / max(1, self.images[0].height())
        best, columns = 0.0, n
        for c in range(1, n + 1):
            rows = -(-n // c)
            width = (self.width() - GAP * (c - 1)) / c
            height = (self.height() - GAP * (rows - 1)) / rows - caption
            side = min(width, height * aspect)
            if side > best:
                best, columns = side, c
        width, height = best, best / aspect
        rows = -(-n // columns)
        left = (self.width() - columns * width - GAP * (columns - 1)) / 2
        top = (self.height() - rows * (height + caption) - GAP * (rows - 1)) / 2
        return [
            QRectF(
                left + (i % columns) * (width + GAP),
                top + (i // columns) * (height + caption + GAP),
                width,
                height,
            )
            for i in range(n)
        ]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        if not self.images:
            painter.setPen(theme.colour("muted"))
            flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
            painter.drawText(self.rect(), flags, self._empty)
            return
        cells = self.cells()
        metrics = self.fontMetrics()
        for cell, image, text in zip(cells, self.images, self.labels, strict=True):
            smooth = cell.width() * self.devicePixelRatioF() < image.width() * 4
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
            painter.drawImage(cell, image)
            painter.setPen(theme.colour("border"))
            painter.drawRect(cell)
            painter.setPen(theme.colour("muted"))
            below = QRectF(cell.left(), cell.bottom() + 2, cell.width(), metrics.height() + 2)
            shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(cell.width()))
            painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, shown)


class ImageStrip(QFrame):
    """A titled card with images side by side."""

    def __init__(self, title: str, empty: str, common: bool = False) -> None:
        super().__init__()
        self.setObjectName("card")
        self._array = np.empty((0, 0, 0), np.float32)
        self._labels: list[str] = []
        self._limits: tuple[float, float] | None = None
        self.common = QCheckBox("Common contrast")
        self.common.setToolTip("One grey scale for all images; otherwise each has its own")
        self.common.setChecked(common)
        self.common.toggled.connect(lambda _: self._render())
        self.canvas = _Canvas(empty)
        self.canvas.setAccessibleName(title)
        body = QVBoxLayout(self)
        body.setContentsMargins(12, 8, 12, 10)
        body.setSpacing(4)
        self.title = card_title(title)
        head = row(self.title, self.common)
        head.setStretch(0, 1)
        body.addLayout(head)
        body.addWidget(self.canvas, 1)

    def set_title(self, title: str) -> None:
        """Another heading."""
        self.title.setText(title)
        self.canvas.setAccessibleName(title)

    def set_images(
        self, array: np.ndarray, labels: Sequence[str] = (), limits: tuple[float, float] | None = None
    ) -> None:
        """Show float images (n, h, w) with their captions; `limits`: black and white of all of them."""
        self._limits = limits
        array = np.asarray(array, dtype=np.float32)
        self._array = array[None] if array.ndim == 2 else array
        given = [str(text) for text in labels][: len(self._array)]
        self._labels = given + [""] * (len(self._array) - len(given))
        self._render()

    def clear(self) -> None:
        """Show nothing but the hint."""
        self.set_images(np.empty((0, 0, 0), np.float32))

    def _render(self) -> None:
        from core.images.contrast import auto_levels, to_8bit

        images = []
        levels = self._limits
        if levels is None and self.common.isChecked() and self._array.size:
            levels = auto_levels(self._array)
        for image in self._array:
            black, white = levels or auto_levels(image)
            grey = np.ascontiguousarray(to_8bit(image, black, white))
            height, width = grey.shape
            images.append(QImage(grey.data, width, height, width, QImage.Format.Format_Grayscale8).copy())
        self.canvas.images, self.canvas.labels = images, self._labels
        self.canvas.update()
