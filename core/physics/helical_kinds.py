"""Kinds of specimens with helices: filaments, nucleic acid, ribosome-like bodies.

Simulated, each with random size and proportions. assemblies.py lists the kinds.
"""

from __future__ import annotations

import numpy as np

from core.physics.shapes import (
    about,
    along_path,
    block,
    directions,
    double_helix,
    folded_nucleic,
    in_ball,
    path,
    size_of,
    spread_on_sphere,
)
from core.physics.specimen import MOST_POINTS, Parts, Specimen, Z, joined


def filament(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A helical filament or tube that runs through the box: thin as DNA and actin, thick as microtubules."""
    if rng.random() < 0.15:
        length = 22 * rng.uniform(12, 20)
        places, normals = path(rng, length, 600)
        strand = along_path(places, normals, double_helix(rng, length))
        main = np.linalg.svd(strand - strand.mean(0), full_matrices=False)[2][[1, 2, 0]]
        width = rng.uniform(3.5, 8.0)
        return Specimen(
            (strand - strand.mean(0)) @ main.T, np.ones(len(strand)), (22.0, min(width, 64 * 22 / length * 1.6)), 12.0
        )
    starts = int(rng.choice([1, 2, 2, 3, 5, 9, 13]))
    unit = block(rng, proteins, 800)
    if rng.random() < 0.3:
        unit = unit * np.array([1.3, 1.0, 0.5])  # flat subunits, as in amyloids
    size = size_of(unit)
    radius = size * (rng.uniform(0.2, 1.2) if starts < 3 else rng.uniform(0.75, 1.05) / np.sin(np.pi / starts))
    unit = unit - unit.mean(0) + [radius, 0, 0]
    wide = 2 * float(np.percentile(np.hypot(unit[:, 0], unit[:, 1]), 95))
    px = rng.uniform(6, 18) if starts < 3 else rng.uniform(14, 34)
    rise, twist = size * rng.uniform(0.7, 1.8), rng.uniform(-1, 1) * (np.pi if starts == 1 else 0.6)
    levels = min(160, int(84 / px * wide / rise) + 2)
    unit = unit[: max(40, 2 * MOST_POINTS // (levels * starts))]
    parts = []
    for level in range(levels):
        for s in range(starts):
            turned = unit @ about(Z, twist * level + 2 * np.pi * s / starts).T
            parts.append(turned + rise * Z * (level - (levels - 1) / 2))
    return Specimen(np.concatenate(parts), np.ones(len(unit) * len(parts)), (wide, float(px)), 15.0)


def nucleic(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """Nucleic acid: a bent piece of double helix, a three- or four-way junction, folded RNA, or a nucleosome."""
    style = rng.random()
    if style < 0.25:
        length = rng.uniform(70, 350)
        return Specimen(
            x := along_path(*path(rng, length, rng.uniform(60, 500)), double_helix(rng, length)), np.ones(len(x))
        )
    if style < 0.45:
        parts = []
        for way in spread_on_sphere(rng, int(rng.integers(3, 6)), 1.0):
            length = rng.uniform(35, 110)
            places, normals = path(rng, length, 400)
            parts.append(along_path(places - places[0], normals, double_helix(rng, length)) + 10 * way)
        return joined(rng, parts, 0.1)
    if style < 0.8:
        points = folded_nucleic(rng, rng.uniform(22, 65), int(rng.integers(5, 40))) * rng.uniform(0.5, 1.0, 3)
        return Specimen(points, np.ones(len(points)))
    turns = rng.uniform(1.2, 2.2)  # DNA wound about a protein core
    length = turns * 2 * np.pi * 42
    helix = double_helix(rng, length)
    angle, out = helix[:, 2] / 42, 42 + helix[:, 0]
    wound = np.stack(
        [out * np.cos(angle), out * np.sin(angle), helix[:, 1] + helix[:, 2] / length * turns * 27], axis=1
    )
    core = in_ball(rng, 4000, 32) * [1, 1, 0.9] + [0, 0, turns * 13]
    return Specimen(np.concatenate([wound, core]), np.concatenate([np.full(len(wound), 1.7), np.full(4000, 0.9)]))


def ribosome(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """Two unequal lobes of folded nucleic acid with protein blocks on their outside."""
    large, parts, weights = rng.uniform(60, 90), [], []
    ratio, heavy = rng.uniform(0.55, 0.85), rng.uniform(1.3, 2.2)
    radii = [large] if rng.random() < 0.3 else [large, large * ratio]
    centre = np.zeros(3)
    for i, radius in enumerate(radii):
        squash = rng.uniform(0.65, 1.0, 3)
        if i:
            centre = np.array([large * 0.8 + radius * rng.uniform(0.3, 0.6), rng.normal(0, 12), rng.normal(0, 12)])
            squash[0] = rng.uniform(0.5, 0.75)
        core = folded_nucleic(rng, 0.9 * radius, int(110 * (radius / 70) ** 3) + 8) * squash
        parts.append(core + centre)
        weights.append(np.full(len(core), heavy))
        for way in directions(rng, int(rng.integers(10, 34))):
            part = block(rng, proteins, 500)
            parts.append(part + centre + way * squash * radius * rng.uniform(0.85, 1.05))
            weights.append(np.full(len(part), rng.uniform(0.7, 1.0)))
    return Specimen(np.concatenate(parts), np.concatenate(weights))
