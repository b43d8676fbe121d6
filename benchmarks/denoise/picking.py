"""Picking with a template on a denoised micrograph: how far particles stand out, and how many faint ones are found.

The template is the rotational average of the mean projection, with the micrograph's own CTF: what a user's template
would be at best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.ndimage as ndi

from benchmarks.denoise import optics
from core.denoising.quality import match_peaks, peaks, template_scores
from core.physics.exposure import filtered

APART, WITHIN = 0.5, 0.25  # diameters: between two peaks, between a peak and its particle


def template(mean_projection: np.ndarray, pixel_size_a: float, defocus_um: float) -> np.ndarray:
    """Round, CTF'd and of zero mean (n, n), centred at n // 2."""
    n = mean_projection.shape[0]
    radius = np.rint(np.hypot(*(np.indices((n, n)) - n // 2))).astype(int)
    profile = np.bincount(radius.ravel(), mean_projection.ravel()) / np.bincount(radius.ravel())
    image = filtered(profile[radius], optics.transfer(n, pixel_size_a, defocus_um))
    image -= image.mean()
    return (image / np.linalg.norm(image)).astype(np.float32)


def scores(flat: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """Correlation with the template, in standard deviations of the image."""
    return template_scores(flat.astype(np.float32), pattern) / max(float(flat.std()), 1e-12)


def d_prime(score: np.ndarray, xy: np.ndarray, empty: np.ndarray, diameter: float) -> float:
    """Distance between the scores at particles and at 300 empty places, in their mean standard deviation.

    At each place the best score within 0.08 diameters counts. `empty` (h, w): pixels far from every particle.
    """
    best = ndi.maximum_filter(score, 2 * round(0.08 * diameter) + 1)
    at = best[xy[:, 1], xy[:, 0]]
    places = np.argwhere(empty)
    rng = np.random.default_rng(0)
    nothing = best[tuple(places[rng.choice(len(places), min(300, len(places)), replace=False)].T)]
    return float((at.mean() - nothing.mean()) / np.sqrt(max(0.5 * (at.var() + nothing.var()), 1e-30)))


@dataclass(frozen=True)
class Peaks:
    """Peaks of one micrograph, best first: score and what is there (2 particle, 1 faint particle, 0 nothing)."""

    score: np.ndarray
    kind: np.ndarray
    faint: int  # how many faint particles there are
    full: int


def find(score: np.ndarray, xy: np.ndarray, faint: np.ndarray, diameter: float) -> Peaks:
    """Peaks and what they hit."""
    margin = round(0.5 * diameter)
    found, value = peaks(score, APART * diameter, margin)
    hit = match_peaks(found, xy.astype(float), WITHIN * diameter)
    kind = np.zeros(len(found), int)
    for i in np.flatnonzero(hit):
        kind[i] = 1 if faint[np.hypot(*(xy - found[i]).T).argmin()] else 2
    return Peaks(value, kind, int(faint.sum()), int((~faint).sum()))


def false_count(raw: list[Peaks]) -> int:
    """False peaks on all raw micrographs at the threshold with the best F1 there."""
    score, kind = (np.concatenate([getattr(p, n) for p in raw]) for n in ("score", "kind"))
    order = np.argsort(-score)
    right = np.cumsum(kind[order] > 0)
    total = sum(p.faint + p.full for p in raw)
    f1 = 2 * right / (np.arange(1, len(right) + 1) + total)
    best = int(np.argmax(f1))
    return int(best + 1 - right[best])


def hit_rates(found: list[Peaks], false_peaks: int) -> tuple[float, float]:
    """Share of faint and of full particles above the threshold that lets `false_peaks` false ones through."""
    score, kind = (np.concatenate([getattr(p, n) for p in found]) for n in ("score", "kind"))
    wrong = np.sort(score[kind == 0])[::-1]
    threshold = wrong[false_peaks] if len(wrong) > false_peaks else -np.inf
    above = score > threshold
    faint, full = sum(p.faint for p in found), sum(p.full for p in found)
    rates = [float((above & (kind == k)).sum() / n) if n else float("nan") for k, n in ((1, faint), (2, full))]
    return rates[0], rates[1]
