"""The clean library: projections of specimens that are not the user's, as the signal of noise transfer.

Deposited structures (structures.py) and procedural assemblies (assemblies.py), drawn from a seed. library_file.py
keeps a library on disk. Apoferritin, adenylate kinase (1AKE) and the map EMD-5505 are specimens of the benchmarks and
never among them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.ndimage as ndi

from core.errors import ParamError
from core.physics.assemblies import ASSEMBLIES, make
from core.physics.shapes import about, random_rotation
from core.physics.specimen import MOST_POINTS, Specimen
from core.physics.structures import Structures, load_structures

__all__ = [
    "BOX",
    "DIAMETER",
    "KINDS",
    "Library",
    "build_library",
    "load_structures",
    "project_points",
    "random_rotation",
]

BOX = 64  # px of a projection
DIAMETER = 46.0  # px of a specimen inside it
DEPOSITED = "deposited"
KINDS = (DEPOSITED, *ASSEMBLIES)
SMALL_PROTEIN = 3000  # atoms; smaller structures serve as building blocks
_AT_ONCE = 8  # views projected together


@dataclass(frozen=True)
class Library:
    """Projections float16 (specimens, views, 64, 64), 1 = mean density inside; `names` and `kinds` say what each is."""

    projections: np.ndarray
    names: tuple[str, ...]
    kinds: tuple[str, ...]

    def without(self, names_or_kinds: Sequence[str]) -> Library:
        """The library without the named specimens and kinds; what it does not hold is no error."""
        kept = [
            i for i, (n, k) in enumerate(zip(self.names, self.kinds, strict=True)) if not {n, k} & {*names_or_kinds}
        ]
        if not kept:
            raise ParamError("Nothing is left of the clean library.", "Exclude less.", fields=("exclude",))
        of = self.projections[kept] if len(kept) < len(self.names) else self.projections
        return replace(
            self, projections=of, names=tuple(self.names[i] for i in kept), kinds=tuple(self.kinds[i] for i in kept)
        )


@functools.lru_cache(maxsize=1)
def build_library(seed: int = 0, phantoms: int = 60, views: int = 40, exclude: tuple[str, ...] = ()) -> Library:
    """Project every specimen in `views` random orientations. The same arguments give the same library.

    `exclude` drops names or kinds and leaves every other specimen as it was. The last library is kept (and must not
    be changed): forward and train of one process ask for the same.
    """
    names, kinds, images = [], [], []
    for name, kind, projected in specimens(seed, phantoms, views, exclude=exclude):
        names.append(name)
        kinds.append(kind)
        images.append(projected)
    if not images:
        raise ParamError("Nothing is left of the clean library.", "Exclude less.", fields=("exclude",))
    return Library(np.stack(images), tuple(names), tuple(kinds))


def planned(
    phantoms: int, seed: int, structures: Mapping[str, object], kinds: Sequence[str] = (), exclude: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """(name, kind) of every specimen: deposited ones first, then `phantoms` shared out over the kinds."""
    made = [k for k in ASSEMBLIES if not kinds or k in kinds]
    share = np.array([ASSEMBLIES[k][1] for k in made], float)
    wanted = phantoms * share / max(share.sum(), 1.0) if made else share
    counts = np.floor(wanted).astype(int)
    short = (phantoms if made else 0) - counts.sum()
    counts[np.argsort(counts - wanted, kind="stable")[:short]] += 1
    plan = [(name, DEPOSITED) for name in structures if not kinds or DEPOSITED in kinds]
    plan += [(f"{k}-{seed}-{i:03d}", k) for k, n in zip(made, counts, strict=True) for i in range(n)]
    return [(name, kind) for name, kind in plan if not {name, kind} & {*exclude}]


def specimens(
    seed: int,
    phantoms: int,
    views: int,
    kinds: Sequence[str] = (),
    exclude: Sequence[str] = (),
    structures: Structures | None = None,
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Draw and project one specimen after the other: (name, kind, float16 (views, 64, 64))."""
    bundled = load_structures()
    proteins = [x - x.mean(0) for x, _ in bundled.values() if len(x) < SMALL_PROTEIN]
    deposited = bundled if structures is None else structures
    for name, kind in planned(phantoms, seed, deposited, kinds, exclude):
        # seeded by name: neither another kind nor a file beside it changes a specimen
        rng = np.random.default_rng([seed, 71, *name.encode()])
        if kind == DEPOSITED:
            points, weights = deposited[name]
            if len(points) > MOST_POINTS:
                keep = rng.choice(len(points), MOST_POINTS, replace=False)
                points, weights = points[keep], weights[keep]
            specimen = Specimen(points, weights)
        else:
            specimen = make(kind, rng, proteins)
        yield name, kind, project(specimen, views, rng).astype(np.float16)


def project_points(points: np.ndarray, weights: np.ndarray, views: int, rng: np.random.Generator) -> np.ndarray:
    """Sum point masses along z in random orientations: (views, 64, 64), scaled to DIAMETER and to mean 1 inside."""
    return project(Specimen(points, weights), views, rng)


def project(specimen: Specimen, views: int, rng: np.random.Generator) -> np.ndarray:
    """Projections (views, 64, 64) float32 of mean 1 inside.

    The 98th percentile of the radius sets the scale: a single stray chain does not shrink the rest. What runs
    through the box is scaled by its width instead and fades out at the border, so that no straight cut is learnt.
    """
    points, weights = specimen.points, specimen.weights
    if specimen.span is None:
        points = points - np.average(points, axis=0, weights=weights)
        radius = np.percentile(np.linalg.norm(points, axis=1), 98)
        points = points * (DIAMETER / 2 / max(radius, 1e-6))
        blur = rng.uniform(0.8, 2.0)
        turns = np.stack([random_rotation(rng) for _ in range(views)])
    else:
        points = points * (specimen.span[1] / specimen.span[0])
        blur = rng.uniform(0.7, 1.5)
        turns = np.stack([_lying(rng, specimen.tilt, specimen.spin) for _ in range(views)])
    images = np.concatenate([_summed(points, weights, t, blur) for t in np.array_split(turns, -(-views // _AT_ONCE))])
    if specimen.span is not None:
        images *= _faded()
    for image in images:
        image /= image[image > 0.1 * image.max()].mean()
    return images


def _summed(points: np.ndarray, weights: np.ndarray, turns: np.ndarray, blur: float) -> np.ndarray:
    """Point masses counted into pixels, for some orientations (n, 3, 3) at once: (n, 64, 64), blurred."""
    place = np.rint(np.matmul(turns[:, :2], points.T.astype(np.float32)) + (BOX - 1) / 2).astype(np.int32)
    column, row = place[:, 0], place[:, 1]  # (n, points)
    inside = (column >= 0) & (column < BOX) & (row >= 0) & (row < BOX)
    index = (np.arange(len(turns))[:, None] * BOX + row) * BOX + column
    mass = np.broadcast_to(weights, inside.shape)
    counted = np.bincount(index[inside], mass[inside], len(turns) * BOX * BOX).reshape(-1, BOX, BOX)
    return ndi.gaussian_filter(counted.astype(np.float32), (0, blur, blur), mode="constant")


def _lying(rng: np.random.Generator, tilt: float, spin: bool) -> np.ndarray:
    """A rotation that brings the specimen's z axis into the image plane, up to `tilt` degrees out of it."""
    first = about(np.array([0, 0, 1.0]), rng.uniform(0, 2 * np.pi)) if spin else np.eye(3)
    lean, roll = np.deg2rad(rng.uniform(-tilt, tilt, 2))
    down = about(np.array([1.0, 0, 0]), np.pi / 2 + lean)
    return about(np.array([0, 0, 1.0]), rng.uniform(0, 2 * np.pi)) @ about(np.array([0, 1.0, 0]), roll) @ down @ first


@functools.lru_cache(maxsize=1)
def _faded() -> np.ndarray:
    """A round window (64, 64) that falls from 1 to 0 over the last 5 px before the border."""
    axis = np.arange(BOX) - (BOX - 1) / 2
    radius = np.hypot(axis[:, None], axis[None])
    return (0.5 + 0.5 * np.cos(np.pi * np.clip((radius - 26.5) / 5, 0, 1))).astype(np.float32)
