"""Positions picked on micrographs, excluded areas and "no noise here", by micrograph, with undo and redo.

x = column, y = row in pixels; a position is a centre. No Qt, no files. The history holds what changed, never
whole lists, and has no end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from app.viewer.pick_state import Areas, Picked, is_area
from app.viewer.pick_steps import NO_INDEX, NO_POINTS, Change, PointStore, Step, follow


class PickList(Picked):
    """Editable marks of many micrographs. The selection follows the changes and is not one of them."""

    def __init__(self) -> None:
        super().__init__()
        self._undo: list[Step] = []
        self._redo: list[Step] = []
        self._group: Step | None = None
        self._depth = 0
        self._nudging = False
        self._listeners: list[Callable[[str], None]] = []
        self._watchers: list[Callable[[Change], None]] = []
        self.revision = 0  # counts changes
        self._saved = 0
        self._muted: set[str] | None = None  # micrographs to tell about when a step of many changes ends

    # -- selection ----------------------------------------------------------------------------------------

    def select(self, name: str, indices: Iterable[int]) -> None:
        """Select rows of one micrograph; every other selection ends."""
        rows = _rows(indices)
        rows = rows[(rows >= 0) & (rows < self.count(name))]
        if name == self.selected_on and np.array_equal(rows, self.selected):
            return
        self._nudging = False
        self.selected_on, self.selected = name, rows
        self._notify(name)

    # -- editing ------------------------------------------------------------------------------------------

    @contextmanager
    def step(self) -> Iterator[None]:
        """All changes inside are one undo step; who listens hears of them at its end."""
        self.begin()
        outer, self._muted = self._muted, set() if self._muted is None else self._muted
        try:
            yield
        finally:
            touched, self._muted = self._muted, outer
            self.end()
            if outer is None and touched:
                self._notify(next(iter(touched)) if len(touched) == 1 else "")

    def begin(self) -> None:
        """From here to `end`, all changes are one undo step (a stroke of the eraser)."""
        self._depth += 1
        if self._group is None:
            self._group = Step([])

    def end(self) -> None:
        """Close the step that `begin` opened."""
        self._depth = max(0, self._depth - 1)
        if self._depth == 0 and self._group is not None:
            group, self._group = self._group, None
            if group.changes:
                self._undo.append(group)

    def add(self, name: str, x: float, y: float) -> None:
        """Append one position; a micrograph with a box is not empty any more."""
        with self.step():
            self.set_empty(name, False)
            self._edit(Change(name, "points", None, np.array([[x, y]], float), np.array([self.count(name)])))

    def remove(self, name: str, indices: Iterable[int]) -> int:
        """Delete rows; returns how many."""
        rows = _rows(indices)
        if len(rows):
            self._edit(Change(name, "points", self._store.get(name)[rows], None, rows))
        return len(rows)

    def remove_near(self, name: str, x: float, y: float, radius: float) -> bool:
        """Delete the nearest position within `radius` (see `nearest`); False when there is none."""
        index = self.nearest(name, x, y, radius)
        return index is not None and bool(self.remove(name, [index]))

    def remove_selected(self, name: str) -> int:
        """Delete the selected rows of one micrograph; returns how many."""
        return self.remove(name, self.selection(name))

    def move(self, name: str, index: int, x: float, y: float) -> None:
        """Put position `index` at (x, y)."""
        self.move_many(name, [index], np.array([[x, y]], float))

    def move_many(self, name: str, indices: Sequence[int] | np.ndarray, points: np.ndarray) -> None:
        """Put rows `indices` (k,), ascending, at `points` (k, 2)."""
        rows = np.asarray(indices, dtype=np.int64)
        if len(rows):
            self._edit(Change(name, "points", self._store.get(name)[rows], _points(points), rows))

    def nudge(self, name: str, indices: Sequence[int] | np.ndarray, dx: float, dy: float) -> None:
        """Move rows by (dx, dy) px; nudges of the same rows that follow one another are one undo step."""
        rows = np.asarray(indices, dtype=np.int64)
        if not len(rows):
            return
        before = self._store.get(name)[rows]
        change = Change(name, "points", before, np.add(before, (dx, dy)), rows)
        last = self._undo[-1] if self._undo and self._nudging and self._group is None else None
        if last is not None and last.nudge and last.name == name and np.array_equal(last.changes[0].at, rows):
            last.changes[0] = Change(name, "points", last.changes[0].before, change.after, rows)
            self._put(change)
        else:
            self._edit(change)
            if self._group is None:
                self._undo[-1].nudge = True
        self._nudging = True

    def clear(self, name: str) -> None:
        """Delete all positions of one micrograph."""
        self.remove(name, np.arange(self.count(name)))

    def clear_all(self) -> None:
        """Delete the positions of all micrographs, in one undo step."""
        with self.step():
            for name in self.names():
                self.clear(name)

    def replace(self, name: str, points: np.ndarray) -> None:
        """Other positions for one micrograph."""
        points = _points(points)
        if np.array_equal(points, self._store.get(name)):
            return
        with self.step():
            self.clear(name)
            if len(points):
                self.set_empty(name, False)
                self._edit(Change(name, "points", None, points, np.arange(len(points))))

    def set_all(self, positions: Mapping[str, np.ndarray]) -> None:
        """Replace the positions of all micrographs, in one undo step."""
        with self.step():
            for name in [*positions, *(n for n in self.names() if n not in positions)]:
                self.replace(name, positions.get(name, NO_POINTS))

    def set_areas(self, name: str, areas: Iterable[np.ndarray]) -> None:
        """Other excluded areas for one micrograph: polygons (m, 2); what encloses nothing is left out."""
        before, after = self.areas(name), _areas(areas)
        if len(before) != len(after) or any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
            self._edit(Change(name, "areas", before, after))

    def set_empty(self, name: str, empty: bool) -> None:
        """Tick or untick "no noise here"."""
        if empty != self.is_empty(name):
            self._edit(Change(name, "empty", not empty, empty))

    def load(
        self,
        positions: Mapping[str, np.ndarray],
        areas: Mapping[str, Iterable[np.ndarray]] | None = None,
        empty: Iterable[str] = (),
    ) -> None:
        """Start anew with these marks (a file was opened): no undo leads back, nothing is unsaved."""
        self._store = PointStore()
        for name, points in positions.items():
            self._store.put(name, _points(points))
        self._undo.clear()
        self._redo.clear()
        self._group, self._depth, self._nudging = None, 0, False
        self._areas, self._empty = {}, set()
        self.selected_on, self.selected = "", NO_INDEX
        self.load_notes(areas or {}, empty)
        self._saved = self.revision

    def load_notes(self, areas: Mapping[str, Iterable[np.ndarray]], empty: Iterable[str]) -> None:
        """Areas and ticks as a file has them, for micrographs that have none yet; no undo step."""
        for name, polygons in areas.items():
            self._areas.setdefault(name, _areas(polygons))
        self._empty |= {name for name in empty if not self.count(name)}
        self._notify("")

    # -- history ------------------------------------------------------------------------------------------

    def undo(self) -> str | None:
        """Take back the last step; the micrograph it touched ("" when several), None when there is none."""
        self._close()
        if not self._undo:
            return None
        step = self._undo.pop()
        self._redo.append(step)
        return self._replay(step, [change.inverse() for change in reversed(step.changes)])

    def redo(self) -> str | None:
        """Do again what was taken back; as `undo`."""
        self._close()
        if not self._redo:
            return None
        step = self._redo.pop()
        self._undo.append(step)
        return self._replay(step, step.changes)

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
        return self.revision != self._saved

    def mark_saved(self, revision: int | None = None) -> None:
        """The state of that revision (None: the present one) is in a file; a later one stays in it."""
        self._saved = self.revision if revision is None else max(revision, self._saved)

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback(name)` after each change ("" = several micrographs); returns the way to end it."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def watch(self, callback: Callable[[Change], None]) -> None:
        """Call `callback(change)` for every single change, also those of undo and redo (not of `load`)."""
        self._watchers.append(callback)

    # -- inside -------------------------------------------------------------------------------------------

    def _close(self) -> None:
        """End a step that is still open (a key was pressed in the middle of a stroke)."""
        self._nudging = False
        self._depth = min(self._depth, 1)
        self.end()

    def _edit(self, change: Change) -> None:
        self._redo.clear()
        self._nudging = False
        if self._group is not None:
            self._group.changes.append(change)
        else:
            self._undo.append(Step([change]))
        self._put(change)

    def _replay(self, step: Step, changes: Iterable[Change]) -> str:
        for change in changes:
            self._put(change, quiet=True)
        self._notify(step.name)
        return step.name

    def _put(self, change: Change, quiet: bool = False) -> None:
        self.revision += 1
        if change.what == "points":
            if change.name == self.selected_on:
                self.selected = follow(self.selected, change, self.count(change.name))
            self._store.apply(change)
        elif change.what == "areas":
            self._areas[change.name] = change.after
        elif change.after:
            self._empty.add(change.name)
        else:
            self._empty.discard(change.name)
        for watcher in tuple(self._watchers):
            watcher(change)
        if not quiet:
            self._notify(change.name)

    def _notify(self, name: str) -> None:
        if self._muted is not None:
            self._muted.add(name)
            return
        for listener in tuple(self._listeners):
            listener(name)


def _rows(indices: Iterable[int]) -> np.ndarray:
    given = indices if isinstance(indices, np.ndarray) else list(indices)
    return np.unique(np.asarray(given, dtype=np.int64))


def _points(points: np.ndarray) -> np.ndarray:
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _areas(areas: Iterable[np.ndarray]) -> Areas:
    result = tuple(polygon for polygon in map(_points, areas) if is_area(polygon))
    for polygon in result:
        polygon.flags.writeable = False
    return result
