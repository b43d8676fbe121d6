"""What was marked on Home since the file of the noise boxes was last written, for the case that the program dies.

Every change is a line of JSON, handed to the system at once: a killed process loses nothing. A file of lines
("part") lives from one change until the noise file that holds it is written; then it is deleted. home_picks.py
says when. Replaying lines whose changes are in the file already does no harm: each says which points went and
which came, and a point is there once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PySide6.QtCore import QLockFile, QSysInfo

from app.viewer.pick_steps import Change

logger = logging.getLogger(__name__)

Line = dict[str, Any]


@dataclass
class Recovered:
    """What a journal brings back; `changed` when the noise file was changed by somebody else in between.

    `damaged`: some lines could not be read; the files with them were put aside.
    """

    lines: list[Line] = field(default_factory=list)
    changed: bool = False
    damaged: bool = False


class Journal:
    """The journal of one noise file. One window at a time has it; in a second one it does nothing."""

    def __init__(self, folder: Path, noise: Path) -> None:
        self._noise = noise
        self._name = hashlib.sha1(str(noise).encode("utf-8", "surrogateescape")).hexdigest()[:20]
        self._folder = folder
        self._part: BinaryIO | None = None
        self._number = 0
        self._lock: QLockFile | None = None
        self._left: list[Path] = []  # by a dead process
        self.taken = False  # by another window

    def open(self) -> bool:
        """Take the journal; False when another window has it or the folder cannot be written."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            logger.warning("no crash journal: %s", err)
            return False
        lock = QLockFile(str(self._folder / f"{self._name}.lock"))
        lock.setStaleLockTime(0)  # whoever lives has it, however long
        if not lock.tryLock(0):
            logger.warning("no crash journal for %s: another window has it open", self._noise)
            # One of another computer may have died long ago: nobody here can tell.
            self.taken = lock.getLockInfo()[1] in ("", QSysInfo.machineHostName())
            return False
        self._lock, self._left = lock, self.parts()
        self._number = max((_number(part) for part in self._left), default=0)
        return True

    def parts(self) -> list[Path]:
        """The files of lines, oldest first."""
        return sorted(self._folder.glob(f"{self._name}.*.jsonl"), key=_number)

    def read(self) -> Recovered:
        """The lines that a dead process left behind (for a task)."""
        parts, lines, damaged = self._left, list[Line](), False
        for part in parts:
            own, whole = _lines(part)
            lines += own
            if not whole:
                damaged = True
                with suppress(OSError):
                    shutil.copyfile(part, part.with_suffix(".damaged"))
        changes = [line for line in lines if "n" in line]
        if not changes:
            return Recovered(damaged=damaged)
        known = [line["file"] for line in lines if "file" in line] + self._expected()
        # A folder of .box files says nothing of the write that was going on when the process died.
        folder = self._noise.suffix.lower() == ".box" and len(parts) > 1
        if not folder and stamp(self._noise) not in known:
            return Recovered(changed=True, damaged=damaged)
        return Recovered(changes, damaged=damaged)

    def expect(self, stamp_: list[int]) -> None:
        """The noise file is about to be replaced by one with this stamp (in the thread that writes)."""
        with suppress(OSError):
            self._expectation.write_text(json.dumps(stamp_), encoding="utf-8")

    def _expected(self) -> list[list[int]]:
        try:
            return [json.loads(self._expectation.read_text(encoding="utf-8"))]
        except (OSError, ValueError, RecursionError):
            return []

    @property
    def _expectation(self) -> Path:
        return self._folder / f"{self._name}.expected"

    def append(self, change: Change) -> None:
        """Write one change down."""
        if self._lock is None:
            return
        try:
            if self._part is None:
                self._number += 1
                self._part = (self._folder / f"{self._name}.{self._number}.jsonl").open("ab")
                self._write({"file": stamp(self._noise), "path": str(self._noise)})
            self._write(line_of(change))
        except OSError as err:
            logger.warning("the crash journal cannot be written: %s", err)

    def rotate(self) -> list[Path]:
        """The noise file is about to be written: what comes from now on goes into another part."""
        self._close_part()
        return [part for part in self.parts() if part not in self._left] if self._lock is not None else []

    def written(self, parts: Iterable[Path]) -> None:
        """The noise file holds what these parts say."""
        for part in parts:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        if self._part is not None:
            with suppress(OSError):
                self._write({"file": stamp(self._noise)})

    def adopt(self) -> None:
        """What the dead process left has been replayed: the next write of the noise file holds it."""
        self._left = []

    def forget_left(self, keep: bool) -> None:
        """What the dead process left is not needed; `keep` it for people, out of the way."""
        for part in self._left:
            with suppress(OSError):
                part.replace(part.with_suffix(".left-out")) if keep else part.unlink(missing_ok=True)
        self._left = []

    def close(self) -> None:
        """Let go; parts that are not in the noise file stay for the next start."""
        self._close_part()
        if self._lock is not None:
            if not self.parts():
                with suppress(OSError):
                    self._expectation.unlink(missing_ok=True)
            self._lock.unlock()
            self._lock = None

    def _close_part(self) -> None:
        if self._part is not None:
            self._part.close()
            self._part = None

    def _write(self, line: Line) -> None:
        if self._part is not None:
            self._part.write(json.dumps(line).encode() + b"\n")
            self._part.flush()


def stamp(path: Path) -> list[int]:
    """Size and time of a file; empty when there is none."""
    try:
        info = path.stat()
    except OSError:
        return []
    return [info.st_size, info.st_mtime_ns]


def _number(part: Path) -> int:
    text = part.name.split(".")[-2]
    return int(text) if text.isdigit() else 0


def _lines(part: Path) -> tuple[list[Line], bool]:
    """The lines of a part that make sense, and whether that is all; the last line may be torn."""
    found: list[Line] = []
    try:
        raws = part.read_bytes().split(b"\n")
    except OSError as err:
        logger.warning("the crash journal %s cannot be read: %s", part, err)
        return found, False
    whole = True
    for number, raw in enumerate(raws, 1):
        try:
            line = json.loads(raw) if raw else {}
            _check(line)
            found.append(line)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
            torn = number == len(raws)  # the process died while it wrote
            whole = whole and torn
            if not torn:
                logger.warning("line %d of the crash journal %s cannot be read: %s", number, part, err)
    return found, whole


def _check(line: Line) -> None:
    """Raise when a line cannot be replayed."""
    if not isinstance(line, dict):
        raise TypeError("a line must be a table")
    if "n" not in line:
        return
    if not isinstance(line["n"], str):
        raise TypeError("a name must be text")
    arrays = [_unpacked(line[sign]) for sign in "-+" if sign in line]
    arrays += [np.array(polygon, dtype=np.float64).reshape(-1, 2) for polygon in line.get("areas", ())]
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("a position is not a number")


# -- changes as lines -----------------------------------------------------------------------------------------


def line_of(change: Change) -> Line:
    """A change as JSON: points that went ("-") and came ("+"), or the areas or the tick as they are now."""
    if change.what == "points":
        sides = (("-", change.before), ("+", change.after))
        return {"n": change.name} | {sign: _packed(points) for sign, points in sides if points is not None}
    if change.what == "areas":
        return {"n": change.name, "areas": [polygon.tolist() for polygon in change.after]}
    return {"n": change.name, "empty": bool(change.after)}


def _packed(points: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(points, dtype="<f8").tobytes()).decode()


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f8").reshape(-1, 2)


def replay(points: np.ndarray, lines: Iterable[Line], decimals: int = 6) -> np.ndarray:
    """The points (n, 2) after the lines of one micrograph; `decimals`: how exactly the noise file keeps them."""
    there = {key: tuple(xy) for key, xy in zip(_keys(points, decimals), points.tolist(), strict=True)}
    for line in lines:
        for key in _keys(_unpacked(line["-"]), decimals) if "-" in line else ():
            there.pop(key, None)
        if "+" in line:
            came = _unpacked(line["+"])
            for key, xy in zip(_keys(came, decimals), came.tolist(), strict=True):
                there.setdefault(key, tuple(xy))
    return np.array(list(there.values()), dtype=np.float64).reshape(-1, 2)


def _keys(points: np.ndarray, decimals: int) -> list[tuple[float, float]]:
    return [(x + 0.0, y + 0.0) for x, y in np.round(points, decimals).tolist()]


def by_name(lines: Iterable[Line]) -> Mapping[str, list[Line]]:
    """The lines of each micrograph, in order."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(str(line["n"]), []).append(line)
    return found
