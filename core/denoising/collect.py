"""Cutting particle and noise crops out of micrographs, one micrograph at a time.

Raw crops go to the stacks s1 and s3 as they are; a second copy at the canonical scale, flattened and in noise
sigmas, is what training reads. Memory is one micrograph plus the (small, capped) canonical crops.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.denoising.canonical import Canonical, canonical_diameter, crop, fine_sigma

MOST_CANONICAL_BYTES = 400_000_000  # of particle crops, and again of noise crops, kept for training
CROP_MULTIPLE = 32  # px, core.denoising.unet.MULTIPLE


@dataclass(frozen=True)
class Cut:
    """One raw crop: which micrograph, its centre pixel, and its number in the stack."""

    micrograph: Path
    x: int
    y: int


@dataclass(frozen=True)
class Plan:
    """All crops that lie inside their micrograph, in the order in which they are written."""

    particles: list[Cut]
    noise: list[Cut]
    dropped_particles: int
    dropped_noise: int


def plan_cuts(
    shapes: Mapping[Path, tuple[int, int]],
    particles: Mapping[Path, np.ndarray],
    noise: Mapping[Path, np.ndarray],
    particle_box: int,
    noise_box: int,
    most: int,
    seed: int,
) -> Plan:
    """Decide every crop from the image sizes alone; more than `most` particles are thinned at random."""
    inside, outside = _inside(shapes, particles, particle_box)
    kept = inside
    if len(inside) > most:
        chosen = np.sort(np.random.default_rng([seed, 1]).permutation(len(inside))[:most])
        kept = [inside[i] for i in chosen]
    noise_inside, noise_outside = _inside(shapes, noise, noise_box)
    return Plan(kept, noise_inside, outside, noise_outside)


def _inside(
    shapes: Mapping[Path, tuple[int, int]], positions: Mapping[Path, np.ndarray], box: int
) -> tuple[list[Cut], int]:
    cuts, outside = [], 0
    for micrograph, (height, width) in shapes.items():
        for x, y in np.rint(positions[micrograph]).astype(int):
            left, top = x - box // 2, y - box // 2
            if left >= 0 and top >= 0 and left + box <= width and top + box <= height:
                cuts.append(Cut(micrograph, int(x), int(y)))
            else:
                outside += 1
    return cuts, outside


def by_micrograph(cuts: Sequence[Cut]) -> dict[Path, np.ndarray]:
    """Centres (n, 2) x, y of each micrograph's crops, in the order of the plan."""
    grouped: dict[Path, list[tuple[int, int]]] = {}
    for c in cuts:
        grouped.setdefault(c.micrograph, []).append((c.x, c.y))
    return {m: np.array(xy, int) for m, xy in grouped.items()}


@dataclass
class Collected:
    """Canonical crops gathered so far, and what was measured on the way."""

    particle_size: int  # canonical px
    noise_size: int
    particles: list[np.ndarray] = field(default_factory=list)
    noise: list[np.ndarray] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    sigmas: dict[str, float] = field(default_factory=dict)  # micrograph name -> noise sigma, input units
    calibration: list[float] = field(default_factory=list)  # patch sigma / fine sigma
    outliers: int = 0

    def add(self, canonical: Canonical, number: int, name: str, particles: np.ndarray, noise: np.ndarray) -> None:
        """Cut one micrograph's canonical crops; positions (n, 2) x, y are those of the input."""
        self.outliers += canonical.outliers
        patches = _crops(canonical, noise, self.noise_size)
        fine = fine_sigma(canonical.image, canonical.valid)
        if patches:
            sigma = float(np.std(patches))
            self.calibration.append(sigma / fine)
        else:
            sigma = fine * self.ratio
        sigma = max(sigma, 1e-12)
        self.sigmas[name] = sigma
        self._keep(self.noise, [p / sigma for p in patches], self.noise_size)
        self.group += [number] * (len(self.noise) - len(self.group))
        cut = _crops(canonical, particles, self.particle_size)
        self._keep(self.particles, [p / sigma for p in cut], self.particle_size)

    @property
    def ratio(self) -> float:
        """Sigma of empty patches over fine sigma, so far."""
        return float(np.median(self.calibration or [1.0]))

    def empty_crops(self, canonical: Canonical, xy: np.ndarray) -> list[np.ndarray]:
        """Noise crops of a canonical image at positions (n, 2) x, y of the input, in its units; nothing is kept."""
        return _crops(canonical, xy, self.noise_size)

    def _keep(self, store: list[np.ndarray], crops: list[np.ndarray], size: int) -> None:
        room = MOST_CANONICAL_BYTES // (2 * size * size) - len(store)
        store += [c.astype(np.float16) for c in crops[: max(room, 0)]]


def _crops(canonical: Canonical, xy: np.ndarray, size: int) -> list[np.ndarray]:
    found = (crop(canonical.image, x, y, size) for x, y in canonical.centres(xy))
    return [c for c in found if c is not None]


def crop_sizes(diameter_px: float, noise_box: int) -> tuple[int, int, int]:
    """Raw particle crop, canonical particle crop, canonical noise crop (px).

    A particle crop spans two diameters, so that fringes and a rim of background are in it; the canonical one is
    rounded up to a size that the network takes.
    """
    canonical = canonical_diameter(diameter_px)
    side = CROP_MULTIPLE * max(1, round(2 * canonical / CROP_MULTIPLE + 0.499))
    raw = 2 * round(max(diameter_px, 0.5 * side * diameter_px / canonical))  # no less than the canonical crop shows
    return raw, side, int(noise_box * canonical / diameter_px)


def disc(size: int, radius: float) -> np.ndarray:
    """Boolean (size, size) disc about pixel size // 2."""
    offset = np.arange(size) - size // 2
    return np.hypot(offset[:, None], offset[None]) <= radius


def measure_sign(particles: np.ndarray, diameter: float) -> float:
    """+1 where particles are darker than their rim (raw micrographs), -1 where they are lighter.

    particles: (n, s, s), flattened crops, centre at s // 2.
    """
    mean = particles.astype(np.float32).mean(axis=0)
    size = mean.shape[-1]
    inside = disc(size, 0.45 * diameter)
    rim = ~disc(size, 0.7 * diameter)
    return -1.0 if mean[inside].mean() > mean[rim].mean() else 1.0


def variance_excess(particles: np.ndarray, diameter: float) -> float:
    """In-particle signal over noise variance: variance inside the disc minus the noise's (1)."""
    inside = particles[:, disc(particles.shape[-1], diameter / 2)].astype(np.float32)
    return float((inside**2).mean() - 1.0)


def radial_mean(image: np.ndarray) -> np.ndarray:
    """Rotational average of a square image about pixel s // 2, as an image."""
    size = image.shape[-1]
    offset = np.arange(size) - size // 2
    radius = np.rint(np.hypot(offset[:, None], offset[None])).astype(int)
    profile = np.bincount(radius.ravel(), image.ravel()) / np.bincount(radius.ravel())
    return profile[radius].astype(np.float32)


def micrograph_names(files: Sequence[Path]) -> dict[Path, str]:
    """A name for each micrograph that is unique in this set: the file name, with its folder where needed."""
    count = Counter(f.name for f in files)
    return {f: f.name if count[f.name] == 1 else f"{f.parent.name}/{f.name}" for f in files}


def output_names(names: Mapping[Path, str], folder: Path) -> dict[Path, Path]:
    """Where each micrograph's result goes: its own name ending in .mrc."""
    out = {}
    for path, name in names.items():
        stem = name
        for suffix in (".gz", ".bz2", ".mrcs", ".mrc", ".tiff", ".tif"):
            stem = stem[: -len(suffix)] if stem.lower().endswith(suffix) else stem
        out[path] = folder / f"{stem}.mrc"
    return out
