"""Positions picked on micrographs, by micrograph name, with undo and redo. No Qt, no files.

x = column, y = row in pixels; a position is a centre. Reading and writing them is core/io's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

UNDO_STEPS = 1000
_EMPTY = np.zeros((0, 2))


@dataclass(frozen=True)
class _Edit:
    """Positions of the touched micrographs before and after one step."""

    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return next(iter(self.after)) if len(self.after) == 1 else ""


class PickList:
    """Editable positions of many micrographs. Arrays are replaced, never changed in place."""

    def __init__(self) -> None:
        self._positions: dict[str, np.ndarray] = {}
        self._undo: list[_Edit] = []
        self._redo: list[_Edit] = []
        self._listeners: list[Callable[[str], None]] = []
        self._dirty = False

    # -- reading ------------------------------------------------------------------------------------------

    def positions(self, name: str) -> np.ndarray:
        """(n, 2) float64 copy of the x, y of one micrograph."""
        return self._positions.get(name, _EMPTY).copy()

    def count(self, name: str) -> int:
        """Number of positions on one micrograph."""
        return len(self._positions.get(name, _EMPTY))

    def total(self) -> int:
        """Number of positions on all micrographs."""
        return sum(len(points) for points in self._positions.values())

    def names(self) -> list[str]:
        """Micrographs that have positions."""
        return [name for name, points in self._positions.items() if len(points)]

    def as_dict(self) -> dict[str, np.ndarray]:
        """Copies of all positions, by micrograph; those without any are left out."""
        return {name: self._positions[name].copy() for name in self.names()}

    def nearest(self, name: str, x: float, y: float, radius: float) -> int | None:
        """Index of the nearest position whose square of half-side `radius` holds (x, y)."""
        points = self._positions.get(name, _EMPTY)
        if not len(points):
            return None
        offsets = points - (x, y)
        hit = np.flatnonzero(np.abs(offsets).max(axis=1) <= radius)
        if not len(hit):
            return None
        return int(hit[np.argmin(np.hypot(*offsets[hit].T))])

    # -- editing ------------------------------------------------------------------------------------------

    def add(self, name: str, x: float, y: float) -> None:
        """Append one position."""
        self._edit({name: np.vstack([self._positions.get(name, _EMPTY), [[x, y]]])})

    def remove_near(self, name: str, x: float, y: float, radius: float) -> bool:
        """Delete the nearest position within `radius` (see `nearest`); False when there is none."""
        index = self.nearest(name, x, y, radius)
        if index is None:
            return False
        self._edit({name: np.delete(self._positions[name], index, axis=0)})
        return True

    def move(self, name: str, index: int, x: float, y: float) -> None:
        """Put position `index` at (x, y)."""
        points = self._positions[name].copy()
        points[index] = (x, y)
        self._edit({name: points})

    def clear(self, name: str) -> None:
        """Delete all positions of one micrograph."""
        if self.count(name):
            self._edit({name: _EMPTY})

    def set_all(self, positions: Mapping[str, np.ndarray]) -> None:
        """Replace the positions of all micrographs, in one undo step."""
        after = {name: _points(points) for name, points in positions.items()}
        after.update({name: _EMPTY for name in self._positions if name not in after})
        if after:
            self._edit(after)

    def load(self, positions: Mapping[str, np.ndarray]) -> None:
        """Start anew with these positions (a file was opened): no undo leads back, nothing is unsaved."""
        self._positions = {name: _points(points) for name, points in positions.items()}
        self._undo.clear()
        self._redo.clear()
        self._dirty = False
        self._notify("")

    def undo(self) -> str | None:
        """Take back the last step; the micrograph it touched ("" when several), None when there is none."""
        return self._replay(self._undo, self._redo, "before")

    def redo(self) -> str | None:
        """Do again what was taken back; as `undo`."""
        return self._replay(self._redo, self._undo, "after")

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._undo)

    @property
    def can_redo(self) -> bool:
        """Whether there is a step to do again."""
        return bool(self._redo)

    @property
    def dirty(self) -> bool:
        """Whether something changed since `mark_saved` or `load`."""
        return self._dirty

    def mark_saved(self) -> None:
        """The present state is in a file."""
        self._dirty = False

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(name)` after each change ("" = several micrographs); returns the way to end it."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    # -- inside -------------------------------------------------------------------------------------------

    def _edit(self, after: dict[str, np.ndarray]) -> None:
        edit = _Edit({name: self._positions.get(name, _EMPTY) for name in after}, after)
        self._undo.append(edit)
        del self._undo[:-UNDO_STEPS]
        self._redo.clear()
        self._put(after, edit.name)

    def _replay(self, source: list[_Edit], target: list[_Edit], side: str) -> str | None:
        if not source:
            return None
        edit = source.pop()
        target.append(edit)
        self._put(edit.before if side == "before" else edit.after, edit.name)
        return edit.name

    def _put(self, positions: dict[str, np.ndarray], name: str) -> None:
        self._positions.update(positions)
        self._dirty = True
        self._notify(name)

    def _notify(self, name: str) -> None:
        for listener in tuple(self._listeners):
            listener(name)


def _points(points: np.ndarray) -> np.ndarray:
    return np.array(points, dtype=np.float64).reshape(-1, 2)
