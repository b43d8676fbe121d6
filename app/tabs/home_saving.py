"""One write of the noise boxes on Home, in a thread: one after another, and never over what somebody else wrote.

When something is written, and what is told of it, is home_picks.py's business.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition

import numpy as np

from app.tabs.home_journal import Journal, stamp
from core.errors import AppError, ResourceError
from core.io.marks import marks_path, write_marks

logger = logging.getLogger(__name__)

Write = Callable[[Path, Mapping[str, np.ndarray], int], object]  # file, positions, side of the boxes in px


class Turn:
    """Who may write a file: whoever asked first. An old write that hangs is never overtaken by a newer one."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._asked = self._ended = 0

    def ask(self) -> int:
        """Get in line."""
        with self._changed:
            self._asked += 1
            return self._asked

    def wait_for(self, number: int) -> None:
        """Until all who asked before have ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended == number - 1)

    def end(self) -> None:
        """Let the next one write."""
        with self._changed:
            self._ended += 1
            self._changed.notify_all()

    def idle(self, seconds: float = 0.0) -> bool:
        """Whether nobody writes or waits to; waits so long for that."""
        with self._changed:
            return self._changed.wait_for(lambda: self._ended == self._asked, seconds)


_turns: dict[Path, Turn] = {}


def written(path: Path, seconds: float = 0.0) -> bool:
    """Whether all that was to be written to a file is there; waits so long for it (in a task)."""
    turn = _turns.get(path)
    return turn is None or turn.idle(seconds)


def free_name(path: Path) -> Path:
    """The first of name-2, name-3, ... that is free."""
    return next(n for i in range(2, 10000) if not (n := path.with_stem(f"{path.stem}-{i}")).exists())


@dataclass(eq=False)
class Kept:
    """A noise file as this window knows it: the stamps are of what was last read or written (empty: no file).

    A write changes `path` when somebody else changed the file; only one write at a time uses path and stamps.
    """

    path: Path
    noise: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    journal: Journal | None = None
    moved: bool = False  # areas and ticks were read from another file: this one gets them with the first write
    waiting: int = 0  # writes whose answer is not there yet
    newest: int = 0  # number of the last write whose answer came
    turn: Turn = field(default_factory=Turn)

    def __post_init__(self) -> None:
        self.turn = _turns.setdefault(self.path, self.turn)

    def foreign(self, notes: bool) -> bool:
        """Whether the files on the disk are of somebody else; the one of areas and ticks counts with `notes`."""
        noise, marks = stamp(self.path), stamp(marks_path(self.path))
        return bool(noise and noise != self.noise) or bool(notes and marks and marks != self.marks)

    def divert(self) -> None:
        """Write to another file from now on."""
        self.path = free_name(self.path)
        self.noise, self.marks = [], []
        _turns[self.path] = self.turn


@dataclass(eq=False)
class Save:
    """What to write, as it was when this was made, and what came of it."""

    kept: Kept
    positions: Mapping[str, np.ndarray]
    areas: Mapping[str, Iterable[np.ndarray]]
    empty: set[str]
    box: int
    revision: int
    notes: bool  # areas and ticks have changed
    resized: bool
    write: Write
    parts: list[Path] = field(default_factory=list)  # of the journal: what they say is in this
    error: AppError | None = None
    foreign: Path | None = None  # the file that somebody else changed
    taken: bool = False
    number: int = 0

    def __post_init__(self) -> None:
        self.number = self.kept.turn.ask()
        self.kept.waiting += 1

    def run(self) -> Save:
        """In a thread: write, when it is this one's turn. Never raises; returns itself."""
        self.kept.turn.wait_for(self.number)
        try:
            self._run()
        except AppError as err:
            self.error = err
        except OSError as err:
            text = f"{self.kept.path.name} could not be written: {err.strerror or err}."
            self.error = ResourceError(text, f"Check the folder {self.kept.path.parent}.")
        except Exception as err:
            logger.exception("noise boxes were not saved")
            self.error = AppError(f"{type(err).__name__}: {err}", "Details are in the terminal.")
        finally:
            self.kept.turn.end()
        return self

    def _run(self) -> None:
        kept, notes = self.kept, self.notes
        if kept.foreign(notes):
            self.foreign = kept.path
            kept.divert()
            notes = True
        failure: Exception | None = None
        if notes:
            try:
                write_marks(marks_path(kept.path), self.areas, self.empty)
                kept.marks = stamp(marks_path(kept.path))
            except (AppError, OSError) as err:  # the boxes are written all the same
                failure = err
        self._boxes()
        if failure is not None:
            raise failure

    def _boxes(self) -> None:
        path = self.kept.path
        if not any(len(xy) for xy in self.positions.values()) and not path.exists():
            return
        if path.suffix.lower() == ".box":  # possibly a folder
            self.write(path, self.positions, self.box)
        else:
            self._announced(path)
        self.kept.noise = stamp(path)

    def _announced(self, path: Path) -> None:
        """The journal learns what the file will look like before it does, should the program die in between."""
        ready = path.with_name(f"{path.stem}.{os.getpid()}-saving{path.suffix}")
        try:
            self.write(ready, self.positions, self.box)
            if self.kept.journal is not None:
                self.kept.journal.expect(stamp(ready))
            ready.replace(path)
        except AppError as err:
            err.message = err.message.replace(ready.name, path.name)
            raise
        finally:
            with suppress(OSError):
                ready.unlink(missing_ok=True)
