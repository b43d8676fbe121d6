"""The user's own picking threshold on a denoised micrograph, and what a template matcher would pick above it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.denoising.quality import match_peaks, peaks, template_scores
from core.denoising.trust_scene import Scene, Template

WITHIN = 0.25  # diameters: so near to a place a peak counts as found
APART = 0.5  # diameters between two peaks
SILENT = 1e-5  # of the raw deviation: what varies less is nothing, and rounding errors are no peaks


@dataclass(frozen=True)
class Threshold:
    """The score (grey values) above which a peak is picked; None where no score means anything."""

    score: float | None
    f1: float | None  # of the user's picks at this threshold; None where the rule is another
    rule: str


def silent(flat: np.ndarray, scene: Scene) -> bool:
    """Whether an output holds nothing but rounding errors."""
    return not float(flat.std()) > SILENT * scene.sigma


def scores_of(flat: np.ndarray, template: Template) -> np.ndarray:
    """Template scores (h, w) of a flattened image."""
    return template_scores(flat, template.matched)


def find_peaks(flat: np.ndarray, scene: Scene, template: Template) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 2) x, y and scores (n,) of the peaks, best first, a diameter away from the border."""
    if silent(flat, scene) or min(flat.shape) <= 2 * scene.diameter:
        return np.empty((0, 2)), np.empty(0)
    return peaks(scores_of(flat, template), APART * scene.diameter, round(0.5 * scene.diameter))


def best_f1(hits: np.ndarray, scores: np.ndarray, total: int) -> tuple[float | None, float]:
    """The threshold with the best F1 for detections sorted best first, and that F1."""
    if not len(hits) or not total:
        return None, 0.0
    right = np.cumsum(hits)
    f1 = 2 * right / (np.arange(1, len(hits) + 1) + total)
    best = int(np.argmax(f1))
    return (float(scores[best]), float(f1[best])) if right[best] else (None, 0.0)


def threshold_on_picks(flat: np.ndarray, scene: Scene, template: Template) -> Threshold:
    """Where picking this micrograph by template agrees best with the user's picks."""
    xy, score = find_peaks(flat, scene, template)
    margin = 0.5 * scene.diameter
    truth = scene.particles
    inner = (truth >= margin).all(axis=1) & (truth[:, 0] < flat.shape[1] - margin)
    truth = truth[inner & (truth[:, 1] < flat.shape[0] - margin)]
    hits = match_peaks(xy, truth, WITHIN * scene.diameter)
    found, f1 = best_f1(hits, score, len(truth))
    return Threshold(found, f1, "best F1 against the picks")


def threshold_on_injected(responses: np.ndarray) -> Threshold:
    """Without picks: half the mean response (n,) to the templates that were added at full contrast."""
    mean = float(responses.mean()) if len(responses) else 0.0
    return Threshold(mean / 2 if mean > 0 else None, None, "half the response to an added disc")


def best_near(scores: np.ndarray, xy: np.ndarray, diameter: float) -> np.ndarray:
    """The highest score (n,) within WITHIN diameters of each place."""
    reach = max(1, int(WITHIN * diameter))
    out = []
    for x, y in np.rint(xy).astype(int):
        out.append(scores[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].max())
    return np.array(out, float)
