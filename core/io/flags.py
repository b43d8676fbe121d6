"""Flags of micrographs (keep, reject, star) by micrograph key, with undo; and the JSON file they are kept in.

No Qt. A key is the micrograph's name in the noise file. Saving by itself is app/widgets/flag_file.py.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from core.errors import InputError, ResourceError
from core.io.atomic import write_json
from core.io.json_file import read_json

FLAGS = ("keep", "reject", "star")
FILE_NAME = "micrograph_flags.json"
MOST_BYTES = 64 << 20
_FORMAT = "vitreous micrograph flags"


class Flags:
    """One flag or none ("") for each key. `subscribe(callback)`: callback(keys) after each change."""

    def __init__(self, flags: Mapping[str, str] | None = None) -> None:
        self._flags: dict[str, str] = dict(flags or {})
        self._undo: list[dict[str, str]] = []  # what the changed keys had before
        self._redo: list[dict[str, str]] = []
        self._listeners: list[Callable[[list[str]], None]] = []
        self.dirty = False

    def get(self, key: str) -> str:
        """The flag of a key, "" when it has none."""
        return self._flags.get(key, "")

    def count(self, flag: str) -> int:
        """How many keys have this flag."""
        return sum(f == flag for f in self._flags.values())

    def as_dict(self) -> dict[str, str]:
        """A copy: key -> flag."""
        return dict(self._flags)

    def load(self, flags: Mapping[str, str]) -> None:
        """Replace everything and forget the history: a file was opened."""
        changed = sorted(set(self._flags) | set(flags))
        self._flags = {k: f for k, f in flags.items() if f}
        self._undo, self._redo, self.dirty = [], [], False
        self._tell(changed)

    def adopt(self, flags: Mapping[str, str]) -> None:
        """Take flags ("" for none) that others put into the file: no step for undo, nothing to save."""
        dirty = self.dirty
        self._put(flags)
        self.dirty = dirty

    def set(self, keys: Iterable[str], flag: str) -> list[str]:
        """Give a flag ("" takes it away): one step for undo. Returns the keys that changed."""
        if flag not in (*FLAGS, ""):
            raise ValueError(f"unknown flag {flag}")
        before = {k: self.get(k) for k in dict.fromkeys(keys) if self.get(k) != flag}
        if before:
            self._undo.append(before)
            self._redo.clear()
            self._put(dict.fromkeys(before, flag))
        return list(before)

    def undo(self) -> list[str]:
        """Take the last change back; returns its keys, [] when there is none."""
        return self._turn(self._undo, self._redo)

    def redo(self) -> list[str]:
        """Do the change again that was taken back last."""
        return self._turn(self._redo, self._undo)

    @property
    def can_undo(self) -> bool:
        """Whether there is a change to take back."""
        return bool(self._undo)

    def _turn(self, source: list[dict[str, str]], target: list[dict[str, str]]) -> list[str]:
        if not source:
            return []
        step = source.pop()
        target.append({k: self.get(k) for k in step})
        self._put(step)
        return list(step)

    def _put(self, flags: Mapping[str, str]) -> None:
        for key, flag in flags.items():
            if flag:
                self._flags[key] = flag
            else:
                self._flags.pop(key, None)
        self.dirty = True
        self._tell(list(flags))

    def subscribe(self, callback: Callable[[list[str]], None]) -> Callable[[], None]:
        """Call back after each change; returns the function that ends this."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    def _tell(self, keys: list[str]) -> None:
        for listener in tuple(self._listeners):
            listener(keys)


def read_flags(path: Path) -> dict[str, str]:
    """Flags of a file by key; {} when it does not exist."""
    try:
        data = read_json(path, "flags of micrographs", "Move it away.", MOST_BYTES)
    except FileNotFoundError:
        return {}
    flags = data.get("flags") if isinstance(data, dict) and data.get("format") == _FORMAT else None
    if not isinstance(flags, dict) or not all(isinstance(f, str) for f in flags.values()):
        raise InputError(f"{path} does not hold flags of micrographs.", "Move it away.", path)
    return flags


def write_flags(path: Path, flags: Mapping[str, str]) -> Path:
    """Write flags, atomically."""
    write_json(path, {"format": _FORMAT, "version": 1, "flags": dict(sorted(flags.items()))})
    return path


_locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)  # two windows may have one file open


class FlagWriter:
    """Writes the flags of one file, in any thread, one after another; what others changed there since is kept."""

    def __init__(self, path: Path, known: Mapping[str, str]) -> None:
        """`known`: what the file held when it was read."""
        self.path = path
        self._known = dict(known)
        self._number = 0  # of the newest flags that were written

    def write(self, flags: Mapping[str, str], number: int, wait_s: float = -1) -> dict[str, str] | None:
        """Write those that differ from what was read or written last; returns what the file holds then.

        None when flags of a higher `number` were written before. A file that cannot be read (any more) is left
        alone: `path` is another one then. `wait_s`: how long to wait for a write that is going on, -1 for ever.
        """
        lock = _locks[self.path]
        if not lock.acquire(timeout=wait_s):
            raise ResourceError(f"{self.path.name} could not be written: its disk does not answer.", "Is it connected?")
        try:
            if number <= self._number:
                return None
            merged = self._merged(flags)
            write_flags(self.path, merged)
            self._known, self._number = merged, number
            return dict(merged)
        finally:
            lock.release()

    def _merged(self, flags: Mapping[str, str]) -> dict[str, str]:
        if not self.path.exists():
            return dict(flags)
        try:
            merged = read_flags(self.path)
        except InputError:
            self.path = free_name(self.path)
            return dict(flags)
        for key in self._known.keys() | flags.keys():
            flag = flags.get(key, "")
            if flag == self._known.get(key, ""):
                continue
            if flag:
                merged[key] = flag
            else:
                merged.pop(key, None)
        return merged


def free_name(path: Path) -> Path:
    """The first of name-2, name-3, ... that is free."""
    return next(n for i in range(2, 10000) if not (n := path.with_stem(f"{path.stem}-{i}")).exists())
