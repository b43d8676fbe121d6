"""Training pairs of noise transfer, drawn fresh for every step from (seed, step): nothing to store or repeat.

A pair is one field of random particles of the clean library, seen through a random CTF and flattened as the data
are, plus noise (the user's own, or drawn spectra for the generic model). With the noise at sigma 1 the forward
process reads  input = s x0 + n,  target = s x0,  where s^2 = abar / (1 - abar) is the in-particle SNR: the diffusion
time. Contaminants are added to the input only: they are not signal.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.ndimage as ndi
import torch
import torch.nn.functional as functional
from torch import Tensor

from core.denoising.canonical import BACKGROUND_DIAMETERS, OUTLIER_SIGMAS, robust_sigma
from core.denoising.noise_source import NoiseSource, PatchNoise, SpectrumNoise
from core.physics.contaminants import draw_contaminant
from core.physics.ctf import ctf
from core.physics.fourier import frequency_grid, irfft2, rfft2
from core.physics.phantom import BOX, DIAMETER, Library

CROP = 128  # px, four particle diameters
MARGIN = 32  # px drawn around a crop, so that CTF fringes of particles outside reach into it
STAMP = 80  # px of one particle image
EMPTY_FIELDS = 0.12  # share of fields without any particle
FAINT_FIELDS = 0.3  # share of fields whose particles differ much in contrast
DIRTY_FIELDS = 0.12  # share of fields with contamination
PRESENCE_SIGMA = 0.1  # diameters, over which the local rms of the clean signal is taken
PRESENCE_FROM, PRESENCE_TO = 0.25, 0.6  # of the in-particle rms: no particle below, a particle above
FOCUS_SHARE, FOCUS_WIDTH = 0.7, 2.5  # of the pairs lie within this factor of the user's SNR
TILT_GENERIC, TILT_SHAPED = (-0.4, 1.0), (-0.25, 0.25)  # exponents: spectra of real particles differ
SHAPING_RANGE = (0.2, 4.0)
SHAPING_ROUNDS, SHAPING_FIELDS = 3, 24
UNKNOWN = -1.0  # presence, where nobody knows it


@dataclass(frozen=True)
class Recipe:
    """What a pair is drawn from; stored in manifest.json."""

    diameter: float  # canonical px
    pixel_size: tuple[float, float]  # canonical, Angstrom: the range that is drawn from
    snr_low: float
    snr_high: float
    focus: float | None = None  # the user's SNR: most pairs are drawn within FOCUS_WIDTH of it
    shaping: tuple[float, ...] | None = None  # amplitude per shell, 0..1/2 cycles/px, that gives the user's spectrum
    defocus_um: tuple[float, float] = (0.8, 3.5)
    voltage_kv: float = 300.0
    cs_mm: float = 2.7
    seed: int = 0


class Batch(NamedTuple):
    """Training pairs, float32: all (n, 1, h, w) but the level, which is (n,)."""

    noisy: Tensor
    target: Tensor
    presence: Tensor  # 1 inside particles, 0 outside, UNKNOWN where nobody knows
    log_snr: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(*(t.to(device) for t in self))


@dataclass(frozen=True)
class CleanField:
    """One (128, 128) field s x0 with its in-particle SNR s^2 and the optics it was seen through."""

    image: np.ndarray
    snr: float
    pixel_size_a: float
    defocus_um: float
    transfer: np.ndarray  # (192, 97) what a point becomes, without the particles' own spectrum

    def presence(self, diameter: float) -> np.ndarray:
        """Where there is signal: 0..1 (128, 128), from the local rms over the in-particle rms."""
        power = ndi.gaussian_filter(self.image**2, PRESENCE_SIGMA * diameter) / self.snr
        rms = np.sqrt(np.maximum(power, 0.0))
        return np.clip((rms - PRESENCE_FROM) / (PRESENCE_TO - PRESENCE_FROM), 0.0, 1.0).astype(np.float32)


class PairMaker:
    """Draws batches of pairs. `noise` are patches (m, h, h) of sigma about 1 with their `group` (m,), or None for
    drawn spectra.
    """

    def __init__(self, library: Library, noise: np.ndarray | None, group: np.ndarray | None, recipe: Recipe) -> None:
        self.projections = torch.from_numpy(library.projections)
        self.recipe = recipe
        self.size = CROP + 2 * MARGIN
        self.frequency = frequency_grid(self.size, self.size)
        sigma = BACKGROUND_DIAMETERS * recipe.diameter
        self.flatten = 1.0 - np.exp(-2.0 * (np.pi * sigma * self.frequency) ** 2)
        self.noise: NoiseSource
        if noise is None or group is None:
            inner = 1.0 - np.exp(-2.0 * (np.pi * sigma * frequency_grid(CROP, CROP)) ** 2)
            self.noise = SpectrumNoise(CROP, inner)
        else:
            self.noise = PatchNoise(noise, group, CROP)

    def batch(self, step: int, count: int) -> Batch:
        """`count` pairs of 128 px. Depends on seed and step only."""
        rng = np.random.default_rng([self.recipe.seed, step])
        noisy, target, presence, level = [], [], [], []
        for _ in range(count):
            clean = self.clean_field(rng)
            noisy.append(self._dirty(rng, clean, clean.image + self.noise_field(rng, clean)))
            target.append(clean.image)
            presence.append(clean.presence(self.recipe.diameter))
            # the level is told with an error of 20 %: it is only estimated when the network is used
            level.append(np.log(clean.snr) + 0.2 * rng.standard_normal())
        one, two, three = (torch.from_numpy(np.stack(a).astype(np.float32))[:, None] for a in (noisy, target, presence))
        return Batch(one, two, three, torch.tensor(level, dtype=torch.float32))

    def noise_field(self, rng: np.random.Generator, clean: CleanField) -> np.ndarray:
        """One (128, 128) field of noise, seen through the optics of a clean field."""
        return self.noise.field(rng, clean.pixel_size_a, clean.defocus_um)

    def _dirty(self, rng: np.random.Generator, clean: CleanField, image: np.ndarray) -> np.ndarray:
        """Now and then with contamination, cut off where the pipeline cuts hot pixels off."""
        if rng.random() >= DIRTY_FIELDS:
            return image
        inner = slice(MARGIN, MARGIN + CROP)
        for _ in range(rng.integers(1, 4)):
            dirt, _kind = draw_contaminant((self.size, self.size), self.recipe.diameter, clean.transfer, rng)
            image = image + dirt[inner, inner]
        limit = OUTLIER_SIGMAS * robust_sigma(image)
        return np.where(np.abs(image) > limit, 0.0, image).astype(np.float32)

    def clean_field(self, rng: np.random.Generator) -> CleanField:
        """One (128, 128) field s x0; in-particle SNR s^2 log-uniform in the recipe's range, or about its focus."""
        r = self.recipe
        low, high = r.snr_low, r.snr_high
        if r.focus is not None and rng.random() < FOCUS_SHARE:
            low, high = r.focus / FOCUS_WIDTH, r.focus * FOCUS_WIDTH
        snr = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        pixel = float(np.exp(rng.uniform(*np.log(r.pixel_size))))
        defocus = float(rng.uniform(*r.defocus_um))
        transfer = self.flatten * ctf(
            self.frequency / pixel, defocus, r.voltage_kv, r.cs_mm, rng.uniform(0.07, 0.15), rng.uniform(40.0, 300.0)
        )
        if rng.random() < EMPTY_FIELDS:
            return CleanField(np.zeros((CROP, CROP), np.float32), snr, pixel, defocus, transfer)
        density, covered = self._scatter(rng)
        field = irfft2(rfft2(density) * (transfer * self._spectrum(rng)), density.shape)
        power = float((field**2).sum()) / max(covered, 1e-9)
        inner = field[MARGIN : MARGIN + CROP, MARGIN : MARGIN + CROP] * np.sqrt(snr / max(power, 1e-12))
        return CleanField(inner.astype(np.float32), snr, pixel, defocus, transfer)

    def _spectrum(self, rng: np.random.Generator) -> np.ndarray:
        """Amplitude given to the particles, at every frequency."""
        shaping = self.recipe.shaping
        tilt = (self.frequency / 0.06 + 1.0) ** rng.uniform(*(TILT_SHAPED if shaping else TILT_GENERIC))
        if shaping:
            tilt = tilt * np.interp(self.frequency, np.linspace(0, 0.5, len(shaping)), shaping)
        return tilt

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
        """`count` particle images (count, 80, 80): random view, in-plane turn, mirror, size +-7 %, contrast."""
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
        low, high = (0.35, 1.4) if rng.random() < FAINT_FIELDS else (0.75, 1.25)
        return stamps * rng.uniform(low, high, count).astype(np.float32)[:, None, None]


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
        clean = maker.clean_field(rng)
        if clean.image.any():
            power = power + np.abs(rfft2(clean.image)) ** 2 / (CROP * CROP * clean.snr)
            fields += 1
    return shell_average(np.asarray(power) / draws, CROP)


def shape_to(spectrum: np.ndarray, noise: np.ndarray, maker: PairMaker) -> tuple[float, ...]:
    """Amplitudes per shell that give the library's particles the user's mean power `spectrum` (65,).

    Where the signal is less than a hundredth of the noise (65,) it is not known: the last known amplitude is kept.
    Every field is scaled to its own SNR after shaping, so the amplitudes are found in a few rounds.
    """
    trial = copy.copy(maker)
    shaping = np.ones(len(spectrum))
    unknown = np.flatnonzero(spectrum < 0.01 * noise)
    last = int(unknown[unknown > 4][0]) if (unknown > 4).any() else len(shaping)
    for _ in range(SHAPING_ROUNDS):
        trial.recipe = replace(maker.recipe, shaping=tuple(shaping))
        given = library_spectrum(trial, draws=SHAPING_FIELDS)
        shares = [s / s[1:].sum() for s in (np.maximum(spectrum, 0.0), given)]
        shaping = shaping * np.sqrt(shares[0] / np.maximum(shares[1], 1e-9))
        shaping[last:] = shaping[last - 1]
        shaping = ndi.gaussian_filter1d(np.clip(shaping, *SHAPING_RANGE), 2.0, mode="nearest")
    return tuple(float(s) for s in shaping)
