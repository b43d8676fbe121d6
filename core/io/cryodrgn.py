"""cryoDRGN's files of numbers: poses, CTF parameters and selections, as .pkl or .npy. Checked here, in its own words.

Rotations take a point of the map into the image, as RELION's matrix A does (docs/formats.md); translations are
fractions of the box that bring the particle into the middle, as RELION's origins do. Joining them with images is
core/reconstruction/sources.py's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.io.file_errors import explained
from core.io.npy import load_npy
from core.io.plain_pickle import read_pickle

_ORTHOGONAL = 1e-3  # largest deviation of R R^T from 1: single precision gives 1e-6
_CTF_COLUMNS = 9
_NUMPY = b"\x93NUMPY"  # begins a .npy
_POSES = "Choose the poses of cryoDRGN: rotations (N, 3, 3), with or without translations (N, 2)."
_CTF = "Choose the CTF file of cryoDRGN: 9 numbers per particle, from box size to phase shift."


@dataclass(frozen=True, eq=False)
class Poses:
    """n particles: `matrices` (n, 3, 3) float64, RELION's A; `shifts` (n, 2), x and y in fractions of the box."""

    matrices: np.ndarray
    shifts: np.ndarray

    def __len__(self) -> int:
        return len(self.matrices)


@dataclass(frozen=True, eq=False)
class CtfTable:
    """n particles, float64 (n,). All are of images of `box` px with `pixel_size_a`; defocus in Å, angles in degrees."""

    box: int
    pixel_size_a: float
    defocus_u_a: np.ndarray
    defocus_v_a: np.ndarray
    defocus_angle_deg: np.ndarray
    voltage_kv: np.ndarray
    cs_mm: np.ndarray
    amplitude_contrast: np.ndarray
    phase_shift_deg: np.ndarray

    def __len__(self) -> int:
        return len(self.defocus_u_a)


def read_poses(path: Path) -> Poses:
    """Poses of a .pkl or .npy; InputError for wrong shapes, values that are no rotations, and no rows."""
    found = _read(path, _POSES)
    parts: list[Any] = list(found) if isinstance(found, (tuple, list)) and len(found) <= 2 else [found]
    if not parts or not all(isinstance(part, np.ndarray) for part in parts):
        raise InputError(f"{path} holds {_what(found)}, not rotations (N, 3, 3).", _POSES, path)
    rotations: np.ndarray = parts[0]
    if rotations.ndim != 3 or rotations.shape[1:] != (3, 3):
        raise InputError(f"{path} holds {_what(rotations)}, not rotations (N, 3, 3).", _POSES, path)
    _some(rotations, path)
    matrices = rotations.astype(np.float64)
    _check_rotations(matrices, path)
    if len(parts) == 1:
        return Poses(matrices, np.zeros((len(matrices), 2)))
    return Poses(matrices, _shifts(parts[1], len(matrices), path))


def _check_rotations(matrices: np.ndarray, path: Path) -> None:
    n = len(matrices)
    bad = np.flatnonzero(~np.isfinite(matrices).all(axis=(1, 2)))
    if bad.size:
        raise InputError(
            f"{path}: {bad.size} of {n} rotations hold values that are not numbers, the first in row {bad[0]}.",
            "Leave these particles out, or align them again.",
            path,
        )
    off = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    bad = np.flatnonzero(off > _ORTHOGONAL)
    if bad.size:
        raise InputError(
            f"{path}: {bad.size} of {n} matrices are no rotations, the first in row {bad[0]} (not orthogonal).",
            _POSES,
            path,
        )
    mirrored = np.flatnonzero(np.linalg.det(matrices) < 0)
    if mirrored.size:
        raise InputError(
            f"{path}: {mirrored.size} of {n} matrices are reflections (determinant -1), the first in row "
            f"{mirrored[0]}, which no view of a particle is.",
            "Was an axis turned over? Write the poses again without it.",
            path,
        )


def _shifts(values: np.ndarray, n: int, path: Path) -> np.ndarray:
    if values.ndim != 2 or values.shape[1] != 2:
        raise InputError(f"{path} holds {_what(values)} for the translations, not (N, 2).", _POSES, path)
    if len(values) != n:
        raise InputError(f"{path} has {n} rotations, but {len(values)} translations.", _POSES, path)
    shifts = values.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(shifts).all(axis=1))
    if bad.size:
        raise InputError(
            f"{path}: {bad.size} of {n} translations are not numbers, the first in row {bad[0]}.",
            "Leave these particles out, or align them again.",
            path,
        )
    most = float(np.abs(shifts).max())
    if most > 1:
        raise InputError(
            f"{path} has translations up to {most:.3g} boxes: they seem to be in pixels, not in fractions of the box.",
            "Divide them by the box size.",
            path,
        )
    return shifts


def read_ctf(path: Path) -> CtfTable:
    """CTF parameters of a .pkl or .npy (N, 9); InputError for other shapes, several boxes or pixel sizes, no rows."""
    found = _read(path, _CTF)
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.shape[1] != _CTF_COLUMNS:
        raise InputError(f"{path} holds {_what(found)}, not the CTF of particles (N, 9).", _CTF, path)
    _some(found, path)
    values = found.astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if bad.size:
        raise InputError(
            f"{path}: {bad.size} of {len(values)} rows hold values that are not numbers, the first is row {bad[0]}.",
            "Leave these particles out, or estimate their CTF again.",
            path,
        )
    box, pixel, u, v, angle, voltage, cs, contrast, phase = values.T
    for column, name in ((box, "box sizes"), (pixel, "pixel sizes")):
        if np.ptp(column) > 1e-3 * np.abs(column).max():
            raise InputError(
                f"{path} has different {name}, from {column.min():g} to {column.max():g}.",
                "Scale the particles to one box and pixel size.",
                path,
            )
    size, apix = round(float(box[0])), float(pixel.mean())
    if size < 1 or abs(size - box[0]) > 1e-3 or not 1e-3 < apix < 1e5:
        raise InputError(f"{path} tells images of {box[0]:g} px with {apix:g} Å per pixel.", _CTF, path)
    wrong = np.flatnonzero((voltage <= 0) | (np.abs(contrast) > 1) | (cs < 0))
    if wrong.size:
        row = wrong[0]
        raise InputError(
            f"{path}, row {row}: {voltage[row]:g} kV, {cs[row]:g} mm and amplitude contrast {contrast[row]:g} are no "
            f"optics; {wrong.size} rows are so.",
            _CTF,
            path,
        )
    return CtfTable(size, apix, u, v, angle, voltage, cs, contrast, phase)


def read_selection(path: Path) -> np.ndarray:
    """Row numbers int64 (n,), from 0, of an ind.pkl or .npy (a list too); truth values choose where they are true."""
    hint = "Choose a file of row numbers, counted from 0."
    found = _read(path, hint)
    if isinstance(found, (list, tuple)) and all(isinstance(item, (int, np.integer)) for item in found):
        found = np.array([int(item) for item in found], np.int64) if found else np.empty(0, np.int64)
    if not isinstance(found, np.ndarray) or found.ndim != 1:
        raise InputError(f"{path} holds {_what(found)}, not a list of row numbers.", hint, path)
    if found.dtype.kind == "b":
        return np.flatnonzero(found)
    values = found.astype(np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all() and (values == np.floor(values)).all()):
        raise InputError(f"{path} holds numbers that are no rows.", hint, path)
    return found.astype(np.int64)


def _read(path: Path, hint: str) -> Any:
    with explained(path), path.open("rb") as stream:
        head = stream.read(len(_NUMPY))
    if head != _NUMPY:
        return read_pickle(path)
    try:
        with explained(path):
            return load_npy(path)
    except ValueError as err:
        raise InputError(f"{path} cannot be read: {err}.", hint, path) from None


def _some(values: np.ndarray, path: Path) -> None:
    if not len(values):
        raise InputError(f"{path} holds no particles: it has no rows.", "Choose another file.", path)


def _what(found: Any) -> str:
    """An object in a few words."""
    if isinstance(found, np.ndarray):
        return f"{' x '.join(map(str, found.shape))} numbers" if found.ndim else "one number"
    if isinstance(found, (tuple, list)):
        return f"a {type(found).__name__} of {len(found)}"
    return f"a {type(found).__name__}"
