"""What is open on Home: micrographs, their particles, their noise boxes. All reading happens in tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QObject, Signal

from app.session import Session
from app.tabs.home_journal import stamp
from app.tabs.home_names import keys_of, positions_by_key
from app.tabs.home_picks import DEFAULT_NAME, NoiseFile, default_path
from app.tabs.home_saving import free_name, written
from app.widgets.labels import counted
from core.errors import AppError, InputError, ResourceError
from workers.task import run_task

if TYPE_CHECKING:
    from core.io.coordinates import NoiseBoxes

MERGED_NAME = "particles_merged.star"
WRITE_WAIT_S = 30.0  # for what is being written at the moment


@dataclass
class Positions:
    """What reading STAR and text files brings back; None means "nothing of this kind was given"."""

    noise: tuple[Path, dict[str, np.ndarray], int | None] | None = None
    particles: tuple[Path, dict[str, np.ndarray]] | None = None
    note: str = ""
    stamp: list[int] | None = None  # of the noise file, from before it was read


@dataclass
class Opened:
    """Micrographs that were opened: `given` by the user (files or folders), `files` what that means."""

    given: list[Path]
    files: list[Path]


class HomeFiles(QObject):
    """Micrographs, particles and the noise file that belong together."""

    opened = Signal(object)  # Opened: other micrographs than before; their positions follow
    positions_changed = Signal(str)  # what was read, in words
    failed = Signal(object)  # AppError

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

        run_task(lambda: list_images(images), show, self.failed.emit, self)

    def _on_images(self, opened: Opened) -> None:
        self.given, self.files = opened.given, opened.files
        self._keys = keys_of(opened.files)
        for path in reversed(opened.given[:3]):
            self._session.add_recent(path)
        self.reading = True
        self._noise.open(None, {})
        self._match(self._particles_raw, self.particles_path)
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

    def _read_positions(self, tables: list[Path], as_noise: bool | None) -> None:
        project = self._session.project_dir(self.given[0])
        default = default_path(self.files[0].parent, project) if self.reading else None
        if default is not None and not tables and not default.exists() and written(default):
            self._on_positions(Positions(noise=(default, {}, None), stamp=[]))
            return
        generation = self._generation

        def take(positions: Positions) -> None:
            if generation == self._generation:
                self._on_positions(positions)

        def fail(err: AppError) -> None:
            if generation != self._generation:
                return
            if default is not None and tables:  # the micrographs are there: go on without what cannot be read
                self._read_positions([], None)
            self.failed.emit(err)

        run_task(lambda: read_positions(tables, as_noise, default, project), take, fail, self)

    def _match(self, raw: Mapping[str, np.ndarray], path: Path | None) -> bool:
        matched: dict[Path, np.ndarray] = {}
        if raw:
            from core.io.coordinates import match_names

            matched = match_names(raw, self.files)
        fits = any(len(xy) for xy in matched.values())
        self.particles, self.particles_path, self._particles_raw = (matched, path, raw) if fits else ({}, None, {})
        return fits

    def _on_positions(self, read: Positions) -> None:
        news = [read.note or f"{counted(len(self.files), 'micrograph')}."]
        self.reading = False
        if read.noise is not None:
            path, boxes, size = read.noise
            self._noise.open(path, positions_by_key(boxes, self.files, self._keys) if boxes else {}, size, read.stamp)
        if read.particles is not None:
            path, raw = read.particles
            if not self._match(raw, path):
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
    tables = [p for p in unique if p.suffix.lower() in (".star", ".txt", ".box")]
    return [p for p in unique if p not in tables], tables


def is_box_folder(path: Path) -> bool:
    """A folder of EMAN .box files and nothing that could be a micrograph."""
    from core.images.source import is_micrograph_name

    try:
        names = list(path.iterdir()) if path.is_dir() else []
    except OSError:
        return False
    return any(n.suffix.lower() == ".box" for n in names) and not any(is_micrograph_name(n) for n in names)


def list_images(images: list[Path]) -> tuple[Opened | None, list[Path]]:
    """The micrographs that these files and folders hold, and those of them that are folders of .box files."""
    from core.images.source import list_micrographs

    boxes = [p for p in images if is_box_folder(p)]
    rest = [p for p in images if p not in boxes]
    return Opened(rest, list_micrographs(rest if len(rest) > 1 else rest[0])) if rest else None, boxes


def read_positions(tables: list[Path], as_noise: bool | None, default: Path | None, project: Path) -> Positions:
    """Read noise boxes and particles; several particle files become one, written into the project folder.

    `default` is the noise file of the micrographs, read when no other is given; None: leave the present one.
    """
    from core.io.coordinates import read_particles

    found = Positions()
    particles: list[tuple[Path, dict[str, np.ndarray]]] = []
    for path in tables:
        if path.suffix.lower() == ".txt" or as_noise or (as_noise is None and is_noise(path)):
            kept = kept_in(path)
            found.stamp, boxes = stamp(kept), read_noise(path)
            found.noise = (kept, boxes.positions, boxes.box_size)
            found.note = f"{boxes.count} noise boxes from {path.name}."
        else:
            particles.append((path, read_particles(path)))
    if len(particles) == 1:
        found.particles = particles[0]
    elif particles:
        merged = merge([positions for _, positions in particles])
        found.particles = (write_merged(project, merged), merged)
    if found.noise is None and default is not None:
        before = stamp(default) if written(default, WRITE_WAIT_S) else []
        found.noise, found.note = read_default(default)
        found.stamp = before if found.noise[0] == default else []
    return found


def kept_in(path: Path) -> Path:
    """The file that noise boxes read from `path` are saved to: .box holds one micrograph only, so a STAR file."""
    if path.suffix.lower() != ".box":
        return path
    star = path.with_suffix(".star")
    return free_name(star) if star.exists() else star


def read_default(path: Path) -> tuple[tuple[Path, dict[str, np.ndarray], int | None], str]:
    """The noise file that lies with the micrographs; another name when that file cannot be read."""
    if not path.exists():
        return (path, {}, None), ""
    try:
        boxes = read_noise(path)
    except AppError as err:  # never overwrite what could not be read
        free = free_name(path)
        return (free, {}, None), f"{err.message} Noise boxes go to {free.name} instead."
    return (path, boxes.positions, boxes.box_size), f"{boxes.count} noise boxes from {path.name}."


def read_noise(path: Path) -> NoiseBoxes:
    """The noise boxes of a file that this program may still be writing; also of one whose last box was deleted."""
    from core.io.coordinates import NoiseBoxes, read_noise_boxes

    if not written(path, WRITE_WAIT_S):
        raise ResourceError(f"{path} is still being written.", "Open it again in a moment.")
    return NoiseBoxes({}) if holds_none(path) else read_noise_boxes(path)


def holds_none(path: Path) -> bool:
    """Whether a file of noise boxes says that there are none: our table without rows, or no text at all."""
    try:
        with path.open("rb") as handle:
            text = handle.read(4096)
    except OSError:
        return False
    if len(text) == 4096:
        return False
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if path.suffix.lower() != ".star":
        return path.suffix.lower() == ".txt" and not lines
    return b"_vitreousBoxSize" in text and all(line.startswith((b"#", b"data_", b"loop_", b"_")) for line in lines)


def merge(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Positions of several files by micrograph name; the same centre in two files counts once."""
    merged: dict[str, np.ndarray] = {}
    for part in parts:
        for name, xy in part.items():
            both = np.concatenate([merged[name], xy]) if name in merged else xy
            _, first = np.unique(both, axis=0, return_index=True)
            merged[name] = both[np.sort(first)] if name in merged else xy
    return merged


def write_merged(project: Path, positions: dict[str, np.ndarray]) -> Path:
    """Write positions as one STAR file into the project folder; an earlier file with other content stays."""
    from core.io.coordinates import read_particles
    from core.io.star_write import write_star

    path = project / MERGED_NAME
    if path.exists():
        try:
            old = read_particles(path)
        except AppError:
            old = {}
        same = (n in old and old[n].shape == xy.shape and np.allclose(old[n], xy) for n, xy in positions.items())
        if len(old) == len(positions) and all(same):
            return path
        path = free_name(path)
    try:
        project.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise ResourceError(f"{project} cannot be made: {err.strerror}.", "The merged positions go there.") from None
    rows = [(name, x, y) for name, xy in positions.items() for x, y in xy]
    columns = {
        "rlnMicrographName": [r[0] for r in rows],
        "rlnCoordinateX": [float(r[1]) for r in rows],
        "rlnCoordinateY": [float(r[2]) for r in rows],
    }
    write_star(path, "particles", columns)
    return path


def is_noise(path: Path) -> bool:
    """Does a STAR file hold noise boxes? It does when it has our box-size column or the usual name."""
    try:
        with path.open("rb") as handle:
            head = handle.read(4096)
    except OSError:
        return False
    return b"vitreousBoxSize" in head or path.name == DEFAULT_NAME
