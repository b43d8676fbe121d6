"""Particles for reconstruction: images, poses, shifts, CTF, halves, read batch by batch in the order of their files.

From a RELION STAR file (3.0 to 5, and what cs2star writes). Images are cropped in Fourier space to the box that is
reconstructed, and made light-on-dark. Nothing is kept in memory but one batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.mrc import image_rows
from core.io.mrc_header import MrcInfo, read_header
from core.io.particles_star import ParticlesTable, read_particles_table
from core.io.rows import read_rows
from core.io.star_paths import resolve
from core.physics.optics import Optics, ctf_grid
from core.physics.rotations import matrices
from core.reconstruction.operator import disc
from core.reconstruction.statistics import Batch

CONTRASTS = ("auto", "light", "dark")
_BATCH_BYTES = 64 << 20
_LEAST_BOX, _MOST_BOX = 8, 1024
_LOOKED_AT = 400  # images, to tell light particles from dark ones
_CLEAR = 0.02  # of the images' deviation: a smaller difference of centre and rim says nothing


@dataclass(frozen=True, eq=False)
class ParticleSet:
    """n particles with images of `size` px and `pixel_size_a`, reconstructed in a `box` of `box_pixel_a` per voxel.

    `order` (n,): rows sorted by file and place in it, which is the order of batches. `sign` is -1 where particles are
    dark in the files.
    """

    path: Path
    files: list[Path]
    infos: list[MrcInfo]
    which: np.ndarray  # (n,) file
    place: np.ndarray  # (n,) image in it
    matrices: np.ndarray  # (n, 3, 3)
    origins_a: np.ndarray  # (n, 2)
    optics: Optics | None
    half: np.ndarray  # (n,) 0 or 1
    group: np.ndarray  # (n,) noise group
    size: int
    pixel_size_a: float
    box: int
    sign: float = 1.0
    order: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.which)

    @property
    def box_pixel_a(self) -> float:
        """Å per voxel of the map."""
        return self.pixel_size_a * self.size / self.box

    @property
    def groups(self) -> int:
        """Number of noise groups."""
        return int(self.group.max(initial=0)) + 1

    def key(self) -> str:
        """Names the particles and how they are read: changes when any of it does."""
        digest = hashlib.sha256(f"{self.path} {self.size} {self.box} {self.sign}".encode())
        for info in self.infos:
            state = info.path.stat()
            digest.update(f"{info.path} {state.st_mtime_ns} {state.st_size}".encode())
        arrays = [self.which, self.place, self.matrices, self.origins_a, self.half, self.group]
        arrays += [] if self.optics is None else [self.optics.defocus_u_a, self.optics.defocus_v_a]
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def batch_size(self) -> int:
        """Particles of a batch: bounded memory, a stop within half a second."""
        return max(1, min(512, _BATCH_BYTES // (self.size * self.size * 4)))

    def batches(self, first: int = 0, last: int | None = None, rows: np.ndarray | None = None) -> Iterator[Batch]:
        """Batches of the particles `order[first:last]`, or of these `rows`."""
        chosen = self.order[first:last] if rows is None else rows
        step = self.batch_size()
        used = disc(self.box)
        for start in range(0, len(chosen), step):
            some = chosen[start : start + step]
            ctf = None
            if self.optics is not None:
                grid = ctf_grid(self.optics.take(some), self.box, self.box_pixel_a)
                ctf = grid[:, used.rows, used.columns]
            yield Batch(
                self.sign * self.read(some),
                self.matrices[some],
                self.origins_a[some] / self.box_pixel_a,
                ctf,
                self.half[some],
                self.group[some],
            )

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Images (k, size, size) float32 as they are in the files; neighbours in a file are read at once."""
        images = np.empty((len(rows), self.size, self.size), np.float32)
        start = 0
        while start < len(rows):
            end = start + 1
            while (
                end < len(rows)
                and self.which[rows[end]] == self.which[rows[start]]
                and self.place[rows[end]] == self.place[rows[start]] + end - start
            ):
                end += 1
            info = self.infos[self.which[rows[start]]]
            layout = image_rows(info, int(self.place[rows[start]]), end - start)
            images[start:end] = read_rows(layout).reshape(end - start, self.size, self.size)
            start = end
        bad = np.flatnonzero(~np.isfinite(images.reshape(len(rows), -1)).all(axis=1))
        if bad.size:
            row = rows[bad[0]]
            raise InputError(
                f"Image {self.place[row] + 1} of {self.files[self.which[row]]} holds values that are not numbers.",
                "Extract the particles again, or leave this one out with subset.",
                self.files[self.which[row]],
            )
        return images


def open_particles(
    path: Path,
    box: int | None = None,
    contrast: str = "auto",
    ignore_ctf: bool = False,
    check: Callable[[], None] = lambda: None,
) -> ParticleSet:
    """Particles of a STAR file. `box`: of the map, at most that of the images; `check()` may raise to stop.

    `InputError` in one sentence for particles without poses, missing or cut stacks, sizes that differ, no CTF.
    """
    table = read_particles_table(path)
    check()
    if table.angles_deg is None:
        raise InputError(
            f"{path} has no poses (rlnAngleRot, rlnAngleTilt, rlnAnglePsi).", "Choose refined particles.", path
        )
    files, which = _files(table, path)
    infos = [_stack(file, path) for file in files]
    size = _one_size(infos, path)
    _check_places(infos, which, table.image_index, path)
    pixel = _one_pixel_size(table, infos, path)
    box = size if box is None else box
    if box % 2 or not _LEAST_BOX <= box <= min(size, _MOST_BOX):
        raise InputError(
            f"A box of {box} px cannot be made of images of {size} px.",
            f"Choose an even box from {_LEAST_BOX} to {min(size, _MOST_BOX)}.",
            path,
        )
    particles = ParticleSet(
        path,
        files,
        infos,
        which,
        table.image_index,
        matrices(table.angles_deg),
        np.zeros((len(table), 2)) if table.origins_a is None else table.origins_a,
        None if ignore_ctf else _optics(table, path),
        _halves(table),
        np.zeros(len(table), np.int64) if table.optics_group is None else _numbered(table.optics_group),
        size,
        pixel,
        box,
        order=np.lexsort((table.image_index, which)),
    )
    check()
    sign = {"light": 1.0, "dark": -1.0}.get(contrast) or _contrast(particles)
    return ParticleSet(**{**particles.__dict__, "sign": sign})


def _files(table: ParticlesTable, path: Path) -> tuple[list[Path], np.ndarray]:
    names, which = np.unique(table.image_path.astype(str), return_inverse=True)
    files = [resolve(name, path) for name in names]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{path} names {len(missing)} image stack(s) that are not there, such as {missing[0]}.",
            "Keep the STAR file in its project folder, or link the stacks to where it says they are.",
            path,
        )
    return files, which.astype(np.int64)


def _stack(file: Path, path: Path) -> MrcInfo:
    info = read_header(file)
    if info.shape[1] != info.shape[2] or info.shape[1] % 2:
        raise InputError(
            f"{file}, named by {path.name}, has images of {info.shape[2]} x {info.shape[1]} px.",
            "Particles need square images of an even size.",
            file,
        )
    return info


def _one_size(infos: list[MrcInfo], path: Path) -> int:
    sizes = sorted({info.shape[1] for info in infos})
    if len(sizes) > 1:
        raise InputError(
            f"The images of {path} have different sizes: {', '.join(f'{s} px' for s in sizes[:4])}.",
            "Extract them again with one box, or split the STAR file with subset.",
            path,
        )
    return sizes[0]


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


def _one_pixel_size(table: ParticlesTable, infos: list[MrcInfo], path: Path) -> float:
    told = table.pixel_size_a
    if told is None:
        sizes = {info.pixel_size_a for info in infos if info.pixel_size_a}
        if len(sizes) != 1:
            raise InputError(
                f"{path} does not say the pixel size of its images, and neither do the stacks.",
                "Add _rlnImagePixelSize to its optics table.",
                path,
            )
        return float(sizes.pop())
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
    missing = [name for name, values in needed.items() if values is None]
    if missing:
        raise InputError(
            f"{path} does not tell the CTF of its particles: {', '.join(missing)} missing.",
            "Choose particles with CTF, or --ignore-ctf for images that have none.",
            path,
        )
    zero = np.zeros(len(table))
    return Optics.of(
        table.defocus_u_a,  # type: ignore[arg-type]
        table.defocus_v_a,
        zero if table.defocus_angle_deg is None else table.defocus_angle_deg,
        voltage_kv=table.voltage_kv,  # type: ignore[arg-type]
        cs_mm=table.cs_mm,  # type: ignore[arg-type]
        amplitude_contrast=table.amplitude_contrast,  # type: ignore[arg-type]
        phase_shift_deg=zero if table.phase_shift_deg is None else table.phase_shift_deg,
        b_factor_a2=zero if table.ctf_b_factor_a2 is None else table.ctf_b_factor_a2,
        scale=zero + 1 if table.ctf_scale is None else table.ctf_scale,
    )


def _halves(table: ParticlesTable) -> np.ndarray:
    """The file's own halves; where it has none, every second particle."""
    if table.half is not None and set(np.unique(table.half)) == {1, 2}:
        return table.half - 1
    return np.arange(len(table)) % 2


def _numbered(groups: np.ndarray) -> np.ndarray:
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _contrast(particles: ParticleSet) -> float:
    """+1 where particles are light, -1 where they are dark, by the mean of centre and rim over some images."""
    rows = particles.order[:: max(1, len(particles) // _LOOKED_AT)][:_LOOKED_AT]
    images = particles.read(rows)
    axis = np.arange(particles.size) - particles.size // 2
    radius = np.hypot(axis[:, None], axis[None, :])
    centre, rim = radius < particles.size / 6, radius > particles.size * 0.45
    mean = images.mean(axis=0)
    difference = float(mean[centre].mean() - mean[rim].mean())
    if abs(difference) < _CLEAR * float(images.std() + 1e-30):
        raise InputError(
            f"It cannot be told whether the particles of {particles.path} are light or dark.",
            "Say it with --contrast light or --contrast dark.",
            particles.path,
        )
    return 1.0 if difference > 0 else -1.0
