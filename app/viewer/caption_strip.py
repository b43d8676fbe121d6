"""A strip of words below a picture that leaves the window: nothing is cut, nothing is painted over the picture.

For maps, whose labels are long and whose pictures may be small. Words over a picture are export_paint.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QFont, QFontMetrics, QImage, QPainter

from app.viewer.decorations import device_font

LEAST_PX = 10  # height of letters that can still be read
_PAPER, _INK = 0xFFFFFFFF, Qt.GlobalColor.black
_ENDLESS = 1 << 20
_FLAGS = int(Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)


def caption_strip(lines: Sequence[str], width: int, font: QFont, ratio: float = 1.0) -> QImage | None:
    """Black words on white, wrapped to `width` px; None without words. RGB32.

    Letters shrink to LEAST_PX where the longest word has no room; a strip is wider than `width` only when that is not
    enough. `ratio`: pixels of the picture per logical pixel.
    """
    text = "\n".join(line for line in lines if line)
    if not text:
        return None
    font, pad = device_font(font, ratio), max(2, round(4 * ratio))
    words = text.split()
    while _longest(words, font) > width - 2 * pad and font.pixelSize() > LEAST_PX:
        font.setPixelSize(font.pixelSize() - 1)
    room = max(width - 2 * pad, _longest(words, font))
    bounds = QFontMetrics(font).boundingRect(QRect(0, 0, room, _ENDLESS), _FLAGS, text)
    strip = QImage(max(width, room + 2 * pad), bounds.height() + 2 * pad, QImage.Format.Format_RGB32)
    strip.fill(_PAPER)
    painter = QPainter(strip)
    try:
        painter.setFont(font)
        painter.setPen(_INK)
        painter.drawText(QRect(pad, pad, room, bounds.height()), _FLAGS, text)
    finally:
        painter.end()
    return strip


def _longest(words: Sequence[str], font: QFont) -> int:
    metrics = QFontMetrics(font)
    return max(metrics.horizontalAdvance(word) for word in words) + 2


def with_strip(image: QImage, lines: Sequence[str], font: QFont, ratio: float = 1.0) -> QImage:
    """The picture, untouched at the top left, with a strip below it."""
    ratio = max(ratio, image.devicePixelRatio())
    strip = caption_strip(lines, image.width(), font, ratio)
    if strip is None:
        return image
    whole = QImage(strip.width(), image.height() + strip.height(), QImage.Format.Format_RGB32)
    whole.fill(_PAPER)
    picture = image.copy()
    picture.setDevicePixelRatio(1.0)
    painter = QPainter(whole)
    try:
        painter.drawImage(0, 0, picture)
        painter.drawImage(0, image.height(), strip)
    finally:
        painter.end()
    return whole
