"""What is written over a picture: scale bar, caption, message. All in device pixels; no state."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

from app import theme
from app.viewer.view_model import ViewModel

_SHADE = QColor(0, 0, 0, 150)
_INK = QColor(255, 255, 255)


def device_font(font: QFont, ratio: float, factor: float = 1.0) -> QFont:
    """`font` in device pixels: the painter's scale was taken away."""
    scaled = QFont(font)
    size = font.pointSizeF() if font.pointSizeF() > 0 else 10.0
    scaled.setPixelSize(max(8, round(size * 96 / 72 * ratio * factor)))
    return scaled


def draw_caption(
    painter: QPainter, text: str, corner: QPointF, font: QFont, ratio: float, room: float = math.inf
) -> QRect:
    """White text on a shade, its top left corner at `corner`; returns the rectangle that holds it.

    Text wider than `room` px is wrapped, not cut.
    """
    painter.setFont(font)
    bounds, pad = QFontMetricsF(font).boundingRect(text), 5 * ratio
    flags = int(Qt.AlignmentFlag.AlignCenter)
    if bounds.width() + 2 * pad > room:
        flags = int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeft)
        area = QRectF(0, 0, max(1.0, room - 2 * pad), 1e6)
        bounds = QFontMetricsF(font).boundingRect(area, flags, text)
    box = QRectF(corner.x(), corner.y(), bounds.width() + 2 * pad, bounds.height() + pad)
    painter.fillRect(box, _SHADE)
    painter.setPen(_INK)
    wrapped = flags != int(Qt.AlignmentFlag.AlignCenter)
    painter.drawText(box.adjusted(pad, pad / 2, 0, 0) if wrapped else box, flags, text)
    return box.toAlignedRect()


def draw_scale_bar(
    painter: QPainter, model: ViewModel, pixel_size_a: float | None, panel: QRect, font: QFont, ratio: float
) -> QRect:
    """Bar with its length at the bottom left of `panel`, or the words "pixel size unknown"; returns where."""
    margin, pad = 10 * ratio, 6 * ratio
    text_height = QFontMetricsF(font).height()
    panel = panel.intersected(seen_part(model, panel))
    bar = model.scale_bar(pixel_size_a, min(max(160 * ratio, panel.width() * 0.22), panel.width() * 0.45, 420 * ratio))
    if bar is None:
        top = panel.bottom() - margin - text_height - pad
        return draw_caption(painter, "pixel size unknown", QPointF(panel.left() + margin, top), font, ratio)
    length, text = bar
    width = max(length, QFontMetricsF(font).horizontalAdvance(text)) + 2 * pad
    height = text_height + 4 * ratio + 2 * pad
    box = QRectF(panel.left() + margin, panel.bottom() - margin - height, width, height)
    painter.fillRect(box, _SHADE)
    painter.setFont(font)
    painter.setPen(_INK)
    painter.drawText(box.adjusted(0, pad / 2, 0, 0), Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, text)
    left = box.center().x() - length / 2
    painter.fillRect(QRectF(left, box.bottom() - pad - 4 * ratio, length, 4 * ratio), _INK)
    return box.toAlignedRect()


def seen_part(model: ViewModel, panel: QRect) -> QRect:
    """The part of `panel` that shows the image, no smaller than a scale bar needs."""
    x0, y0, x1, y1 = model.visible_rect()
    left, top = model.to_screen(x0, y0)
    right, bottom = model.to_screen(x1, y1)
    part = QRect(round(left), round(top), round(right - left), round(bottom - top)).translated(panel.topLeft())
    wide_enough = part.width() > panel.width() * 0.25 and part.height() > panel.height() * 0.25
    return part if wide_enough else panel


def draw_message(painter: QPainter, text: str, panel: QRect, font: QFont, over: bool) -> QRect:
    """A sentence in the middle of `panel`: on a shade when a picture is below (`over`); returns where."""
    painter.setFont(font)
    flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
    room = QRectF(panel).adjusted(panel.width() * 0.1, 0, -panel.width() * 0.1, 0)
    bounds = QFontMetricsF(font).boundingRect(room, flags, text).adjusted(-12, -8, 12, 8)
    if over:
        painter.fillRect(bounds, _SHADE)
        painter.setPen(_INK)
    else:
        painter.setPen(theme.colour("on_stage"))
    painter.drawText(room, flags, text)
    return bounds.toAlignedRect()
