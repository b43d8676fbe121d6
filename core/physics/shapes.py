"""The stones of procedural assemblies: protein-like domains, lipid bilayers, curved paths, double helices, symmetry.

Points are (n, 3) in Angstrom about the origin. How stones become specimens is in assemblies.py.
"""

from __future__ import annotations

import functools

import numpy as np

from core.physics.rotations import about, closed, random_rotations

BILAYER_A = 38.0  # distance between the two layers of head groups


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Uniform rotation matrix (3, 3)."""
    return random_rotations(1, rng)[0]


def directions(rng: np.random.Generator, count: int) -> np.ndarray:
    """Uniform unit vectors (count, 3)."""
    vectors = rng.standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def in_ball(rng: np.random.Generator, count: int, radius: float) -> np.ndarray:
    """Uniform points (count, 3) in a ball."""
    return directions(rng, count) * (radius * np.cbrt(rng.uniform(0, 1, (count, 1))))


def spread_on_sphere(rng: np.random.Generator, count: int, jitter: float = 0.0) -> np.ndarray:
    """Nearly even unit vectors (count, 3): a Fibonacci spiral, turned and shaken."""
    i = np.arange(count) + 0.5
    z, angle = 1 - 2 * i / count, i * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - z * z)
    points = np.stack([ring * np.cos(angle), ring * np.sin(angle), z], axis=1) @ random_rotation(rng).T
    points += jitter / np.sqrt(count) * rng.standard_normal(points.shape)
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@functools.lru_cache(maxsize=4)
def point_group(name: str) -> np.ndarray:
    """All rotations of a cubic group: tetrahedral (12, 3, 3), octahedral (24, 3, 3) or icosahedral (60, 3, 3)."""
    golden = (1 + np.sqrt(5)) / 2
    third = about(np.ones(3), 2 * np.pi / 3)
    generators = {
        "tetrahedral": [third, about(np.array([0, 0, 1.0]), np.pi)],
        "octahedral": [third, about(np.array([0, 0, 1.0]), np.pi / 2)],
        "icosahedral": [third, about(np.array([0, 1, golden]), 2 * np.pi / 5)],
    }[name]
    return closed(generators)


def domain(rng: np.random.Generator, helices: int) -> np.ndarray:
    """A protein-like domain of `helices` rods of density packed about the origin, 50 points each."""
    size = 7.0 * np.cbrt(helices) * rng.uniform(0.85, 1.2)
    squash = rng.uniform(0.6, 1.0, 3)
    centres = in_ball(rng, helices, size) * squash
    along = directions(rng, helices) if rng.random() < 0.6 else np.tile(directions(rng, 1), (helices, 1))
    along = along + 0.25 * rng.standard_normal(along.shape)
    lengths = rng.uniform(8, 16, helices) + 0.4 * size
    place = rng.uniform(-0.5, 0.5, (helices, 50, 1)) * lengths[:, None, None]
    points = centres[:, None] + place * along[:, None] + rng.normal(0, 2.6, (helices, 50, 3))
    return points.reshape(-1, 3)


def block(rng: np.random.Generator, proteins: list[np.ndarray], most: int = 1500) -> np.ndarray:
    """One building block, turned at random: a small deposited protein or a made-up domain, at most `most` points."""
    if proteins and rng.random() < 0.5:
        points = proteins[rng.integers(len(proteins))]
    else:
        points = domain(rng, int(rng.integers(4, 22)))
    if len(points) > most:
        points = points[rng.choice(len(points), most, replace=False)]
    return points @ random_rotation(rng).T


def size_of(points: np.ndarray) -> float:
    """Radius of a block in Angstrom: the 90th percentile about its centre."""
    return float(np.percentile(np.linalg.norm(points - points.mean(0), axis=1), 90))


def bilayer(rng: np.random.Generator, count: int, tails: float) -> tuple[np.ndarray, np.ndarray]:
    """Heights (count,) in Angstrom across a lipid bilayer and weights: heads 1, tails `tails`."""
    heads = rng.random(count) < 0.55
    sides = rng.choice([-0.5, 0.5], count) * BILAYER_A + rng.normal(0, 3.0, count)
    height = np.where(heads, sides, rng.uniform(-0.42, 0.42, count) * BILAYER_A)
    return height, np.where(heads, 1.0, tails)


def path(rng: np.random.Generator, length: float, persistence: float) -> tuple[np.ndarray, np.ndarray]:
    """A worm-like chain with 1 Angstrom steps: positions (n, 3) and two normals at each (n, 2, 3)."""
    count = max(2, int(length))
    turns = rng.normal(0, 1 / np.sqrt(max(persistence, 1.0)), (count, 2))
    if persistence > 60:  # bends of a stiff chain are smooth: no kinks from step to step
        turns = np.stack([np.convolve(t, np.ones(25) / 25, "same") for t in turns.T], axis=1)
    frame = random_rotation(rng)
    places, normals = np.empty((count, 3)), np.empty((count, 2, 3))
    here = np.zeros(3)
    for i, (a, b) in enumerate(turns):
        forward = frame[2] + a * frame[0] + b * frame[1]
        forward /= np.linalg.norm(forward)
        first = frame[0] - forward * (frame[0] @ forward)
        first /= np.linalg.norm(first)
        frame = np.stack([first, np.cross(forward, first), forward])
        here = here + forward
        places[i], normals[i] = here, frame[:2]
    return places - places.mean(0), normals


def along_path(places: np.ndarray, normals: np.ndarray, strand: np.ndarray) -> np.ndarray:
    """Put points (m, 3) = (offset 1, offset 2, length along) beside a path of 1 Angstrom steps."""
    at = np.clip(strand[:, 2].astype(int), 0, len(places) - 1)
    return places[at] + strand[:, :1] * normals[at, 0] + strand[:, 1:2] * normals[at, 1]


def double_helix(rng: np.random.Generator, length: float, turn_a: float = 33.0) -> np.ndarray:
    """Points (m, 3) of a double-helical nucleic acid along z from 0 to `length`: two backbones and the bases."""
    count = int(length * 4)
    z = rng.uniform(0, length, count)
    strand = rng.random(count)
    phase = 2 * np.pi * z / turn_a + np.where(strand < 0.5, 0.0, 2.4)  # minor and major groove
    radius = np.where(rng.random(count) < 0.6, rng.normal(9.0, 1.2, count), rng.uniform(0, 8, count))
    return np.stack([radius * np.cos(phase), radius * np.sin(phase), z], axis=1)


def folded_nucleic(rng: np.random.Generator, radius: float, segments: int) -> np.ndarray:
    """A compact ball of short double helices, as structured RNA is: points (m, 3)."""
    parts = []
    for centre in in_ball(rng, segments, radius):
        length = rng.uniform(20, max(25.0, min(0.9 * radius, 75.0)))
        piece = double_helix(rng, length, 28.0) - [0, 0, length / 2]
        parts.append(piece @ random_rotation(rng).T + centre)
    points = np.concatenate(parts)
    return points[np.linalg.norm(points, axis=1) < 1.1 * radius]
