"""Projection of a map into images as one linear operator, and the two sums that say all that images say about a map.

With A = CTF x shift x Fourier slice, W = 1 / noise power, the likelihood of all images is known from
    b = A^H W y   (a box of density)   and   H = A^H W A   (a convolution: its kernel t on twice the box),
so that after one pass over the images no method touches them again (section 6 of the notes in docs/reconstruct.md).

Centring: maps and images have their origin at index L // 2; a map is (z, y, x). Frequencies in cycles per pixel.
Image spectra are plain DFTs of the image with its origin moved to index 0; white noise of variance s^2 per pixel
has the power L^2 s^2 in every coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

TOLERANCE = 3e-5  # of the non-uniform transforms in single precision, relative
_EXACT = 1e-12  # in double precision


@dataclass(frozen=True, eq=False)
class Disc:
    """The coefficients of an image that are used: half of the disc inside Nyquist (the rest are their conjugates).

    `rows`, `columns` (m,): places in the rfft2 grid; `frequency` (m, 2): kx, ky in cycles per pixel; `shell` (m,)
    nearest ring; `share` (m,): 2 for coefficients whose conjugate is left out, 1 for the zero frequency.
    """

    box: int
    rows: np.ndarray
    columns: np.ndarray
    frequency: np.ndarray
    shell: np.ndarray
    share: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


def disc(box: int) -> Disc:
    """The used coefficients of images of an even `box`."""
    if box % 2:
        raise ValueError("boxes are even")
    ky, kx = np.meshgrid(np.fft.fftfreq(box) * box, np.arange(box // 2 + 1.0), indexing="ij")
    radius = np.hypot(kx, ky)
    inside = (radius < box / 2 - 1e-6) & ((kx > 0) | (ky >= 0))
    rows, columns = np.nonzero(inside)
    frequency = np.stack([kx[inside], ky[inside]], 1) / box
    shell = np.rint(radius[inside]).astype(np.int64)
    share = np.where(radius[inside] == 0, 1.0, 2.0).astype(np.float32)
    return Disc(box, rows, columns, frequency, np.minimum(shell, box // 2 - 1), share)


def spectra(images: np.ndarray, used: Disc, shift_px: np.ndarray | None = None) -> np.ndarray:
    """Coefficients (n, m) complex64 of images (n, D, D), D >= used.box; larger images lose their fine detail.

    `shift_px` (n, 2) x, y in pixels of the *used* box: the shift that brings the particle into the middle.
    Grey values stay those of the image: a smaller box has fewer, wider pixels of the same mean.
    """
    size, box = images.shape[-1], used.box
    spectrum = np.asarray(scipy.fft.rfft2(np.fft.ifftshift(images, axes=(-2, -1)).astype(np.float32, copy=False)))
    rows = np.where(used.rows < box // 2, used.rows, used.rows + size - box)
    values = spectrum[:, rows, used.columns]
    if size != box:
        values *= np.float32((box / size) ** 2)
    if shift_px is not None and np.any(shift_px):
        values *= np.exp(-2j * np.pi * (shift_px @ used.frequency.T)).astype(np.complex64)
    return np.asarray(values)


def slice_points(matrices: np.ndarray, used: Disc) -> np.ndarray:
    """Places (3, n * m) in the map's spectrum (z, y, x; radians per voxel) of the coefficients of n views.

    `matrices` (n, 3, 3) take points of the map (x, y, z) into the image.
    """
    plane = matrices[:, :2].transpose(0, 2, 1) @ used.frequency.T  # A^T (kx, ky, 0): (n, 3, m), x, y, z
    return np.ascontiguousarray(2 * np.pi * plane[:, ::-1].transpose(1, 0, 2).reshape(3, -1))


class Sums:
    """b and t of some images, accumulated batch by batch in double precision."""

    def __init__(self, box: int) -> None:
        self.box, self.n = box, 0
        self.b = np.zeros((box,) * 3)
        self.kernel = np.zeros((2 * box,) * 3)

    def add(self, points: np.ndarray, weighted: np.ndarray, weights: np.ndarray, count: int, dtype: str = "f4") -> None:
        """Add `count` images: `weighted` (m,) = share W CTF y and `weights` (m,) = share W CTF^2 at `points` (3, m)."""
        complexes = np.complex64 if dtype == "f4" else np.complex128
        self.b += _type_one(points, weighted.astype(complexes), self.box)
        self.kernel += _type_one(points, weights.astype(complexes), 2 * self.box)
        self.n += count

    def merge(self, other: Sums) -> Sums:
        """The sums of both sets of images."""
        both = Sums(self.box)
        both.b, both.kernel, both.n = self.b + other.b, self.kernel + other.kernel, self.n + other.n
        return both


def _type_one(points: np.ndarray, strengths: np.ndarray, box: int) -> np.ndarray:
    """Real part of sum_j strengths_j exp(i points_j . r) at the voxels r of a centred box (z, y, x)."""
    import finufft

    single = strengths.dtype == np.complex64
    z, y, x = (np.ascontiguousarray(p, np.float32 if single else np.float64) for p in points)
    values: np.ndarray = finufft.nufft3d1(
        z,
        y,
        x,
        strengths,
        (box,) * 3,
        isign=1,
        eps=TOLERANCE if single else _EXACT,
        nthreads=1,
        upsampfac=1.25 if single else 2.0,
    )
    return np.real(values)


def project(volume: np.ndarray, matrices: np.ndarray, used: Disc, dtype: str = "f4") -> np.ndarray:
    """Coefficients (n, m) of the projections of a centred map (z, y, x): exact, by the non-uniform transform."""
    import finufft

    single = dtype == "f4"
    points = slice_points(matrices, used)
    z, y, x = (np.ascontiguousarray(p, np.float32 if single else np.float64) for p in points)
    values = finufft.nufft3d2(
        z,
        y,
        x,
        np.ascontiguousarray(volume, np.complex64 if single else np.complex128),
        isign=-1,
        eps=TOLERANCE if single else _EXACT,
        nthreads=1,
        upsampfac=1.25 if single else 2.0,
    )
    return values.reshape(len(matrices), len(used))
