"""Maps that the 3D prior learns from: drawn from the atoms of structures, turned, shifted and paired anew every time.

Nothing is interpolated: atoms are moved and their band-limited density is computed on the grid. Volumes are (z, y, x)
with the origin of positions (x, y, z) at voxel L // 2. Reading files is core/physics/structures.py's
business, densities are core/physics/density.py's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import gemmi
import numpy as np
from scipy.spatial import KDTree

from core.physics.density import voxelise
from core.physics.rotations import random_rotations
from core.physics.shapes import directions, in_ball
from core.physics.structures import parse_structure
from core.reconstruction.denoiser import SIGMA_DATA
from core.reconstruction.leakage import sequences

INNER = 0.47  # of the box: radius of the sphere that specimens must fit into
B_FACTORS_A2 = (80.0, 200.0)
CONTRAST_SPREAD = 0.12  # natural log: the grey scale of a reconstruction is never exactly known
PAIR_SHARE = 0.2  # of the maps hold two specimens in contact
PAIR_GAP_A = (-4.0, 3.0)  # between their outermost atoms
MOST_SHIFT_A = 7.0
LEAST_ATOMS = 250
MOST_CHAINS = 12  # of an entry, among which pairs are looked for
CONTACT_A, LEAST_CONTACTS = 4.5, 30  # atoms of one chain this near to another
LEAST_ATOMS_PER_RESIDUE = 4.0  # fewer: a trace of C-alpha, whose density is none


@dataclass(frozen=True)
class Specimen:
    """A chain, two in contact, or a whole entry.

    positions_a (n, 3) are x, y, z about its middle, weights (n,) atomic numbers by occupancy.
    """

    name: str
    positions_a: np.ndarray
    weights: np.ndarray

    @property
    def radius_a(self) -> float:
        """Distance of the outermost atom from the middle."""
        return float(np.linalg.norm(self.positions_a, axis=1).max())


@dataclass(frozen=True)
class Entry:
    """A structure file: what can be drawn of it, and the sequences of all its protein chains."""

    name: str
    specimens: tuple[Specimen, ...]
    sequences: tuple[str, ...]


def read_entry(path: Path) -> Entry:
    """The whole structure, its different chains, and pairs of chains in contact.

    Copies of a chain (homo-oligomers) count once, as do copies of a pair. Traces of C-alpha are left out. Raises
    InputError where the file cannot be read.
    """
    structure = parse_structure(path)
    structure.remove_waters()
    structure.remove_hydrogens()
    name = path.name.lower().split(".")[0]
    if not len(structure):
        return Entry(name, (), ())
    structure.setup_entities()
    chains = list(structure[0])
    kinds = [gemmi.one_letter_code([residue.name for residue in chain.get_polymer()]) for chain in chains]
    usable = [bool(kind) and _is_all_atom(chain) for kind, chain in zip(kinds, chains, strict=True)]
    tables = [_atoms(chain) for chain in chains]
    label = [f"{name}:{chain.name}".rstrip(":") for chain in chains]
    found: dict[tuple[str, ...] | str, Specimen] = {}
    polymers = [i for i, good in enumerate(usable) if good]
    for i in polymers:
        found.setdefault((kinds[i],), _specimen(label[i], tables[i]))
    if len(polymers) > 1 and all(good or not kind for kind, good in zip(kinds, usable, strict=True)):
        found["all"] = _specimen(name, np.concatenate(tables))
    for i, j in combinations(polymers[:MOST_CHAINS], 2):
        kind = tuple(sorted((kinds[i], kinds[j])))
        if len(polymers) > 2 and kind not in found and _in_contact(tables[i], tables[j]):
            found[kind] = _specimen(f"{label[i]}+{chains[j].name}", np.concatenate([tables[i], tables[j]]))
    return Entry(name, tuple(s for s in found.values() if len(s.weights) >= LEAST_ATOMS), sequences(structure))


def _is_all_atom(chain: gemmi.Chain) -> bool:
    return chain.count_atom_sites() >= LEAST_ATOMS_PER_RESIDUE * len(chain.get_polymer())


def _atoms(chain: gemmi.Chain) -> np.ndarray:
    """Positions and weights (n, 4) of what scatters; alternative positions share an atom's weight."""
    rows = [
        (*atom.pos.tolist(), atom.element.atomic_number * min(max(atom.occ, 0.0), 1.0))
        for residue in chain
        for atom in residue
    ]
    table = np.array(rows, float).reshape(-1, 4)
    return table[np.isfinite(table).all(axis=1) & (table[:, 3] > 0)]


def _in_contact(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two chains share an interface."""
    if not len(first) or not len(second):
        return False
    near = KDTree(first[:, :3]).query(second[:, :3], distance_upper_bound=CONTACT_A)[0]
    return int(np.isfinite(near).sum()) >= LEAST_CONTACTS


def _specimen(name: str, table: np.ndarray) -> Specimen:
    if not len(table):
        return Specimen(name, np.zeros((0, 3)), np.zeros(0))
    middle = (table[:, :3].min(axis=0) + table[:, :3].max(axis=0)) / 2
    return Specimen(name, table[:, :3] - middle, table[:, 3])


class Maps:
    """Draws normalised maps (L, L, L) of entries that fit the box; every draw depends on its generator only."""

    def __init__(self, entries: Iterable[Entry], box: int, pixel_size_a: float) -> None:
        self.box, self.pixel_size_a = box, pixel_size_a
        self.most_radius_a = INNER * box * pixel_size_a
        fitting = [[s for s in entry.specimens if s.radius_a <= self.most_radius_a] for entry in entries]
        self.entries = [specimens for specimens in fitting if specimens]

    @property
    def count(self) -> int:
        """How many chains and assemblies there are."""
        return sum(len(specimens) for specimens in self.entries)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One map with random specimen, partner, orientation, shift, B factor and contrast."""
        positions, weights = self.place(rng)
        volume = voxelise(positions, weights, self.box, self.pixel_size_a, rng.uniform(*B_FACTORS_A2))
        volume *= SIGMA_DATA / max(float(volume.std()), 1e-12)
        volume *= np.exp(CONTRAST_SPREAD * rng.standard_normal())
        return volume

    def place(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Atoms of a random specimen, or of two in contact, turned and shifted: positions (n, 3), weights (n,)."""
        positions, weights = self._turned(rng)
        if rng.random() < PAIR_SHARE:
            positions, weights = self._paired(positions, weights, rng)
        room = self.most_radius_a - float(np.linalg.norm(positions, axis=1).max())
        return positions + in_ball(rng, 1, min(max(room, self.pixel_size_a / 4), MOST_SHIFT_A)), weights

    def batch(self, count: int, seed: int, step: int) -> np.ndarray:
        """The maps of a training step, (count, 1, L, L, L): the same for the same seed and step."""
        rng = np.random.default_rng([seed, step])
        return np.stack([self.draw(rng) for _ in range(count)])[:, None]

    def _turned(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A specimen in a random orientation; every entry is as likely as another, however many chains it has."""
        specimens = self.entries[rng.integers(len(self.entries))]
        chosen = specimens[rng.integers(len(specimens))]
        return chosen.positions_a @ random_rotations(1, rng)[0].T, chosen.weights

    def _paired(
        self, positions: np.ndarray, weights: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """A second specimen beside the first, about in contact; the first alone where two do not fit."""
        other, more = self._turned(rng)
        axis = directions(rng, 1)[0]
        apart = (positions @ axis).max() - (other @ axis).min() + rng.uniform(*PAIR_GAP_A)
        both = np.concatenate([positions, other + apart * axis])
        both -= (both.min(axis=0) + both.max(axis=0)) / 2
        if np.linalg.norm(both, axis=1).max() > self.most_radius_a:
            return positions, weights
        return both, np.concatenate([weights, more])


def mean_spectrum(volumes: Iterable[np.ndarray]) -> np.ndarray:
    """Mean power per Fourier voxel in shells 0 .. L // 2: (L // 2 + 1,), with white noise of sigma 1 at 1."""
    total, count, index, shells = np.zeros(0), 0, np.zeros(0, np.int64), np.zeros(0)
    for volume in volumes:
        if not count:
            index = shell_index(len(volume)).ravel()
            shells = np.bincount(index)
            total = np.zeros(len(shells))
        power = np.abs(np.fft.rfftn(volume)) ** 2 / volume.size
        total += np.bincount(index, power.ravel()) / shells
        count += 1
    return total / max(count, 1)


def shell_index(box: int) -> np.ndarray:
    """Shell of each coefficient of rfftn of a cube, (box, box, box // 2 + 1); corners belong to the last shell."""
    full, half = np.fft.fftfreq(box, 1 / box), np.fft.rfftfreq(box, 1 / box)
    radius = np.sqrt(full[:, None, None] ** 2 + full[:, None] ** 2 + half**2)
    return np.minimum(np.rint(radius).astype(np.int64), box // 2)
