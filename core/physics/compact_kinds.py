"""Kinds of specimens made of protein: clusters, rings, rods, lobes, discs, barrels, antibodies, coiled coils.

Simulated, each with random size and proportions. assemblies.py lists the kinds.
"""

from __future__ import annotations

import numpy as np

from core.physics.shapes import BILAYER_A, about, along_path, bilayer, block, directions, domain, in_ball, path, size_of
from core.physics.specimen import MOST_POINTS, Parts, Specimen, Z, grown, joined


def globular(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A cluster of 2 to 60 blocks; single small proteins are a kind of their own."""
    return joined(rng, grown(rng, proteins, int(np.exp(rng.uniform(np.log(2), np.log(61))))))


def small(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A single small protein: one domain, sometimes with a loose second one."""
    parts = [domain(rng, int(rng.integers(5, 26))) if rng.random() < 0.75 else block(rng, proteins)]
    if rng.random() < 0.4:
        other = domain(rng, int(rng.integers(3, 12)))
        parts.append(other + directions(rng, 1)[0] * (size_of(parts[0]) + size_of(other)) * rng.uniform(0.7, 1.1))
    return joined(rng, parts, 0.15)


def ring(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """Cn rings of 1 to 5 layers, face to back or face to face, open or with a hub, as chaperones and portals are."""
    order, layers = int(rng.integers(3, 15)), int(rng.choice([1, 1, 2, 2, 3, 4, 5]))
    units = int(rng.integers(1, 4)) if layers < 4 else 1
    most = max(100, 2 * MOST_POINTS // (order * layers * units))
    unit = np.concatenate([block(rng, proteins, most) + 13 * rng.standard_normal(3) for _ in range(units)])
    unit -= unit.mean(0)
    radius = size_of(unit) / np.sin(np.pi / order) * rng.uniform(0.75, 1.1)
    height, flip = 1.6 * size_of(unit) * rng.uniform(0.8, 1.2), np.array([1.0, -1.0, -1.0])
    face, shift = rng.random() < 0.5, rng.uniform(0, 2 * np.pi / order)
    parts, weights = [], []
    for layer in range(layers):
        wide = radius * (1 + 0.25 * rng.uniform(-1, 1) * (layers > 2))
        turned = (unit * flip if face and layer % 2 else unit) + [wide, 0, 0]
        heavy = np.exp(0.25 * rng.standard_normal())
        for i in range(order):
            parts.append(turned @ about(Z, 2 * np.pi * i / order + layer * shift).T + [0, 0, height * layer])
            weights.append(np.full(len(unit), heavy))
    if rng.random() < 0.2:
        hub = np.concatenate(grown(rng, proteins, 3))
        parts.append(hub + height * rng.uniform(-0.7, layers) * Z)
        weights.append(np.full(len(hub), rng.uniform(0.5, 1.2)))
    return Specimen(np.concatenate(parts), np.concatenate(weights))


def rod(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A short helical stack of blocks that ends inside the box."""
    count, twist = int(rng.integers(5, 20)), rng.uniform(0.3, 2.8)
    unit = block(rng, proteins, max(300, 2 * MOST_POINTS // count))
    rise, radius = size_of(unit) * rng.uniform(0.5, 1.6), size_of(unit) * rng.uniform(0, 1.2)
    unit = unit + np.array([radius, 0, 0])
    return joined(rng, [unit @ about(Z, twist * i).T + [0, 0, rise * i] for i in range(count)], 0.1)


def lobes(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """Two to five clusters side by side, of unequal size, with gaps between them."""
    parts: Parts = []
    centre, before = np.zeros(3), 0.0
    for _ in range(int(rng.integers(2, 6))):
        cluster = grown(rng, proteins, int(np.exp(rng.uniform(0, np.log(14)))))
        here = size_of(np.concatenate(cluster))
        if before:
            centre = centre + directions(rng, 1)[0] * (before + here) * rng.uniform(0.8, 1.15)
        before = here
        parts += [p + centre for p in cluster]
    return joined(rng, parts)


def disc(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A nanodisc or a detergent belt about a membrane protein with domains outside."""
    radius, count = rng.uniform(30, 65), int(rng.integers(5000, 10000))
    height, weights = bilayer(rng, count, rng.uniform(0.1, 0.6))
    edge = np.sqrt(rng.uniform(0, 1, count))
    if rng.random() < 0.4:  # a micelle is rounder than a bilayer
        height = height * np.sqrt(1.15 - edge**2)
    angle = rng.uniform(0, 2 * np.pi, count)
    lipid = np.stack([radius * edge * np.cos(angle), radius * edge * np.sin(angle), height], axis=1)
    parts, heavy = [lipid], [weights * rng.uniform(0.5, 1.0)]
    across = int(rng.integers(0, 7))
    for i in range(across):
        stem = rng.normal(0, 2.5, (350, 3)) + np.linspace(-24, 24, 350)[:, None] * Z  # a helix through the membrane
        turn = 2 * np.pi * i / across
        parts.append(stem + 0.25 * radius * np.array([np.cos(turn), np.sin(turn), 0]))
        heavy.append(np.full(350, 1.3))
    for _ in range(int(rng.integers(0 if across else 1, 5))):
        part = np.concatenate(grown(rng, proteins, int(rng.integers(1, 4))))
        side = rng.choice([-1, 1]) if rng.random() < 0.3 else 1
        at = [*(0.25 * radius * rng.standard_normal(2)), side * (BILAYER_A / 2 + size_of(part) * rng.uniform(0.6, 1.0))]
        parts.append(part + at)
        heavy.append(np.full(len(part), rng.uniform(0.8, 1.3)))
    return Specimen(np.concatenate(parts), np.concatenate(heavy))


def barrel(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """An open tube with a wall of staves, straight or waisted, sometimes with a lid or a plug."""
    radius, count = rng.uniform(18, 60), 9000
    length, staves, twist = radius * rng.uniform(0.8, 4.5), int(rng.integers(6, 22)), rng.uniform(-1.5, 1.5)
    z = rng.uniform(-0.5, 0.5, count)
    angle = 2 * np.pi / staves * (rng.integers(0, staves, count) + rng.normal(0, 0.22, count)) + twist * z
    out = radius * (1 + rng.uniform(-0.3, 0.5) * 4 * z * z) + rng.normal(0, radius * rng.uniform(0.06, 0.2), count)
    parts = [np.stack([out * np.cos(angle), out * np.sin(angle), length * z], axis=1)]
    if rng.random() < 0.5:
        lid = in_ball(rng, 2500, radius) * [1, 1, rng.uniform(0.15, 0.5)]
        parts.append(lid + length * rng.choice([0.0, 0.5]) * Z)
    return joined(rng, parts, 0.2)


def antibody(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A Y of three arms with flexible hinges; each arm is two pairs of domains. Sometimes an antigen at a tip."""
    parts: Parts = []
    opening, lean = rng.uniform(0.7, 1.5), rng.normal(0, 0.35, 3)
    ways = [np.array([0, 0, -1.0]), np.array([np.sin(opening), 0, np.cos(opening)])]
    ways.append(np.array([-np.sin(opening), 0, np.cos(opening)]))
    for way, off in zip(ways, lean, strict=True):
        way = about(np.array([1.0, 0, 0]), off) @ way
        side = np.cross(way, directions(rng, 1)[0])
        side /= np.linalg.norm(side)
        for along in (22.0, 58.0):
            for s in (-10.0, 10.0):
                parts.append(domain(rng, 6) * 0.85 + way * along + side * s)
    if rng.random() < 0.3:
        parts.append(block(rng, proteins) + ways[1] * 95)
    return joined(rng, parts, 0.15)


def coil(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A long coiled coil of two to four helices, stiff or bent, often with heads at its end."""
    length, strands, count = rng.uniform(90, 380), int(rng.integers(2, 5)), 5000
    which, z = rng.integers(0, strands, count), rng.uniform(0, length, count)
    angle = 2 * np.pi * (which / strands + z / rng.uniform(120, 220))
    rope = np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1) * rng.uniform(4.5, 8)
    rope += rng.normal(0, 2.3, rope.shape)
    rope[:, 2] = z
    places, normals = path(rng, length, rng.uniform(100, 1500))
    parts = [along_path(places, normals, rope)]
    for end in (0, -1):
        for _ in range(int(rng.integers(0, 3))):
            head = np.concatenate(grown(rng, proteins, int(rng.integers(1, 4))))[::2]
            parts.append(head + places[end] + directions(rng, 1)[0] * size_of(head) * 0.9)
    return joined(rng, parts, 0.2)
