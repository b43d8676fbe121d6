"""One pass over the images: the sums of both halves, batch by batch, in memory that does not grow with their number.

Half sets are kept apart from the first image on; what both say together is their sum.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.atomic import atomic_path
from core.reconstruction import noise
from core.reconstruction.operator import Sums, disc, project, slice_points, spectra

HALVES = 2
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Batch:
    """Some particles: light-on-dark `images` (k, D, D), `matrices` (k, 3, 3), `shift_px` (k, 2) in pixels of the
    used box, `ctf` (k, m) at the coefficients of its disc or None, `half` (k,) 0 or 1, `group` (k,) of the noise."""

    images: np.ndarray
    matrices: np.ndarray
    shift_px: np.ndarray
    ctf: np.ndarray | None
    half: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


@dataclass(eq=False)
class Statistics:
    """Sums of both halves, the noise power (groups, box // 2) they were weighted with, and how many images are in."""

    box: int
    pixel_size_a: float
    halves: tuple[Sums, Sums]
    noise: np.ndarray
    done: int = 0

    @property
    def both(self) -> Sums:
        """The sums of all images."""
        return self.halves[0].merge(self.halves[1])


def empty(box: int, pixel_size_a: float, power: np.ndarray) -> Statistics:
    """Statistics of no images yet."""
    return Statistics(box, pixel_size_a, (Sums(box), Sums(box)), power)


def add(statistics: Statistics, batch: Batch, symmetry: np.ndarray) -> None:
    """Add a batch; a view counts for every rotation of the map's `symmetry` (s, 3, 3): it tells as much about each."""
    used = disc(statistics.box)
    values = spectra(batch.images, used, batch.shift_px)
    weight = used.share / noise.floored(statistics.noise)[batch.group][:, used.shell]
    transfer = np.ones_like(weight) if batch.ctf is None else batch.ctf
    for half in range(HALVES):
        rows = np.flatnonzero(batch.half == half)
        if not rows.size:
            continue
        pull = weight[rows] * transfer[rows]
        right, left = (pull * values[rows]).ravel(), (pull * transfer[rows]).ravel()
        for i, turn in enumerate(symmetry):
            points = slice_points(batch.matrices[rows] @ turn, used)
            statistics.halves[half].add(points, right, left, 0 if i else len(rows))
    statistics.done += len(batch)


def corner_noise(batches: Iterable[Batch], box: int, groups: int, radius_share: float = 0.9) -> np.ndarray:
    """Noise power (groups, box // 2) from the corners of images; a group without images gets the others' mean.

    `radius_share`: radius of the circle that may hold particle, as a share of half the image.
    """
    used = disc(box)
    total, count = np.zeros((groups, box // 2)), np.zeros(groups)
    for batch in batches:
        for group in np.unique(batch.group):
            rows = batch.group == group
            images = batch.images[rows]
            total[group] += noise.corner_power(images, used, radius_share * images.shape[-1] / 2)
            count[group] += len(images)
    return _shared(total, count)


def residual_noise(batches: Iterable[Batch], volume: np.ndarray, groups: int) -> np.ndarray:
    """Noise power (groups, box // 2) left when the projections of a map are taken off the images."""
    used = disc(volume.shape[0])
    total, count = np.zeros((groups, used.box // 2)), np.zeros(groups)
    for batch in batches:
        shown = project(volume, batch.matrices, used)
        left = spectra(batch.images, used, batch.shift_px) - (shown if batch.ctf is None else batch.ctf * shown)
        for group in np.unique(batch.group):
            rows = batch.group == group
            total[group] += noise.residual_power(left[rows], used)
            count[group] += rows.sum()
    return _shared(total, count)


def _shared(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    if not count.sum():
        raise InputError("There are no images to measure noise on.", "Check the particles.")
    power = total / np.maximum(count, 1)[:, None]
    power[count == 0] = total.sum(axis=0) / count.sum()
    return noise.floored(power)


# ---- on disk --------------------------------------------------------------------------------------------


def save(statistics: Statistics, path: Path, key: str, write: Callable[..., None] = np.savez) -> None:
    """Write statistics, all or nothing; `key` names the particles and settings they belong to."""
    arrays = {f"b{i}": half.b for i, half in enumerate(statistics.halves)}
    arrays |= {f"kernel{i}": half.kernel.astype(np.float32) for i, half in enumerate(statistics.halves)}
    with atomic_path(path) as partial, partial.open("wb") as stream:
        write(
            stream,
            format=_FORMAT,
            key=key,
            counts=[half.n for half in statistics.halves],
            done=statistics.done,
            noise=statistics.noise,
            pixel_size_a=statistics.pixel_size_a,
            **arrays,
        )


def load(path: Path, key: str | None = None) -> Statistics | None:
    """Read statistics; None when the file is not there, is damaged, or belongs to another `key`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["format"]) != _FORMAT or (key is not None and str(file["key"]) != key):
                return None
            b = [file[f"b{i}"] for i in range(HALVES)]
            kernels = [file[f"kernel{i}"].astype(np.float64) for i in range(HALVES)]
            counts, power = file["counts"], file["noise"]
            done, pixel = int(file["done"]), float(file["pixel_size_a"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    box = b[0].shape[0]
    if any(x.shape != (box,) * 3 for x in b) or any(k.shape != (2 * box,) * 3 for k in kernels):
        return None
    halves = (Sums(box), Sums(box))
    for half, right, kernel, count in zip(halves, b, kernels, counts, strict=True):
        half.b, half.kernel, half.n = right, kernel, int(count)
    return Statistics(box, pixel, halves, power, done)
