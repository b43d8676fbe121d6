"""The noise boxes of the Home tab: where they are kept, and autosave. Which places are refused: home_refusal.py.

Positions and undo live in app/viewer/picks.py; the file formats in core/io/coordinates.py and marks.py; a single
write in home_saving.py; what a killed program had not saved yet in home_journal.py.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.tabs.home_journal import Journal, Line, Recovered, by_name, replay, stamp
from app.tabs.home_saving import Kept, Save
from app.viewer.pick_steps import Change
from app.viewer.picks import PickList
from core.errors import AppError, ResourceError
from core.io.marks import Marks as StoredMarks
from core.io.marks import marks_path, read_marks
from workers.task import Task, run_task

AUTOSAVE_MS = 1000
RETRY_MS = 15_000
FLUSH_WAIT_MS = 3000
DEFAULT_NAME = "noise_boxes.star"


def default_path(folder: Path, project: Path) -> Path:
    """Where noise boxes go: beside the micrographs, or into the project folder when that is read-only."""
    return (folder if os.access(folder, os.W_OK) else project) / DEFAULT_NAME


class NoiseFile(QObject):
    """Picked noise boxes and the file they are saved to, a second after the last change.

    Excluded areas and ticks go into a second file beside it (core/io/marks.py), and every change at once into the
    journal, if there is a folder for it. A file that another window has open, or that another program changed, is
    never written over: another name is taken.
    """

    changed = Signal(str)  # micrograph key, "" = several
    saved = Signal(str)  # path
    failed = Signal(object)  # AppError; once, until a write succeeds
    told = Signal(str)  # a short message for the status line
    recovered = Signal(str)  # what a journal brought back, in words

    def __init__(self, parent: QObject | None = None, journals: Path | None = None) -> None:
        super().__init__(parent)
        self.picks = PickList()
        self.path: Path | None = None
        self.box_size = 128
        self.names: Callable[[Iterable[str]], dict[str, str]] = lambda names: {n: n for n in names}
        self.reading = False  # areas and journal are not there yet
        self._journals = journals
        self._kept: Kept | None = None
        self._retired: list[Kept] = []  # files of before that are still being written
        self._opened = 0  # counts files, so that late answers are known
        self._writing: tuple[Save, Task] | None = None  # the newest
        self._size_changed = self._notes_changed = False
        self._keep_notes = True  # False: the file of areas could not be read and is left alone
        self._failing = False  # the last write failed, and the user knows
        self._timer = QTimer(self, interval=AUTOSAVE_MS, singleShot=True)
        self._timer.timeout.connect(self._save)
        self.picks.subscribe(self._on_change)
        self.picks.watch(self._on_single)

    def open(
        self,
        path: Path | None,
        positions: Mapping[str, np.ndarray],
        box_size: int | None = None,
        read: list[int] | None = None,
    ) -> None:
        """Show the content of a file (or nothing yet) and save to it from now on; areas and ticks follow.

        `read`: the stamp of the file when it was read (None: now). What waits to be saved is saved meanwhile.
        """
        self.flush(0)
        if box_size:
            self.box_size = box_size
        self._start(path, read)
        self.picks.load(positions)
        if path is not None:
            self._read_rest(path)

    def choose(self, path: Path) -> None:
        """Save to another file from now on."""
        self.flush()
        self._start(path)
        self._notes_changed = True
        self._save()

    # -- which file ---------------------------------------------------------------------------------------

    def _start(self, path: Path | None, read: list[int] | None = None) -> None:
        if self._kept is not None:
            self._retired.append(self._kept)
            self._let_go(self._kept)
        self.path, self._keep_notes, self._writing = path, True, None
        self._opened += 1
        self.reading = self._size_changed = self._notes_changed = self._failing = False
        self._kept = self._keep(path) if path is not None else None
        if self._kept is not None and path is not None:
            self.path = self._kept.path
            if self.path == path:
                self._kept.noise = stamp(path) if read is None else read
                self._kept.marks = stamp(marks_path(path))

    def _keep(self, path: Path) -> Kept:
        """The file at `path`; another one beside it when a second window has that open."""
        again = next((kept for kept in self._retired if kept.path == path), None)
        if again is not None:  # it is still being written
            self._retired.remove(again)
            return again
        kept = Kept(path)
        for other in [path, *(path.with_stem(f"{path.stem}-{i}") for i in range(2, 100))]:
            if self._journals is None or (other != path and other.exists()):
                continue
            journal = Journal(self._journals, other)
            opened = journal.open()
            if opened or not journal.taken:
                kept = Kept(other, journal=journal if opened else None, moved=other != path)
                break
        if kept.path != path:
            self.failed.emit(
                ResourceError(
                    f"{path.name} is open in another window, which saves to it.",
                    f"What you mark here is saved to {kept.path.name}.",
                )
            )
        return kept

    def _let_go(self, kept: Kept) -> None:
        """Close the journal of a file of before when nothing of it is being written any more."""
        if kept in self._retired and not kept.waiting:
            self._retired.remove(kept)
            if kept.journal is not None:
                kept.journal.close()

    @property
    def _journal(self) -> Journal | None:
        return self._kept.journal if self._kept is not None else None

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
            self._journal.forget_left(keep=journal.changed or journal.damaged)
        if journal.changed:
            self.recovered.emit(
                "The last session ended early, but its file has been changed since: it is shown as it is."
            )
        if journal.damaged:
            self.recovered.emit(
                "The last session ended early, and part of what it had not saved cannot be read any more."
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
            if self._journal is not None:
                self._journal.adopt()
            self.recovered.emit(
                "The last session ended early: what it had not saved was recovered. Ctrl+Z undoes that."
            )
        elif self._journal is not None:
            self._journal.forget_left(keep=False)

    # -- changes ------------------------------------------------------------------------------------------

    def set_box_size(self, box_size: int) -> None:
        """Side of all boxes in px; it is part of a STAR file."""
        if box_size == self.box_size:
            return
        self.box_size = box_size
        if self.picks.total():
            self._size_changed = True
            self._timer.start(AUTOSAVE_MS)

    def _on_single(self, change: Change) -> None:
        self._notes_changed = self._notes_changed or change.what != "points"
        if self._journal is not None:
            self._journal.append(change)

    def _on_change(self, key: str) -> None:
        if self.picks.dirty:
            self._timer.start(AUTOSAVE_MS)
        self.changed.emit(key)

    # -- writing ------------------------------------------------------------------------------------------

    @property
    def _waits(self) -> bool:
        """Whether something is to be written (that is not being written now)."""
        newest = self._writing[0].revision if self._writing is not None else None
        return (self.picks.dirty and newest != self.picks.revision) or self._size_changed or self._notes_changed

    def _begin(self, kept: Kept) -> None:
        """Write what is there now, in a thread, after all earlier writes of this file."""
        picks, journal = self.picks, kept.journal
        save = Save(
            kept,
            picks.as_dict(),
            picks.all_areas(),
            picks.all_empty(),
            self.box_size,
            picks.revision,
            notes=(self._notes_changed or kept.moved) and self._keep_notes and not self.reading,
            resized=self._size_changed,
            write=lambda path, positions, box: write(path, positions, box),
            parts=journal.rotate() if journal is not None else [],
        )
        self._size_changed = self._notes_changed = False
        self._writing = save, run_task(save.run, self._take, self.failed.emit, self)

    def _take(self, save: Save) -> None:
        """A write has ended."""
        if save.taken:
            return
        save.taken = True
        kept, late = save.kept, save.number < save.kept.newest
        kept.waiting, kept.newest = kept.waiting - 1, max(kept.newest, save.number)
        if self._writing is not None and self._writing[0] is save:
            self._writing = None
        if save.error is None:
            kept.moved = False
            if kept.journal is not None:
                kept.journal.written(save.parts)
            if save.foreign is not None:
                self.failed.emit(
                    ResourceError(
                        f"{save.foreign.name} was changed by another program or window, and is left as it is.",
                        f"What was marked here is saved to {kept.path.name} from now on.",
                    )
                )
        if kept is self._kept and not late:
            if save.error is None:
                self._on_saved(save)
            else:
                self._on_refused(save, save.error)
        elif save.error is not None and not late:
            self.failed.emit(save.error)
        self._let_go(kept)

    def _on_saved(self, save: Save) -> None:
        self.picks.mark_saved(save.revision)
        self._failing = False
        path = save.kept.path
        if path != self.path:
            self._follow(save.kept)
        self.saved.emit(str(path))

    def _on_refused(self, save: Save, err: AppError) -> None:
        """Nothing counts as saved; one dialog, and then a line at every further try."""
        self._size_changed = self._size_changed or save.resized
        self._notes_changed = self._notes_changed or save.notes
        if self._failing:
            self.told.emit(f"{err.message} What you mark is not saved yet; it is tried again.")
        else:
            self._failing = True
            self.failed.emit(err)
        self._timer.start(RETRY_MS)

    def _follow(self, kept: Kept) -> None:
        """Somebody else changed the file: this window has written another one, and keeps to it."""
        self.path = kept.path
        if kept.journal is not None:
            kept.journal.written(kept.journal.rotate())
            kept.journal.close()
            journal = Journal(self._journals, kept.path) if self._journals is not None else None
            kept.journal = journal if journal is not None and journal.open() else None
        if self.picks.dirty:  # marked since: the lines of that are gone with the journal
            self._timer.start(0)
        self.changed.emit("")

    def _save(self) -> None:
        if self._writing is not None or self.reading:
            self._timer.start(AUTOSAVE_MS)  # after what is going on
        elif self._kept is not None:
            self._begin(self._kept)

    def flush(self, wait_ms: int = FLUSH_WAIT_MS) -> bool:
        """Write now what waits to be written; whether it is written before `wait_ms` are over.

        It is written later otherwise, and stays in the journal until then.
        """
        self._timer.stop()
        left = self.reading and self._journal is not None  # the next start has it from there
        if self._kept is not None and self._waits and not left:
            self._begin(self._kept)
        if self._writing is None:
            return not self._waits
        save, task = self._writing
        if not (wait_ms and task.wait(wait_ms)):
            return False
        self._take(save)
        return not self._waits

    def close(self) -> None:
        """Write what waits, if that does not take for ever, and let the journal go."""
        self.flush()
        for kept in [*self._retired, *([self._kept] if self._kept is not None else [])]:
            if kept.journal is not None:
                kept.journal.close()
        self._retired, self._kept = [], None


def write(path: Path, positions: Mapping[str, np.ndarray], box_size: int) -> None:
    """Write the noise boxes; the folder is made when it is missing. Without a box, the table has no rows."""
    from core.io.coordinates import write_noise_boxes

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ResourceError(f"{path} cannot be written: {err.strerror}.", "Choose another file.") from None
    write_noise_boxes(path, positions, box_size)
