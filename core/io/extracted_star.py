"""The STAR table of extraction: every column of the input is kept, but those that say where and how large images are.

Reads particles or picks (RELION 3.0 to 5) with positions; writes the 3.1 form with an optics table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io import particles_star
from core.io.star import Table, missing_column, numbers, read_star
from core.io.star_paths import PROJECT_MARK
from core.io.star_write import Column, Texts, write_star_tables

_GROUP, _NAME = "rlnOpticsGroup", "rlnMicrographName"
_XY = ("rlnCoordinateX", "rlnCoordinateY")
_MICROGRAPH_PIXEL, _ORIGINAL_PIXEL = "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize"
_OF_OPTICS = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")  # in 3.0 with the particles
_REPLACED = frozenset({
    *_XY, "rlnImageName", "rlnOriginX", "rlnOriginY", "rlnOriginXAngst", "rlnOriginYAngst", "rlnImagePixelSize",
    "rlnPixelSize", "rlnDetectorPixelSize", "rlnMagnification", "rlnImageSize", "rlnImageDimensionality",
    _MICROGRAPH_PIXEL,
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Positions:
    """n particles of a STAR file: `xy` (n, 2) px; `names` the micrographs they name, `which` (n,) of these.

    `pixel_size_a`: Å per pixel of the micrographs, `original_a` before they were binned; None where the file does not
    say it, or says several.
    """

    path: Path
    table: Table
    optics: Table | None
    xy: np.ndarray
    names: list[str]
    which: np.ndarray
    pixel_size_a: float | None
    original_a: float | None

    def __len__(self) -> int:
        return len(self.xy)

    def rows(self) -> dict[str, np.ndarray]:
        """The rows (k, 1) of each micrograph name: what coordinates.match_names sorts to files."""
        order = np.argsort(self.which, kind="stable")
        parts = np.split(order, np.cumsum(np.bincount(self.which, minlength=len(self.names)))[:-1])
        return {name: part[:, None] for name, part in zip(self.names, parts, strict=True)}

    def origins_a(self, micrograph_a: float) -> np.ndarray:
        """Shifts (n, 2) in Å; those given in pixels are of the images, or of the micrographs where no size is told."""
        joined = _joined(self.optics, self.table, self.path)
        pixel = particles_star.image_pixel_size(self.table, joined, self.path)
        found = particles_star.origins(
            self.table, np.full(len(self), micrograph_a) if pixel is None else pixel, self.path
        )
        return np.zeros((len(self), 2)) if found is None else found


def _joined(optics: Table | None, table: Table, path: Path) -> dict[str, np.ndarray]:
    tables = {"particles": table} | ({} if optics is None else {"optics": optics})
    return particles_star.optics_of_particles(tables, table, path)


def read_positions(path: Path, told: Callable[[int], None] = lambda _: None) -> Positions:
    """Positions with all columns. `told(bytes read)` may raise to stop.

    InputError for tables without positions or without rows, for text or nan where a number belongs, and tomography.
    """
    tables = read_star(path, progress=lambda done, _: told(done))
    table = tables.get("particles") or next((t for t in tables.values() if all(c in t for c in _XY)), None)
    if table is None:
        table = max(tables.values(), key=lambda t: len(t.lines))
    particles_star.refuse_tomography(table, path)
    if not all(c in table for c in _XY):
        raise missing_column(path, _XY, table, "Choose the STAR file of a picking, extraction or refinement job.")
    if not len(table.lines):
        raise InputError(f"{path} holds no particles: its table has no rows.", "Choose another STAR file.", path)
    optics = tables.get("optics")
    optics = optics if optics is not None and _GROUP in optics and len(optics.lines) else None
    _joined(optics, table, path)  # groups that are not defined, or twice
    texts = table[_NAME].astype(str) if _NAME in table else np.full(len(table.lines), path.name)
    names, which = np.unique(texts, return_inverse=True)
    xy = np.stack([numbers(table, c, path) for c in _XY], axis=1)
    sizes = (_one_size(c, optics, table, path) for c in (_MICROGRAPH_PIXEL, _ORIGINAL_PIXEL))
    return Positions(path, table, optics, xy, [str(n) for n in names], which, *sizes)


def _one_size(name: str, optics: Table | None, table: Table, path: Path) -> float | None:
    """The one value above 0 of a column of either table."""
    for one in (optics, table):
        if one is not None and name in one:
            values = numbers(one, name, path)
            if values.min() > 0 and np.ptp(values) < 1e-3 * values.max():
                return float(values.mean())
    return None


@dataclass(frozen=True, eq=False)
class Extracted:
    """What was cut: `rows` (k,) of the input in the order of the images, `stacks` and the image's number from 1.

    `xy` (k, 2) centre pixels, `origins_a` (k, 2) Å; images of `size` px with `pixel_size_a`.
    """

    rows: np.ndarray
    stacks: list[str]
    which: np.ndarray
    number: np.ndarray
    xy: np.ndarray
    origins_a: np.ndarray
    size: int
    pixel_size_a: float
    micrograph_pixel_a: float


def write_extracted(path: Path, source: Positions, made: Extracted, comments: list[str]) -> None:
    """The table of the cut particles, all or nothing."""
    table, k = source.table, len(made.rows)
    optics, group = _optics(source, made)
    particles: dict[str, Column] = {
        "rlnImageName": Texts(made.stacks, made.which, made.number),
        _XY[0]: made.xy[:, 0],
        _XY[1]: made.xy[:, 1],
        "rlnOriginXAngst": made.origins_a[:, 0],
        "rlnOriginYAngst": made.origins_a[:, 1],
    }
    moved = () if source.optics is not None else _OF_OPTICS
    for name in table:
        if name not in _REPLACED and name not in moved and name != _GROUP:
            particles[name] = table[name][made.rows]
    if _NAME not in particles:
        particles[_NAME] = Texts(source.names, source.which[made.rows])
    particles[_GROUP] = group[made.rows] if k else group[:0]
    write_star_tables(path, {"optics": optics, "particles": particles}, comments)


def _optics(source: Positions, made: Extracted) -> tuple[dict[str, Column], np.ndarray]:
    """The optics table of the output, and the group of each particle of the input (n,)."""
    n = len(source)
    if source.optics is not None:
        kept: dict[str, Column] = {c: v for c, v in source.optics.items() if c not in _REPLACED}
        groups = numbers(source.optics, _GROUP, source.path).astype(np.int64)
        kept[_GROUP] = groups
        own = _GROUP in source.table
        group = numbers(source.table, _GROUP, source.path).astype(np.int64) if own else np.full(n, groups[0])
    else:
        told = [c for c in _OF_OPTICS if c in source.table]
        values = np.stack([numbers(source.table, c, source.path) for c in told], axis=1) if told else np.zeros((n, 1))
        different, place = np.unique(values, axis=0, return_inverse=True)
        groups = np.arange(1, len(different) + 1)
        kept = {"rlnOpticsGroupName": [f"opticsGroup{g}" for g in groups], _GROUP: groups}
        kept |= {c: different[:, i] for i, c in enumerate(told)}
        group = place.ravel() + 1
    count = len(groups)
    kept[_MICROGRAPH_PIXEL] = np.full(count, made.micrograph_pixel_a)
    kept["rlnImagePixelSize"] = np.full(count, made.pixel_size_a)
    kept["rlnImageSize"] = np.full(count, made.size)
    kept["rlnImageDimensionality"] = np.full(count, 2)
    return kept, group


def named_from(folder: Path) -> Path:
    """The folder that names of stacks start from: the RELION project around `folder`, or `folder` itself."""
    return next((f for f in (folder, *folder.parents) if (f / PROJECT_MARK).exists()), folder)
