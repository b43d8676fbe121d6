"""How well a map agrees with the truth of a simulation: correlations of voxels. Shells are core/metrics/fsc.py."""

from __future__ import annotations

import numpy as np


def centred_correlation(first: np.ndarray, second: np.ndarray, mask: np.ndarray) -> float:
    """Pearson's correlation of two maps (L, L, L) with weights `mask` (L, L, L), means within it taken off."""
    weight = mask.astype(np.float64)
    total = max(float(weight.sum()), 1e-30)
    one, two = (v.astype(np.float64) - float((weight * v).sum()) / total for v in (first, second))
    return _cosine(one, two, weight)


def uncentred_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """The cosine of two maps over the whole box, as EquiCryo reports it: means stay, so two positive maps agree more
    than their shapes do."""
    return _cosine(first.astype(np.float64), second.astype(np.float64), 1.0)


def _cosine(one: np.ndarray, two: np.ndarray, weight: np.ndarray | float) -> float:
    size = np.sqrt(float((weight * one**2).sum()) * float((weight * two**2).sum()))
    return float((weight * one * two).sum() / size) if size > 0 else 0.0
