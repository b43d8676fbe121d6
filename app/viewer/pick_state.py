"""The marks of many micrographs as they are now, and where they are. No Qt, no files; picks.py changes them.

x = column, y = row in pixels; a position is a centre.
"""

from __future__ import annotations

import numpy as np

from app.viewer.pick_steps import NO_INDEX, PointStore

Areas = tuple[np.ndarray, ...]  # polygons (m, 2), read-only


def is_area(polygon: np.ndarray) -> bool:
    """Whether (m, 2) corners enclose something: three or more, all finite, not on one line."""
    if len(polygon) < 3 or not np.isfinite(polygon).all():
        return False
    sides = polygon[1:] - polygon[0]
    longest = sides[np.argmax((sides**2).sum(axis=1))]
    return bool((sides[:, 0] * longest[1] != sides[:, 1] * longest[0]).any())


class Picked:
    """Positions, excluded areas and "no noise here", by micrograph name; `selected` are rows of `selected_on`."""

    def __init__(self) -> None:
        self._store = PointStore()
        self._areas: dict[str, Areas] = {}
        self._empty: set[str] = set()
        self.selected_on = ""
        self.selected = NO_INDEX

    def positions(self, name: str) -> np.ndarray:
        """(n, 2) float64 copy of the x, y of one micrograph."""
        return self._store.get(name).copy()

    def view(self, name: str) -> np.ndarray:
        """(n, 2) float64, read-only and not copied: later changes do not show in it."""
        return self._store.get(name)

    def areas(self, name: str) -> Areas:
        """Excluded areas of one micrograph: polygons (m, 2) of x, y."""
        return self._areas.get(name, ())

    def is_empty(self, name: str) -> bool:
        """Whether the micrograph is ticked: it holds no noise on purpose."""
        return name in self._empty

    def count(self, name: str) -> int:
        """Number of positions on one micrograph."""
        return len(self._store.get(name))

    def total(self) -> int:
        """Number of positions on all micrographs."""
        return sum(len(points) for points in self._store.points.values())

    def names(self) -> list[str]:
        """Micrographs that have positions."""
        return [name for name, points in self._store.points.items() if len(points)]

    def as_dict(self) -> dict[str, np.ndarray]:
        """All positions by micrograph (read-only, safe to hand to a thread); those without any are left out."""
        return {name: self._store.get(name) for name in self.names()}

    def all_areas(self) -> dict[str, Areas]:
        """All excluded areas, by micrograph."""
        return {name: areas for name, areas in self._areas.items() if areas}

    def all_empty(self) -> set[str]:
        """The micrographs ticked "no noise here"."""
        return set(self._empty)

    def nearest(self, name: str, x: float, y: float, radius: float) -> int | None:
        """Index of the nearest position whose square of half-side `radius` holds (x, y)."""
        points = self._store.get(name)
        if not len(points):
            return None
        near = np.flatnonzero(np.abs(points[:, 0] - x) <= radius)  # column by column: asked at every mouse move
        near = near[np.abs(points[near, 1] - y) <= radius]
        if not len(near):
            return None
        return int(near[np.argmin(np.hypot(*(points[near] - (x, y)).T))])

    def within(self, name: str, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        """Indices (k,) of the positions in a rectangle, its corners in any order."""
        points = self._store.get(name)
        low, high = np.minimum((x0, y0), (x1, y1)), np.maximum((x0, y0), (x1, y1))
        return np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))

    def along(self, name: str, start: tuple[float, float], end: tuple[float, float], radius: float) -> np.ndarray:
        """Indices (k,) of the positions no farther than `radius` from the line between two points."""
        points, a = self._store.get(name), np.asarray(start, float)
        line = np.asarray(end, float) - a
        length = float(line @ line)
        t = np.clip((points - a) @ line / length, 0, 1) if length else np.zeros(len(points))
        return np.flatnonzero(np.hypot(*(points - a - t[:, None] * line).T) <= radius)

    def selection(self, name: str) -> np.ndarray:
        """Selected rows (k,) of one micrograph, ascending."""
        return self.selected if name == self.selected_on else NO_INDEX
