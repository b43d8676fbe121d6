"""The gate of a denoised micrograph as a translucent colour over it, and the legend that says what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter

from app.viewer.view_model import ViewModel

if TYPE_CHECKING:
    from core.denoising.recompose import GateMap

LEGEND = "where the network sees particles"
COLOUR = QColor(255, 150, 40)
OPACITY = 0.32  # where the gate is fully open
_SHADE, _INK = QColor(0, 0, 0, 150), QColor(255, 255, 255)


class GateOverlay:
    """Made of a gate map; draws itself in the device pixels of one panel."""

    def __init__(self, gate: GateMap) -> None:
        alpha = np.clip(gate.opening, 0, 1) * (255 * OPACITY)
        height, width = alpha.shape
        self._pixels = np.empty((height, width, 4), np.uint8)  # blue, green, red, alpha: premultiplied
        for channel, value in enumerate((COLOUR.blue(), COLOUR.green(), COLOUR.red(), 255)):
            self._pixels[..., channel] = alpha * (value / 255)
        self._image = QImage(
            self._pixels.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied
        )  # of the array's memory
        left, top = gate.offset_x - 0.5 / gate.scale_x, gate.offset_y - 0.5 / gate.scale_y
        self._area = (left, top, left + width / gate.scale_x, top + height / gate.scale_y)  # px of the micrograph

    def draw(self, painter: QPainter, model: ViewModel) -> None:
        """Over the image, not beyond its edge: the map covers its padding as well."""
        if model.image_shape is None:
            return
        ny, nx = model.image_shape
        whole = QRectF(QPointF(*model.to_screen(*self._area[:2])), QPointF(*model.to_screen(*self._area[2:])))
        inside = QRectF(
            QPointF(*model.to_screen(-0.5, -0.5)), QPointF(*model.to_screen(nx - 0.5, ny - 0.5))
        )  # of the image
        painter.save()
        painter.setClipRect(inside, Qt.ClipOperation.IntersectClip)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(whole, self._image)
        painter.restore()

    def draw_legend(self, painter: QPainter, label: QRect, right: bool, font: QFont, ratio: float) -> QRect:
        """A patch of the colour with its words below a label, ending with it at the `right` or beginning with it."""
        metrics = QFontMetricsF(font)
        pad, side = 5 * ratio, metrics.height() * 0.7
        width, height = side + metrics.horizontalAdvance(LEGEND) + 3 * pad, metrics.height() + pad
        left = label.right() + 1 - width if right else label.left()
        box = QRectF(left, label.bottom() + 1 + 4 * ratio, width, height)
        painter.fillRect(box, _SHADE)
        painter.fillRect(QRectF(box.left() + pad, box.center().y() - side / 2, side, side), COLOUR)
        painter.setFont(font)
        painter.setPen(_INK)
        words = box.adjusted(side + 2 * pad, 0, 0, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, LEGEND)
        return box.toAlignedRect()
