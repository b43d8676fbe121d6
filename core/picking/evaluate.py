"""Picks against given ones: precision, recall, F1 at a threshold, and average precision over all of them.

A pick is right when it lies within MATCH diameters of a reference position that no better pick has taken.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from core.denoising.quality import average_precision, match_peaks
from core.io.picks import Picks

MATCH = 0.5  # diameters


@dataclass
class Evaluation:
    """Counts over micrographs. Reference positions nearer to the border than picks may lie are not asked for."""

    diameter: float
    border: float
    hits: list[np.ndarray] = field(default_factory=list)
    scores: list[np.ndarray] = field(default_factory=list)
    total: int = 0
    left_out: int = 0
    micrographs: int = 0

    def add(self, found: Picks, reference: np.ndarray, shape: tuple[int, int]) -> None:
        """Take one micrograph of (height, width) `shape` with its reference positions (n, 2)."""
        height, width = shape
        x, y = np.asarray(reference, float).reshape(-1, 2).T
        inner = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y)) >= self.border
        usable = found.reason == ""
        hit = match_peaks(found.xy[usable], np.asarray(reference, float)[inner], MATCH * self.diameter)
        self.hits.append(hit)
        self.scores.append(found.score[usable])
        self.total += int(inner.sum())
        self.left_out += int((~inner).sum())
        self.micrographs += 1

    def at(self, threshold: float) -> dict[str, float | int]:
        """The figures at a threshold."""
        hits, scores = np.concatenate([np.empty(0, bool), *self.hits]), np.concatenate([np.empty(0), *self.scores])
        picked = scores >= threshold
        right = int(hits[picked].sum())
        precision = right / max(int(picked.sum()), 1)
        recall = right / max(self.total, 1)
        return {
            "precision": round(precision, 4),
            "recall": round(recall, 4),
            "f1": round(2 * precision * recall / max(precision + recall, 1e-9), 4),
            "average_precision": round(average_precision(hits, scores, self.total), 4),
            "reference_particles": self.total,
            "reference_left_out": self.left_out,
            "micrographs": self.micrographs,
            "match_radius_diameters": MATCH,
            "match_radius_px": round(MATCH * self.diameter, 2),
        }
