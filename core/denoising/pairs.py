"""Training pairs of noise transfer, drawn fresh for every step from (seed, step): nothing to store or repeat.

A pair is one field of random particles of the clean library, seen through a random CTF and flattened as the data
are, plus the user's real noise. With the noise at sigma 1 the forward process reads  input = s x0 + n,  target = s x0,
where s^2 = abar / (1 - abar) is the in-particle SNR: the diffusion time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional

from core.denoising.canonical import BACKGROUND_DIAMETERS
from core.physics.ctf import ctf
from core.physics.fourier import frequency_grid, irfft2, rfft2
from core.physics.noise import gaussian_noise, noise_mosaic, noise_spectrum
from core.physics.phantom import BOX, DIAMETER, Library

CROP = 128  # px, four particle diameters
MARGIN = 32  # px drawn around a crop, so that CTF fringes of particles outside reach into it
STAMP = 80  # px of one particle image
EMPTY_FIELDS = 0.12  # share of fields without any particle
MOSAIC_SHARE = 0.6  # of the noise is made of the patches themselves, the rest Gaussian with their spectrum


@dataclass(frozen=True)
class Recipe:
    """What a pair is drawn from; stored in manifest.json."""

    diameter: float  # canonical px
    pixel_size: float  # canonical, Angstrom
    snr_low: float
    snr_high: float
    defocus_um: tuple[float, float] = (0.8, 3.5)
    voltage_kv: float = 300.0
    cs_mm: float = 2.7
    seed: int = 0


class PairMaker:
    """Draws batches of (input, target, log SNR). `noise` are patches (m, h, h) of sigma about 1, `group` (m,) says
    which patches share a micrograph: a mosaic never mixes the noise of two.
    """

    def __init__(self, library: Library, noise: np.ndarray, group: np.ndarray, recipe: Recipe) -> None:
        self.projections = torch.from_numpy(library.projections)
        self.recipe = recipe
        self.noise = [noise[group == g] for g in np.unique(group)]
        self.spectra = [noise_spectrum(patches, CROP) for patches in self.noise]
        self.size = CROP + 2 * MARGIN
        frequency = frequency_grid(self.size, self.size)
        self.frequency_a = frequency / recipe.pixel_size
        sigma = BACKGROUND_DIAMETERS * recipe.diameter
        self.flatten = 1.0 - np.exp(-2.0 * (np.pi * sigma * frequency) ** 2)
        self.frequency = frequency

    def batch(self, step: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Input (n, 1, 128, 128), target (same), log SNR (n,), all float32. Depends on seed and step only."""
        rng = np.random.default_rng([self.recipe.seed, step])
        fields = [self.clean_field(rng) for _ in range(count)]
        target = np.stack([field for field, _ in fields])
        noise = np.stack([self.noise_field(rng) for _ in range(count)])
        # the level is told with an error of 20 %: it is only estimated when the network is used
        told = np.log([snr for _, snr in fields]) + 0.2 * rng.standard_normal(count)
        as_batch = [torch.from_numpy(np.ascontiguousarray(a, np.float32))[:, None] for a in (target + noise, target)]
        return as_batch[0], as_batch[1], torch.from_numpy(told.astype(np.float32))

    def noise_field(self, rng: np.random.Generator) -> np.ndarray:
        """One (128, 128) field of the user's noise, with 5 % jitter of its level."""
        g = rng.integers(len(self.noise))
        if rng.random() < MOSAIC_SHARE:
            field = noise_mosaic(self.noise[g], (CROP, CROP), rng)
        else:
            field = gaussian_noise(self.spectra[g], rng)
        return field * np.float32(np.exp(0.05 * rng.standard_normal()))

    def clean_field(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """One (128, 128) field s x0 and its in-particle SNR s^2 (log-uniform in the recipe's range)."""
        r = self.recipe
        snr = float(np.exp(rng.uniform(np.log(r.snr_low), np.log(r.snr_high))))
        if rng.random() < EMPTY_FIELDS:
            return np.zeros((CROP, CROP), np.float32), snr
        density, covered = self._scatter(rng)
        transfer = ctf(
            self.frequency_a,
            rng.uniform(*r.defocus_um),
            r.voltage_kv,
            r.cs_mm,
            rng.uniform(0.07, 0.15),
            rng.uniform(40.0, 300.0),
        )
        tilt = (self.frequency / 0.06 + 1.0) ** rng.uniform(-0.4, 1.0)  # spectra of real particles differ
        shaped = rfft2(density) * (transfer * self.flatten * tilt)
        field = irfft2(shaped, density.shape)
        power = float((field**2).sum()) / max(covered, 1e-9)
        inner = field[MARGIN : MARGIN + CROP, MARGIN : MARGIN + CROP]
        return (inner * np.sqrt(snr / max(power, 1e-12))).astype(np.float32), snr

    def _scatter(self, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Particles at random places, not (or rarely) overlapping: density (192, 192) and covered area in px."""
        size, diameter = self.size, self.recipe.diameter * rng.uniform(0.65, 1.4)
        species = rng.integers(len(self.projections), size=rng.choice([1, 1, 2]))
        coverage = rng.uniform(0.05, 0.7) if rng.random() < 0.85 else rng.uniform(0.7, 1.3)
        area = np.pi * (diameter / 2) ** 2
        wanted = max(1, int(coverage * size * size / area))
        apart = diameter * (rng.uniform(0.75, 1.15) if rng.random() < 0.8 else 0.4)
        places = _spaced(rng.integers(0, size, (3 * wanted, 2)), wanted, apart)
        stamps = self._stamps(rng, species, diameter, len(places))
        density = np.zeros((size + STAMP, size + STAMP), np.float32)
        for (row, col), stamp in zip(places, stamps, strict=True):
            density[row : row + STAMP, col : col + STAMP] += stamp
        half = STAMP // 2
        return density[half : half + size, half : half + size], area * len(places)

    def _stamps(self, rng: np.random.Generator, species: np.ndarray, diameter: float, count: int) -> np.ndarray:
        """`count` particle images (count, 80, 80): random view, in-plane turn, mirror, size +-7 %, amplitude +-25 %."""
        which = species[rng.integers(len(species), size=count)]
        view = rng.integers(self.projections.shape[1], size=count)
        zoom = (STAMP / BOX) * DIAMETER / (diameter * rng.uniform(0.93, 1.07, count))
        angle, mirror = rng.uniform(0, 2 * np.pi, count), rng.choice([-1.0, 1.0], count)
        theta = np.zeros((count, 2, 3), np.float32)
        theta[:, 0, 0], theta[:, 0, 1] = zoom * np.cos(angle) * mirror, -zoom * np.sin(angle)
        theta[:, 1, 0], theta[:, 1, 1] = zoom * np.sin(angle) * mirror, zoom * np.cos(angle)
        grid = functional.affine_grid(torch.from_numpy(theta), [count, 1, STAMP, STAMP], align_corners=False)
        images = self.projections[which, view][:, None].float()
        stamps = functional.grid_sample(images, grid, align_corners=False)[:, 0].numpy()
        return stamps * rng.uniform(0.75, 1.25, count).astype(np.float32)[:, None, None]


def _spaced(proposed: np.ndarray, wanted: int, apart: float) -> np.ndarray:
    """The first `wanted` of the proposed places (n, 2) that keep the distance to those accepted before."""
    kept = np.empty((wanted, 2), proposed.dtype)
    count = 0
    for place in proposed:
        if count == wanted:
            break
        away = kept[:count] - place
        if not count or (away[:, 0] ** 2 + away[:, 1] ** 2).min() > apart * apart:
            kept[count] = place
            count += 1
    return kept[:count]


def library_spectrum(maker: PairMaker, draws: int = 32) -> np.ndarray:
    """Mean power of clean fields per shell of a 128 px grid, scaled to in-particle variance 1: (65,)."""
    from core.physics.fourier import shell_average

    rng = np.random.default_rng([maker.recipe.seed, 10**9])
    power, fields = 0.0, 0
    while fields < draws:
        field, snr = maker.clean_field(rng)
        if field.any():
            power = power + np.abs(rfft2(field)) ** 2 / (CROP * CROP * snr)
            fields += 1
    return shell_average(np.asarray(power) / draws, CROP)
