"""Rotations of particles: RELION's Euler angles, random and evenly spread views, point groups.

A rotation is the matrix A that takes a point of the map (x, y, z) into the image: A = Rz(psi)^T Ry(tilt)^T Rz(rot)^T,
angles in degrees (docs/formats.md). The direction a view looks along is A's third row, in coordinates of the map.
Symmetry: a map with the rotations S has the same image at A and at A S.
"""

from __future__ import annotations

import re

import numpy as np

from core.errors import ParamError

_GIMBAL = 1e-9  # sine of the tilt below which rot and psi turn about the same axis
MOST_FOLD = 60
_GOLDEN = (1 + 5**0.5) / 2

Generators = list[tuple[int, tuple[float, float, float]]]  # order of the axis, its direction
# RELION's axes; I is I2, with two-fold axes along x, y and z
_CUBIC: dict[str, Generators] = {
    "T": [(3, (0, 0, 1)), (2, (0, (2 / 3) ** 0.5, (1 / 3) ** 0.5))],
    "O": [(3, (1, 1, 1)), (4, (0, 0, 1))],
    "I1": [(2, (1, 0, 0)), (5, (_GOLDEN, 0, -1)), (3, (_GOLDEN**2, 1, 0))],
    "I2": [(2, (0, 0, 1)), (5, (1, 0, _GOLDEN)), (3, (0, 1, _GOLDEN**2))],
}
SYMMETRIES = "C1, Cn, Dn, T, O, I (the same as I2), I1"


def matrices(angles_deg: np.ndarray) -> np.ndarray:
    """Matrices A (n, 3, 3), float64, of rot, tilt, psi (n, 3) in degrees."""
    rot, tilt, psi = np.deg2rad(np.asarray(angles_deg, np.float64)).reshape(-1, 3).T
    (ca, sa), (cb, sb), (cg, sg) = ((np.cos(v), np.sin(v)) for v in (rot, tilt, psi))
    rows = [
        [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
        [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
        [sb * ca, sb * sa, cb],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def angles(rotations: np.ndarray) -> np.ndarray:
    """rot, tilt, psi (n, 3) in degrees of matrices A (n, 3, 3): rot and psi in (-180, 180], tilt in [0, 180].

    Where tilt is 0 or 180 only one of rot and psi is determined: rot is 0 there.
    """
    a = np.asarray(rotations, np.float64).reshape(-1, 3, 3)
    sine = np.hypot(a[:, 2, 0], a[:, 2, 1])
    tilt = np.arctan2(sine, a[:, 2, 2])
    flat = sine < _GIMBAL
    rot = np.where(flat, 0.0, np.arctan2(a[:, 2, 1], a[:, 2, 0]))
    spin = np.arctan2(a[:, 0, 1], np.sign(a[:, 2, 2]) * a[:, 0, 0])
    psi = np.where(flat, spin, np.arctan2(a[:, 1, 2], -a[:, 0, 2]))
    degrees = np.degrees(np.stack([rot, tilt, psi], axis=1))
    return np.where(degrees == -180.0, 180.0, degrees) + 0.0  # + 0.0: no "-0"


def count_views(rotations: np.ndarray, tilts: int = 24, rots: int = 48) -> np.ndarray:
    """How many of the matrices A (n, 3, 3) look along each direction: (tilts, rots) float32, evenly spaced bins over
    tilt 0 ... 180 and rot -180 ... 180 degrees."""
    found = angles(rotations)
    counts, _, _ = np.histogram2d(found[:, 1], found[:, 0], (tilts, rots), ((0.0, 180.0), (-180.0, 180.0)))
    return counts.astype(np.float32)


def random_rotations(n: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform rotations (n, 3, 3) of determinant +1, by normalised Gaussian quaternions."""
    quaternions = rng.standard_normal((n, 4))
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def cone_rotations(n: int, half_angle_deg: float, rng: np.random.Generator) -> np.ndarray:
    """Rotations (n, 3, 3) that look along directions within `half_angle_deg` of the map's z axis, uniform there."""
    height = rng.uniform(np.cos(np.deg2rad(half_angle_deg)), 1.0, n)
    rot, psi = rng.uniform(-180, 180, (2, n))
    return matrices(np.stack([rot, np.degrees(np.arccos(height)), psi], axis=1))


def tilt_rotations(n: int, first_deg: float, last_deg: float) -> np.ndarray:
    """A single-axis tilt series (n, 3, 3): the map turned about its y axis, in even steps from first to last."""
    tilt = np.linspace(first_deg, last_deg, n)
    return matrices(np.stack([np.zeros(n), tilt, np.zeros(n)], axis=1))


def even_rotations(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rotations (n, 3, 3) whose directions lie as evenly as can be on the half sphere (opposite views show the same).

    A Fibonacci spiral, turned at random as a whole, with random angles in the plane.
    """
    i = np.arange(n) + 0.5
    spiral = np.stack([np.degrees(np.pi * 2 * i / _GOLDEN), np.degrees(np.arccos(1 - i / n))], axis=1)
    return matrices(np.column_stack([spiral, rng.uniform(-180, 180, n)])) @ random_rotations(1, rng)[0]


def symmetry_matrices(name: str) -> np.ndarray:
    """All rotations (m, 3, 3) of a point group in RELION's setting, the identity first; ParamError for no group."""
    text = name.strip().upper()
    numbered = re.fullmatch(r"([CD])(\d{1,3})", text)
    if numbered and 1 <= int(numbered[2]) <= MOST_FOLD:
        generators: Generators = [(int(numbered[2]), (0, 0, 1))]
        if numbered[1] == "D":
            generators.append((2, (1, 0, 0)))
    elif text in ("I", *_CUBIC):
        generators = _CUBIC["I2" if text == "I" else text]
    else:
        raise ParamError(f"{name} is no symmetry.", f"The symmetries are {SYMMETRIES}.", fields=("symmetry",))
    return closed([about(np.array(axis, float), 2 * np.pi / order) for order, axis in generators])


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation matrix (3, 3) about an axis by an angle in radians, by Rodrigues' formula."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def closed(generators: list[np.ndarray]) -> np.ndarray:
    """The group (m, 3, 3) that some rotations generate, the identity first."""
    group = [np.eye(3)]
    for element in group:  # grows while it is walked, until it is closed
        for generator in generators:
            product = generator @ element
            if not any(np.allclose(product, known, atol=1e-6) for known in group):
                group.append(product)
    return np.stack(group)
