"""One change of the picks, how to take it back, and arrays of points that grow without being copied.

Qt-free; picks.py keeps the state and the history that these are made of.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

NO_POINTS = np.zeros((0, 2))
NO_POINTS.flags.writeable = False
NO_INDEX = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Change:
    """What differs on one micrograph, and nothing else: a step of 20,000 picks that adds one holds one point.

    "points": rows `at` (k,) ascending, `before` and `after` (k, 2) x, y in px; `before` None: they were
    inserted (`at` counts in the result), `after` None: they were removed. "areas": tuples of (m, 2) polygons.
    "empty": the tick "no noise here".
    """

    name: str
    what: Literal["points", "areas", "empty"]
    before: Any
    after: Any
    at: np.ndarray = field(default_factory=lambda: NO_INDEX)

    def inverse(self) -> Change:
        """The change that takes this one back."""
        return replace(self, before=self.after, after=self.before)


@dataclass
class Step:
    """What one undo takes back."""

    changes: list[Change]
    nudge: bool = False  # further nudges of the same points join it

    @property
    def name(self) -> str:
        """The micrograph it touches, "" when several."""
        names = {change.name for change in self.changes}
        return next(iter(names)) if len(names) == 1 else ""


class PointStore:
    """Points by name as read-only arrays; a change makes a new array, so what was handed out never changes.

    Appending writes behind the points that are there, into spare room that no array handed out covers.
    """

    def __init__(self) -> None:
        self.points: dict[str, np.ndarray] = {}
        self._room: dict[str, tuple[np.ndarray, int]] = {}  # buffer, rows of it that were ever used

    def get(self, name: str) -> np.ndarray:
        """(n, 2), read-only."""
        return self.points.get(name, NO_POINTS)

    def put(self, name: str, points: np.ndarray) -> None:
        """Replace all points of a name by an array that nobody else changes."""
        points.flags.writeable = False
        self.points[name] = points

    def apply(self, change: Change) -> None:
        """Carry out a change of points."""
        old, at = self.get(change.name), change.at
        if change.before is None:
            if not len(at) or at[0] == len(old):
                self._append(change.name, old, change.after)
                return
            result = np.empty((len(old) + len(at), 2))
            rest = np.ones(len(result), dtype=bool)
            rest[at] = False
            result[rest], result[at] = old, change.after
        elif change.after is None:
            if at[0] == len(old) - len(at):  # the last ones
                self.points[change.name] = old[: at[0]]
                return
            result = np.delete(old, at, axis=0)
        else:
            result = old.copy()
            result[at] = change.after
        self.put(change.name, result)

    def _append(self, name: str, old: np.ndarray, new: np.ndarray) -> None:
        count = len(old) + len(new)
        buffer, used = self._room.get(name, (NO_POINTS, 0))
        if old.base is not buffer or used != len(old) or count > len(buffer):
            buffer = np.empty((max(16, 2 * count), 2))
            buffer[: len(old)] = old
        buffer[len(old) : count] = new
        self._room[name] = (buffer, count)
        grown = buffer[:count]
        grown.flags.writeable = False
        self.points[name] = grown


def follow(selected: np.ndarray, change: Change, count: int) -> np.ndarray:
    """Where selected rows (k,) are after a change of points; `count` rows were there before it."""
    if not len(selected) or (change.before is not None and change.after is not None):
        return selected
    if change.after is None:
        kept = selected[~np.isin(selected, change.at)]
        return kept - np.searchsorted(change.at, kept)
    stay = np.ones(count + len(change.at), dtype=bool)
    stay[change.at] = False
    return np.flatnonzero(stay)[selected]
