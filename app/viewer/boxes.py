"""Marks on a micrograph: squares, circles and dashed squares around positions. Which marks exist is decided elsewhere.

Colours can be told apart by colour-blind people, and shapes say the same again: noise is a red box, a
particle a blue circle, a selected box yellow and thicker, a refused patch grey and dashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PySide6.QtCore import QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPixmap, QPixmapCache
from shiboken6 import Shiboken

from app.viewer.view_model import ViewModel

NOISE_COLOUR = "#e8432e"
PARTICLE_COLOUR = "#36b3ff"
SELECTED_COLOUR = "#ffe14d"
REFUSED_COLOUR = "#c9ced6"
SHAPES = ("box", "circle", "dashed")
_SHADE = QColor(0, 0, 0, 110)
_DOT_BELOW = 3.0  # logical px: marks smaller than this on the screen are drawn as dots of this size
# Device px: smaller marks are copies of one little picture, larger ones are drawn. Curves cost most to draw.
_STAMP_BELOW = {"box": 256, "dashed": 256, "circle": 1024}


@dataclass(frozen=True, eq=False)
class BoxLayer:
    """Marks of one kind. `centres` (n, 2): x, y in image pixels; `size`: side or diameter in image pixels.

    `selected` (k,) are rows drawn in another colour and thicker; `notes` says something about each row.
    """

    centres: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    size: float = 64.0
    colour: str = NOISE_COLOUR
    shape: str = "box"  # or "circle", "dashed"
    name: str = ""
    visible: bool = True
    width: float = 1.6  # of the line, in logical pixels
    selected: np.ndarray | None = None
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"shape must be one of {', '.join(SHAPES)}, not {self.shape}")
        centres = np.asarray(self.centres, dtype=np.float64).reshape(-1, 2)
        object.__setattr__(self, "centres", centres)

    def seen(self, model: ViewModel) -> np.ndarray:
        """The centres (m, 2) whose marks touch the visible part of the image."""
        return self.centres[self._inside(*model.visible_rect())]

    def _inside(self, x0: float, y0: float, x1: float, y1: float, margin: float = 0.0) -> np.ndarray:
        half = self.size / 2 + margin
        x, y = self.centres[:, 0], self.centres[:, 1]
        return (x >= x0 - half) & (x <= x1 + half) & (y >= y0 - half) & (y <= y1 + half)

    def note_at(self, x: float, y: float) -> str:
        """What is said about the nearest mark whose square holds (x, y); "" when there is none."""
        if not self.visible or not len(self.notes):
            return ""
        offsets = np.abs(self.centres - (x, y)).max(axis=1)
        nearest = int(np.argmin(offsets)) if len(offsets) else 0
        return self.notes[nearest] if len(offsets) and offsets[nearest] <= self.size / 2 else ""

    def draw(self, painter: QPainter, model: ViewModel, ratio: float, exposed: QRect) -> None:
        """Draw the marks that touch the exposed part."""
        side = round(max(self.size * model.zoom, _DOT_BELOW * ratio))
        wide = 2 * self.width + 4  # logical px that lines and their shade reach beyond the side
        x0, y0 = model.to_image(exposed.left() - wide * ratio, exposed.top() - wide * ratio)
        x1, y1 = model.to_image(exposed.right() + 1 + wide * ratio, exposed.bottom() + 1 + wide * ratio)
        inside = self._inside(x0, y0, x1, y1, _DOT_BELOW * ratio / model.zoom)
        plain = inside
        if self.selected is not None and len(self.selected):
            chosen = np.zeros(len(inside), dtype=bool)
            chosen[self.selected] = True
            plain, chosen = inside & ~chosen, inside & chosen
            self._marks(painter, model, ratio, plain, side, self.colour, self.width)
            self._marks(painter, model, ratio, chosen, side, SELECTED_COLOUR, 2 * self.width)
        else:
            self._marks(painter, model, ratio, plain, side, self.colour, self.width)

    def _marks(
        self, painter: QPainter, model: ViewModel, ratio: float, which: np.ndarray, side: int, colour: str, width: float
    ) -> None:
        centres = self.centres[which]
        if not len(centres):
            return
        # Rounded from the image's corner, which is on a whole device pixel: a pan moves every mark exactly.
        corners = np.floor((centres + 0.5) * model.zoom + 0.5) - side // 2 + model.origin
        line, shade = _pen(width, ratio), _pen(width + 2, ratio)
        if side <= _STAMP_BELOW[self.shape]:
            margin = (shade + 1) // 2
            _copy(painter, corners, _stamp(self.shape, side, colour, line, shade, margin), margin)
        else:
            _draw(painter, self.shape, corners, side, _SHADE, shade)
            _draw(painter, self.shape, corners, side, QColor(colour), line)


def draw_layers(painter: QPainter, model: ViewModel, layers: Sequence[BoxLayer], ratio: float) -> None:
    """Draw the visible layers, the last on top; the painter is in device pixels, `ratio` of them to a logical one."""
    exposed = exposed_part(painter, model)
    for layer in layers:
        if layer.visible and len(layer.centres):
            layer.draw(painter, model, ratio, exposed)


def exposed_part(painter: QPainter, model: ViewModel) -> QRect:
    """What of the panel needs painting, in its device pixels: a strip after scrolling, if the painter is clipped."""
    panel = QRect(0, 0, *model.viewport)
    return painter.clipBoundingRect().toAlignedRect() & panel if painter.hasClipping() else panel


def _pen(width: float, ratio: float) -> int:
    """Whole device pixels: straight lines stay crisp and equally thick on all sides."""
    return max(1, round(width * ratio))


def _stamp(shape: str, side: int, colour: str, line: int, shade: int, margin: int) -> QPixmap:
    """A little picture of one mark with its shade; Qt's own cache keeps it."""
    key = f"vitreous-mark-{shape}-{side}-{colour}-{line}-{shade}"
    stamp = QPixmap()
    if QPixmapCache.find(key, stamp):
        return stamp
    stamp = QPixmap(side + 2 * margin, side + 2 * margin)
    stamp.fill(Qt.GlobalColor.transparent)
    painter = QPainter(stamp)
    corner = np.full((1, 2), float(margin))
    _draw(painter, shape, corner, side, _SHADE, shade)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
    _draw(painter, shape, corner, side, QColor(colour), line)
    painter.end()
    QPixmapCache.insert(key, stamp)
    return stamp


def _copy(painter: QPainter, corners: np.ndarray, stamp: QPixmap, margin: int) -> None:
    """Copy the stamp to every corner (n, 2) in one call: 20,000 Python rectangles would cost more than painting."""
    fragments = np.zeros((len(corners), 10))  # memory layout of QPainter::PixmapFragment
    fragments[:, :2] = corners - margin + stamp.width() / 2  # centre on the screen
    fragments[:, 4:6] = stamp.width()
    fragments[:, 6:8] = fragments[:, 9] = 1.0  # scale, opacity
    first: Any = Shiboken.wrapInstance(fragments.ctypes.data, QPainter.PixmapFragment)
    painter.drawPixmapFragments(first, len(fragments), stamp)


def _draw(painter: QPainter, shape: str, corners: np.ndarray, side: int, colour: QColor, width: int) -> None:
    """Draw outlines with their top left corners at `corners` (n, 2), whole device pixels."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, shape == "circle")
    if shape == "box":
        bars = _bars(corners.astype(np.int32), side, width)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        first: Any = Shiboken.wrapInstance(bars.ctypes.data, QRect)
        painter.drawRects(first, len(bars))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        return
    pen = QPen(colour)
    pen.setWidthF(width)
    if shape == "dashed" and colour != _SHADE:
        pen.setDashPattern([3, 2])
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for x, y in corners.tolist():
        rect = QRectF(x, y, side, side)
        if shape == "circle":
            painter.drawEllipse(rect)
        else:
            painter.drawRect(rect)


def _bars(corners: np.ndarray, side: int, width: int) -> np.ndarray:
    """The four sides of each square as filled rectangles: int32 (4 n, 4) left, top, right, bottom (included).

    Thick lines are slow to stroke; filled rectangles without rotation are the fastest thing there is.
    """
    left, top = corners[:, 0] - width // 2, corners[:, 1] - width // 2
    right, bottom = left + side, top + side
    last = width - 1
    inner = max(bottom[0] - top[0] - width, 0) if len(top) else 0
    bars = np.empty((len(corners), 4, 4), dtype=np.int32)
    bars[:, 0] = np.stack([left, top, right + last, top + last], axis=1)
    bars[:, 1] = np.stack([left, bottom, right + last, bottom + last], axis=1)
    bars[:, 2] = np.stack([left, top + width, left + last, top + width + inner - 1], axis=1)
    bars[:, 3] = np.stack([right, top + width, right + last, top + width + inner - 1], axis=1)
    return bars.reshape(-1, 4)
