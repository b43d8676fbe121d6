"""Reading positions for Home: noise boxes and particles, off the GUI thread. No Qt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.tabs.home_journal import stamp
from app.tabs.home_picks import DEFAULT_NAME
from app.tabs.home_saving import free_name, written
from core.errors import AppError, ResourceError

if TYPE_CHECKING:
    from core.images.position_check import Doubts
    from core.io.coordinates import NoiseBoxes

MERGED_NAME = "particles_merged.star"
KEPT_NAME = "particles_kept.star"
INVERTED_NAME = "particles_inverted.star"
WRITE_WAIT_S = 30.0  # for what is being written at the moment
REPORT_S = 0.05  # between two reports of progress


@dataclass
class Positions:
    """What reading STAR and text files brings back; None means "nothing of this kind was given"."""

    noise: tuple[Path, dict[str, np.ndarray], int | None] | None = None
    particles: tuple[Path, dict[str, np.ndarray]] | None = None
    matched: dict[Path, np.ndarray] = field(default_factory=dict)  # the particles, by micrograph
    note: str = ""
    stamp: list[int] | None = None  # of the noise file, from before it was read


class Loading:
    """One reading that can be stopped from another thread; it reports (done, total) some twenty times a second."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self._stop, self._report, self._last = threading.Event(), report, 0.0

    def stop(self) -> None:
        """End it soon; what was read is thrown away."""
        self._stop.set()

    def stopped(self) -> bool:
        """Whether that was asked for."""
        return self._stop.is_set()

    def progress(self, done: int, total: int) -> None:
        """To be called as often as one likes."""
        now = time.monotonic()
        if now - self._last >= REPORT_S and not self.stopped():
            self._last = now
            with suppress(RuntimeError):  # the window has gone
                self._report(done, total)


@dataclass
class Request:
    """What to read: `tables`, STAR, text and .box files, for the micrographs `files`, into the folder `project`.

    `as_noise` says what a STAR file is; None: what its columns say. `default` is the noise file of the micrographs,
    read when no other is given; None: leave the present one. `skip_bad_rows`: leave out rows without a position.
    """

    tables: list[Path]
    files: Sequence[Path]
    project: Path
    as_noise: bool | None = None
    default: Path | None = None
    skip_bad_rows: bool = False


def read_positions(request: Request, loading: Loading) -> Positions:
    """Read noise boxes and particles, and match the particles to the micrographs.

    Several particle files become one, and one whose bad rows are skipped a file without them, in the project folder.
    """
    from core.io.coordinates import Reading, match_names, read_particles

    found = Positions()
    told: list[str] = []
    how = Reading(request.skip_bad_rows, told.append, loading.progress, loading.stopped)
    particles: list[tuple[Path, dict[str, np.ndarray]]] = []
    for path in request.tables:
        as_noise = request.as_noise
        if path.suffix.lower() == ".txt" or as_noise or (as_noise is None and is_noise(path)):
            kept = kept_in(path)
            found.stamp, boxes = stamp(kept), read_noise(path)
            found.noise = (kept, boxes.positions, boxes.box_size)
            found.note = f"{boxes.count} noise boxes from {path.name}."
        else:
            particles.append((path, read_particles(path, how)))
    if len(particles) == 1 and not told:
        found.particles = particles[0]
    elif particles:
        merged = merge([positions for _, positions in particles])
        name = MERGED_NAME if len(particles) > 1 else KEPT_NAME
        found.particles = (write_positions(request.project, merged, name), merged)
    if found.particles is not None:
        found.matched = match_names(found.particles[1], request.files)
    if found.noise is None and request.default is not None:
        default = request.default
        before = stamp(default) if written(default, WRITE_WAIT_S) else []
        found.noise, found.note = read_default(default)
        found.stamp = before if found.noise[0] == default else []
    found.note = " ".join([found.note, *told]).strip()
    return found


def doubts_of(matched: Mapping[Path, np.ndarray], name: str, loading: Loading) -> Doubts:
    """What speaks against the positions, seen in some of the pictures."""
    from core.images.position_check import position_doubts

    return position_doubts(matched, name, loading.stopped)


def invert(matched: Mapping[Path, np.ndarray], names: Mapping[Path, str], project: Path) -> Path:
    """Write the positions with y -> NY - y into the project folder; `names` are those of the micrographs there."""
    from core.images.position_check import invert_y
    from core.images.source import open_source

    inverted = {names[p]: invert_y(xy, open_source(p).shape[0]) for p, xy in matched.items() if len(xy)}
    return write_positions(project, inverted, INVERTED_NAME)


def kept_in(path: Path) -> Path:
    """The file that noise boxes read from `path` are saved to: a STAR file for .box (one micrograph only) and .gz."""
    if path.suffix.lower() not in (".box", ".gz"):
        return path
    star = path.with_suffix("") if path.suffix.lower() == ".gz" else path.with_suffix(".star")
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


def write_positions(project: Path, positions: dict[str, np.ndarray], name: str) -> Path:
    """Write positions as one STAR file into the project folder; an earlier file with other content stays."""
    from core.io.coordinates import read_particles
    from core.io.star_write import Texts, write_star

    path = project / name
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
        raise ResourceError(f"{project} cannot be made: {err.strerror}.", "The positions go there.") from None
    xy = np.concatenate([np.empty((0, 2)), *positions.values()])
    which = np.repeat(np.arange(len(positions)), [len(xy) for xy in positions.values()])
    columns = {
        "rlnMicrographName": Texts(list(positions), which),
        "rlnCoordinateX": xy[:, 0],
        "rlnCoordinateY": xy[:, 1],
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
