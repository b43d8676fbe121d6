"""The noise boxes of the Home tab: where they are kept, and autosave. Which places are refused: home_refusal.py.

Positions and undo live in app/viewer/picks.py; the file formats in core/io/coordinates.py and marks.py; what a
killed program had not saved yet in home_journal.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.tabs.home_journal import Journal, Line, Recovered, by_name, replay
from app.viewer.pick_steps import Change
from app.viewer.picks import PickList
from core.errors import AppError, ResourceError
from core.io.marks import Marks as StoredMarks
from core.io.marks import marks_path, read_marks, write_marks
from workers.task import Task, run_task

AUTOSAVE_MS = 1000
FLUSH_WAIT_MS = 10_000
DEFAULT_NAME = "noise_boxes.star"


def keys_of(micrographs: Sequence[Path]) -> dict[Path, str]:
    """The name of each micrograph in a noise file: its file name, with its folder where two share a name."""
    names = [m.name for m in micrographs]
    twice = {n for n in names if names.count(n) > 1} if len(set(names)) < len(names) else set()
    return {m: f"{m.parent.name}/{m.name}" if m.name in twice else m.name for m in micrographs}


def positions_by_key(
    positions: Mapping[str, np.ndarray], micrographs: Sequence[Path], keys: Mapping[Path, str]
) -> dict[str, np.ndarray]:
    """Positions under the names of the open micrographs; those of other micrographs keep their own names."""
    from core.io.coordinates import match_names, stem_of

    matched = match_names(positions, micrographs)
    by_stem: dict[str, list[np.ndarray]] = {}
    for micrograph, xy in matched.items():
        by_stem.setdefault(stem_of(micrograph.name), []).append(xy)

    def taken(name: str, xy: np.ndarray) -> bool:
        """Did a micrograph get these rows? A name that fits several equally well is given to none."""
        return any((rows == xy[0]).all(axis=1).any() for rows in by_stem.get(stem_of(name), []) if len(rows))

    found = {keys[m]: xy for m, xy in matched.items() if len(xy)}
    return found | {n: xy for n, xy in positions.items() if len(xy) and not taken(n, xy) and n not in found}


def default_path(folder: Path, project: Path) -> Path:
    """Where noise boxes go: beside the micrographs, or into the project folder when that is read-only."""
    return (folder if os.access(folder, os.W_OK) else project) / DEFAULT_NAME


def keys_for(names: Iterable[str], micrographs: Sequence[Path], keys: Mapping[Path, str]) -> dict[str, str]:
    """For names as a file has them: those that the open micrographs have now; others stay as they are."""
    given = list(names)
    places = {name: np.array([[float(i), 0.0]]) for i, name in enumerate(given)}
    found = dict(zip(given, given, strict=True))
    for key, xy in positions_by_key(places, micrographs, keys).items():
        found.update({given[int(i)]: key for i in xy[:, 0]})
    return found


class NoiseFile(QObject):
    """Picked noise boxes and the file they are saved to, a second after the last change.

    Excluded areas and ticks go into a second file beside it (core/io/marks.py), and every change at once into the
    journal, if there is a folder for it.
    """

    changed = Signal(str)  # micrograph key, "" = several
    saved = Signal(str)  # path
    failed = Signal(object)  # AppError
    recovered = Signal(str)  # what a journal brought back, in words

    def __init__(self, parent: QObject | None = None, journals: Path | None = None) -> None:
        super().__init__(parent)
        self.picks = PickList()
        self.path: Path | None = None
        self.box_size = 128
        self.names: Callable[[Iterable[str]], dict[str, str]] = lambda names: {n: n for n in names}
        self.reading = False  # areas and journal are not there yet
        self._journals, self._journal = journals, None
        self._opened = 0  # counts files, so that late answers are known
        self._writing: Task | None = None
        self._size_changed = self._notes_changed = False
        self._keep_notes = True  # False: the file of areas could not be read and is left alone
        self._timer = QTimer(self, interval=AUTOSAVE_MS, singleShot=True)
        self._timer.timeout.connect(self._save)
        self.picks.subscribe(self._on_change)
        self.picks.watch(self._on_single)

    def open(self, path: Path | None, positions: Mapping[str, np.ndarray], box_size: int | None = None) -> None:
        """Show the content of a file (or nothing yet) and save to it from now on; areas and ticks follow."""
        self.flush()
        if box_size:
            self.box_size = box_size
        self._start(path)
        self.picks.load(positions)
        if path is not None:
            self._read_rest(path)

    def choose(self, path: Path) -> None:
        """Save to another file from now on."""
        self.flush()
        self._start(path)
        self._notes_changed = True
        self._save()

    def _start(self, path: Path | None) -> None:
        if self._journal is not None:
            self._journal.close()
        self.path, self._journal, self._keep_notes = path, None, True
        self._opened += 1
        self.reading = self._size_changed = self._notes_changed = False
        if path is not None and self._journals is not None:
            journal = Journal(self._journals, path)
            self._journal = journal if journal.open() else None

    def _read_rest(self, path: Path) -> None:
        opened, journal = self._opened, self._journal
        self.reading = True

        def work() -> tuple[StoredMarks | AppError, Recovered]:
            try:
                marks: StoredMarks | AppError = read_marks(marks_path(path))
            except AppError as err:
                marks = err
            return marks, journal.read() if journal is not None else Recovered()

        def take(found: tuple[StoredMarks | AppError, Recovered]) -> None:
            if opened == self._opened:
                self.reading = False
                self._take_rest(*found)

        def fail(err: AppError) -> None:
            take((err, Recovered()))

        run_task(work, take, fail, self)

    def _take_rest(self, marks: StoredMarks | AppError, journal: Recovered) -> None:
        if isinstance(marks, AppError):
            self._keep_notes = False
            self.failed.emit(marks)
        else:
            key = self.names([*marks.excluded, *marks.empty])
            self.picks.load_notes({key[n]: p for n, p in marks.excluded.items()}, {key[n] for n in marks.empty})
        if self._journal is None:
            return
        if journal.lines:
            self._replay(journal.lines)
        else:
            self._journal.forget_left(keep=journal.changed)
        if journal.changed:
            self.recovered.emit(
                "The last session ended early, but its file has been changed since: it is shown as it is."
            )

    def _replay(self, lines: list[Line]) -> None:
        """Make the changes of a dead process again, as one step that undo takes back."""
        picks, before = self.picks, self.picks.revision
        decimals = 6 if self.path is not None and self.path.suffix.lower() == ".star" else 0
        groups = by_name(lines)
        key = self.names(groups)
        with picks.step():
            for name, own in groups.items():
                for line in own:
                    if "areas" in line:
                        picks.set_areas(key[name], [np.array(p, dtype=float) for p in line["areas"]])
                    elif "empty" in line:
                        picks.set_empty(key[name], bool(line["empty"]))
                points = picks.view(key[name])
                after = replay(points, own, decimals)
                if {tuple(p) for p in after.tolist()} != {tuple(p) for p in points.tolist()}:
                    picks.replace(key[name], after)
        if picks.revision != before:
            self.recovered.emit(
                "The last session ended early: what it had not saved was recovered. Ctrl+Z undoes that."
            )
        elif self._journal is not None:
            self._journal.forget_left(keep=False)

    def set_box_size(self, box_size: int) -> None:
        """Side of all boxes in px; it is part of a STAR file."""
        if box_size == self.box_size:
            return
        self.box_size = box_size
        if self.picks.total():
            self._size_changed = True
            self._timer.start()

    def _on_single(self, change: Change) -> None:
        self._notes_changed = self._notes_changed or change.what != "points"
        if self._journal is not None:
            self._journal.append(change)

    def _on_change(self, key: str) -> None:
        if self.picks.dirty:
            self._timer.start()
        self.changed.emit(key)

    def _work(self, path: Path) -> tuple[Callable[[], Path], Callable[[], None]]:
        """What to write, as it is now (for any thread), and what to do when it is written (for this one)."""
        picks, journal, box, revision = self.picks, self._journal, self.box_size, self.picks.revision
        positions, areas, empty = picks.as_dict(), picks.all_areas(), picks.all_empty()
        notes = self._notes_changed and self._keep_notes and not self.reading
        parts = journal.rotate() if journal is not None else []
        self._size_changed = self._notes_changed = False

        def work() -> Path:
            if notes:
                write_marks(marks_path(path), areas, empty)
            return write(path, positions, box)

        def done() -> None:
            picks.mark_saved(revision)
            if journal is not None:
                journal.written(parts)

        return work, done

    def _save(self) -> None:
        if self._writing is not None or self.reading:
            self._timer.start()  # after what is going on
            return
        if self.path is None:
            return
        opened = self._opened
        work, done = self._work(self.path)

        def on_saved(path: Path) -> None:
            if self._writing is task and opened == self._opened:
                self._writing = None
                done()
                self.saved.emit(str(path))

        def on_failed(err: AppError) -> None:
            if self._writing is task:
                self._writing = None
                self._size_changed = self._notes_changed = True
                self.failed.emit(err)

        task = self._writing = run_task(work, on_saved, on_failed, self)

    def flush(self) -> None:
        """Write now what waits to be written, after the write that is going on."""
        if self._writing is not None:
            self._writing.wait(FLUSH_WAIT_MS)
            self._writing = None  # its answer comes too late: this write says the same and more
        waits = self.picks.dirty or self._size_changed or self._notes_changed
        self._timer.stop()
        if self.path is None or not waits:
            return
        work, done = self._work(self.path)
        try:
            work()
        except AppError as err:
            self.failed.emit(err)
        else:
            done()
            self.saved.emit(str(self.path))

    def close(self) -> None:
        """Write what waits and let the journal go."""
        self.flush()
        if self._journal is not None:
            self._journal.close()
            self._journal = None


def write(path: Path, positions: Mapping[str, np.ndarray], box_size: int) -> Path:
    """Write the noise boxes; the folder is made when it is missing. Without a box there is no file.

    A table without rows would be refused by every reader, also by the next start of this program.
    """
    from core.io.coordinates import write_noise_boxes

    try:
        if not any(len(xy) for xy in positions.values()):
            path.unlink(missing_ok=True)
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ResourceError(f"{path} cannot be written: {err.strerror}.", "Choose another file.") from None
    write_noise_boxes(path, positions, box_size)
    return path
