"""Marks on a micrograph: squares and circles around positions. Which marks exist is decided elsewhere.

Colours can be told apart by colour-blind people, and shapes say the same again: noise is a red box, a
particle a blue circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter, QPen

from app.viewer.view_model import ViewModel

NOISE_COLOUR = "#e8432e"
PARTICLE_COLOUR = "#36b3ff"
_DOT_BELOW = 3.0  # marks smaller than this on the screen are drawn as dots of this size


@dataclass(frozen=True, eq=False)
class BoxLayer:
    """Marks of one kind. `centres` (n, 2): x, y in image pixels; `size`: side or diameter in image pixels."""

    centres: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    size: float = 64.0
    colour: str = NOISE_COLOUR
    shape: str = "box"  # or "circle"
    name: str = ""
    visible: bool = True
    width: float = 1.6  # of the line, in logical pixels

    def __post_init__(self) -> None:
        if self.shape not in ("box", "circle"):
            raise ValueError(f"shape must be box or circle, not {self.shape}")
        centres = np.asarray(self.centres, dtype=np.float64).reshape(-1, 2)
        object.__setattr__(self, "centres", centres)

    def seen(self, model: ViewModel) -> np.ndarray:
        """The centres (m, 2) whose marks touch the visible part of the image."""
        x0, y0, x1, y1 = model.visible_rect()
        half = self.size / 2
        x, y = self.centres[:, 0], self.centres[:, 1]
        inside = (x >= x0 - half) & (x <= x1 + half) & (y >= y0 - half) & (y <= y1 + half)
        return self.centres[inside]


def draw_layers(painter: QPainter, model: ViewModel, layers: Sequence[BoxLayer], ratio: float) -> None:
    """Draw the visible marks; the painter works in device pixels, `ratio` of them to a logical pixel."""
    for layer in layers:
        if not layer.visible or not len(layer.centres):
            continue
        side = max(layer.size * model.zoom, _DOT_BELOW * ratio)
        left, top = model.origin
        corners = np.rint((layer.seen(model) + 0.5) * model.zoom + (left, top) - side / 2)
        side = round(side)
        rects = [QRectF(x, y, side, side) for x, y in corners.tolist()]
        _stroke(painter, layer, rects, QColor(0, 0, 0, 110), _pen(layer.width + 2, ratio))
        _stroke(painter, layer, rects, QColor(layer.colour), _pen(layer.width, ratio))


def _pen(width: float, ratio: float) -> float:
    """Whole device pixels: straight lines stay crisp and equally thick on all sides."""
    return max(1.0, round(width * ratio))


def _stroke(painter: QPainter, layer: BoxLayer, rects: list[QRectF], colour: QColor, width: float) -> None:
    pen = QPen(colour)
    pen.setWidthF(width)
    painter.setPen(pen)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, layer.shape == "circle")
    if layer.shape == "box":
        painter.drawRects(rects)
    else:
        for rect in rects:
            painter.drawEllipse(rect)
