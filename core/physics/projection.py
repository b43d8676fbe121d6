"""From a volume to images: exact central slices, a differentiable slice projector, a ray-sum one, and shifts.

A volume (z, y, x) of an even box has its centre at index box // 2, and so do images. The image at the rotation A
(rotations.py) is the volume summed along z after the turn: its spectrum at (kx, ky) is the volume's at
A^T (kx, ky, 0). Spectra here are rfft2 grids, unshifted, whose phases count from the image centre. Frequencies on
and beyond Nyquist (the corners too) are zero: there a turned grid knows nothing.

`project_exact` sums the volume's Fourier series where it is needed (nonuniform FFT): no interpolation error, and
faster than interpolating. What lies outside of the ball that the box holds comes in again at the other side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

if TYPE_CHECKING:
    import torch

_EPS = 1e-4  # relative accuracy of the nonuniform transform
_POINTS = 1 << 21  # frequencies of one batch: about 70 MB, and the volume is transformed once for all of them


def project_exact(volume: np.ndarray, matrices: np.ndarray, threads: int = 1) -> np.ndarray:
    """Projections (n, box, box) float32 at rotations (n, 3, 3), right to 1e-4."""
    return to_images(central_slices(volume, matrices, threads), threads)


def central_slices(volume: np.ndarray, matrices: np.ndarray, threads: int = 1) -> np.ndarray:
    """Spectra (n, box, box // 2 + 1) complex64 of the projections at rotations (n, 3, 3).

    Memory grows with n: ask for `views_at_once(box)` at a time.
    """
    import finufft

    box = volume.shape[0]
    if volume.shape != (box,) * 3 or box % 2:
        raise ValueError(f"a volume is a cube of even size, not {volume.shape}")
    rows, columns = _inside(box)
    step = 2 * np.pi / box
    ky = (np.where(rows < box // 2, rows, rows - box) * step).astype(np.float32)
    kx = (columns * step).astype(np.float32)
    turned = np.asarray(matrices, np.float32).reshape(-1, 3, 3)
    x, y, z = ((turned[:, 0, i, None] * kx + turned[:, 1, i, None] * ky).ravel() for i in range(3))
    values = finufft.nufft3d2(z, y, x, np.ascontiguousarray(volume, np.complex64), isign=-1, eps=_EPS, upsampfac=1.25,
                              nthreads=threads)  # fmt: skip
    spectra = np.zeros((len(turned), box, box // 2 + 1), np.complex64)
    spectra[:, rows, columns] = values.reshape(len(turned), -1)
    return spectra


def views_at_once(box: int) -> int:
    """How many views of a box are worth projecting together."""
    return max(1, max(_POINTS, box**3 // 8) // len(_inside(box)[0]))


@lru_cache(maxsize=4)
def _inside(box: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the rfft2 coefficients below Nyquist."""
    ky, kx = np.fft.fftfreq(box, 1 / box)[:, None], np.arange(box // 2 + 1)
    rows, columns = np.nonzero(ky * ky + kx * kx < (box / 2) ** 2)
    return rows, columns


@lru_cache(maxsize=4)
def _signs(height: int, width: int) -> np.ndarray:
    """+-1 on an rfft2 grid: moves the origin between pixel 0 and the image centre (even sizes)."""
    return (1 - 2 * (np.add.outer(np.arange(height), np.arange(width // 2 + 1)) % 2)).astype(np.float32)


def to_images(spectra: np.ndarray, threads: int = 1) -> np.ndarray:
    """Images (n, box, box) float32 of spectra (n, box, box // 2 + 1) whose phases count from the centre."""
    box = spectra.shape[-2]
    images = scipy.fft.irfft2(spectra * _signs(box, box), (box, box), workers=threads)
    return np.asarray(images).astype(np.float32, copy=False)


def to_spectra(images: np.ndarray, threads: int = 1) -> np.ndarray:
    """Spectra (n, box, box // 2 + 1) of images (n, box, box), phases counted from the centre."""
    box = images.shape[-1]
    return np.asarray(scipy.fft.rfft2(images, workers=threads)) * _signs(box, box)


def shift_phases(box: int, offsets_px: np.ndarray) -> np.ndarray:
    """Factors (n, box, box // 2 + 1) complex64 that move images by offsets (n, 2) x, y: a particle at 0 lands there."""
    turn = -2j * np.pi * np.asarray(offsets_px, np.float64).reshape(-1, 2)
    x = np.exp(turn[:, 0, None] * np.arange(box // 2 + 1) / box).astype(np.complex64)
    y = np.exp(turn[:, 1, None] * np.fft.fftfreq(box)).astype(np.complex64)
    return y[:, :, None] * x[:, None, :]


def project(volume: torch.Tensor, matrices: torch.Tensor, padding: float = 2.5) -> torch.Tensor:
    """Projections (n, box, box) by slices interpolated from the volume's padded transform; torch differentiates them.

    `matrices` (n, 3, 3) are those of rotations.py. Runs where the tensors are. Within 0.5 % of `project_exact` for a
    volume that fades out before the edges of its box.
    """
    from torch_fourier_slice import project_3d_to_2d

    return project_3d_to_2d(volume, matrices.transpose(-1, -2), pad_factor=padding, fftfreq_max=0.5)


def project_rays(volume: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Projections (n, box, box) as sums along rays through the turned volume, trilinear, zero outside (as EquiCryo's).

    Differentiable, and smoother than the truth: for comparison.
    """
    import torch

    box = volume.shape[-1]
    axis = torch.arange(box, dtype=volume.dtype, device=volume.device) - box // 2
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    places = torch.stack([x, y, z], dim=-1)
    images = []
    for matrix in matrices.to(volume.dtype):
        grid = (places @ matrix + box // 2) * (2 / (box - 1)) - 1  # rows times A: A^T of every place
        turned = torch.nn.functional.grid_sample(volume[None, None], grid[None], align_corners=True)
        images.append(turned[0, 0].sum(dim=0))
    return torch.stack(images)
