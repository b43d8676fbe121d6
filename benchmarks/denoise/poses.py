"""Projection matching and reconstruction with known poses, on particles cut from (denoised) micrographs.

Matching knows centre and defocus, and searches a grid of 60 views x 15 turns; a grid step is about 15 degrees, so that
the fraction below 15 degrees compares methods and is no accuracy that a refinement would have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from benchmarks.denoise import optics
from benchmarks.denoise.projection import angle_deg, in_plane, project, turned, view_rotations
from core.physics.fourier import irfft2, rfft2

VIEWS, TURNS = 60, 15


@dataclass(frozen=True)
class Grid:
    """Reference projections on the grid: rotations (m, 3, 3), their images' transforms, a mask, the mean view."""

    rotations: np.ndarray
    waves: np.ndarray  # (m, n, n // 2 + 1) complex64
    mask: np.ndarray  # (n, n) bool
    mean: np.ndarray  # (n, n)
    pixel_size_a: float

    def references(self, defocus_um: float) -> np.ndarray:
        """Normalised references (m, pixels of the mask) with the CTF of one micrograph."""
        n = self.mask.shape[0]
        response = optics.transfer(n, self.pixel_size_a, defocus_um).astype(np.float32)
        out = np.empty((len(self.waves), int(self.mask.sum())), np.float32)
        for first in range(0, len(self.waves), 100):
            out[first : first + 100] = irfft2(self.waves[first : first + 100] * response, (n, n))[:, self.mask]
        return _normalised(out)


def _normalised(rows: np.ndarray) -> np.ndarray:
    rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def make_grid(volume: np.ndarray, pixel_size_a: float, diameter: float, views: int = VIEWS, turns: int = TURNS) -> Grid:
    """Project a volume (n, n, n) in all directions of the grid."""
    base = view_rotations(views)
    images = np.stack(list(project(volume, base)))
    angles = 2 * np.pi * np.arange(turns) / turns
    rotations = np.stack([in_plane(a) @ r for r in base for a in angles])
    rotated = np.stack([turned(image, a) for image in images for a in angles]).astype(np.float32)
    n = volume.shape[0]
    mask = np.hypot(*(np.indices((n, n)) - n // 2)) < 0.62 * diameter
    return Grid(rotations, rfft2(rotated).astype(np.complex64), mask, images.mean(axis=0), pixel_size_a)


def matched(particles: np.ndarray, references: np.ndarray, grid: Grid) -> np.ndarray:
    """Best orientation (m, 3, 3) of each particle (m, n, n) of one micrograph."""
    rows = _normalised(particles[:, grid.mask].astype(np.float32))
    return grid.rotations[(rows @ references.T).argmax(axis=1)]


def pose_errors_deg(found: np.ndarray, truth: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Angle (m,) between found and true orientations, of the nearest symmetry copy."""
    return angle_deg(found, truth, symmetry)


def reconstruct(
    particles: np.ndarray,  # (m, n, n), origin at n // 2
    rotations: np.ndarray,
    defoci_um: np.ndarray,
    pixel_size_a: float,
) -> np.ndarray:
    """CTF-weighted direct Fourier inversion, (n, n, n): sum of CTF x data over sum of CTF^2, trilinear."""
    n = particles.shape[-1]
    centred = scipy.fft.ifftshift(particles - particles.mean(axis=(1, 2), keepdims=True), axes=(1, 2))
    waves = np.asarray(scipy.fft.rfft2(centred))
    transfers = {d: optics.transfer(n, pixel_size_a, d) for d in set(defoci_um.tolist())}
    contrast = np.stack([transfers[d] for d in defoci_um.tolist()])
    fy = np.fft.fftfreq(n)[:, None] * n + 0 * np.arange(n // 2 + 1)
    fx = 0 * fy + np.arange(n // 2 + 1)
    keep = (np.hypot(fx, fy) < n // 2 - 1) & ((fx > 0) | (fy >= 0))
    plane = np.stack([fx[keep], fy[keep], 0 * fx[keep]])  # (3, p), image frame x, y, z
    places = np.einsum("mji,jp->mpi", rotations, plane).reshape(-1, 3) + n // 2  # R^T q
    values = (waves * contrast)[:, keep].ravel()
    weights = (contrast**2)[:, keep].ravel()
    total, weight = _spread(places, values, weights, n)
    # the other half of each slice is its conjugate at the opposite frequency
    total += np.conj(np.roll(total[::-1, ::-1, ::-1], 1, (0, 1, 2)))
    weight += np.roll(weight[::-1, ::-1, ::-1], 1, (0, 1, 2))
    spectrum = total / (weight + 0.05 * weight[weight > 0].mean())
    return np.real(scipy.fft.fftshift(scipy.fft.ifftn(scipy.fft.ifftshift(spectrum))))


def _spread(places: np.ndarray, values: np.ndarray, weights: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Add each value to the eight voxels around its place x, y, z: (n, n, n) in z, y, x."""
    low = np.floor(places).astype(np.int64)
    part = places - low
    real, imag, weight = (np.zeros(n**3) for _ in range(3))
    for corner in np.ndindex(2, 2, 2):
        share = np.prod(np.where(corner, part, 1 - part), axis=1)
        x, y, z = (low + corner).T
        cell = (z * n + y) * n + x
        real += np.bincount(cell, share * np.real(values), n**3)[: n**3]
        imag += np.bincount(cell, share * np.imag(values), n**3)[: n**3]
        weight += np.bincount(cell, share * weights, n**3)[: n**3]
    return (real + 1j * imag).reshape((n,) * 3), weight.reshape((n,) * 3)


def shell_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Fourier shell correlation of two volumes (n, n, n): (n // 2 + 1,)."""
    n = first.shape[0]
    a, b = (np.asarray(scipy.fft.fftn(v)) for v in (first, second))
    f = np.fft.fftfreq(n) * n
    shell = np.rint(np.sqrt(f[:, None, None] ** 2 + f[None, :, None] ** 2 + f**2)).astype(int).ravel()
    sums = [np.bincount(shell, np.ravel(v))[: n // 2 + 1]
            for v in (np.real(a * np.conj(b)), np.abs(a) ** 2, np.abs(b) ** 2)]  # fmt: skip
    return sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-30))


def mean_fsc(
    volume: np.ndarray, truth: np.ndarray, pixel_size_a: float, diameter: float, until_a: float = 10.0
) -> float:
    """Mean FSC with the truth inside a soft sphere of 1.2 diameters, from the second shell to 10 Å or Nyquist."""
    n = truth.shape[0]
    offset = np.arange(n) - n // 2
    radius = np.sqrt(offset[:, None, None] ** 2 + offset[None, :, None] ** 2 + offset**2)
    mask = 1 / (1 + np.exp((radius - 0.6 * diameter) / 2))
    curve = shell_correlation(volume * mask, truth * mask)
    return float(curve[1 : int(min(n * pixel_size_a / until_a, n // 2))].mean())
