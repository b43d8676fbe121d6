"""Fourier shell correlation of half maps: plain, masked, corrected for mask and missing directions, and by direction.

The correction randomises phases beyond the resolution where both halves still agree, and takes off what the mask
alone makes of them (Chen et al., Ultramicroscopy 2013). Shells are those of core/reconstruction/shells.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
import scipy.fft
import scipy.ndimage as ndi
import torch

from core.reconstruction import shells

_TELLS = 0.7  # a shell whose chance level is higher has too few coefficients
_FIRST_SHELLS = 3
RANDOMISE_BELOW = 0.8  # of the unmasked curve
CONE_HALF_ANGLE_DEG = 20.0


@dataclass(frozen=True, eq=False)
class HalfMapFsc:
    """Curves (L // 2 + 1,) over shells of 1 / (L * pixel size): `randomised_from` is the first shell with random
    phases. `corrected` is the one to report."""

    unmasked: np.ndarray
    masked: np.ndarray
    randomised: np.ndarray
    corrected: np.ndarray
    randomised_from: int
    box: int
    pixel_size_a: float
    coverage: np.ndarray  # most that the whole map's correlation with the truth can be, for want of directions
    chance: np.ndarray  # what halves without any signal come to in a shell (three standard deviations)

    @property
    def nothing(self) -> bool:
        """Whether the halves agree on nothing: below chance in the first shells with enough coefficients to tell."""
        told = np.flatnonzero(self.chance[1 : self.box // 2] < _TELLS) + 1
        first = told[:_FIRST_SHELLS]
        return not first.size or float((self.corrected - self.chance)[first].mean()) <= 0

    @property
    def reported(self) -> np.ndarray:
        """The corrected curve, 0 where halves agree no better than chance, 1 in shells of too few coefficients."""
        if self.nothing:
            return np.zeros_like(self.corrected)
        tells = self.chance < _TELLS
        return np.where(tells, np.where(self.corrected < self.chance, 0.0, self.corrected), 1.0)

    def resolution_a(self, threshold: float = 0.143) -> float | None:
        """Resolution in Å of the reported curve; None when it stays above the threshold up to Nyquist.

        Infinite where the halves agree on nothing.
        """
        if self.nothing:
            return math.inf
        return shells.resolution_a(self.reported, self.box, self.pixel_size_a, threshold)


def half_map_fsc(
    first: np.ndarray,
    second: np.ndarray,
    mask: np.ndarray,
    pixel_size_a: float,
    coverage: np.ndarray | None = None,
    symmetry: int = 1,
    seed: int = 0,
) -> HalfMapFsc:
    """All curves of two half maps (L, L, L), a soft mask of the same shape, and the `coverage` of their shells.

    `symmetry`: order of the point group that both have; equal coefficients are one observation.
    """
    box = first.shape[0]
    unmasked = shells.correlation(first, second)
    masked = shells.correlation(first * mask, second * mask)
    below = np.flatnonzero(unmasked[1:] < RANDOMISE_BELOW)
    start = int(below[0]) + 1 if below.size else box // 2
    rng = np.random.default_rng(seed)
    mixed = [randomise_phases(half, start, rng) * mask for half in (first, second)]
    randomised = shells.correlation(*mixed)
    corrected = masked.copy()
    beyond = np.arange(len(masked)) >= start + 2  # the first shells behind the start still carry some true phases
    share = (masked - randomised) / np.maximum(1 - randomised, 1e-6)
    corrected[beyond] = np.where(randomised > masked, 0.0, share)[beyond]
    coverage = np.ones(len(masked)) if coverage is None else coverage
    reported, chance = _covered(corrected, coverage), _chance(box, mask, symmetry)
    return HalfMapFsc(unmasked, masked, randomised, reported, start, box, pixel_size_a, coverage, chance)


def _chance(box: int, mask: np.ndarray, symmetry: int) -> np.ndarray:
    """Three standard deviations of the correlation of mere noise per shell: 3 / sqrt(independent coefficients).

    Half of a shell's coefficients are free; a mask leaves its share of them, a symmetry one of its order.
    """
    volume = float((mask**2).sum() ** 2 / max(float((mask**4).sum()), 1e-12)) / mask.size
    count = np.bincount(shells.shell_index(box).numpy().ravel(), minlength=box // 2 + 1)
    return 3 / np.sqrt(np.maximum(count * volume / symmetry, 1e-3))


def coverage_of(share: torch.Tensor) -> np.ndarray:
    """Most that a map's correlation with the truth can be per shell, from the images' `share` of each coefficient."""
    rms = shells.shell_mean(share**2).sqrt()
    return torch.where(rms > 0, shells.shell_mean(share) / rms.clamp_min(1e-12), torch.ones_like(rms)).numpy()


def _covered(fsc: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """The curve whose prediction for the whole map, sqrt(2 F / (1 + F)), is smaller by `coverage`."""
    told = coverage**2 * 2 * fsc / np.maximum(1 + fsc, 1e-6)
    return np.where(fsc > 0, told / (2 - told), fsc)


def randomise_phases(volume: np.ndarray, from_shell: int, rng: np.random.Generator) -> np.ndarray:
    """The map (L, L, L) with random phases from `from_shell` on, its amplitudes kept."""
    spectrum = np.asarray(scipy.fft.rfftn(volume))
    noise = np.asarray(scipy.fft.rfftn(rng.standard_normal(volume.shape).astype(np.float32)))
    beyond = shells.shell_index(volume.shape[0]).numpy() >= from_shell
    size = np.maximum(np.abs(noise[beyond]), 1e-30)
    spectrum[beyond] = np.abs(spectrum[beyond]) * noise[beyond] / size
    return np.asarray(scipy.fft.irfftn(spectrum, volume.shape)).astype(np.float32)


def auto_mask(volume: np.ndarray, pixel_size_a: float, low_pass_a: float = 15.0, soft_a: float = 12.0) -> np.ndarray:
    """Soft mask (L, L, L) around the density of a map: low-passed, cut at a tenth of its peak, grown, with a rim."""
    box = volume.shape[0]
    sigma = max(low_pass_a / pixel_size_a / 4, 0.5)
    smooth = ndi.gaussian_filter(np.clip(volume, 0, None), sigma)
    inside = smooth > 0.1 * float(np.percentile(smooth, 99.9))
    labels, count = cast(tuple[np.ndarray, int], ndi.label(inside))
    if count > 1:  # the particle, not specks of noise
        sizes = np.bincount(labels.ravel())[1:]
        inside = np.isin(labels, 1 + np.flatnonzero(sizes >= 0.05 * sizes.max()))
    distance = np.asarray(ndi.distance_transform_edt(~inside)) * pixel_size_a
    rim = np.clip((distance - soft_a / 2) / soft_a, 0, 1)
    axis = np.arange(box) - box // 2
    ball = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2) < box / 2 - 1
    return ((0.5 + 0.5 * np.cos(np.pi * rim)) * ball).astype(np.float32)


def directional_fsc(
    first: np.ndarray, second: np.ndarray, directions: np.ndarray, half_angle_deg: float = CONE_HALF_ANGLE_DEG
) -> np.ndarray:
    """Correlation (d, L // 2 + 1) within cones around `directions` (d, 3) x, y, z; NaN where a cone holds nothing."""
    box = first.shape[0]
    one, two = (torch.fft.rfftn(torch.as_tensor(v, dtype=torch.float32)) for v in (first, second))
    full, half = torch.fft.fftfreq(box), torch.arange(box // 2 + 1) / box
    k = torch.stack(torch.broadcast_tensors(half[None, None, :], full[None, :, None], full[:, None, None]), -1)
    unit = k / k.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    index = shells.shell_index(box).reshape(-1)
    curves = []
    for direction in torch.as_tensor(directions, dtype=torch.float32):
        cone = ((unit @ (direction / direction.norm())).abs() >= np.cos(np.radians(half_angle_deg))).reshape(-1)
        cross, a, b = (
            torch.zeros(box // 2 + 1).index_add_(0, index[cone], values.reshape(-1)[cone])
            for values in ((one * two.conj()).real, one.abs() ** 2, two.abs() ** 2)
        )
        empty = torch.full_like(cross, torch.nan)
        curves.append(torch.where(a * b > 0, cross / (a * b).sqrt().clamp_min(1e-30), empty))
    return torch.stack(curves).numpy()


def directional_resolution(
    first: np.ndarray, second: np.ndarray, pixel_size_a: float, count: int = 50, threshold: float = 0.143
) -> tuple[np.ndarray, np.ndarray]:
    """Directions (count, 3) over the half sphere, and the resolution in Å (count,) along each, Nyquist at best."""
    step = np.arange(count) + 0.5
    z, turn = step / count, np.pi * (1 + 5**0.5) * step
    directions = np.stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z], 1)
    box = first.shape[0]
    found = [
        shells.resolution_a(np.nan_to_num(curve, nan=1.0), box, pixel_size_a, threshold) or 2 * pixel_size_a
        for curve in directional_fsc(first, second, directions)
    ]
    return directions, np.array(found)
