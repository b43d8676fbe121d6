"""The blank test: what a method makes of a micrograph that holds nothing but the user's own noise.

Two blanks: noise of random phases with the power spectrum of the empty places (no structure at all), and a mosaic of
the empty places themselves (real noise, and whatever hides in it). Peaks that a template matcher would pick are
counted: they were invented.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft

from core.denoising.quality import flattened
from core.denoising.trust_picking import Threshold, find_peaks, silent
from core.denoising.trust_scene import Runs, Scene, Template, disc_std
from core.physics.fourier import irfft2, rfft2
from core.physics.noise import noise_mosaic, noise_spectrum

LARGEST = 2048  # px, side of a blank: four megapixels count peaks down to one in four
SHOWN_DIAMETERS, LEAST_SHOWN = 7, 320  # side of the part that is shown
KINDS = {"phase": "random phases", "mosaic": "mosaic of empty places"}


@dataclass(frozen=True, eq=False)
class Blank:
    """One blank. `share`: of its own deviation that is left; `over_particle`: of that inside denoised particles."""

    kind: str
    share: float
    over_particle: float | None
    scores: np.ndarray  # (n,) template scores of the peaks of the output, best first
    raw_scores: np.ndarray  # (n,) of the blank itself
    mpx: float  # area that was searched
    picked_per_mpx: float | None  # of the user's picks on this micrograph
    raw: np.ndarray  # (s, s) flattened, a part of it to be shown
    out: np.ndarray


def phase_randomised(patches: np.ndarray, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise (h, w) with the two-dimensional power spectrum of empty (m, b, b) patches, random phases.

    White noise is convolved with the kernel whose transform is the root of the spectrum: any shape, any size.
    """
    side = 4 * patches.shape[-1]
    kernel = scipy.fft.fftshift(irfft2(np.sqrt(noise_spectrum(patches, side)), (side, side)))
    padded = [scipy.fft.next_fast_len(n + side, real=True) or n + side for n in shape]
    white = rng.standard_normal(padded, dtype=np.float32)
    field = irfft2(rfft2(white) * rfft2(kernel.astype(np.float32), (padded[0], padded[1])), tuple(padded))
    return np.ascontiguousarray(field[: shape[0], : shape[1]], np.float32)  # periodic: any part is as good


def make_blanks(scene: Scene, seed: int = 0) -> dict[str, np.ndarray]:
    """Blanks by kind, in the micrograph's grey units, on its mean grey."""
    rng = np.random.default_rng([seed, 17])
    shape = (min(LARGEST, scene.image.shape[0]), min(LARGEST, scene.image.shape[1]))
    patches = scene.patches()
    patches = patches - patches.mean(axis=(1, 2), keepdims=True)
    grey = np.float32(scene.image.mean())
    fields = {"phase": phase_randomised(patches, shape, rng), "mosaic": noise_mosaic(patches, shape, rng)}
    return {kind: (field + grey).astype(np.float32) for kind, field in fields.items()}


def blank_test(
    runs: Runs,
    scene: Scene,
    denoised: np.ndarray,
    template: Template,
    seed: int = 0,
) -> list[Blank]:
    """Run the method on both blanks. `denoised`: the flattened result of the micrograph itself."""
    particle = 0.0 if silent(denoised, scene) else disc_std(denoised, scene.particles, scene.diameter)
    density = len(scene.particles) / (scene.image.size / 1e6) if scene.picked else None
    found = []
    for kind, blank in make_blanks(scene, seed).items():
        raw = flattened(blank, scene.diameter)
        out = runs(blank, scene, f"blank test, {KINDS[kind]}")
        inner = _inner(blank.shape, scene.diameter)
        area = np.prod([max(n - scene.diameter, 0.0) for n in blank.shape]) / 1e6
        part = middle_part(blank.shape, scene.diameter)
        left = 0.0 if silent(out, scene) else float(out[inner].std())
        found.append(
            Blank(
                kind,
                left / max(float(raw[inner].std()), 1e-12),
                left / particle if particle > 0 else None,
                find_peaks(out, scene, template)[1],
                find_peaks(raw, scene, template)[1],
                float(area),
                density,
                raw[part].copy(),
                out[part].copy(),
            )
        )
    return found


def middle_part(shape: tuple[int, ...], diameter: float) -> tuple[slice, ...]:
    """The part of a micrograph or blank that is shown: a few diameters, from its middle."""
    side = max(LEAST_SHOWN, round(SHOWN_DIAMETERS * diameter))
    return tuple(slice((n - min(side, n)) // 2, (n - min(side, n)) // 2 + min(side, n)) for n in shape)


def _inner(shape: tuple[int, ...], diameter: float) -> tuple[slice, ...]:
    """Away from the border, where the smooth background is known less well."""
    margins = [min(round(diameter), n // 4) for n in shape]
    return tuple(slice(m, n - m) for m, n in zip(margins, shape, strict=True))


def false_alarm(blanks: Sequence[Blank], raw: bool, rate: float = 1.0) -> float:
    """The template score that `rate` peaks per Mpx of these blanks reach; 0 where there are fewer peaks.

    The same rate for raw and denoised makes "found" mean the same for both.
    """
    scores = np.sort(np.concatenate([b.raw_scores if raw else b.scores for b in blanks]))[::-1]
    allowed = int(rate * sum(b.mpx for b in blanks))
    return max(float(scores[allowed]), 0.0) if len(scores) > allowed else 0.0


@dataclass(frozen=True)
class Pooled:
    """One kind of blank over several micrographs: means of the ratios, peaks per Mpx of all of them."""

    share: float
    over_particle: float | None
    peaks_per_mpx: float | None
    raw_peaks_per_mpx: float | None
    picked_per_mpx: float | None


def pooled(blanks: Sequence[Blank], thresholds: Sequence[tuple[Threshold, Threshold]]) -> Pooled:
    """Pool blanks of one kind; `thresholds` of each, for the output and for the blank itself."""
    over = [b.over_particle for b in blanks if b.over_particle is not None]
    density = [b.picked_per_mpx for b in blanks if b.picked_per_mpx is not None]
    return Pooled(
        float(np.mean([b.share for b in blanks])),
        float(np.mean(over)) if over else None,
        _rate([(b.scores, t.score, b.mpx) for b, (t, _) in zip(blanks, thresholds, strict=True)]),
        _rate([(b.raw_scores, t.score, b.mpx) for b, (_, t) in zip(blanks, thresholds, strict=True)]),
        float(np.mean(density)) if density else None,
    )


def _rate(parts: Sequence[tuple[np.ndarray, float | None, float]]) -> float | None:
    """Peaks at or above the threshold per Mpx; None where no micrograph has a threshold."""
    known = [(int((scores >= score).sum()), mpx) for scores, score, mpx in parts if score is not None and mpx > 0]
    return sum(n for n, _ in known) / sum(mpx for _, mpx in known) if known else None
