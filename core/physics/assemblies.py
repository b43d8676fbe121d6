"""Procedural specimens of the clean library: one function per kind, random size, proportions and contrast.

Every specimen is simulated. Each function takes (rng, proteins), where `proteins` are the small deposited structures
(n, 3) used as building blocks, and gives a Specimen in Angstrom. Sizes are in the range of real assemblies, but the
scale is lost when they are projected: a specimen fills the same share of its box whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.physics.shapes import (
    BILAYER_A,
    about,
    along_path,
    bilayer,
    block,
    directions,
    domain,
    double_helix,
    folded_nucleic,
    in_ball,
    path,
    point_group,
    random_rotation,
    size_of,
    spread_on_sphere,
)

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


Parts = list[np.ndarray]
Maker = Callable[[np.random.Generator, Parts], Specimen]


def _joined(rng: np.random.Generator, parts: Parts, spread: float = 0.3) -> Specimen:
    """Put blocks together, each with a weight of its own."""
    weights = [np.full(len(p), np.exp(spread * rng.standard_normal())) for p in parts]
    return Specimen(np.concatenate(parts), np.concatenate(weights))


def _grown(rng: np.random.Generator, proteins: Parts, count: int) -> Parts:
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


def globular(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A cluster of 2 to 60 blocks; single small proteins are a kind of their own."""
    return _joined(rng, _grown(rng, proteins, int(np.exp(rng.uniform(np.log(2), np.log(61))))))


def small(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A single small protein: one domain, sometimes with a loose second one."""
    parts = [domain(rng, int(rng.integers(5, 26))) if rng.random() < 0.75 else block(rng, proteins)]
    if rng.random() < 0.4:
        other = domain(rng, int(rng.integers(3, 12)))
        parts.append(other + directions(rng, 1)[0] * (size_of(parts[0]) + size_of(other)) * rng.uniform(0.7, 1.1))
    return _joined(rng, parts, 0.15)


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
        hub = np.concatenate(_grown(rng, proteins, 3))
        parts.append(hub + height * rng.uniform(-0.7, layers) * Z)
        weights.append(np.full(len(hub), rng.uniform(0.5, 1.2)))
    return Specimen(np.concatenate(parts), np.concatenate(weights))


def rod(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """A short helical stack of blocks that ends inside the box."""
    count, twist = int(rng.integers(5, 20)), rng.uniform(0.3, 2.8)
    unit = block(rng, proteins, max(300, 2 * MOST_POINTS // count))
    rise, radius = size_of(unit) * rng.uniform(0.5, 1.6), size_of(unit) * rng.uniform(0, 1.2)
    unit = unit + np.array([radius, 0, 0])
    return _joined(rng, [unit @ about(Z, twist * i).T + [0, 0, rise * i] for i in range(count)], 0.1)


def lobes(rng: np.random.Generator, proteins: Parts) -> Specimen:
    """Two to five clusters side by side, of unequal size, with gaps between them."""
    parts: Parts = []
    centre, before = np.zeros(3), 0.0
    for _ in range(int(rng.integers(2, 6))):
        cluster = _grown(rng, proteins, int(np.exp(rng.uniform(0, np.log(14)))))
        here = size_of(np.concatenate(cluster))
        if before:
            centre = centre + directions(rng, 1)[0] * (before + here) * rng.uniform(0.8, 1.15)
        before = here
        parts += [p + centre for p in cluster]
    return _joined(rng, parts)


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
        part = np.concatenate(_grown(rng, proteins, int(rng.integers(1, 4))))
        side = rng.choice([-1, 1]) if rng.random() < 0.3 else 1
        at = [*(0.25 * radius * rng.standard_normal(2)), side * (BILAYER_A / 2 + size_of(part) * rng.uniform(0.6, 1.0))]
        parts.append(part + at)
        heavy.append(np.full(len(part), rng.uniform(0.8, 1.3)))
    return Specimen(np.concatenate(parts), np.concatenate(heavy))


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
    return _joined(rng, parts, 0.05)


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
            part = np.concatenate(_grown(rng, proteins, int(rng.integers(1, 4))))
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
        return _joined(rng, parts, 0.1)
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
    return _joined(rng, parts, 0.2)


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
    return _joined(rng, parts, 0.15)


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
            head = np.concatenate(_grown(rng, proteins, int(rng.integers(1, 4))))[::2]
            parts.append(head + places[end] + directions(rng, 1)[0] * size_of(head) * 0.9)
    return _joined(rng, parts, 0.2)


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
