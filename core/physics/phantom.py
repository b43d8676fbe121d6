"""The clean library: projections of specimens that are not the user's, as the signal of noise transfer.

Deposited structures (resources/library, CC0) and procedural assemblies of small proteins, drawn from a seed.
There is no hollow shell among them: what the demo shows on apoferritin is not recalled from the library.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi

LIBRARY_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "library"
BOX = 64  # px of a projection
DIAMETER = 46.0  # px of a specimen inside it


@dataclass(frozen=True)
class Library:
    """Projections float16 (specimens, views, 64, 64), 1 = mean density inside; `names` says what each is."""

    projections: np.ndarray
    names: tuple[str, ...]


@functools.lru_cache(maxsize=1)
def build_library(seed: int = 0, phantoms: int = 60, views: int = 40) -> Library:
    """Project every specimen in `views` random orientations. The same arguments give the same library.

    The last one is kept (and must not be changed): forward and train of one process ask for the same.
    """
    rng = np.random.default_rng([seed, 71])
    specimens = list(_specimens(rng, phantoms))
    projections = np.empty((len(specimens), views, BOX, BOX), np.float16)
    for i, (_, points, weights) in enumerate(specimens):
        projections[i] = project_points(points, weights, views, rng)
    return Library(projections, tuple(name for name, _, _ in specimens))


def load_structures(folder: Path = LIBRARY_FOLDER) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Atoms of the bundled structures: name -> positions (n, 3) in Angstrom, atomic numbers (n,)."""
    import gemmi

    structures = {}
    for path in sorted(folder.glob("*.pdb.gz")):
        model = gemmi.read_structure(str(path))[0]
        atoms = [(a.atom.pos.tolist(), a.atom.element.atomic_number) for a in model.all() if a.atom.element]
        positions = np.array([p for p, _ in atoms])
        structures[path.name.split(".")[0]] = (positions, np.array([z for _, z in atoms], float))
    return structures


def _specimens(rng: np.random.Generator, phantoms: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    structures = load_structures()
    yield from ((name, x, w) for name, (x, w) in structures.items())
    blocks = [x - x.mean(0) for x, _ in structures.values() if len(x) < 3000]
    kinds = list(_ASSEMBLIES)
    for i in range(phantoms):
        kind = kinds[rng.choice(len(kinds), p=[0.30, 0.25, 0.15, 0.20, 0.10])]
        points = np.concatenate(_ASSEMBLIES[kind](rng, blocks))
        yield f"{kind}-{i:02d}", points, rng.uniform(0.5, 1.5, len(points))


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Uniform rotation matrix (3, 3), by a normalised Gaussian quaternion."""
    quaternion = rng.standard_normal(4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _block(rng: np.random.Generator, blocks: list[np.ndarray]) -> np.ndarray:
    return blocks[rng.integers(len(blocks))] @ random_rotation(rng).T


def _globular(rng: np.random.Generator, blocks: list[np.ndarray], largest: int = 40) -> list[np.ndarray]:
    """Grow a cluster: each new block touches a random earlier one; unequal axes give oblong shapes."""
    centres = [np.zeros(3)]
    squash = np.array([1.0, rng.uniform(0.5, 1), rng.uniform(0.4, 1)])
    for _ in range(rng.integers(1, largest)):
        direction = rng.standard_normal(3) * squash
        step = direction / np.linalg.norm(direction) * rng.uniform(18, 30)
        centres.append(centres[rng.integers(len(centres))] + step)
    return [_block(rng, blocks) + c for c in centres]


def _ring(rng: np.random.Generator, blocks: list[np.ndarray]) -> list[np.ndarray]:
    """Cn rings, stacked face to back or face to face, as chaperones and proteasomes are."""
    order, layers, radius = rng.integers(2, 13), rng.integers(1, 5), rng.uniform(14, 55)
    unit = np.concatenate([_block(rng, blocks) + 12 * rng.standard_normal(3) for _ in range(rng.integers(1, 4))])
    flip = np.array([1.0, -1.0, -1.0])
    parts = []
    for layer in range(layers):
        turned = (unit if layer % 2 == 0 else unit * flip) + [radius, 0, 0]
        for i in range(order):
            angle = 2 * np.pi * i / order + layer * np.pi / order
            parts.append(turned @ _about_z(angle).T + [0, 0, 36.0 * layer])
    return parts


def _rod(rng: np.random.Generator, blocks: list[np.ndarray]) -> list[np.ndarray]:
    """A short helical filament."""
    count, rise, twist, radius = (
        rng.integers(6, 24),
        rng.uniform(6, 25),
        rng.uniform(0.3, 2.8),
        rng.uniform(0, 30),
    )
    unit = _block(rng, blocks) + np.array([radius, 0, 0])
    return [unit @ _about_z(twist * i).T + [0, 0, rise * i] for i in range(count)]


def _lobes(rng: np.random.Generator, blocks: list[np.ndarray]) -> list[np.ndarray]:
    """Two to four clusters side by side."""
    parts: list[np.ndarray] = []
    for _ in range(rng.integers(2, 5)):
        centre = 45 * rng.standard_normal(3)
        parts += [p + centre for p in _globular(rng, blocks, largest=12)]
    return parts


def _disc(rng: np.random.Generator, blocks: list[np.ndarray]) -> list[np.ndarray]:
    """A flat disc of lipid-like density with a few proteins through it."""
    count, radius = rng.integers(3000, 7000), rng.uniform(35, 60)
    angle, r = rng.uniform(0, 2 * np.pi, count), radius * np.sqrt(rng.uniform(0, 1, count))
    parts = [np.stack([r * np.cos(angle), r * np.sin(angle), rng.uniform(-18, 18, count)], axis=1)]
    for _ in range(rng.integers(1, 6)):
        parts.append(_block(rng, blocks) + np.array([*(14 * rng.standard_normal(2)), rng.uniform(-45, 45)]))
    return parts


_ASSEMBLIES: dict[str, Callable[..., list[np.ndarray]]] = {
    "globular": _globular,
    "ring": _ring,
    "rod": _rod,
    "lobes": _lobes,
    "disc": _disc,
}


def project_points(points: np.ndarray, weights: np.ndarray, views: int, rng: np.random.Generator) -> np.ndarray:
    """Sum point masses along z in random orientations: (views, 64, 64), scaled to DIAMETER and to mean 1 inside.

    The 98th percentile of the radius sets the scale: a single stray chain does not shrink the rest.
    """
    points = points - np.average(points, axis=0, weights=weights)
    radius = np.percentile(np.linalg.norm(points, axis=1), 98)
    points = points * (DIAMETER / 2 / max(radius, 1e-6))
    blur = rng.uniform(0.8, 2.2)
    images = np.empty((views, BOX, BOX), np.float32)
    for v in range(views):
        xy = points @ random_rotation(rng).T[:, :2] + (BOX - 1) / 2
        column, row = np.rint(xy).astype(int).T
        inside = (column >= 0) & (column < BOX) & (row >= 0) & (row < BOX)
        flat = np.bincount(row[inside] * BOX + column[inside], weights[inside], BOX * BOX)
        image = ndi.gaussian_filter(flat.reshape(BOX, BOX), blur)
        images[v] = image / image[image > 0.1 * image.max()].mean()
    return images
