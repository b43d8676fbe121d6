"""The specimens of the benchmark as densities on a grid, and the settings under which each is imaged.

Volumes are (z, y, x) float32 with their origin at voxel n // 2. None of them may be in the training library
(core/physics/phantom.py). What is real and what is made up: benchmarks/specimens/README.md.
"""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage as ndi

from core.physics.density import diameter_px

FOLDER = Path(__file__).resolve().parents[1] / "specimens"
ATOM_BLUR_A = 2.0  # sigma of an atom: the maps end near 8 Å in any case


@dataclass(frozen=True)
class Specimen:
    """How one specimen is imaged: `snr` is the variance of signal over that of noise inside particle discs."""

    name: str
    pixel_size_a: float
    snr: float
    particles: int  # on a 1024 x 1024 micrograph
    box: int  # px of a projection
    symmetry: str  # of the density, for errors of pose
    volume: Path | None = None


SPECIMENS = {
    s.name: s
    for s in (
        Specimen("ribosome", 4.0, 0.08, 45, 96, "C1"),
        Specimen("kinase", 2.0, 0.06, 90, 64, "C2"),
        Specimen("shell", 2.5, 0.06, 60, 96, "O"),
        Specimen("rod", 4.0, 0.06, 40, 112, "Cinf"),
    )
}


def from_map(path: Path, name: str, pixel_size_a: float, snr: float, particles: int) -> Specimen:
    """A specimen from a map in a file; its box is found when it is read."""
    return Specimen(name, pixel_size_a, snr, particles, 0, "C1", Path(path).resolve())


def density(specimen: Specimen) -> np.ndarray:
    """Density on the specimen's grid (box, box, box), never negative."""
    if specimen.volume is not None:
        return _read_map(specimen)
    maker = {"ribosome": _ribosome, "kinase": _kinase, "shell": _shell, "rod": _rod}[specimen.name]
    return maker(specimen.box, specimen.pixel_size_a)


def with_box(specimen: Specimen, volume: np.ndarray) -> Specimen:
    """The specimen with the box that its volume has."""
    return dataclasses.replace(specimen, box=volume.shape[0])


def symmetry_rotations(symmetry: str) -> np.ndarray:
    """Rotations (m, 3, 3) that leave the density as it is; Cinf (a rod about z) is taken in steps of 5 degrees."""
    if symmetry == "O":
        return octahedral()
    count = 72 if symmetry == "Cinf" else int(symmetry[1:])
    return np.stack([_about_z(2 * np.pi * i / count) for i in range(count)])


@functools.lru_cache(maxsize=1)
def octahedral() -> np.ndarray:
    """The 24 proper rotations of the cube: signed permutation matrices of determinant 1."""
    import itertools

    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1.0, -1.0), repeat=3):
            matrix = np.zeros((3, 3))
            matrix[np.arange(3), order] = signs
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return np.stack(found)


def _about_z(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _atoms(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) x, y, z in Angstrom and atomic numbers (n,)."""
    import gemmi

    model = gemmi.read_structure(str(FOLDER / f"{name}.pdb.gz"))[0]
    atoms = [(a.atom.pos.tolist(), a.atom.element.atomic_number) for a in model.all()]
    return np.array([p for p, _ in atoms]), np.array([z for _, z in atoms], float)


def _on_grid(points: np.ndarray, weights: np.ndarray, box: int, pixel_size_a: float) -> np.ndarray:
    """Sum blurred point masses x, y, z (Angstrom, about the origin)."""
    cells = np.rint(points[:, ::-1] * (2 / pixel_size_a)).astype(int) + box  # on half voxels first
    inside = ((cells >= 0) & (cells < 2 * box)).all(axis=1)
    fine, _ = np.histogramdd(cells[inside], bins=(2 * box,) * 3, range=[(-0.5, 2 * box - 0.5)] * 3,
                             weights=weights[inside])  # fmt: skip
    fine = ndi.gaussian_filter(fine, 2 * max(ATOM_BLUR_A, 0.6 * pixel_size_a) / pixel_size_a, truncate=5)
    return fine[::2, ::2, ::2].astype(np.float32)


def _kinase(box: int, pixel_size_a: float) -> np.ndarray:
    chain, weights = _atoms("1ake")
    half = chain - chain.mean(axis=0) + [19.0, 0.0, 0.0]
    return _on_grid(np.concatenate([half, half @ _about_z(np.pi).T]), np.tile(weights, 2), box, pixel_size_a)


def _shell(box: int, pixel_size_a: float) -> np.ndarray:
    chain, weights = _atoms("1fha")
    return _on_grid(np.concatenate([chain @ r.T for r in octahedral()]), np.tile(weights, 24), box, pixel_size_a)


def _rod(box: int, pixel_size_a: float) -> np.ndarray:
    """28 chains, 15 Å off the axis, 8 Å and 75 degrees apart."""
    chain, weights = _atoms("1ake")
    unit = chain - chain.mean(axis=0) + [15.0, 0.0, 0.0]
    count = 28
    turns = [unit @ _about_z(np.deg2rad(75) * i).T + [0, 0, 8.0 * (i - (count - 1) / 2)] for i in range(count)]
    return _on_grid(np.concatenate(turns), np.tile(weights, count), box, pixel_size_a)


def _ribosome(box: int, pixel_size_a: float) -> np.ndarray:
    """Two unequal lobes with a cleft and uneven density inside. A phantom, the same every time."""
    grid = (np.arange(box) - box // 2) * pixel_size_a
    z, y, x = np.meshgrid(grid, grid, grid, indexing="ij", sparse=True)
    large = _lobe(x + 30, y, z, (80, 98, 88)) | _lobe(x + 25, y - 88, z + 20, (24, 34, 24)) \
        | _lobe(x + 20, y + 84, z - 40, (22, 40, 22))  # fmt: skip
    small = _lobe(x - 72, y + 8, z, (36, 88, 56)) & ~_lobe(x - 78, y - 36, z + 42, (40, 18, 30))
    body = ndi.gaussian_filter((large | small).astype(np.float32), 5 / pixel_size_a)
    return (body * _uneven(box, pixel_size_a)).astype(np.float32)


def _lobe(x: np.ndarray, y: np.ndarray, z: np.ndarray, radii: tuple[float, float, float]) -> np.ndarray:
    return (x / radii[0]) ** 2 + (y / radii[1]) ** 2 + (z / radii[2]) ** 2 < 1


def _uneven(box: int, pixel_size_a: float) -> np.ndarray:
    """Random density 0 to 1 with structure from 70 Å down to 8 Å and channels of nothing; drawn on a fixed 4 Å grid.

    Its constants are chosen so that linear filters behave on it as on a ribosome's map: best near 40 Å.
    """
    size = round(box * pixel_size_a / 4.0)
    white = np.random.default_rng(70).standard_normal((size,) * 3)
    k = np.fft.fftfreq(size, 4.0)
    squared = k[:, None, None] ** 2 + k[None, :, None] ** 2 + np.fft.rfftfreq(size, 4.0) ** 2
    band = np.sqrt(squared) / (1 + squared * 70.0**2) ** 1.5
    field = np.fft.irfftn(np.fft.rfftn(white) * band, s=white.shape, axes=(0, 1, 2))
    inside = np.maximum(0, -0.9 + 1.9 / (1 + np.exp(-3.0 * field / field.std())))
    return inside if size == box else _resized(inside, box, 4.0 / pixel_size_a)


def _resized(volume: np.ndarray, box: int, factor: float) -> np.ndarray:
    """Sample on a (box, box, box) grid whose voxels are 1 / factor as large, centre on centre."""
    offset = volume.shape[0] // 2 - (box // 2) / factor
    return ndi.affine_transform(volume, np.full(3, 1 / factor), offset, (box,) * 3, order=1, mode="nearest")


def _read_map(specimen: Specimen) -> np.ndarray:
    """A map resampled to the specimen's pixel size, background off, centred, in a box of 1.6 diameters."""
    from core.io.mrc import open_mrc, read_header

    assert specimen.volume is not None
    volume = np.array(open_mrc(specimen.volume), np.float32)
    voxel = read_header(specimen.volume).pixel_size_a or specimen.pixel_size_a
    volume = np.clip(volume - np.median(volume), 0, None)
    factor = voxel / specimen.pixel_size_a
    if factor < 1:
        volume = ndi.gaussian_filter(volume, 0.4 / factor)
    places = np.argwhere(volume > 0.15 * volume.max())
    volume = ndi.shift(volume, volume.shape[0] // 2 - places.mean(axis=0), order=1)
    box = specimen.box or 16 * int(np.ceil(1.65 * diameter_px(volume) * factor / 16))
    return _resized(volume, box, factor).astype(np.float32)
