"""Agreement of two halves of the frames: Fourier ring correlation of the raw halves, and of the denoised halves.

It is called agreement and never resolution: a method that draws what it knows draws it into both halves, and ice or
contamination that the halves share agrees as well as a particle does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.denoising.quality import flattened
from core.denoising.trust_scene import Runs, Scene
from core.errors import InputError
from core.io.coordinates import stem_of
from core.metrics.frc import RingCorrelation, ring_correlation

_HALF = re.compile(r"[_-](even|odd|evn|half[12ab]?|[eo])$", re.IGNORECASE)  # mic_EVN.mrc, mic_even.mrc, mic_half1.mrc
BINS = 60


@dataclass(frozen=True, eq=False)
class Agreement:
    """Correlation (m,) over frequency (m,) of the raw halves and of the denoised halves; `noise`: 3 sigma of nothing.

    Frequencies in 1/Å, or 1/px where the pixel size is unknown.
    """

    frequency: np.ndarray
    raw: np.ndarray
    denoised: np.ndarray
    noise: np.ndarray

    @property
    def lost(self) -> float:
        """Mean fall of the correlation below that of the raw halves, where the raw halves agree above chance."""
        there = self.raw > np.maximum(self.noise, 0.143)
        return float(np.maximum(self.raw - self.denoised, 0)[there].mean()) if there.any() else 0.0

    @property
    def beyond(self) -> float:
        """Mean correlation of the denoised halves where the raw halves agree no more than by chance."""
        nothing = np.abs(self.raw) <= self.noise
        return float(self.denoised[nothing].mean()) if nothing.any() else 0.0


def half_key(name: str) -> str:
    """The micrograph that a half's file name speaks of: mic_EVN.mrc -> mic."""
    return _HALF.sub("", stem_of(name))


def pair_halves(
    micrographs: Sequence[Path], even: Sequence[Path], odd: Sequence[Path]
) -> dict[Path, tuple[Path, Path]]:
    """The two halves of each micrograph that has both, by file name."""
    evens, odds = ({half_key(p.name): p for p in files} for files in (even, odd))
    keys = {m: half_key(m.name) for m in micrographs}
    return {m: (evens[k], odds[k]) for m, k in keys.items() if k in evens and k in odds}


def agreement(runs: Runs, scene: Scene, even: np.ndarray, odd: np.ndarray) -> Agreement:
    """Denoise both halves (h, w) by themselves and correlate ring by ring."""
    for half in (even, odd):
        if half.shape != scene.image.shape:
            raise InputError(
                f"A half of {scene.path.name} has {half.shape[1]} x {half.shape[0]} pixels, the micrograph "
                f"{scene.image.shape[1]} x {scene.image.shape[0]}.",
                "Choose the halves of these micrographs, at the same binning.",
                scene.path,
            )
    raw = ring_correlation(flattened(even, scene.diameter), flattened(odd, scene.diameter), scene.pixel_size_a)
    outs = [runs(h, scene, f"{name} frames") for name, h in (("even", even), ("odd", odd))]
    made = ring_correlation(outs[0], outs[1], scene.pixel_size_a)
    return _binned(raw, made)


def _binned(raw: RingCorrelation, made: RingCorrelation) -> Agreement:
    """Rings joined to at most BINS of equal width: single rings of one micrograph are noise."""
    rings = np.arange(1, len(raw.frequency))
    groups = np.array_split(rings, min(BINS, len(rings)))
    weight = raw.independent

    def mean(values: np.ndarray) -> np.ndarray:
        return np.array([np.average(values[g], weights=weight[g]) for g in groups])

    together = np.array([weight[g].sum() for g in groups])
    noise = np.minimum(1.0, 3.0 / np.sqrt(np.maximum(together, 1.0)))
    return Agreement(mean(raw.frequency), mean(raw.correlation), mean(made.correlation), noise)


def pooled(parts: Sequence[Agreement]) -> Agreement:
    """Mean over micrographs of one size; of different sizes the first is kept."""
    same = [p for p in parts if p.frequency.shape == parts[0].frequency.shape]
    return Agreement(
        parts[0].frequency,
        np.mean([p.raw for p in same], axis=0),
        np.mean([p.denoised for p in same], axis=0),
        parts[0].noise / np.sqrt(len(same)),
    )
