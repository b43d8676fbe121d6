"""What is open on Home: micrographs, their particles, their noise boxes. All reading happens in tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.session import Session
from app.tabs.home_picks import DEFAULT_NAME, NoiseFile, default_path, keys_of, positions_by_key
from core.errors import AppError, InputError
from workers.task import run_task


@dataclass
class Opened:
    """What a reading task brings back; None or empty means "nothing of this kind was given"."""

    given: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    noise: tuple[Path, dict[str, np.ndarray], int | None] | None = None
    particles: tuple[Path, dict[str, np.ndarray]] | None = None
    note: str = ""


class HomeFiles(QObject):
    """Micrographs, particles and the noise file that belong together."""

    opened = Signal(object)  # Opened, with other micrographs than before
    particles_changed = Signal()
    failed = Signal(object)  # AppError

    def __init__(self, session: Session, noise: NoiseFile, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._noise = session, noise
        self.given: list[Path] = []
        self.files: list[Path] = []
        self.particles: dict[Path, np.ndarray] = {}
        self.particles_path: Path | None = None
        self._particles_raw: Mapping[str, np.ndarray] = {}
        self._keys: dict[Path, str] = {}

    def key(self, path: Path) -> str:
        """Name of a micrograph in the noise file."""
        return self._keys.get(path, path.name)

    def path_of(self, key: str) -> Path | None:
        """The open micrograph of that name."""
        return next((p for p, k in self._keys.items() if k == key), None)

    def open(self, paths: list[Path], as_noise: bool | None = None) -> None:
        """Read, in a task, any mixture of micrographs, folders, STAR and text files.

        `as_noise` says what a STAR file is; None: what its columns say.
        """
        run_task(lambda: read(paths, as_noise), self._on_read, self.failed.emit, self)

    def _on_read(self, opened: Opened) -> None:
        if opened.files:
            self._noise.flush()
            self.given, self.files = opened.given, opened.files
            self._keys = keys_of(opened.files)
            for path in reversed(opened.given[:3]):
                self._session.add_recent(path)
            if opened.particles is None and self._particles_raw and self.particles_path:
                opened.particles = (self.particles_path, dict(self._particles_raw))
            if opened.noise is None:
                self._use_default_noise(opened)
        if not self.files:
            self.failed.emit(InputError("Open the micrographs first.", "Then load positions for them."))
            return
        try:
            self._take_positions(opened)
        except AppError as err:
            self.failed.emit(err)
        if opened.files:
            self.opened.emit(opened)
        self.particles_changed.emit()

    def _take_positions(self, opened: Opened) -> None:
        if opened.noise is not None:
            path, positions, box = opened.noise
            self._noise.open(path, positions_by_key(positions, self.files, self._keys), box)
        if opened.particles is None:
            return
        from core.io.coordinates import match_names, no_match_error

        path, raw = opened.particles
        matched = match_names(raw, self.files)
        if any(len(xy) for xy in matched.values()):
            self.particles, self.particles_path, self._particles_raw = matched, path, raw
        else:
            old = path == self.particles_path  # of the micrographs that were open before: drop them quietly
            self.particles, self.particles_path, self._particles_raw = {}, None, {}
            if not old:
                raise no_match_error(path, raw, self.files)

    def _use_default_noise(self, opened: Opened) -> None:
        folder = opened.files[0].parent
        path = default_path(folder, self._session.project_dir(opened.given[0]))
        opened.noise = (path, {}, None)
        if not path.exists():
            return
        from core.io.coordinates import read_noise_boxes

        try:
            boxes = read_noise_boxes(path)
        except AppError as err:  # never overwrite what could not be read
            free = next(n for i in range(2, 10000) if not (n := path.with_stem(f"{path.stem}-{i}")).exists())
            opened.noise = (free, {}, None)
            opened.note = f"{err.message} Noise boxes go to {free.name} instead."
        else:
            opened.noise = (path, boxes.positions, boxes.box_size)
            opened.note = f"{len(opened.files)} micrographs, with {boxes.count} noise boxes from {path.name}."


def read(paths: list[Path], as_noise: bool | None) -> Opened:
    """Sort paths into micrographs and positions and read the positions."""
    from core.images.source import list_micrographs
    from core.io.coordinates import read_noise_boxes, read_particles

    opened = Opened()
    images: list[Path] = []
    for path in paths:
        suffix = path.suffix.lower()
        if suffix not in (".star", ".txt"):
            images.append(path.absolute())
        elif suffix == ".txt" or as_noise or (as_noise is None and is_noise(path)):
            boxes = read_noise_boxes(path)
            opened.noise = (path.absolute(), boxes.positions, boxes.box_size)
        else:
            opened.particles = (path.absolute(), read_particles(path))
    if images:
        opened.given = images
        opened.files = list_micrographs(images if len(images) > 1 else images[0])
    return opened


def is_noise(path: Path) -> bool:
    """Does a STAR file hold noise boxes? It does when it has our box-size column or the usual name."""
    try:
        with path.open("rb") as handle:
            head = handle.read(4096)
    except OSError:
        return False
    return b"vitreousBoxSize" in head or path.name == DEFAULT_NAME
