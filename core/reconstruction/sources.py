"""What files say of particles for reconstruction, in one form: where their images are, poses, shifts, optics, halves.

Two ways lead here: a RELION STAR file (3.0 to 5, and what cs2star and extract write), or a stack (.mrcs, or a .txt list
of stacks) with cryoDRGN's poses and CTF. Reading the images is inputs.py's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import InputError, ParamError
from core.io.cryodrgn import CtfTable, read_ctf, read_poses, read_selection
from core.io.file_errors import explained
from core.io.mrc_header import MrcInfo, read_header
from core.io.particles_star import ParticlesTable, read_particles_table
from core.io.star import is_star
from core.io.star_paths import resolve
from core.physics.optics import Optics
from core.physics.rotations import matrices

_SAME = 1e-2  # two pixel sizes that differ by less are one, written with other digits
_LIST_BYTES = 64 << 20  # of a .txt list of stacks
_SHOWN = 4  # sizes in a message

Told = Callable[[str], None]


@dataclass(frozen=True)
class Given:
    """What is given beside the file of particles."""

    poses: Path | None = None
    ctf: Path | None = None
    indices: Path | None = None
    pixel_size_a: float | None = None


NOTHING = Given()


@dataclass(frozen=True, eq=False)
class Listed:
    """n particles with square images of `size` px: `which` (n,) of `infos` holds them at `place` (n,), from 0.

    `matrices` (n, 3, 3) take the map into the image; `origins_a` (n, 2) bring the particle into the middle; `half` (n,)
    0 or 1, None where the file has no halves; `group` (n,) is the noise group.
    """

    path: Path
    infos: list[MrcInfo]
    which: np.ndarray
    place: np.ndarray
    matrices: np.ndarray
    origins_a: np.ndarray
    optics: Optics | None
    half: np.ndarray | None
    group: np.ndarray
    size: int
    pixel_size_a: float

    def __len__(self) -> int:
        return len(self.which)

    def take(self, rows: np.ndarray) -> Listed:
        """Some of the particles."""
        chosen = {k: getattr(self, k)[rows] for k in ("which", "place", "matrices", "origins_a")}
        optics = None if self.optics is None else self.optics.take(rows)
        half = None if self.half is None else self.half[rows]
        return replace(self, **chosen, optics=optics, half=half, group=_numbered(self.group[rows]))


def list_particles(path: Path, given: Given = NOTHING, ignore_ctf: bool = False, told: Told = lambda _: None) -> Listed:
    """The particles of a STAR file, or of a stack with `given` poses and CTF; `told` hears what is doubtful.

    InputError in one sentence for particles without poses or CTF, missing or cut stacks, sizes and lengths that differ.
    """
    if is_star(path):
        if given.poses or given.ctf:
            name = "poses" if given.poses else "ctf"
            raise ParamError(
                f"--{name} belongs to a stack (.mrcs, .txt): {path.name} has poses and CTF of its own.",
                "Leave it out, or choose the stack as --particles.",
                fields=("particles", name),
            )
        listed = _from_star(path, given.pixel_size_a, ignore_ctf, told)
    else:
        listed = _from_stacks(path, given, ignore_ctf, told)
    return listed if given.indices is None else _selected(listed, given.indices)


def _selected(listed: Listed, path: Path) -> Listed:
    rows = np.unique(read_selection(path))
    if not rows.size:
        raise InputError(f"{path} chooses no particles.", "Leave --indices out to use all.", path)
    if rows[-1] >= len(listed):
        raise InputError(
            f"{path} asks for particle {rows[-1]}, but {listed.path} has {len(listed)} (0 to {len(listed) - 1}).",
            "Rows are counted from 0.",
            path,
        )
    return listed.take(rows)


# ---- RELION ----------------------------------------------------------------------------------------------


def _from_star(path: Path, pixel_size_a: float | None, ignore_ctf: bool, told: Told) -> Listed:
    table = read_particles_table(path, pixel_size_a=pixel_size_a, told=told)
    if table.angles_deg is None:
        raise InputError(
            f"{path} has no poses (rlnAngleRot, rlnAngleTilt, rlnAnglePsi).", "Choose refined particles.", path
        )
    files, which = _files(table, path)
    infos = [_stack(file, path) for file in files]
    size = _one_size(infos, path)
    _check_places(infos, which, table.image_index, path)
    return Listed(
        path,
        infos,
        which,
        table.image_index,
        matrices(table.angles_deg),
        np.zeros((len(table), 2)) if table.origins_a is None else table.origins_a,
        None if ignore_ctf else _optics(table, path),
        table.half - 1 if table.half is not None and set(np.unique(table.half)) == {1, 2} else None,
        np.zeros(len(table), np.int64) if table.optics_group is None else _numbered(table.optics_group),
        size,
        _table_pixel_size(table, infos, path),
    )


def _files(table: ParticlesTable, path: Path) -> tuple[list[Path], np.ndarray]:
    names, which = np.unique(table.image_path.astype(str), return_inverse=True)
    files = [resolve(name, path) for name in names]
    _all_there(files, path)
    return files, which.astype(np.int64)


def _check_places(infos: list[MrcInfo], which: np.ndarray, place: np.ndarray, path: Path) -> None:
    counts = np.array([info.shape[0] for info in infos])
    beyond = np.flatnonzero(place >= counts[which])
    if beyond.size:
        row = beyond[0]
        info = infos[which[row]]
        raise InputError(
            f"{path} names image {place[row] + 1} of {info.path.name}, which holds {info.shape[0]}; "
            f"{beyond.size} particles are so.",
            "Choose the stack that belongs to the STAR file.",
            path,
        )


def _table_pixel_size(table: ParticlesTable, infos: list[MrcInfo], path: Path) -> float:
    told = table.pixel_size_a
    if told is None:
        return _header_pixel_size(infos, path, "Add _rlnImagePixelSize to its optics table, or give --pixel-size.")
    low, high = float(told.min()), float(told.max())
    if high - low > 1e-3 * high:
        raise InputError(
            f"The particles of {path} have pixel sizes from {low:g} to {high:g} Å.",
            "Scale them to one pixel size, or reconstruct the optics groups one by one.",
            path,
        )
    return float(told.mean())


def _optics(table: ParticlesTable, path: Path) -> Optics:
    needed = {
        "defocus": table.defocus_u_a,
        "voltage": table.voltage_kv,
        "spherical aberration": table.cs_mm,
        "amplitude contrast": table.amplitude_contrast,
    }
    told = {name: values for name, values in needed.items() if values is not None}
    if len(told) < len(needed):
        raise InputError(
            f"{path} does not tell the CTF of its particles: {', '.join(k for k in needed if k not in told)} missing.",
            "Choose particles with CTF, or --ignore-ctf for images that have none.",
            path,
        )
    voltage, contrast = told["voltage"], told["amplitude contrast"]
    wrong = np.flatnonzero((voltage <= 0) | (np.abs(contrast) > 1))
    if wrong.size:
        row = wrong[0]
        raise InputError(
            f"{path}: {voltage[row]:g} kV and amplitude contrast {contrast[row]:g} of particle {row + 1} are no "
            f"optics; {wrong.size} particles are so.",
            "Correct the optics table.",
            path,
        )
    zero = np.zeros(len(table))
    return Optics.of(
        told["defocus"],
        table.defocus_v_a,
        zero if table.defocus_angle_deg is None else table.defocus_angle_deg,
        voltage_kv=voltage,
        cs_mm=told["spherical aberration"],
        amplitude_contrast=contrast,
        phase_shift_deg=zero if table.phase_shift_deg is None else table.phase_shift_deg,
        b_factor_a2=zero if table.ctf_b_factor_a2 is None else table.ctf_b_factor_a2,
        scale=zero + 1 if table.ctf_scale is None else table.ctf_scale,
    )


# ---- cryoDRGN --------------------------------------------------------------------------------------------


def _from_stacks(path: Path, given: Given, ignore_ctf: bool, told: Told) -> Listed:
    if given.poses is None:
        raise InputError(
            f"{path.name} is no STAR file, and images alone have no poses.",
            "Choose the STAR file of a refinement, or give cryoDRGN's --poses and --ctf with the stack.",
            path,
        )
    if given.ctf is None and not ignore_ctf:
        raise InputError(
            f"Nothing tells the CTF of the particles of {path}.",
            "Give cryoDRGN's --ctf, or --ignore-ctf for images that have none.",
            path,
        )
    files = _listed_stacks(path) if path.suffix.lower() == ".txt" else [path]
    infos = [_stack(file, path) for file in files]
    size = _one_size(infos, path)
    counts = [info.shape[0] for info in infos]
    poses = read_poses(given.poses)
    ctf = None if given.ctf is None else read_ctf(given.ctf)
    for name, rows in ((given.poses, len(poses)), *(((given.ctf, len(ctf)),) if ctf is not None else ())):
        if rows != sum(counts):
            raise InputError(
                f"{name} has {rows} rows, but {path.name} holds {sum(counts)} images.",
                "Choose the files that belong together: one row for each image, in their order.",
                name,
            )
    pixel = _stack_pixel_size(path, infos, size, ctf, given, told)
    return Listed(
        path,
        infos,
        np.repeat(np.arange(len(files)), counts),
        np.concatenate([np.arange(count) for count in counts]),
        poses.matrices,
        poses.shifts * (size * pixel),
        None if ignore_ctf or ctf is None else _ctf_optics(ctf),
        None,
        np.zeros(sum(counts), np.int64),
        size,
        pixel,
    )


def _listed_stacks(path: Path) -> list[Path]:
    """The stacks that a text file names, one a line, from its own folder on."""
    hint = "A list names one .mrcs file on each line."
    try:
        with explained(path):
            if path.stat().st_size > _LIST_BYTES:
                raise InputError(f"{path} is too large for a list of stacks.", hint, path)
            lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", hint, path) from None
    files = [resolve(line.strip(), path) for line in lines if line.strip()]
    if not files:
        raise InputError(f"{path} names no stacks.", hint, path)
    _all_there(files, path)
    return files


def _stack_pixel_size(
    path: Path, infos: list[MrcInfo], size: int, ctf: CtfTable | None, given: Given, told: Told
) -> float:
    """Given, or of the CTF file: it may be that of larger images of the same particles, as in cryoDRGN."""
    if ctf is None:
        return given.pixel_size_a or _header_pixel_size(infos, path, "Give --pixel-size.")
    pixel = ctf.pixel_size_a * ctf.box / size
    if given.pixel_size_a is not None:
        if abs(given.pixel_size_a / pixel - 1) > _SAME:
            told(f"{_ctf_name(given)} says {pixel:g} Å per pixel; --pixel-size {given.pixel_size_a:g} Å is used.")
        return given.pixel_size_a
    if ctf.box != size:
        header = {info.pixel_size_a for info in infos if info.pixel_size_a}
        if any(abs(one / pixel - 1) > _SAME for one in header):
            raise InputError(
                f"{_ctf_name(given)} is of images of {ctf.box} px with {ctf.pixel_size_a:g} Å, but {path.name} has "
                f"images of {size} px with {min(header):g} Å: they do not show the same field.",
                "Choose the files that belong together, or give --pixel-size.",
                path,
            )
        told(
            f"{_ctf_name(given)} is of images of {ctf.box} px, {path.name} has {size} px: taken as the same images, "
            f"reduced to {pixel:g} Å per pixel."
        )
    return pixel


def _ctf_name(given: Given) -> str:
    """The CTF file's name, for a sentence."""
    return given.ctf.name if given.ctf else ""


def _ctf_optics(ctf: CtfTable) -> Optics:
    return Optics.of(
        ctf.defocus_u_a,
        ctf.defocus_v_a,
        ctf.defocus_angle_deg,
        voltage_kv=ctf.voltage_kv,
        cs_mm=ctf.cs_mm,
        amplitude_contrast=ctf.amplitude_contrast,
        phase_shift_deg=ctf.phase_shift_deg,
    )


# ---- both ------------------------------------------------------------------------------------------------


def _all_there(files: list[Path], path: Path) -> None:
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{path} names {len(missing)} image stack(s) that are not there, such as {missing[0]}.",
            f"Keep {path.name} in its project folder, or link the stacks to where it says they are.",
            path,
        )


def _stack(file: Path, path: Path) -> MrcInfo:
    info = read_header(file)
    if info.shape[1] != info.shape[2] or info.shape[1] % 2:
        by = "" if file == path else f", named by {path.name},"
        raise InputError(
            f"{file}{by} has images of {info.shape[2]} x {info.shape[1]} px.",
            "Particles need square images of an even size.",
            file,
        )
    return info


def _one_size(infos: list[MrcInfo], path: Path) -> int:
    sizes = sorted({info.shape[1] for info in infos})
    if len(sizes) > 1:
        raise InputError(
            f"The images of {path} have different sizes: {', '.join(f'{s} px' for s in sizes[:_SHOWN])}.",
            "Extract them again with one box, or split the STAR file with subset.",
            path,
        )
    return sizes[0]


def _header_pixel_size(infos: list[MrcInfo], path: Path, hint: str) -> float:
    sizes = [info.pixel_size_a for info in infos if info.pixel_size_a]
    if not sizes or max(sizes) - min(sizes) > 1e-3 * max(sizes):
        raise InputError(f"{path} does not say the pixel size of its images, and neither do the stacks.", hint, path)
    return float(sizes[0])


def _numbered(groups: np.ndarray) -> np.ndarray:
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)
