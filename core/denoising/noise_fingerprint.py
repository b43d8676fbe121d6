"""What kind of noise a model learnt, in a dozen numbers, and whether a micrograph has the same kind.

The noise power in half-octave bands of a fixed grid of spatial frequencies, of unit variance. It is measured on the
calmest windows of a canonical micrograph, without picks, and in the same way for the micrographs of a training and for
those a model is used on: what particles add to calm windows is then in both. Micrographs of one data set differ
mostly by a tilt of the whole spectrum (ice thickness, dose); another detector, binning, filter or kind of noise changes
its shape. Both are measured, with a limit each.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.denoising.canonical import Canonical
from core.denoising.patch_measure import measure
from core.physics.fourier import frequency_grid

# Edges of the bands, 1/Angstrom; where the pixel size is unknown the same numbers are taken as cycles per canonical px.
EDGES = 2.0 ** (np.arange(-17, -1) / 2)  # 1/362 ... 1/2
BOX_DIAMETERS = 1.25  # side of a window in particle diameters
LEAST_BOX = 16  # canonical px
MOST_WINDOWS = 3000  # looked at in a micrograph
CALM_SHARE, LEAST_CALM = 0.2, 8
EMPTY = 1e-9  # power below which a band holds nothing
# Calibrated on ten real micrographs of one session (apoferritin), see docs/forward.md.
MOST_TILT = 0.7  # exponent by which two spectra may differ
MOST_SHAPE = 0.18  # deviation of the log ratio about its tilt
MOST_PIXEL_SIZE = 0.02  # relative
LEAST_BANDS = 4  # shared ones; fewer cannot be compared


@dataclass(frozen=True)
class NoiseFingerprint:
    """Noise power per pixel in each band of EDGES, of unit variance over the bands that were measured (else None)."""

    power: tuple[float | None, ...]
    unit: str = "1/A"  # of EDGES: 1/A, or cycles/px (canonical) where the pixel size is unknown
    pixel_size_a: float | None = None  # of the micrographs as they came
    micrographs: int = 1

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        power = [None if p is None else float(f"{p:.5g}") for p in self.power]
        return {
            "power": power,
            "edges": [float(f"{e:.6g}") for e in EDGES],
            "unit": self.unit,
            "pixel_size_a": self.pixel_size_a,
            "micrographs": self.micrographs,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NoiseFingerprint:
        """Read what `as_dict` gave; ValueError when it is something else."""
        try:
            power = tuple(None if p is None else float(p) for p in values["power"])
            edges = np.asarray(values["edges"], float)
            pixel = values["pixel_size_a"]
            result = cls(power, str(values["unit"]), pixel and float(pixel), int(values["micrographs"]))
        except (KeyError, TypeError, ValueError) as err:
            raise ValueError(f"no noise fingerprint ({err})") from None
        known = [p for p in power if p is not None]
        if edges.shape != EDGES.shape or not np.allclose(edges, EDGES, rtol=1e-4) or len(power) != len(EDGES) - 1:
            raise ValueError("a noise fingerprint on another grid of frequencies")
        if not known or not all(math.isfinite(p) and p >= 0 for p in known) or result.unit not in ("1/A", "cycles/px"):
            raise ValueError("a noise fingerprint with impossible values")
        return result


@dataclass(frozen=True)
class FingerprintDistance:
    """How two noises differ. All are 0 for the same noise."""

    worst: float  # largest relative difference of a band, e.g. 0.5: half as much again
    mean_log: float  # mean |log ratio| over the bands
    tilt: float  # exponent p of the best (frequency ** p) between them
    shape: float  # deviation of the log ratio about that tilt
    bands: int  # that both have; below LEAST_BANDS nothing is compared

    @property
    def score(self) -> float:
        """Above 1: another kind of noise."""
        if self.bands < LEAST_BANDS:
            return math.inf
        return math.hypot(self.tilt / MOST_TILT, self.shape / MOST_SHAPE)


def fingerprint_of_micrograph(
    canonical: Canonical,
    diameter: float,
    canonical_pixel_size_a: float | None = None,
    pixel_size_a: float | None = None,
) -> NoiseFingerprint | None:
    """Fingerprint of one micrograph without picks, from its calmest windows; None where no window fits.

    diameter: of a particle in canonical px. `canonical_pixel_size_a`: of the canonical image; unknown: the bands are in
    cycles per canonical px. `pixel_size_a`: of the micrograph as it came.
    """
    image = canonical.image
    box = min(max(LEAST_BOX, round(BOX_DIAMETERS * diameter)), *image.shape)
    centres = _windows(image.shape, box, canonical.valid)
    if not len(centres) or box < 8:
        return None
    measured = measure(image, centres, box)
    calmest = np.argsort(measured.spread)[: max(LEAST_CALM, int(CALM_SHARE * len(centres)))]
    power = measured.power[calmest].mean(axis=0, dtype=float)
    return _fingerprint(power, box, canonical_pixel_size_a, pixel_size_a)


def _windows(shape: tuple[int, ...], box: int, valid: np.ndarray | None) -> np.ndarray:
    """Centres (n, 2) of half-overlapping windows without masked pixels, evenly over the image."""
    step = max(1, box // 2)
    while (shape[0] - box) // step * ((shape[1] - box) // step) > MOST_WINDOWS:
        step += 1
    rows, cols = (np.arange(0, n - box + 1, step) for n in shape[:2])
    corners = np.stack(np.meshgrid(cols, rows), axis=-1).reshape(-1, 2)
    if valid is not None:
        whole = [bool(valid[y : y + box, x : x + box].all()) for x, y in corners]
        corners = corners[whole]
    return corners + box // 2


def _fingerprint(power: np.ndarray, box: int, pixel: float | None, raw_pixel: float | None) -> NoiseFingerprint:
    """Average an rfft2-shaped power (box, box // 2 + 1) over the bands that it covers."""
    frequency = frequency_grid(box, box) / (pixel or 1.0)
    twice = np.full(frequency.shape, 2.0)
    twice[:, 0] = 1.0
    if box % 2 == 0:
        twice[:, -1] = 1.0
    lowest, highest = 1.0 / (box * (pixel or 1.0)), 0.5 / (pixel or 1.0)
    values: list[float | None] = []
    for low, high in itertools.pairwise(EDGES):
        weight = twice * ((frequency >= low) & (frequency < high))
        covered = low >= lowest and low < 0.95 * highest and weight.sum() >= 4
        values.append(float((power * weight).sum() / weight.sum()) if covered else None)
    return NoiseFingerprint(_unit_variance(values), "1/A" if pixel else "cycles/px", raw_pixel)


def _unit_variance(values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Scaled so that the mean over the plane, in the bands that are there, is 1."""
    area = EDGES[1:] ** 2 - EDGES[:-1] ** 2
    known = np.array([v is not None for v in values])
    if not known.any():
        return tuple(values)
    power = np.array([v or 0.0 for v in values])
    mean = float((power * area)[known].sum() / area[known].sum())
    return tuple(None if v is None else v / max(mean, 1e-30) for v in values)


def pool_fingerprints(parts: Sequence[NoiseFingerprint]) -> NoiseFingerprint | None:
    """The mean of several micrographs' fingerprints of one unit; None of none."""
    if not parts:
        return None
    columns = zip(*(p.power for p in parts), strict=True)
    known = [[v for v in column if v is not None] for column in columns]
    power = [float(np.mean(c)) if len(c) == len(parts) else None for c in known]
    sizes = [p.pixel_size_a for p in parts if p.pixel_size_a]
    pixel = float(np.median(sizes)) if sizes else None
    return NoiseFingerprint(_unit_variance(power), parts[0].unit, pixel, sum(p.micrographs for p in parts))


def fingerprint_distance(a: NoiseFingerprint, b: NoiseFingerprint) -> FingerprintDistance:
    """How the noise `b` differs from `a`, over the bands that both have."""
    both = [i for i, pair in enumerate(zip(a.power, b.power, strict=True)) if None not in pair]
    if a.unit != b.unit or len(both) < LEAST_BANDS:
        return FingerprintDistance(math.inf, math.inf, 0.0, math.inf, 0 if a.unit != b.unit else len(both))
    area = (EDGES[1:] ** 2 - EDGES[:-1] ** 2)[both]
    logs = []
    for one in (a, b):
        power = np.array([one.power[i] for i in both], float)
        logs.append(np.log(np.maximum(power / max((power * area).sum() / area.sum(), 1e-30), EMPTY)))
    ratio = logs[1] - logs[0]
    x = np.log(np.sqrt(EDGES[1:] * EDGES[:-1]))[both]
    x -= x.mean()
    tilt = float((x * ratio).sum() / (x * x).sum())
    rest = ratio - ratio.mean() - tilt * x
    return FingerprintDistance(
        worst=float(np.expm1(np.abs(ratio).max())),
        mean_log=float(np.abs(ratio).mean()),
        tilt=tilt,
        shape=float(rest.std()),
        bands=len(both),
    )


def noise_mismatch(model: NoiseFingerprint, micrograph: NoiseFingerprint) -> str:
    """Why the noise of a micrograph is not the noise a model was trained for, in one sentence; "" when it is."""
    trained, met = model.pixel_size_a, micrograph.pixel_size_a
    if trained and met and abs(met / trained - 1) > MOST_PIXEL_SIZE:
        return (
            f"Its pixel size is {met:.4g} Å, the training's {trained:.4g} Å: another binning or microscope, "
            "and so another noise."
        )
    distance = fingerprint_distance(model, micrograph)
    if distance.bands < LEAST_BANDS:
        return "Its noise cannot be compared with the training's: their frequencies hardly overlap."
    if distance.score <= 1:
        return ""
    if abs(distance.tilt) / MOST_TILT > distance.shape / MOST_SHAPE:
        how = "finer" if distance.tilt > 0 else "coarser"
        return f"Its noise is {how} than the training's (power differs by up to {_percent(distance.worst)})."
    return f"Its noise has another spectrum than the training's (power differs by up to {_percent(distance.worst)})."


def _percent(share: float) -> str:
    return f"{share:.0%}" if share < 10 else "more than ten times"
