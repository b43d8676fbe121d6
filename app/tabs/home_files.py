"""What is open on Home: micrographs, their particles, their noise boxes. All reading happens in tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.session import Session
from app.tabs.home_names import keys_of, positions_by_key
from app.tabs.home_picks import NoiseFile, default_path
from app.tabs.home_reading import Loading, Positions, Request, doubts_of, invert, read_positions
from app.tabs.home_saving import written
from app.widgets.labels import counted
from core.errors import AppError, InputError, JobStopped
from workers.task import run_task

if TYPE_CHECKING:
    from core.images.position_check import Doubts


@dataclass
class Opened:
    """Micrographs that were opened: `given` by the user (files or folders), `files` what that means."""

    given: list[Path]
    files: list[Path]
    matched: dict[Path, np.ndarray] = field(default_factory=dict)  # the particles that were loaded before


class HomeFiles(QObject):
    """Micrographs, particles and the noise file that belong together."""

    opened = Signal(object)  # Opened: other micrographs than before; their positions follow
    positions_changed = Signal(str)  # what was read, in words
    failed = Signal(object)  # AppError
    progress = Signal(int, int)  # bytes of the file that is read, done and in all
    ended = Signal()  # no file is being read any more
    bad_rows = Signal(object, object)  # AppError; a call of the second reads again without those rows
    inverted = Signal(object)  # Path: these particles fit when Y is inverted; see invert_y
    doubted = Signal(str)  # what else speaks against the particles

    def __init__(self, session: Session, noise: NoiseFile, parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._noise = session, noise
        self.given: list[Path] = []
        self.files: list[Path] = []
        self.particles: dict[Path, np.ndarray] = {}
        self.particles_path: Path | None = None
        self.reading = False  # the noise file of the open micrographs is not known yet
        self._particles_raw: Mapping[str, np.ndarray] = {}
        self._keys: dict[Path, str] = {}
        self._generation = 0
        self._loadings: list[Loading] = []
        self._accepted: set[Path] = set()  # particle files whose Y shall stay as it is

    def key(self, path: Path) -> str:
        """Name of a micrograph in the noise file."""
        return self._keys.get(path, path.name)

    def path_of(self, key: str) -> Path | None:
        """The open micrograph of that name."""
        return next((p for p, k in self._keys.items() if k == key), None)

    def open(self, paths: list[Path], as_noise: bool | None = None) -> None:
        """Read, in tasks, any mixture of micrographs, folders, STAR and text files: micrographs first.

        `as_noise` says what a STAR file is; None: what its columns say.
        """
        images, tables = sort_paths(paths)
        if not images:
            if self.files:
                self._read_positions(tables, as_noise)
            else:
                self.failed.emit(InputError("Open the micrographs first.", "Then load positions for them."))
            return
        self._generation += 1
        generation = self._generation

        def show(found: tuple[Opened | None, list[Path]]) -> None:
            opened, boxes = found
            if generation != self._generation:
                return
            if opened is not None:
                self._on_images(opened)
                self._read_positions([*tables, *boxes] or self._remembered(), as_noise)
            elif self.files:
                self._read_positions([*tables, *boxes], as_noise)
            else:
                self.failed.emit(InputError("Open the micrographs first.", "Then load positions for them."))

        raw = self._particles_raw
        run_task(lambda: list_images(images, raw), show, self.failed.emit, self)

    def _on_images(self, opened: Opened) -> None:
        self.given, self.files = opened.given, opened.files
        self._keys = keys_of(opened.files)
        for path in reversed(opened.given[:3]):
            self._session.add_recent(path)
        self.reading = True
        self._noise.open(None, {})
        self._take_particles(self._particles_raw, opened.matched, self.particles_path)
        self.opened.emit(opened)

    def _remembered(self) -> list[Path]:
        """The particles that were shown with this folder the last time."""
        known = self._session.settings.home.get("particles_of")
        path = known.get(str(self.files[0].parent)) if isinstance(known, dict) else None
        return [Path(path)] if isinstance(path, str) and Path(path).exists() else []

    def _remember(self) -> None:
        known = self._session.settings.home.setdefault("particles_of", {})
        if isinstance(known, dict) and self.particles_path is not None:
            known[str(self.files[0].parent)] = str(self.particles_path)

    def _read_positions(self, tables: list[Path], as_noise: bool | None, skip_bad_rows: bool = False) -> None:
        project = self._session.project_dir(self.given[0])
        default = default_path(self.files[0].parent, project) if self.reading else None
        if default is not None and not tables and not default.exists() and written(default):
            self._on_positions(Positions(noise=(default, {}, None), stamp=[]))
            return
        generation = self._generation
        request = Request(tables, self.files, project, as_noise, default, skip_bad_rows)
        loading = Loading(self.progress.emit)
        self._loadings.append(loading)

        def work() -> Positions | None:
            try:
                return read_positions(request, loading)
            except JobStopped:
                return None

        def go_on() -> None:  # the micrographs are there: without what is not read
            if default is not None and tables:
                self._read_positions([], None)

        def take(positions: Positions | None) -> None:
            self._end(loading)
            if generation != self._generation:
                return
            if positions is None:
                go_on()
                self.positions_changed.emit("Loading was cancelled: everything is as it was.")
            else:
                self._on_positions(positions)

        def fail(err: AppError) -> None:
            self._end(loading)
            if generation != self._generation:
                return
            go_on()
            from core.io.coordinates import BadRowsError

            if isinstance(err, BadRowsError):
                self.bad_rows.emit(err, lambda: self._read_positions(tables, as_noise, skip_bad_rows=True))
            else:
                self.failed.emit(err)

        run_task(work, take, fail, self)

    def _end(self, loading: Loading) -> None:
        self._loadings.remove(loading)
        if not self._loadings:
            self.ended.emit()

    @property
    def loading(self) -> bool:
        """Whether a file is being read."""
        return bool(self._loadings)

    def cancel(self) -> None:
        """Give up reading the files that are being read; what was there before stays."""
        for loading in self._loadings:
            loading.stop()

    def _take_particles(
        self, raw: Mapping[str, np.ndarray], matched: dict[Path, np.ndarray], path: Path | None
    ) -> bool:
        fits = any(len(xy) for xy in matched.values())
        self.particles, self.particles_path, self._particles_raw = (matched, path, raw) if fits else ({}, None, {})
        return fits

    def _doubt(self) -> None:
        """Look, in a task, whether the particles fit the pictures."""
        path, particles, loading = self.particles_path, self.particles, Loading(lambda *_: None)
        if path is None or path in self._accepted:
            return

        def take(doubts: Doubts) -> None:
            if self.particles is not particles:
                return
            if doubts.inverted:
                self.inverted.emit(path)
            elif doubts.sentences:
                self.doubted.emit(" ".join(doubts.sentences))

        run_task(lambda: doubts_of(particles, path.name, loading), take, self.failed.emit, self)

    def accept(self, path: Path) -> None:
        """The particles of this file are right as they are: nothing is asked about them any more."""
        self._accepted.add(path)

    def invert_y(self) -> None:
        """Load the particles with Y inverted; they are written into the project folder, their file stays as it is."""
        particles, names = self.particles, dict(self._keys)
        project = self._session.project_dir(self.given[0])

        def take(path: Path) -> None:
            self._accepted.add(path)
            if self.particles is particles:
                self._read_positions([path], as_noise=False)

        run_task(lambda: invert(particles, names, project), take, self.failed.emit, self)

    def _on_positions(self, read: Positions) -> None:
        news = [read.note or f"{counted(len(self.files), 'micrograph')}."]
        self.reading = False
        if read.noise is not None:
            path, boxes, size = read.noise
            self._noise.open(path, positions_by_key(boxes, self.files, self._keys) if boxes else {}, size, read.stamp)
        if read.particles is not None:
            path, raw = read.particles
            if self._take_particles(raw, read.matched, path):
                self._doubt()
            else:
                from core.io.coordinates import no_match_error

                self.failed.emit(no_match_error(path, raw, self.files))
        if self.particles:
            self._remember()
            total = sum(len(xy) for xy in self.particles.values())
            on = sum(len(xy) > 0 for xy in self.particles.values())
            news.append(f"{counted(total, 'particle')} on {on} of {counted(len(self.files), 'micrograph')}.")
        elif not self._noise.picks.total():
            news.append("Click on empty ice to mark noise.")
        self.positions_changed.emit(" ".join(news))


def sort_paths(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Micrographs and folders, and the files that hold positions; each once."""
    unique = list(dict.fromkeys(p.absolute() for p in paths))
    tables = [p for p in unique if p.name.lower().endswith((".star", ".star.gz", ".txt", ".box"))]
    return [p for p in unique if p not in tables], tables


def is_box_folder(path: Path) -> bool:
    """A folder of EMAN .box files and nothing that could be a micrograph."""
    from core.images.source import is_micrograph_name

    try:
        names = list(path.iterdir()) if path.is_dir() else []
    except OSError:
        return False
    return any(n.suffix.lower() == ".box" for n in names) and not any(is_micrograph_name(n) for n in names)


def list_images(images: list[Path], particles: Mapping[str, np.ndarray]) -> tuple[Opened | None, list[Path]]:
    """The micrographs that these files and folders hold, and those of them that are folders of .box files.

    `particles` that were loaded before are matched to the micrographs.
    """
    from core.images.source import list_micrographs
    from core.io.coordinates import match_names

    boxes = [p for p in images if is_box_folder(p)]
    rest = [p for p in images if p not in boxes]
    if not rest:
        return None, boxes
    files = list_micrographs(rest if len(rest) > 1 else rest[0])
    return Opened(rest, files, match_names(particles, files) if particles else {}), boxes
