"""The legend of a difference: a small bar of its colours with the values at both ends and in the middle."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter

from core.images.colour import Look, colours

_SHADE = QColor(0, 0, 0, 150)
_INK = QColor(255, 255, 255)


def value_text(value: float) -> str:
    """Two digits, with a sign that is wide enough to be seen: "−8500"."""
    return "0" if value == 0 else f"{float(f'{value:.2g}'):+g}".replace("-", "−")


def draw_legend(painter: QPainter, look: Look, panel: QRect, font: QFont, ratio: float) -> QRect:
    """Draw at the bottom right of `panel`; returns where."""
    texts = [value_text(value) for value in (look.black, (look.black + look.white) / 2, look.white)]
    metrics = QFontMetricsF(font)
    pad, margin, high = 6 * ratio, 10 * ratio, 8 * ratio
    widest = max(metrics.horizontalAdvance(text) for text in texts)
    length = max(min(150 * ratio, panel.width() / 3), 3.4 * widest)
    width, height = length + widest + 2 * pad, high + metrics.height() + 3 * ratio + 2 * pad
    box = QRectF(panel.right() - margin - width, panel.bottom() - margin - height, width, height)
    painter.fillRect(box, _SHADE)
    table = colours(look.lut, look.gamma, look.invert)
    image = QImage(table.tobytes(), 256, 1, 1024, QImage.Format.Format_RGB32)
    bar = QRectF(box.left() + pad + widest / 2, box.top() + pad, length, high)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.drawImage(bar, image)
    painter.setFont(font)
    painter.setPen(_INK)
    for part, text in zip((0.0, 0.5, 1.0), texts, strict=True):
        middle = QPointF(bar.left() + part * length, bar.bottom())
        painter.fillRect(QRectF(middle.x() - ratio / 2, middle.y(), max(1.0, ratio), 3 * ratio), _INK)
        room = QRectF(middle.x() - widest, middle.y() + 3 * ratio, 2 * widest, metrics.height())
        painter.drawText(room, Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop, text)
    return box.toAlignedRect()
