"""What was taken away: residual = raw - denoised, its power beside that of empty places, and the particle left in it.

The denoised micrograph keeps the raw one's grey units, so the gain between the two is 1. Fitting a gain would hide
contrast that was lost; `shape_left` says what a gain could not bring back. Also here, from the same spectra: where
there is signal at all (SSNR), and how much calmer the background became.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.denoising.collect import disc
from core.denoising.patch_measure import band_edges
from core.denoising.quality import crops_at
from core.denoising.trust_scene import REACH, Scene, Template, disc_std
from core.physics.fourier import rfft2, shell_average

SILENT = 1e-6  # of the raw deviation: 120 dB, the most that is stated
MOST_GRID = 600  # boxes that stand for a whole micrograph
LEAST_OWN = 0.1  # power of particles over noise in a band: below it their share is not measurable
LOWEST = 1.0  # cycles a box: with a Hann window and the mean taken off, the first shell is usable
AT_ONCE = 64  # boxes that are transformed together


@dataclass(frozen=True, eq=False)
class Spectra:
    """Mean power per shell (b // 2 + 1,) of windowed boxes: raw and residual, at empty places and at particles."""

    box: int
    pixel_size_a: float | None
    empty: np.ndarray
    everywhere: np.ndarray
    residual_empty: np.ndarray
    residual_particles: np.ndarray | None
    raw_particles: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Residual:
    """One micrograph. Mean particles (s, s) are in noise sigmas; None without picks."""

    spectra: Spectra
    suppression_db: float
    noise_over_particle: tuple[float, float] | None  # raw, denoised
    particles: int
    mean_raw: np.ndarray | None
    mean_denoised: np.ndarray | None


def shell_power(flat: np.ndarray, xy: np.ndarray, box: int) -> np.ndarray:
    """Mean power per shell of Hann-windowed boxes about (n, 2) x, y, each without its mean."""
    window = (np.hanning(box)[:, None] * np.hanning(box)[None]).astype(np.float32)
    crops = crops_at(flat, xy, box)
    power = np.zeros((box, box // 2 + 1))
    for first in range(0, len(crops), AT_ONCE):
        part = crops[first : first + AT_ONCE]
        part = (part - part.mean(axis=(1, 2), keepdims=True)) * window
        power += (np.abs(rfft2(part)) ** 2).sum(axis=0)
    return shell_average(power / max(len(crops), 1), box) / float((window**2).sum())


def grid_places(shape: Sequence[int], box: int) -> np.ndarray:
    """Centres (n, 2) of boxes that cover a micrograph evenly, at most MOST_GRID."""
    step = max(box // 2, int(np.sqrt(np.prod(shape) / MOST_GRID)))
    ys, xs = (np.arange(box // 2, n - box // 2 + 1, step) for n in shape)
    return np.stack([a.ravel() for a in np.meshgrid(xs, ys)], axis=1).astype(float)


def measure_residual(scene: Scene, denoised: np.ndarray) -> Residual:
    """Compare the flattened raw micrograph with its flattened denoised one (h, w)."""
    residual = scene.flat - denoised
    box, picks = scene.box, scene.particles
    spectra = Spectra(
        box,
        scene.pixel_size_a,
        shell_power(scene.flat, scene.noise, box),
        shell_power(scene.flat, grid_places(scene.image.shape, box), box),
        shell_power(residual, scene.noise, box),
        shell_power(residual, picks, box) if scene.picked else None,
        shell_power(scene.flat, picks, box) if scene.picked else None,
    )
    raw_std = scene.sigma
    out_std = max(float(crops_at(denoised, scene.noise, box).std()), SILENT * raw_std)
    suppression = float(20 * np.log10(raw_std / out_std))
    size = 2 * round(scene.diameter)
    crops = crops_at(scene.flat, picks, size)
    if not len(crops):
        return Residual(spectra, suppression, None, 0, None, None)
    inside = [max(disc_std(f, picks, scene.diameter), SILENT * raw_std) for f in (scene.flat, denoised)]
    return Residual(
        spectra,
        suppression,
        (raw_std / inside[0], out_std / inside[1]),
        len(crops),
        crops.mean(axis=0) / scene.sigma,
        crops_at(denoised, picks, size).mean(axis=0) / scene.sigma,
    )


def _bands(box: int) -> list[tuple[np.ndarray, float]]:
    """For each band: which shells (b // 2 + 1,) belong to it, and its middle frequency in cycles/px."""
    edges = np.concatenate([[LOWEST], band_edges(box)])  # an empty place is smaller than a particle: each shell counts
    shells = np.arange(box // 2 + 1)
    bands = []
    for low, high in itertools.pairwise(edges):
        inside = (shells >= low) & (shells < high if high < box / 2 else shells <= box // 2)
        if inside.any():
            bands.append((inside, float(np.sqrt(low * high)) / box))
    return bands


@dataclass(frozen=True)
class Band:
    """One ring of frequencies. Ratios are to the raw power of empty places."""

    frequency: float  # middle, 1/Å, or 1/px where the pixel size is unknown
    resolution: float  # Å or px
    ssnr: float  # (everywhere - empty) / empty
    noise_left_out: float  # residual at empty places: 1 = all noise was taken away
    at_particles: float | None  # residual at particles: above 1 = signal was taken away
    removed: float | None  # share of the particles' own power that is in the residual; None where they have too little


def bands(spectra: Spectra) -> list[Band]:
    """The spectra of one micrograph, band by band."""
    out = []
    for inside, frequency in _bands(spectra.box):

        def ratio(power: np.ndarray, inside: np.ndarray = inside) -> float:
            weight = np.arange(len(power))[inside].astype(float)  # a shell holds as many values as its radius
            below = float((spectra.empty[inside] * weight).sum())
            return float((power[inside] * weight).sum()) / max(below, 1e-30)

        frequency /= spectra.pixel_size_a or 1.0
        particles = None if spectra.residual_particles is None else ratio(spectra.residual_particles)
        everywhere, empty = ratio(spectra.everywhere) - 1.0, ratio(spectra.residual_empty)
        own = None if spectra.raw_particles is None else ratio(spectra.raw_particles) - 1.0
        removed = None
        if particles is not None and own is not None and own > LEAST_OWN:
            removed = (particles - empty) / own
        out.append(Band(frequency, 1.0 / frequency, everywhere, empty, particles, removed))
    return out


def pooled_bands(parts: Sequence[Residual]) -> list[Band]:
    """Mean of the bands over micrographs of one box and pixel size."""
    each = [bands(p.spectra) for p in parts]
    out = []
    for column in zip(*each, strict=True):
        picked = [b.at_particles for b in column if b.at_particles is not None]
        removed = [b.removed for b in column if b.removed is not None]
        out.append(
            Band(
                column[0].frequency,
                column[0].resolution,
                float(np.mean([b.ssnr for b in column])),
                float(np.mean([b.noise_left_out for b in column])),
                float(np.mean(picked)) if picked else None,
                float(np.mean(removed)) if len(removed) == len(column) else None,
            )
        )
    return out


@dataclass(frozen=True, eq=False)
class MeanParticle:
    """Mean raw, denoised and residual particle (s, s) in noise sigmas, and what of it stayed in the residual."""

    raw: np.ndarray
    denoised: np.ndarray
    residual: np.ndarray
    particles: int
    left: float  # share of the mean particle left in the residual: 0 ideal, 1 all, negative: more than was there
    shape_left: float  # the same when the contrast may be matched first: what changed is the shape


def mean_particle(parts: Sequence[Residual], template: Template, diameter: float) -> MeanParticle | None:
    """Pool the mean particles of several micrographs; None without picks."""
    picked = [(p.mean_raw, p.mean_denoised, p.particles) for p in parts if p.mean_raw is not None]
    if not picked:
        return None
    weights = np.array([n for _, _, n in picked], float)
    raw = np.average([r for r, _, _ in picked], axis=0, weights=weights)
    denoised = np.average([d for _, d, _ in picked if d is not None], axis=0, weights=weights)
    size = template.matched.shape[0]
    first = raw.shape[0] // 2 - size // 2
    centre = slice(first, first + size)
    within = disc(size, REACH * diameter)
    t = template.matched[within]
    a, b = raw[centre, centre][within], denoised[centre, centre][within]
    left = float((a - b) @ t) / float(a @ t)
    a, b = a - a.mean(), b - b.mean()
    fitted = float(a @ b) ** 2 / max(float(b @ b) * float(a @ a), 1e-30)
    return MeanParticle(raw, denoised, raw - denoised, int(weights.sum()), left, 1.0 - fitted)
