"""The corners of a polygon that is being drawn: gestures.py feeds it clicks and keys."""

from __future__ import annotations

import math

from PySide6.QtCore import QObject, Signal

Point = tuple[float, float]


class PolygonTool(QObject):
    """Corners in image pixels; nothing is painted here."""

    changed = Signal(object, object)  # list of (x, y), and the pointer's (x, y) or None
    closed = Signal(object)  # list of three or more (x, y)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.corners: list[Point] = []

    def add(self, x: float, y: float, near: float) -> None:
        """Another corner; one within `near` px of the first closes the polygon."""
        if len(self.corners) > 2 and math.dist(self.corners[0], (x, y)) <= near:
            self.close()
            return
        self.corners.append((x, y))
        self.changed.emit(list(self.corners), None)

    def hover(self, x: float, y: float) -> None:
        """The pointer moved: the next line would go there."""
        if self.corners:
            self.changed.emit(list(self.corners), (x, y))

    def back(self) -> None:
        """Take the last corner away."""
        if self.corners:
            self.corners.pop()
            self.changed.emit(list(self.corners), None)

    def close(self) -> None:
        """The polygon is complete; fewer than three corners are none."""
        corners, self.corners = self.corners, []
        self.changed.emit([], None)
        if len(set(corners)) > 2:
            self.closed.emit(corners)

    def cancel(self) -> bool:
        """Forget the corners; False when there were none."""
        had = bool(self.corners)
        self.corners = []
        if had:
            self.changed.emit([], None)
        return had
