"""What a specimen of the clean library is, and how blocks become one: joined, or grown into a cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.physics.shapes import block, directions, size_of

Parts = list[np.ndarray]
Z = np.array([0.0, 0.0, 1.0])
MOST_POINTS = 20_000  # of a specimen: more would not be seen at 64 px


@dataclass(frozen=True)
class Specimen:
    """Point masses (n, 3) in Angstrom with weights (n,).

    Where `span` is None the specimen is scaled by its radius and turned freely. Filaments and membranes are longer than
    the box: `span` = (width in Angstrom, the same in box px) scales them, and their z axis (a filament's axis, a
    membrane's normal) lies in the image up to `tilt` degrees; `spin` turns them freely about z.
    """

    points: np.ndarray
    weights: np.ndarray
    span: tuple[float, float] | None = None
    tilt: float = 0.0
    spin: bool = True


def joined(rng: np.random.Generator, parts: Parts, spread: float = 0.3) -> Specimen:
    """Put blocks together, each with a weight of its own."""
    weights = [np.full(len(p), np.exp(spread * rng.standard_normal())) for p in parts]
    return Specimen(np.concatenate(parts), np.concatenate(weights))


def grown(rng: np.random.Generator, proteins: Parts, count: int) -> Parts:
    """Grow a cluster: each new block touches a random earlier one, at the most central of some places it may take.

    One place to choose from gives branches, many give a compact body; unequal axes give oblong shapes.
    """
    most = max(150, 2 * MOST_POINTS // count)
    squash = np.array([1.0, rng.uniform(0.4, 1), rng.uniform(0.35, 1)])
    choices = int(rng.choice([1, 6, 16, 32]))
    parts, centres, sizes = [], np.zeros((count, 3)), np.zeros(count)
    for i in range(count):
        part = block(rng, proteins, most)
        sizes[i] = size_of(part)
        if i:
            mates = rng.integers(i, size=choices)
            reach = (sizes[i] + sizes[mates]) * rng.uniform(0.65, 0.95, choices)
            places = centres[mates] + directions(rng, choices) * reach[:, None]
            gap = np.linalg.norm(places[:, None] - centres[:i], axis=2) - 0.6 * (sizes[:i] + sizes[i])
            cost = np.linalg.norm(places / squash, axis=1) + 1e3 * (gap.min(axis=1) < 0)
            centres[i] = places[np.argmin(cost)]
        parts.append(part + centres[i])
    return parts
