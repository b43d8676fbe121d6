"""The noise boxes of the Home tab: where they are kept, autosave, and which places are refused.

Positions and undo live in app/viewer/picks.py; the file formats in core/io/coordinates.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from app.viewer.picks import PickList
from core.errors import AppError, ResourceError
from workers.task import run_task

AUTOSAVE_MS = 1000
DEFAULT_NAME = "noise_boxes.star"


def refusal(
    x: float,
    y: float,
    box: int,
    shape: tuple[int, int],
    particles: np.ndarray,  # (n, 2) x, y
    diameter: float,
    others: np.ndarray,  # (n, 2) centres of the boxes that are there
) -> str:
    """Why a noise box of side `box` px may not have its centre at (x, y); empty when it may.

    `shape` is (ny, nx). The box covers the pixels centre - box // 2 ... + box, as the jobs cut it.
    """
    ny, nx = shape
    left, top = round(x) - box // 2, round(y) - box // 2
    if left < 0 or top < 0 or left + box > nx or top + box > ny:
        return f"A box of {box} px would leave the micrograph here."
    if len(particles):
        gap = np.maximum(np.abs(np.asarray(particles, float) - (round(x), round(y))) - box / 2, 0)
        if (np.hypot(gap[:, 0], gap[:, 1]) < diameter / 2).any():
            return "This box would overlap a particle: noise boxes must hold no particle."
    if len(others) and (np.abs(np.asarray(others, float) - (x, y)).max(axis=1) < box / 4).any():
        return "There is a noise box here already. Ctrl+click deletes it."
    return ""


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


class NoiseFile(QObject):
    """Picked noise boxes and the file they are saved to, a second after the last change."""

    changed = Signal(str)  # micrograph key, "" = several
    saved = Signal(str)  # path
    failed = Signal(object)  # AppError

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.picks = PickList()
        self.path: Path | None = None
        self.box_size = 128
        self._saving = False
        self._timer = QTimer(self, interval=AUTOSAVE_MS, singleShot=True)
        self._timer.timeout.connect(self._save)
        self.picks.subscribe(self._on_change)

    def open(self, path: Path | None, positions: Mapping[str, np.ndarray], box_size: int | None = None) -> None:
        """Show the content of a file (or nothing yet) and save to it from now on."""
        self.flush()
        self.path = path
        if box_size:
            self.box_size = box_size
        self.picks.load(positions)

    def choose(self, path: Path) -> None:
        """Save to another file from now on."""
        self.flush()
        self.path = path
        self._timer.start()

    def set_box_size(self, box_size: int) -> None:
        """Side of all boxes in px; it is part of a STAR file."""
        if box_size == self.box_size:
            return
        self.box_size = box_size
        if self.picks.total():
            self._timer.start()

    def _on_change(self, key: str) -> None:
        if self.picks.dirty:
            self._timer.start()
        self.changed.emit(key)

    def _save(self) -> None:
        if self._saving:
            self._timer.start()  # after the write that is going on
            return
        if self.path is None:
            return
        path, positions, box = self.path, self.picks.as_dict(), self.box_size
        self.picks.mark_saved()
        self._saving = True
        run_task(lambda: write(path, positions, box), self._on_saved, self._on_failed, self)

    def _on_saved(self, path: Path) -> None:
        self._saving = False
        self.saved.emit(str(path))

    def _on_failed(self, err: AppError) -> None:
        self._saving = False
        self.failed.emit(err)

    def flush(self) -> None:
        """Write now what waits to be written."""
        if self._timer.isActive() and self.path is not None:
            self._timer.stop()
            self.picks.mark_saved()
            try:
                write(self.path, self.picks.as_dict(), self.box_size)
            except AppError as err:
                self.failed.emit(err)
            else:
                self.saved.emit(str(self.path))


def write(path: Path, positions: Mapping[str, np.ndarray], box_size: int) -> Path:
    """Write the noise boxes; the folder is made when it is missing."""
    from core.io.coordinates import write_noise_boxes

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ResourceError(f"{path.parent} cannot be made: {err.strerror}.", "Choose another file.") from None
    write_noise_boxes(path, positions, box_size)
    return path
