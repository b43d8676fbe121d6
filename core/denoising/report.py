"""The demo's table: every method on the same micrographs, judged by the user's picks and empty patches.

The ring template of a micrograph is the rotational average of the raw particles of the *other* micrographs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.denoising import quality


@dataclass(frozen=True)
class Sample:
    """One micrograph with its human picks and empty boxes, (n, 2) x, y."""

    path: Path
    image: np.ndarray
    particles: np.ndarray
    noise: np.ndarray


@dataclass(frozen=True)
class Row:
    """One method's line of the table. Ratios are over the spread inside particles after the same method."""

    method: str
    ring_ap: float
    noise_over_particle: float
    blank_over_particle: float
    suppression_db: float  # background, relative to raw, at equal particle spread
    cpu_seconds_per_mpx: float | None = None


Filter = Callable[[Sample, np.ndarray], np.ndarray]  # (the micrograph's picks, an image) -> denoised image


def judge(
    name: str,
    method: Filter,
    samples: list[Sample],
    diameter: float,
    box: int,
    seed: int = 0,
    step: Callable[[], None] = lambda: None,
) -> Row:
    """Run one method on every micrograph and on a blank made of its own empty patches."""
    templates = ring_templates(samples, diameter)
    hits, scores, total = [], [], 0
    noise, particle, blank = [], [], []
    for i, sample in enumerate(samples):
        step()
        flat = quality.flattened(method(sample, sample.image), diameter)
        xy, score = quality.peaks(quality.template_scores(flat, templates[i]), 0.5 * diameter, round(0.5 * diameter))
        inner = _inner(sample.particles, sample.image.shape, 0.5 * diameter)
        hits.append(quality.match_peaks(xy, inner, 0.25 * diameter))
        scores.append(score / flat.std())
        total += len(inner)
        spread = quality.spread(flat, sample.particles, sample.noise, diameter, box)
        noise.append(spread.noise)
        particle.append(spread.particle)
        raw = quality.flattened(sample.image, diameter)
        empty = quality.blank_micrograph(
            quality.crops_at(raw, sample.noise, box), sample.image.shape, sample.image, seed + i
        )
        step()
        out = quality.flattened(method(sample, empty), diameter)
        margin = round(diameter)
        blank.append(float(out[margin:-margin, margin:-margin].std()))
    ratio = np.array(noise) / np.array(particle)
    precision = quality.average_precision(np.concatenate(hits), np.concatenate(scores), total)
    return Row(name, precision, float(ratio.mean()), float((np.array(blank) / np.array(particle)).mean()), 0.0)


def ring_templates(samples: list[Sample], diameter: float) -> list[np.ndarray]:
    """For each micrograph the ring template of the others (of itself when it is alone)."""
    size = 2 * round(0.75 * diameter)
    crops = [quality.crops_at(quality.flattened(s.image, diameter), s.particles, size) for s in samples]
    templates = []
    for i in range(len(samples)):
        others = [c for j, c in enumerate(crops) if j != i] or [crops[i]]
        templates.append(quality.ring_template(np.concatenate(others), diameter))
    return templates


def _inner(xy: np.ndarray, shape: tuple[int, ...], margin: float) -> np.ndarray:
    inside = (xy >= margin).all(axis=1) & (xy[:, 0] < shape[1] - margin) & (xy[:, 1] < shape[0] - margin)
    return xy[inside]


def with_suppression(rows: list[Row]) -> list[Row]:
    """Fill in the background suppression relative to the first row (raw), in dB."""
    base = rows[0].noise_over_particle
    return [
        Row(
            r.method,
            r.ring_ap,
            r.noise_over_particle,
            r.blank_over_particle,
            float(20 * np.log10(base / max(r.noise_over_particle, 1e-9))),
            r.cpu_seconds_per_mpx,
        )
        for r in rows
    ]


def as_text(rows: list[Row]) -> str:
    """The table for a terminal."""
    lines = [f"{'method':<22}{'ring AP':>9}{'background':>12}{'blank':>9}{'suppression':>13}"]
    for r in rows:
        lines.append(
            f"{r.method:<22}{r.ring_ap:>9.3f}{r.noise_over_particle:>12.3f}{r.blank_over_particle:>9.3f}"
            f"{r.suppression_db:>10.1f} dB"
        )
    return "\n".join(lines)
