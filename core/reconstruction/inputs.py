"""Particles for reconstruction: images, poses, shifts, CTF, halves, read batch by batch in the order of their files.

Which files say what is sources.py's. Images are cropped in Fourier space to the box that is reconstructed, and made
light-on-dark. Nothing is kept in memory but one batch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images.contrast_sign import ContrastSign
from core.io.mrc import image_rows
from core.io.mrc_header import MrcInfo
from core.io.rows import read_rows
from core.physics.optics import Optics, ctf_grid
from core.reconstruction.operator import disc
from core.reconstruction.sources import NOTHING, Given, list_particles
from core.reconstruction.statistics import Batch

CONTRASTS = ("auto", "light", "dark")
_BATCH_BYTES = 64 << 20
_LEAST_BOX, _MOST_BOX = 8, 1024
_LOOKED_AT = 400  # images, to tell light particles from dark ones


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
        digest = hashlib.sha256(f"{self.path} {self.size} {self.pixel_size_a} {self.box} {self.sign}".encode())
        for info in self.infos:
            state = info.path.stat()
            digest.update(f"{info.path} {state.st_mtime_ns} {state.st_size}".encode())
        arrays = [self.which, self.place, self.matrices, self.origins_a, self.half, self.group]
        arrays += [] if self.optics is None else [getattr(self.optics, f.name) for f in fields(self.optics)]
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
    given: Given = NOTHING,
    told: Callable[[str], None] = lambda _: None,
) -> ParticleSet:
    """Particles of a STAR file, or of a stack with poses and CTF in files of their own (`given`).

    `box`: of the map, at most that of the images; `check()` may raise to stop; `told` hears what is doubtful.
    `InputError` in one sentence for particles without poses, missing or cut stacks, sizes that differ, no CTF.
    """
    listed = list_particles(path, given, ignore_ctf, told)
    check()
    size = listed.size
    box = size if box is None else box
    if box % 2 or not _LEAST_BOX <= box <= min(size, _MOST_BOX):
        raise InputError(
            f"A box of {box} px cannot be made of images of {size} px.",
            f"Choose an even box from {_LEAST_BOX} to {min(size, _MOST_BOX)}.",
            path,
        )
    particles = ParticleSet(
        path,
        [info.path for info in listed.infos],
        listed.infos,
        listed.which,
        listed.place,
        listed.matrices,
        listed.origins_a,
        listed.optics,
        np.arange(len(listed)) % 2 if listed.half is None else listed.half,  # without halves: every second particle
        listed.group,
        size,
        listed.pixel_size_a,
        box,
        order=np.lexsort((listed.place, listed.which)),
    )
    _tell_doubts(particles, listed.half is None, told)
    sign = {"light": 1.0, "dark": -1.0}.get(contrast) or _contrast(particles)
    return ParticleSet(**{**particles.__dict__, "sign": sign})


def _tell_doubts(particles: ParticleSet, halves_made: bool, told: Callable[[str], None]) -> None:
    """Say what can make half maps agree that should not: halves of our own making, images that stand twice."""
    if halves_made:
        told("The particles have no halves of their own (rlnRandomSubset 1 and 2): every second one is put into each.")
    order = particles.order
    same = (np.diff(particles.which[order]) == 0) & (np.diff(particles.place[order]) == 0)
    if same.any():
        told(f"{int(same.sum())} images stand twice in the table: in both halves, they make the resolution too good.")
    count = np.bincount(particles.half, minlength=2)
    if 0 < count.min() < 0.5 * count.max():
        told(f"The halves are uneven: {count[0]} and {count[1]} particles.")


def _contrast(particles: ParticleSet) -> float:
    """+1 where particles are light, -1 where they are dark, by the rotational mean of some images."""
    rows = particles.order[:: max(1, len(particles) // _LOOKED_AT)][:_LOOKED_AT]
    contrast = ContrastSign(particles.size)
    step = particles.batch_size()
    for first in range(0, len(rows), step):
        for image in particles.read(rows[first : first + step]):
            contrast.add(image)
    if contrast.sign == 0:
        raise InputError(
            f"It cannot be told whether the particles of {particles.path} are light or dark.",
            "Say it with --contrast light or --contrast dark.",
            particles.path,
        )
    return contrast.sign
