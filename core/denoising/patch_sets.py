"""Backgrounds of the micrographs of one data set beside each other: is one of them not ice at all?

A micrograph that is mostly carbon looks alike nearly everywhere, so its own patches cannot tell. Its neighbours can.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core.denoising.patch_rating import Background

FEWEST = 5  # micrographs that can say what is usual in a data set
DEVIATIONS = 5.0
LEAST_LOG = 0.4  # times 1.5: defocus alone makes the background of good micrographs differ by a third


def roughness(background: Background) -> np.ndarray:
    """Logs (1 + k,) of the broad features and of the power in each band, against the noise as a whole.

    Free of the grey scale, which differs between micrographs.
    """
    spread, deviation, bands = background.centre[0], background.centre[1], background.centre[2:]
    return np.concatenate([[spread - deviation], bands / 2 - deviation])


def rough_ones(found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Micrographs whose background is far rougher than is usual here, and how many times; `found`: name -> roughness.

    Compares broad features and the lower half of the bands, where carbon and ice crystals are strong.
    """
    names = [name for name in found if np.isfinite(found[name]).all()]
    if len(names) < FEWEST:
        return {}
    values = np.stack([found[name][: 1 + (len(found[name]) - 1) // 2] for name in names])
    middle = np.median(values, axis=0)
    scale = 1.4826 * np.median(np.abs(values - middle), axis=0)
    above = values - middle
    worst = np.where(above > np.maximum(DEVIATIONS * scale, LEAST_LOG), above, 0.0).max(axis=1)
    return {name: float(np.exp(w)) for name, w in zip(names, worst, strict=True) if w > 0}
