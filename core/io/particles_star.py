"""Particles of a RELION STAR file (3.0 to 5) for 3D work: images, positions, poses, and the CTF of every particle.

Optics tables are joined: each particle has its own pixel size, voltage and so on. Tomography is refused.
Positions alone, also of other programs, are coordinates.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.star import Table, missing_column, numbers, read_star
from core.io.star_paths import split_image
from core.io.star_scan import Cancelled, Progress

_GROUP = "rlnOpticsGroup"
_DIFFERS = 1e-3  # relative: two pixel sizes that are not the same
_OPTICS = {  # our name -> RELION's, in the optics table or (3.0) with the particles
    "voltage_kv": "rlnVoltage",
    "cs_mm": "rlnSphericalAberration",
    "amplitude_contrast": "rlnAmplitudeContrast",
}
_CTF = {
    "defocus_u_a": "rlnDefocusU",
    "defocus_v_a": "rlnDefocusV",
    "defocus_angle_deg": "rlnDefocusAngle",
    "phase_shift_deg": "rlnPhaseShift",
    "ctf_b_factor_a2": "rlnCtfBfactor",
    "ctf_scale": "rlnCtfScalefactor",
}
_ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
_TOMO = ("rlnTomoName", "rlnTomoParticleName", "rlnCenteredCoordinateXAngst", "rlnCenteredCoordinateZAngst")
_OTHERS = (
    "rlnImageName", "rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ", _GROUP,
    "rlnImagePixelSize", "rlnPixelSize", "rlnDetectorPixelSize", "rlnMagnification",
    "rlnOriginX", "rlnOriginY", "rlnOriginXAngst", "rlnOriginYAngst", "rlnRandomSubset", "rlnClassNumber",
)  # fmt: skip
COLUMNS = frozenset({*_OPTICS.values(), *_CTF.values(), *_ANGLES, *_TOMO, *_OTHERS})


@dataclass(frozen=True, eq=False)
class ParticlesTable:
    """n particles; every number is float64 of length n unless told, and None where the file does not say it.

    `image_index` int64 counts from 0 in `image_path` (texts as written: star_paths.resolve finds the files).
    `xy` (n, 2): centre in px of the micrograph as stored, x = column, y = row. `angles_deg` (n, 3): rot, tilt, psi,
    RELION's intrinsic ZYZ, which turn the map into the particle's view (rot = tilt = 0 in 2D).
    `origins_a` (n, 2): the shift in Å that brings the particle into the middle of its image; in an image of the
    micrograph's pixel size, the particle lies at the middle - origin / pixel size.
    `defocus_*_a` in Å, positive = underfocus; `defocus_angle_deg` from the x axis to the axis of `defocus_u_a`;
    `pixel_size_a` is that of the images. `half` int64 1 or 2, `class_number` int64 from 1.
    """

    image_index: np.ndarray
    image_path: np.ndarray
    micrograph: np.ndarray | None
    xy: np.ndarray | None
    angles_deg: np.ndarray | None
    origins_a: np.ndarray | None
    pixel_size_a: np.ndarray | None
    voltage_kv: np.ndarray | None
    cs_mm: np.ndarray | None
    amplitude_contrast: np.ndarray | None
    defocus_u_a: np.ndarray | None
    defocus_v_a: np.ndarray | None
    defocus_angle_deg: np.ndarray | None
    phase_shift_deg: np.ndarray | None
    ctf_b_factor_a2: np.ndarray | None
    ctf_scale: np.ndarray | None
    optics_group: np.ndarray | None
    half: np.ndarray | None
    class_number: np.ndarray | None

    def __len__(self) -> int:
        return len(self.image_index)


def read_particles_table(
    path: Path,
    *,
    pixel_size_a: float | None = None,
    told: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> ParticlesTable:
    """Particles with their optics joined. `progress` and `cancelled`: see read_star.

    `pixel_size_a` counts instead of what the file says (origins that it gives in pixels are pixels of this size);
    `told` hears when the two differ.

    Raises InputError for a table without rlnImageName, a group that is not defined or defined twice, values that
    are no numbers (with their line), half of a pair of columns, and for tomography.
    """
    path = Path(path)
    tables = read_star(path, COLUMNS, progress=progress, cancelled=cancelled)
    table = tables.get("particles") or next((t for t in tables.values() if "rlnImageName" in t), None)
    if table is None:
        table = max(tables.values(), key=lambda t: len(t.lines))
    refuse_tomography(table, path)
    if "rlnImageName" not in table:
        raise missing_column(path, ["rlnImageName"], table, "Choose the STAR file of an extraction or refinement.")
    if not len(table.lines):
        raise InputError(f"{path} holds no particles: its table has no rows.", "Choose another STAR file.", path)
    joined = optics_of_particles(tables, table, path)
    pixel = image_pixel_size(table, joined, path) if pixel_size_a is None else np.full(len(table.lines), pixel_size_a)
    if pixel_size_a is not None and told is not None:
        _compare(pixel_size_a, table, joined, path, told)
    index, image = _images(table, path)
    values = {ours: joined.get(name, _column(table, name, path)) for ours, name in _OPTICS.items()}
    values |= {ours: _column(table, name, path) for ours, name in _CTF.items()}
    return ParticlesTable(
        image_index=index,
        image_path=image,
        micrograph=table["rlnMicrographName"].astype(str).astype(object) if "rlnMicrographName" in table else None,
        xy=_columns(table, ("rlnCoordinateX", "rlnCoordinateY"), path),
        angles_deg=_angles(table, path),
        origins_a=origins(table, pixel, path),
        pixel_size_a=pixel,
        optics_group=_whole(table, _GROUP, path),
        half=_whole(table, "rlnRandomSubset", path),
        class_number=_whole(table, "rlnClassNumber", path),
        **values,
    )


def refuse_tomography(table: Table, path: Path) -> None:
    """InputError for a table of subtomograms: their positions are no pixels of a micrograph."""
    if "rlnCenteredCoordinateXAngst" in table.names and "rlnCoordinateX" not in table.names:
        raise InputError(
            f"{path} has positions in Å from the centre of a tomogram, not in pixels of a micrograph.",
            "Choose the particles of a single-particle job.",
            path,
        )
    if "rlnTomoName" in table.names and "rlnMicrographName" not in table.names:
        raise InputError(
            f"{path} holds subtomograms: their positions lie in tomograms, not on micrographs.",
            "Choose the particles of a single-particle job.",
            path,
        )


def optics_of_particles(tables: Mapping[str, Table], particles: Table, path: Path) -> dict[str, np.ndarray]:
    """Every column of numbers of the optics table that was read, one value per particle; {} without such a table.

    Raises InputError when a group is defined twice, or is used and not defined.
    """
    optics = tables.get("optics")
    if optics is None or _GROUP not in optics or not len(optics.lines):
        return {}
    groups = numbers(optics, _GROUP, path)
    listed, counts = np.unique(groups, return_counts=True)
    if counts.max() > 1:
        raise InputError(
            f"{path} defines optics group {listed[counts.argmax()]:g} twice.", "Keep one row, or renumber it.", path
        )
    if _GROUP not in particles:
        if len(groups) == 1:
            return {name: np.repeat(numbers(optics, name, path), len(particles.lines)) for name in _told(optics)}
        raise InputError(
            f"{path} has {len(groups)} optics groups, but its particles have no column _{_GROUP}.",
            "Add the column, or keep one group.",
            path,
        )
    used = numbers(particles, _GROUP, path)
    place = np.minimum(np.searchsorted(listed, used), len(listed) - 1)
    unknown = np.flatnonzero(listed[place] != used)
    if unknown.size:
        raise InputError(
            f"{path}, line {particles.lines[unknown[0]]}: optics group {used[unknown[0]]:g} is not defined in the "
            f"optics table (it has {', '.join(f'{g:g}' for g in listed[:5])}); {unknown.size} rows use such groups.",
            "Add the group to the optics table.",
            path,
        )
    row = np.argsort(groups)[place]
    return {name: numbers(optics, name, path)[row] for name in _told(optics)}


def _told(optics: Table) -> list[str]:
    return [name for name in (*_OPTICS.values(), "rlnImagePixelSize") if name in optics]


def image_pixel_size(table: Table, joined: Mapping[str, np.ndarray], path: Path) -> np.ndarray | None:
    """Å per pixel of the images (n,): of the optics table, the particles, or (3.0) of the detector pixel (µm) and the
    magnification; None where the file does not say it. `joined`: what optics_of_particles gave.
    """
    size = joined.get("rlnImagePixelSize")
    for name in ("rlnImagePixelSize", "rlnPixelSize"):
        size = _column(table, name, path) if size is None else size
    if size is None:
        detector, magnification = (_column(table, n, path) for n in ("rlnDetectorPixelSize", "rlnMagnification"))
        if detector is None or magnification is None:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            size = detector * 1e4 / magnification
    bad = np.flatnonzero(~(np.isfinite(size) & (size > 0)))
    if bad.size:
        raise InputError(
            f"{path}, line {table.lines[bad[0]]}: the pixel size of this particle is {size[bad[0]]:g} Å.",
            "Correct the pixel size or magnification in the file.",
            path,
        )
    return size


def _compare(given: float, table: Table, joined: Mapping[str, np.ndarray], path: Path, told: Callable) -> None:
    """Say it when the pixel size of the file is another one, or none that can be."""
    try:
        written = image_pixel_size(table, joined, path)
    except InputError as err:
        told(f"{err.message} --pixel-size {given:g} Å is used.")
        return
    if written is not None and np.abs(written / given - 1).max() > _DIFFERS:
        low, high = float(written.min()), float(written.max())
        says = f"{low:g} Å" if low == high else f"{low:g} to {high:g} Å"
        told(f"{path.name} says {says} per pixel; --pixel-size {given:g} Å is used.")


def _angles(table: Table, path: Path) -> np.ndarray | None:
    """A table of a 2D alignment has psi only."""
    if "rlnAnglePsi" in table and not {"rlnAngleRot", "rlnAngleTilt"} & set(table):
        psi = numbers(table, "rlnAnglePsi", path)
        return np.stack([np.zeros_like(psi), np.zeros_like(psi), psi], axis=1)
    return _columns(table, _ANGLES, path)


def origins(table: Table, pixel: np.ndarray | None, path: Path) -> np.ndarray | None:
    """Shifts (n, 2) in Å that bring the particles into the middle; None without such columns."""
    shifts = _columns(table, ("rlnOriginXAngst", "rlnOriginYAngst"), path)
    if shifts is not None:
        return shifts
    shifts = _columns(table, ("rlnOriginX", "rlnOriginY"), path)
    if shifts is None:
        return None
    if pixel is None:
        raise InputError(
            f"{path} has origins in pixels, but no pixel size to turn them into Å.",
            "Add _rlnDetectorPixelSize and _rlnMagnification, an optics table, or give --pixel-size.",
            path,
        )
    return shifts * pixel[:, None]


def _images(table: Table, path: Path) -> tuple[np.ndarray, np.ndarray]:
    known: dict[str, str] = {}
    index, images = np.empty(len(table.lines), np.int64), np.empty(len(table.lines), object)
    for i, name in enumerate(table["rlnImageName"]):
        try:
            index[i], image = split_image(str(name))
        except ValueError:
            raise InputError(
                f"{path}, line {table.lines[i]}: '{str(name)[:60]}' is no image of a stack.",
                "Images are named 000001@stack.mrcs.",
                path,
            ) from None
        images[i] = known.setdefault(image, image)
    return index, images


def _columns(table: Table, names: tuple[str, ...], path: Path) -> np.ndarray | None:
    """Columns that belong together (n, k): all or none."""
    there = [name for name in names if name in table]
    if not there:
        return None
    if len(there) < len(names):
        raise missing_column(path, names, table, f"_{there[0]} is of no use alone.")
    return np.stack([numbers(table, name, path) for name in names], axis=1)


def _column(table: Table, name: str, path: Path) -> np.ndarray | None:
    return numbers(table, name, path) if name in table else None


def _whole(table: Table, name: str, path: Path) -> np.ndarray | None:
    values = _column(table, name, path)
    return None if values is None else values.astype(np.int64)
