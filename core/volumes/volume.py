"""A map in memory with its companions (half maps, standard deviation, data weight), and what its values are like.

Arrays are (z, y, x); the middle of the box is voxel n // 2 of each axis, and positions in Å are given as (x, y, z)
from there. Reading files is reading.py, slices are slices.py, surfaces surface.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.images.pyramid import Cancelled

KINDS = {
    "map": "Map",
    "half1": "Half map 1",
    "half2": "Half map 2",
    "std": "Standard deviation",
    "weight": "Data weight",
    "other": "Second map",
    "fourier": "Data weight (Fourier space)",
    "mask": "Mask",
}
_NAMES = (  # parts of file names, as RELION, CryoSPARC and others write them
    ("half1", ("half1", "half_a", "half-a", "half_map_1", "_half_1")),
    ("half2", ("half2", "half_b", "half-b", "half_map_2", "_half_2")),
    ("std", ("_std", "-std", "sigma", "deviation")),
    ("weight", ("weight",)),
    ("mask", ("_mask.", "-mask.")),
)
_WHOLE_NAMES = {"std": "std", "mask": "mask"}  # as the job reconstruct writes them; half1, half2, weight are above
BINS = 4096
MOST_INSIDE, FIRST_SHARE = 0.2, 0.01  # of the voxels, above the first level of a surface
SAMPLE = 1 << 15  # values that automatic grey levels are read from


@dataclass(frozen=True, eq=False)
class Volume:
    """float32 `values` (z, y, x), finite; `provenance`: what must stay written on it ("made with a learned prior")."""

    values: np.ndarray
    pixel_size_a: float | None = None
    title: str = ""
    provenance: str = ""
    unit: str = ""  # of a value: "" is the grey value of the file
    kind: str = "map"
    path: Path | None = None
    notes: tuple[str, ...] = ()  # sentences about the file: values that were mended, axes that differ

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or 0 in self.values.shape:
            raise ValueError(f"a map (z, y, x) is needed, not shape {self.values.shape}")
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, not {self.kind}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(nz, ny, nx)."""
        nz, ny, nx = self.values.shape
        return nz, ny, nx

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return self.values.nbytes

    @property
    def centre(self) -> tuple[int, int, int]:
        """(z, y, x) of the voxel that is the middle of the box."""
        nz, ny, nx = self.shape
        return nz // 2, ny // 2, nx // 2

    def value(self, z: int, y: int, x: int) -> float:
        """The value of a voxel; nan beyond the box."""
        inside = all(0 <= place < size for place, size in zip((z, y, x), self.shape, strict=True))
        return float(self.values[z, y, x]) if inside else math.nan

    def position_a(self, z: float, y: float, x: float) -> tuple[float, float, float]:
        """(x, y, z) from the middle of the box in Å (voxels when the pixel size is unknown)."""
        pixel = self.pixel_size_a or 1.0
        middle_z, middle_y, middle_x = self.centre
        return (x - middle_x) * pixel, (y - middle_y) * pixel, (z - middle_z) * pixel


@dataclass(frozen=True, eq=False)
class VolumeSet:
    """The map and what belongs to it; all have its size."""

    volumes: tuple[Volume, ...]

    def __post_init__(self) -> None:
        for other in self.volumes[1:]:
            if other.shape != self.main.shape:
                raise InputError(
                    f"{other.title} has {size_text(other.shape)} voxels, "
                    f"{self.main.title} has {size_text(self.main.shape)}.",
                    "Maps that are shown together must have one box size.",
                    other.path,
                )

    @property
    def main(self) -> Volume:
        """The map itself."""
        return self.volumes[0]

    def with_volume(self, volume: Volume) -> VolumeSet:
        """The set with one more; it takes the place of another of its kind."""
        kept = [v for v in self.volumes[1:] if v.kind != volume.kind]
        main = volume if volume.kind == "map" else self.main
        return VolumeSet((main, *kept) if volume.kind == "map" else (main, *kept, volume))


def size_text(shape: Sequence[int]) -> str:
    """`128 × 128 × 100` as x, y, z of an array (z, y, x)."""
    return " × ".join(str(size) for size in reversed(shape))


def kind_of_name(name: str) -> str:
    """What a file seems to be, from its name: half1, half2, std, weight, mask or map."""
    low = name.lower()
    if low.partition(".")[0] in _WHOLE_NAMES:
        return _WHOLE_NAMES[low.partition(".")[0]]
    return next((kind for kind, parts in _NAMES if any(part in low for part in parts)), "map")


@dataclass(frozen=True, eq=False)
class Statistics:
    """Mean, standard deviation and distribution of all voxels."""

    mean: float
    std: float
    low: float
    high: float
    above: np.ndarray  # (BINS + 1,) share of the voxels at or above `low` + k * (high - low) / BINS

    def sigma(self, level: float) -> float:
        """A level in standard deviations from the mean."""
        return (level - self.mean) / self.std if self.std > 0 else 0.0

    def level(self, sigma: float) -> float:
        """The level that is so many standard deviations from the mean."""
        return self.mean + sigma * self.std

    def share_above(self, level: float) -> float:
        """Which part of the voxels is at or above a level, 0 .. 1."""
        if self.high <= self.low:
            return float(level <= self.low)
        place = (level - self.low) / (self.high - self.low) * BINS
        return float(np.interp(place, np.arange(BINS + 1), self.above))

    def first_level(self) -> float:
        """A level that shows the particle: between it and the background (Otsu 1979), or 1 % of the voxels above it.

        The first when it leaves at most a fifth of the voxels above: noise without a particle has no such place.
        """
        share = self.above[:-1] - self.above[1:]
        level = self.low + (np.arange(BINS) + 0.5) / BINS * (self.high - self.low)
        below = np.cumsum(share)[:-1]
        means = np.cumsum(share * level)[:-1]
        whole = float((share * level).sum())
        inside = (below > 0) & (below < 1)
        if inside.any():
            part, mean = below[inside], means[inside]
            place = int(np.argmax((whole * part - mean) ** 2 / (part * (1 - part))))
            found = self.low + (np.flatnonzero(inside)[place] + 1) / BINS * (self.high - self.low)
            if self.share_above(found) <= MOST_INSIDE:
                return float(found)
        return self.level_of_share(FIRST_SHARE)

    def level_of_share(self, share: float) -> float:
        """The level with this part of the voxels above it."""
        place = float(np.interp(share, self.above[::-1], np.arange(BINS + 1)[::-1]))
        return self.low + place / BINS * (self.high - self.low)


def statistics(values: np.ndarray, cancelled: Callable[[], bool] | None = None) -> Statistics:
    """Statistics of (z, y, x), section by section: no call is long, and it can be given up (`Cancelled`)."""
    low = high = float(values[0, 0, 0])
    total = squares = 0.0
    shift = float(values[values.shape[0] // 2].mean(dtype=np.float64))
    for section in values:
        if cancelled is not None and cancelled():
            raise Cancelled
        wide = section.astype(np.float64) - shift  # near zero: squares lose nothing
        total, squares = total + float(wide.sum()), squares + float(np.dot(wide.ravel(), wide.ravel()))
        low, high = min(low, float(section.min())), max(high, float(section.max()))
    mean = total / values.size
    counts = np.zeros(BINS, np.int64)
    for section in values if high > low else ():
        if cancelled is not None and cancelled():
            raise Cancelled
        counts += np.histogram(section, bins=BINS, range=(low, high))[0]
    above = np.concatenate([np.cumsum(counts[::-1])[::-1], [0]]) / values.size
    return Statistics(shift + mean, math.sqrt(max(squares / values.size - mean**2, 0.0)), low, high, above)
