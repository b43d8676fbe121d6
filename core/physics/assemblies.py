"""The kinds of procedural specimens, their shares, and the variation of density inside them.

Every specimen is simulated. A kind's function takes (rng, proteins), where `proteins` are small deposited structures
(n, 3), the building blocks, and gives a Specimen in Angstrom. Sizes are in the range of real assemblies, but the
scale is lost when they are projected: a specimen fills the same share of its box whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.physics.compact_kinds import antibody, barrel, coil, disc, globular, lobes, ring, rod, small
from core.physics.helical_kinds import filament, nucleic, ribosome
from core.physics.hollow_kinds import capsid, membrane, shell, vesicle
from core.physics.shapes import in_ball
from core.physics.specimen import MOST_POINTS, Parts, Specimen

Maker = Callable[[np.random.Generator, Parts], Specimen]

# kind -> (maker, share of the procedural specimens in percent)
ASSEMBLIES: dict[str, tuple[Maker, float]] = {
    "globular": (globular, 17),
    "small": (small, 8),
    "ring": (ring, 11),
    "rod": (rod, 5),
    "lobes": (lobes, 9),
    "disc": (disc, 7),
    "shell": (shell, 7),
    "capsid": (capsid, 3),
    "vesicle": (vesicle, 4),
    "membrane": (membrane, 5),
    "filament": (filament, 6),
    "nucleic": (nucleic, 5),
    "ribosome": (ribosome, 5),
    "barrel": (barrel, 3),
    "antibody": (antibody, 3),
    "coil": (coil, 2),
}
THROUGH = ("membrane", "filament")  # kinds that run through the box
PLAIN = (*THROUGH, "shell", "vesicle", "ribosome")  # kinds whose density is not worked over


def make(kind: str, rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A specimen of one kind, with at most MOST_POINTS points and a density contrast of its own."""
    made = ASSEMBLIES[kind][0](rng, proteins)
    points, weights = made.points, made.weights
    if len(points) > MOST_POINTS:
        keep = rng.choice(len(points), MOST_POINTS, replace=False)
        points, weights = points[keep], weights[keep]
    if kind not in PLAIN:
        points, weights = _worked_over(rng, points - points.mean(0), weights)
    return Specimen(points, weights, made.span, made.tilt, made.spin)


def _worked_over(rng: np.random.Generator, points: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vary the inside: heavy cores, holes, waves of density, and another aspect ratio."""
    size = np.percentile(np.linalg.norm(points, axis=1), 90)
    if rng.random() < 0.25:
        points = points * rng.uniform(0.65, 1.3, 3)
    if rng.random() < 0.25:
        away = np.linalg.norm(points - in_ball(rng, 1, 0.5 * size), axis=1)
        weights = weights * (1 + rng.uniform(0.5, 2.5) * np.exp(-0.5 * (away / (rng.uniform(0.15, 0.4) * size)) ** 2))
    if rng.random() < 0.25:
        away = np.linalg.norm(points - in_ball(rng, 1, 0.6 * size), axis=1)
        weights = np.where(away < rng.uniform(0.15, 0.4) * size, rng.uniform(0, 0.3), 1.0) * weights
    if rng.random() < 0.35:
        wave = np.cos(points @ rng.normal(0, 2.5, 3) / size + rng.uniform(0, 6))
        weights = weights * (1 + rng.uniform(0.2, 0.7) * wave)
    return points, weights
