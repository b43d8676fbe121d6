"""Painting over a picture that is saved: names and labels, scale bar, marks. On QImages, in any thread.

Which of them, and writing the file, is export.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRect, Qt
from PySide6.QtGui import QFont, QFontMetricsF, QImage, QPainter

from app.viewer.boxes import BoxLayer, draw_layers
from app.viewer.decorations import device_font, draw_caption, draw_scale_bar
from app.viewer.view_model import ViewModel
from core.images.pyramid import Pyramid

TEXT_OF = 900  # px of picture for text of ordinary size: a saved picture is looked at as a whole


def level_shape(pyramid: Pyramid) -> tuple[int, int]:
    """(ny, nx) of the whole image as it is saved: a filtered picture has no finer level to show."""
    return pyramid.levels[0].shape[0], pyramid.levels[0].shape[1]


def with_captions(image: QImage, lines: Sequence[str], font: QFont, ratio: float = 1.0) -> QImage:
    """A copy of the picture with lines of text at its top right; `ratio`: its pixels per logical pixel."""
    ratio = max(ratio, image.devicePixelRatio())
    result = image.convertToFormat(QImage.Format.Format_RGB32)
    result.setDevicePixelRatio(1.0)
    if result.cacheKey() == image.cacheKey():
        result = result.copy()
    painter = QPainter(result)
    try:
        draw_lines(painter, lines, result.width(), device_font(font, ratio))
    finally:
        painter.end()
    return result


def draw_lines(painter: QPainter, lines: Sequence[str], width: int, font: QFont) -> None:
    """Captions below each other at the top right of a picture `width` px wide."""
    metrics = QFontMetricsF(font)
    ratio = metrics.height() / 18
    margin = 8 * ratio
    top = margin
    for line in lines:
        text = metrics.elidedText(line, Qt.TextElideMode.ElideMiddle, max(1.0, width - 2 * margin - 10 * ratio))
        room = metrics.boundingRect(text).width() + 10 * ratio
        box = draw_caption(painter, text, QPointF(width - margin - room, top), font, ratio)
        top = box.bottom() + 1


def pixels_of(image: QImage) -> np.ndarray:
    """A copy (h, w) of a Grayscale8 image, or (h, w, 3) of any other as red, green, blue."""
    grey = image.format() == QImage.Format.Format_Grayscale8
    image = image if grey else image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    pixels = rows[:, : image.width() * (1 if grey else 3)].copy()
    return pixels if grey else pixels.reshape(image.height(), image.width(), 3)


def image_of(pixels: np.ndarray) -> QImage:
    """A QImage of its own memory from uint8 (h, w) or (h, w, 3); RGB32 where there is colour: painting is faster."""
    pixels = np.ascontiguousarray(pixels)
    grey = pixels.ndim == 2
    kind = QImage.Format.Format_Grayscale8 if grey else QImage.Format.Format_RGB888
    image = QImage(pixels.data, pixels.shape[1], pixels.shape[0], pixels.strides[0], kind)
    return image.copy() if grey else image.convertToFormat(QImage.Format.Format_RGB32)


class Overlay:
    """What is painted over the rows of a whole image: marks, scale bar, names."""

    def __init__(
        self,
        pyramid: Pyramid,
        layers: Sequence[BoxLayer],
        scale_pixel_a: float | None,  # Angstrom per image pixel; None: no scale bar
        lines: Sequence[str],  # at the top right
        font: QFont,
    ) -> None:
        self._height, self._width = level_shape(pyramid)
        zoom = 2.0**-pyramid.finest
        self.ratio = max(1.0, max(self._width, self._height) / TEXT_OF)
        self.model = ViewModel()  # an image position on it is a position on the saved picture
        self.model.image_shape, self.model.viewport = pyramid.shape, (self._width, self._height)
        self.model.zoom = zoom
        self.model.centre = (self._width / 2 / zoom - 0.5, self._height / 2 / zoom - 0.5)
        self.layers = [layer for layer in layers if layer.visible and len(layer.centres)]
        self._pixel, self._lines = scale_pixel_a, lines
        self._font = device_font(font, self.ratio)

    @property
    def bar_fits(self) -> bool:
        """Whether scale bar and its words take at most half of the width."""
        panel = QRect(0, 0, self._width, self._height)
        probe = QImage(1, 1, QImage.Format.Format_RGB32)
        painter = QPainter(probe)
        try:
            box = draw_scale_bar(painter, self.model, self._pixel, panel, self._font, self.ratio)
        finally:
            painter.end()
        return 2 * box.width() <= self._width

    def over(self, rows: np.ndarray, top: int) -> np.ndarray:
        """The rows from `top` on, uint8 (n, w) or (n, w, 3), with what is painted over them."""
        layers = self._layers_at(top, top + len(rows))
        text = QFontMetricsF(self._font).height() * 1.4
        head = (len(self._lines) + 1) * text if self._lines else 0
        foot = self._height - 3 * text - 20 * self.ratio if self._pixel else self._height
        if not layers and top >= head and top + len(rows) <= foot:
            return rows
        image = image_of(rows)
        painter = QPainter(image)
        try:
            painter.translate(0, -top)
            self._paint(painter, layers)
        finally:
            painter.end()
        return pixels_of(image)

    def _layers_at(self, top: int, bottom: int) -> list[BoxLayer]:
        """The marks that reach into some rows."""
        zoom, found = self.model.zoom, []
        for layer in self.layers:
            y, reach = layer.centres[:, 1] * zoom, layer.size * zoom / 2 + (layer.width + 4) * self.ratio
            near = (y > top - reach) & (y < bottom + reach)
            if near.any():
                found.append(dataclasses.replace(layer, centres=layer.centres[near]))
        return found

    def _paint(self, painter: QPainter, layers: Sequence[BoxLayer]) -> None:
        draw_layers(painter, self.model, layers, self.ratio)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        panel = QRect(0, 0, self._width, self._height)
        if self._pixel:
            draw_scale_bar(painter, self.model, self._pixel, panel, self._font, self.ratio)
        draw_lines(painter, self._lines, self._width, self._font)
