"""Where the noise of a training pair comes from: the user's empty patches, or drawn spectra (for the generic model).

A source gives float32 (size, size) fields of variance about 1, drawn from a random generator.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from core.physics.ctf import ctf
from core.physics.fourier import frequency_grid
from core.physics.noise import gaussian_noise, noise_mosaic, noise_spectrum

MOSAIC_SHARE = 0.6  # of the noise is made of the patches themselves, the rest Gaussian with their spectrum
LEVEL_JITTER = 0.05
THICKNESS = 0.12  # the noise level runs across a field by up to this share, as ice thickness does


class NoiseSource(Protocol):
    """Draws noise fields."""

    def field(self, rng: np.random.Generator, pixel_size_a: float, defocus_um: float) -> np.ndarray:
        """One float32 (size, size) field of variance about 1."""
        ...


class PatchNoise:
    """Noise of real empty patches (m, h, h), sigma about 1. `group` (m,) says which patches share a micrograph:
    a mosaic never mixes the noise of two.
    """

    def __init__(self, patches: np.ndarray, group: np.ndarray, size: int) -> None:
        self.size = size
        self.groups = [patches[group == g] for g in np.unique(group)]
        self.spectra = [noise_spectrum(members, size) for members in self.groups]

    def field(self, rng: np.random.Generator, pixel_size_a: float = 0.0, defocus_um: float = 0.0) -> np.ndarray:
        """One field; pixel size and defocus are those of the patches, whatever is asked."""
        g = rng.integers(len(self.groups))
        if rng.random() < MOSAIC_SHARE:
            field = noise_mosaic(self.groups[g], (self.size, self.size), rng)
        else:
            field = gaussian_noise(self.spectra[g], rng)
        return field * np.float32(np.exp(LEVEL_JITTER * rng.standard_normal()))


class SpectrumNoise:
    """Noise with spectra drawn at random, as detectors and ice make them: for a model that has seen no user's data.

    Power = detector (flat, falling towards Nyquist) + ice (squared CTF, falling with frequency) + a rise towards low
    frequency, flattened like the data and scaled to variance 1.
    """

    def __init__(self, size: int, flatten: np.ndarray) -> None:
        self.size = size
        self.frequency = frequency_grid(size, size)
        self.flatten = flatten  # (size, size // 2 + 1), amplitude kept by the flattening

    def field(self, rng: np.random.Generator, pixel_size_a: float, defocus_um: float) -> np.ndarray:
        """One field, seen at this pixel size and defocus."""
        power = self.spectrum(rng, pixel_size_a, defocus_um)
        field = gaussian_noise(power, rng)
        across = np.linspace(-0.5, 0.5, self.size, dtype=np.float32)
        slope = rng.uniform(-THICKNESS, THICKNESS, 2).astype(np.float32)
        gain = 1 + slope[0] * across[:, None] + slope[1] * across[None]
        return field * gain * np.float32(np.exp(LEVEL_JITTER * rng.standard_normal()))

    def spectrum(self, rng: np.random.Generator, pixel_size_a: float, defocus_um: float) -> np.ndarray:
        """A random power spectrum (size, size // 2 + 1) of variance 1."""
        k = self.frequency
        low = np.maximum(k, 0.5 / self.size)
        detector = np.exp(-rng.uniform(0.0, 3.0) * (k / 0.5) ** 2)
        transfer = ctf(k / pixel_size_a, defocus_um, 300.0, 2.7, rng.uniform(0.07, 0.12), rng.uniform(30.0, 250.0))
        knee = rng.uniform(0.01, 0.2)
        ice = transfer**2 / np.sqrt(1 + knee / low)
        rise = np.exp(-k / rng.uniform(0.03, 0.2))
        power = detector + rng.choice([0.0, 1.0]) * rng.uniform(0, 2.5) * ice
        power = power + rng.choice([0.0, 1.0], p=[0.6, 0.4]) * rng.uniform(0, 1.5) * rise
        power = power * self.flatten**2
        weight = np.full(k.shape, 2.0)
        weight[:, 0] = weight[:, -1] = 1.0
        return (power / ((power * weight).sum() / self.size**2)).astype(np.float32)
