"""Kinds of specimens with an inside or two sides: cages, capsids, vesicles, membranes.

Simulated, each with random size and proportions. assemblies.py lists the kinds.
"""

from __future__ import annotations

import numpy as np

from core.physics.shapes import (
    BILAYER_A,
    about,
    bilayer,
    block,
    directions,
    in_ball,
    point_group,
    random_rotation,
    size_of,
    spread_on_sphere,
)
from core.physics.specimen import MOST_POINTS, Parts, Specimen, Z, grown, joined


def shell(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A hollow cage: blocks on a sphere, in a cubic group or irregular; or a smooth wall of any thickness."""
    style = rng.random()
    if style < 0.25:
        inner, count = rng.uniform(0.55, 0.88), MOST_POINTS
        radius = np.cbrt(rng.uniform(inner**3, 1, (count, 1)))
        way = directions(rng, count)
        rough = 1 + 0.4 * np.cos(way @ rng.normal(0, 8, 3)) * np.cos(way @ rng.normal(0, 8, 3))
        return Specimen(100 * way * radius, rough)
    if style < 0.7:
        group = point_group(str(rng.choice(["tetrahedral", "octahedral", "octahedral", "icosahedral", "icosahedral"])))
        units = int(rng.integers(2, 4)) if len(group) < 24 else int(rng.integers(1, 4))
        turns = [g for _ in range(units) for g in group]
    else:
        turns, units = [], 1
        for way in spread_on_sphere(rng, int(rng.integers(24, 140)), rng.uniform(0, 0.8)):
            axis = np.cross(Z, way)
            turn = about(axis, np.arccos(np.clip(way[2], -1, 1))) if np.linalg.norm(axis) > 1e-6 else np.eye(3)
            turns.append(turn @ about(Z, rng.uniform(0, 2 * np.pi)))
    most = max(60, 2 * MOST_POINTS // len(turns))
    kinds = [block(rng, proteins, most) for _ in range(units)]
    radius = np.mean([size_of(k) for k in kinds]) * np.sqrt(len(turns) / 4 / rng.uniform(0.55, 1.0))
    parts = []
    for k, unit in enumerate(kinds):
        flat = (unit - unit.mean(0)) * np.array([1, 1, rng.uniform(0.55, 1.0)]) + radius * Z
        if style < 0.7:
            flat = flat @ random_rotation(rng).T
        parts += [flat @ turn.T for turn in turns[k * len(turns) // units : (k + 1) * len(turns) // units]]
    return joined(rng, parts, 0.05)


def capsid(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A shell that is filled: a wall of blocks with packed nucleic acid or cargo inside."""
    wall = shell(rng, proteins)
    inner = np.percentile(np.linalg.norm(wall.points, axis=1), 4)
    core = in_ball(rng, 9000, inner * rng.uniform(0.6, 0.95))
    r = np.linalg.norm(core, axis=1)
    layers = 1 + 0.6 * np.cos(2 * np.pi * r / (inner * rng.uniform(0.15, 0.3)))  # spooled genomes are layered
    share = rng.uniform(0.25, 1.1) * wall.weights.sum() / layers.sum() * min(1.0, (inner / 60) ** 2)
    return Specimen(np.concatenate([wall.points, core]), np.concatenate([wall.weights, layers * max(share, 0.2)]))


def vesicle(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A liposome: a closed bilayer, round or dented, sometimes with proteins in it."""
    radius, count = np.exp(rng.uniform(np.log(55), np.log(260))), MOST_POINTS
    height, weights = bilayer(rng, count, rng.uniform(0.05, 0.5))
    way = directions(rng, count)
    dent = 1 + rng.uniform(0, 0.12) * np.cos(2 * way @ directions(rng, 1)[0] * np.pi)
    points = way * (radius * dent + height)[:, None]
    keep = rng.random(count) < ((radius + height) / (radius + BILAYER_A)) ** 2
    parts, heavy = [points[keep] * [1, rng.uniform(0.75, 1), 1]], [weights[keep]]
    if rng.random() < 0.4:
        for spot in directions(rng, int(rng.integers(1, 25))):
            part = block(rng, proteins, 400)
            parts.append(part + spot * (radius + rng.uniform(-0.3, 1.0) * size_of(part)))
            heavy.append(np.full(len(part), rng.uniform(0.5, 1.0)))
    return Specimen(np.concatenate(parts), np.concatenate(heavy))


def membrane(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A piece of membrane that runs through the box, flat or curved, bare or with proteins, seen from the side."""
    thick = rng.uniform(4.5, 12.0)  # box px
    px = BILAYER_A / thick
    half, depth, count = 42 * px, rng.uniform(8, 30) * px, 16_000
    height, weights = bilayer(rng, count, rng.uniform(0.05, 0.6))
    x, y = rng.uniform(-half, half, count), rng.uniform(-depth, depth, count)
    parts, heavy = [np.stack([x, y, height], axis=1)], [weights]
    if rng.random() < 0.6:
        for _ in range(int(rng.integers(2, 40))):
            part = np.concatenate(grown(rng, proteins, int(rng.integers(1, 4))))
            part = part[:: max(1, len(part) // 600)]
            side = rng.choice([-1.0, 1.0], p=[0.25, 0.75])
            at = [rng.uniform(-half, half), rng.uniform(-depth, depth), side * (12 + 0.8 * size_of(part))]
            parts.append(part + at)
            heavy.append(np.full(len(part), rng.uniform(0.6, 1.4)))
    points = np.concatenate(parts)
    if rng.random() < 0.65:  # an arc of a vesicle larger than the box
        bend = np.exp(rng.uniform(np.log(22), np.log(150))) * px
        angle = np.clip(points[:, 0] / bend, -np.pi, np.pi)
        out = bend + points[:, 2]
        points = np.stack([out * np.sin(angle), points[:, 1], out * np.cos(angle) - bend], axis=1)
    tilt = rng.choice([4.0, 12.0, 30.0], p=[0.5, 0.3, 0.2])
    return Specimen(points, np.concatenate(heavy), (BILAYER_A, thick), float(tilt), spin=False)
