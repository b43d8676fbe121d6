"""Simulated particle images: views of a density, seen through their CTF, in white and structural noise.

Particles are light on dark; the convention of poses, origins and CTF is RELION's (docs/formats.md). Noise has spread
1, and the signal is scaled to the asked ratio: SNR = variance of the CTF-filtered signal over that of the noise, over
whole images. Every image has a seed of its own, so that batches of any size give the same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from core.physics import exposure
from core.physics.optics import Optics, ctf_grid
from core.physics.projection import central_slices, shift_phases, to_images
from core.physics.rotations import cone_rotations, even_rotations, random_rotations, tilt_rotations

_MEASURED = 256  # views that tell the strength of the signal

Spread = Literal["random", "tilt", "cone", "even"]


@dataclass(frozen=True)
class Views:
    """n views: rotations (n, 3, 3), where the particle lies off the centre (n, 2) x, y in px, optics, half 1 or 2."""

    matrices: np.ndarray
    offsets_px: np.ndarray
    optics: Optics
    half: np.ndarray

    def __len__(self) -> int:
        return len(self.matrices)

    def take(self, rows: np.ndarray | slice) -> Views:
        """Some of the views."""
        return Views(self.matrices[rows], self.offsets_px[rows], self.optics.take(rows), self.half[rows])


def draw_rotations(n: int, spread: Spread, degrees: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Rotations (n, 3, 3): uniform, a tilt series (first, last), within a cone (0, half angle), or evenly spread."""
    if spread == "tilt":
        return tilt_rotations(n, *degrees)
    if spread == "cone":
        return cone_rotations(n, degrees[1], rng)
    return even_rotations(n, rng) if spread == "even" else random_rotations(n, rng)


def draw_optics(
    n: int,
    defocus_um: tuple[float, float],
    astigmatism_um: float,
    rng: np.random.Generator,
    **constants: float,
) -> Optics:
    """Optics of n images: mean defocus uniform in a range, U and V `astigmatism_um` apart at random angles."""
    mean = rng.uniform(*defocus_um, n) * 1e4
    half = 0.5e4 * astigmatism_um
    return Optics.of(mean + half, mean - half, rng.uniform(0, 180, n), **constants)


def no_ctf(n: int) -> Optics:
    """Optics whose CTF is 1 everywhere, in the terms of a STAR file: all amplitude contrast, nothing else."""
    return Optics.of(np.zeros(n), cs_mm=0.0, amplitude_contrast=1.0)


def signals(volume: np.ndarray, pixel_size_a: float, views: Views) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, box, box) of the views without noise, and their CTFs (n, box, box // 2 + 1)."""
    box = volume.shape[0]
    transfer = ctf_grid(views.optics, box, pixel_size_a)
    spectra = central_slices(volume, views.matrices)
    spectra *= transfer
    if views.offsets_px.any():
        spectra *= shift_phases(box, views.offsets_px)
    return to_images(spectra), transfer


def signal_variance(volume: np.ndarray, pixel_size_a: float, views: Views) -> float:
    """Mean variance of an image's signal, from up to 256 of the views."""
    some = np.unique(np.linspace(0, len(views) - 1, min(len(views), _MEASURED)).astype(int))
    images, _ = signals(volume, pixel_size_a, views.take(some))
    return float(images.var(axis=(1, 2), dtype=np.float64).mean())


def noise(numbers: range, transfer: np.ndarray, pixel_size_a: float, seed: int, structural: bool) -> np.ndarray:
    """Noise of spread 1 (n, box, box) for the images of these numbers: white, or a quarter of its variance ice."""
    box = transfer.shape[-2]
    out = np.empty((len(numbers), box, box), np.float32)
    for image, number, own in zip(out, numbers, transfer, strict=True):
        rng = np.random.default_rng([seed, 11, number])
        rng.standard_normal(out=image, dtype=np.float32)
        if structural:
            ice = exposure.structural_noise(own, rng.standard_normal((box, box), np.float32), pixel_size_a)
            image *= np.sqrt(1 - exposure.ICE_SHARE)
            image += np.sqrt(exposure.ICE_SHARE) * ice
    return out
