"""Excluded areas, the polygon being drawn and the frame of a selection, drawn over a micrograph.

Overlays: each draws itself with (painter, model, ratio) in device pixels of the panel. What an area means is decided
elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPen, QPolygonF

from app.viewer.boxes import SELECTED_COLOUR, exposed_part
from app.viewer.view_model import ViewModel

EXCLUDED_COLOUR = "#d883b7"
_SHADE = QColor(0, 0, 0, 150)
_CORNER = 3  # logical px from the middle of a corner's square to its side


@dataclass(frozen=True, eq=False)
class AreaLayer:
    """Hatched polygons (m, 2), x, y in image pixels."""

    polygons: Sequence[np.ndarray] = ()
    colour: str = EXCLUDED_COLOUR
    name: str = "Excluded areas"
    visible: bool = True

    def draw(self, painter: QPainter, model: ViewModel, ratio: float) -> None:
        """Draw the polygons; the hatching sticks to the image."""
        if not self.visible or not self.polygons:
            return
        exposed = exposed_part(painter, model)
        tint, hatch = QColor(self.colour), QColor(self.colour)
        tint.setAlpha(46)
        hatch.setAlpha(150)
        painter.save()
        painter.setClipRect(exposed, Qt.ClipOperation.IntersectClip)  # hatching all that is off screen is slow
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrushOrigin(QPoint(*model.origin))
        for polygon in self.polygons:
            shape = _on_screen(polygon, model)
            if not shape.boundingRect().intersects(QRectF(exposed)):
                continue
            painter.setPen(Qt.PenStyle.NoPen)
            for brush in (QBrush(tint), QBrush(hatch, Qt.BrushStyle.BDiagPattern)):
                painter.setBrush(brush)
                painter.drawPolygon(shape, Qt.FillRule.OddEvenFill)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for pen in (QPen(_SHADE, 4 * ratio), QPen(QColor(self.colour), 2 * ratio)):
                painter.setPen(pen)
                painter.drawPolygon(shape)
        painter.restore()


@dataclass(frozen=True, eq=False)
class SketchLayer:
    """What is being drawn just now: a line of corners (to the pointer), or a frame (x0, y0, x1, y1)."""

    corners: Sequence[tuple[float, float]] = ()
    pointer: tuple[float, float] | None = None
    frame: tuple[float, float, float, float] | None = None
    name: str = "Sketch"

    @property
    def visible(self) -> bool:
        """Whether there is anything."""
        return bool(self.corners) or self.frame is not None

    def draw(self, painter: QPainter, model: ViewModel, ratio: float) -> None:
        """Draw lines, corners and the frame."""
        if not self.visible:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.corners:
            ends = [*self.corners, *([self.pointer] if self.pointer is not None else [])]
            line = _on_screen(np.array(ends, dtype=float), model)
            for pen in (QPen(_SHADE, 4 * ratio), QPen(QColor(EXCLUDED_COLOUR), 2 * ratio)):
                painter.setPen(pen)
                painter.drawPolyline(line)
            half = _CORNER * ratio
            for point in line.toList()[: len(self.corners)]:
                painter.fillRect(QRectF(point - QPointF(half, half), point + QPointF(half, half)), Qt.GlobalColor.white)
        if self.frame is not None:
            points = _on_screen(np.array(self.frame, dtype=float).reshape(2, 2), model)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            rect = QRectF(points.at(0), points.at(1)).normalized()
            painter.setPen(QPen(_SHADE, 3 * ratio))
            painter.drawRect(rect)
            painter.setPen(QPen(QColor(SELECTED_COLOUR), ratio, Qt.PenStyle.DashLine))
            painter.drawRect(rect)
        painter.restore()


def _on_screen(points: np.ndarray, model: ViewModel) -> QPolygonF:
    """Image positions (n, 2) -> device pixels of the panel, whole ones counted from the image's corner."""
    places = np.floor((points + 0.5) * model.zoom + 0.5) + model.origin
    return QPolygonF([QPointF(x, y) for x, y in places.tolist()])
