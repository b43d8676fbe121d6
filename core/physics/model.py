"""The density that is simulated: atoms of a file on a grid, or a map on another grid; centred, with what was done.

Files that cannot be meant end in one sentence. Nothing is written here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError, ParamError
from core.physics.density import diameter_px, resample, voxelise
from core.physics.rotations import symmetry_matrices
from core.physics.structures import read_atoms

ATOM_ENDINGS = (".pdb", ".ent", ".cif", ".mmcif", ".pdb.gz", ".ent.gz", ".cif.gz", ".mmcif.gz")
MAP_ENDINGS = (".mrc", ".map", ".mrc.gz", ".map.gz", ".mrc.bz2")
MOST_BOX = 512
_ATOMS_PIXEL_A = 2.0
_ROOM = 1.5  # of a box that is not given: times the diameter
_BLUR = 16.0  # B factor over squared pixel size: 1/e at Nyquist


@dataclass(frozen=True)
class Model:
    """A density (box, box, box) about its centre, what it is made of in words, and its diameter in px."""

    volume: np.ndarray
    pixel_size_a: float
    words: str
    diameter_px: float


def load_model(
    path: Path,
    box: int | None = None,
    pixel_size_a: float | None = None,
    b_factor_a2: float | None = None,
    symmetry: str = "C1",
    assembly: str = "",
) -> Model:
    """The density of a file at a box (px) and pixel size (Å); what is not given follows from the file.

    Atoms become Gaussians of one B factor, as heavy as their atomic number. `symmetry` repeats them about the file's
    own axes (z first); without it they are centred. A map keeps its own centre and its blur.
    """
    name = path.name.lower()
    if box is not None and (box % 2 or not 16 <= box <= MOST_BOX):
        raise ParamError(f"--box: {box} must be an even number from 16 to {MOST_BOX}.", fields=("box",))
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Choose a structure (.pdb, .cif) or a map (.mrc).", path)
    if name.endswith(MAP_ENDINGS):
        _refuse_with_map(b_factor_a2, symmetry, assembly)
        return _of_map(path, box, pixel_size_a)
    if not name.endswith(ATOM_ENDINGS):
        raise InputError(f"{path} is neither a structure nor a map.", "Choose a .pdb, .cif or .mrc file.", path)
    return _of_atoms(path, box, pixel_size_a or _ATOMS_PIXEL_A, b_factor_a2, symmetry, assembly)


def _refuse_with_map(b_factor_a2: float | None, symmetry: str, assembly: str) -> None:
    given = {"b_factor": b_factor_a2, "symmetry": symmetry.upper() not in ("", "C1"), "assembly": assembly}
    for key, value in given.items():
        if value:
            flag = "--" + key.replace("_", "-")
            raise ParamError(f"{flag} is for atoms: a map is taken as it is.", f"Leave {flag} out.", fields=(key,))


def _of_atoms(
    path: Path, box: int | None, pixel: float, b_factor_a2: float | None, symmetry: str, assembly: str
) -> Model:
    group = symmetry_matrices(symmetry or "C1")
    positions, weights = read_atoms(path, assembly)
    if len(group) > 1:
        positions = np.concatenate([positions @ turn.T for turn in group])
        weights = np.tile(weights, len(group))
    else:
        positions = positions - np.average(positions, axis=0, weights=weights)
    b_factor = _BLUR * pixel**2 if b_factor_a2 is None else b_factor_a2
    reach = float(np.linalg.norm(positions, axis=1).max()) + 2 * np.sqrt(b_factor / (8 * np.pi**2))
    box = box or _box_for(path, 2 * reach, pixel)
    if reach > 0.5 * box * pixel:
        raise _too_small(path, 2 * reach, box, pixel)
    volume = voxelise(positions, weights, box, pixel, b_factor)
    parts = [f"{len(positions)} atoms of {path.name}", f"B factor {b_factor:g} Å^2"]
    parts += [f"assembly {assembly}"] * bool(assembly) + [f"symmetry {symmetry.upper()}"] * (len(group) > 1)
    return Model(volume, pixel, ", ".join(parts), diameter_px(volume))


def _of_map(path: Path, box: int | None, pixel_size_a: float | None) -> Model:
    from core.io.mrc import open_mrc, read_header

    own = read_header(path).pixel_size_a
    stored = open_mrc(path)
    shape = " x ".join(map(str, stored.shape))
    if stored.ndim != 3 or min(stored.shape) < 8 or max(stored.shape) > 4 * min(stored.shape):
        raise InputError(f"{path.name} is no 3D map: its shape is {shape}.", "Choose an .mrc map.", path)
    if max(stored.shape) > MOST_BOX:
        raise InputError(
            f"{path.name} is too large ({shape}).", f"Use a map of at most {MOST_BOX} voxels a side.", path
        )
    if own is None and pixel_size_a is None:
        raise InputError(f"{path.name} does not tell its pixel size.", "Give it with --pixel-size.", path)
    source = np.asarray(stored, np.float32)
    if not np.isfinite(source).all() or np.ptp(source) == 0:
        raise InputError(f"{path.name} holds no density: one value only, or values that are not numbers.",
                         "Export it again.", path)  # fmt: skip
    own = own or pixel_size_a or 1.0
    pixel = pixel_size_a or own
    source = source - np.median(source)  # the solvent, which fills most of a map, becomes 0
    across = 2 * own * float(np.linalg.norm(_strong(source), axis=1).max())
    side = box or min(2 * round(max(source.shape) * own / pixel / 2), MOST_BOX)
    if across > side * pixel:
        raise _too_small(path, across, side, pixel)
    source = _cropped(source, side * pixel / own)
    volume = resample(source, own, side, pixel)
    return Model(volume, pixel, f"map {path.name}", diameter_px(volume))


def _strong(volume: np.ndarray) -> np.ndarray:
    """Places (n, 3) of voxels above 15 % of the maximum, from the centre."""
    return np.argwhere(volume > 0.15 * volume.max()) - np.array([n // 2 for n in volume.shape])


def _cropped(volume: np.ndarray, side: float) -> np.ndarray:
    """The middle of a map, at most `side` voxels wide: what a smaller box cannot hold must not come in again."""
    keep = []
    for n in volume.shape:
        half = int(min(side, n) // 2)
        keep.append(slice(n // 2 - half, n // 2 + half))
    return volume[tuple(keep)]


def _box_for(path: Path, across_a: float, pixel: float) -> int:
    box = 8 * int(np.ceil(_ROOM * across_a / pixel / 8))
    if box > MOST_BOX:
        raise InputError(
            f"{path.name} is {across_a:.0f} Å across and needs a box of {box} px at {pixel:g} Å.",
            "Give a larger --pixel-size.",
            path,
        )
    return max(box, 16)


def _too_small(path: Path, across_a: float, box: int, pixel: float) -> ParamError:
    return ParamError(
        f"--box: {path.name} is {across_a:.0f} Å across, the box only {box * pixel:.0f} Å ({box} px of {pixel:g} Å).",
        "Use a larger --box or --pixel-size.",
        fields=("box", "pixel_size"),
    )
