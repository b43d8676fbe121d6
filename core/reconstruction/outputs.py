"""What a reconstruction leaves behind: maps with their labels, curves and numbers. Nothing here computes a map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.io.atomic import write_json
from core.io.mrc import write_mrc

if TYPE_CHECKING:
    from core.metrics.fsc import HalfMapFsc

SHARPENED = "map_sharpened.mrc"
MAP, HALF1, HALF2, STD, WEIGHT, MASK = "map.mrc", "half1.mrc", "half2.mrc", "std.mrc", "weight.mrc", "mask.mrc"
SAMPLES, FSC, STATISTICS, RESULT = "samples", "fsc.json", "statistics.npz", "result.json"
LABELS = {
    "backproject": "map from images only: weighted backprojection",
    "wiener": "map from images: Wiener filter",
    "positive": "map from images: positive density",
    "dps": "POSTERIOR MEAN: images + LEARNED PRIOR, resolution not from this map",
}


def write_map(folder: Path, name: str, volume: np.ndarray, pixel_size_a: float, label: str) -> Path:
    """Write one map (L, L, L) as MRC with its label."""
    path = folder / name
    write_mrc(path, np.ascontiguousarray(volume, np.float32), pixel_size_a, label=label, volume=True)
    return path


def write_fsc(folder: Path, fsc: HalfMapFsc) -> Path:
    """Write the curves of the half maps (data only), over spatial frequency in 1/Å."""
    count = fsc.box // 2 + 1
    curves = {
        "frequency": (np.arange(count) / (fsc.box * fsc.pixel_size_a)).tolist(),
        "unmasked": fsc.unmasked.tolist(),
        "masked": fsc.masked.tolist(),
        "randomised": fsc.randomised.tolist(),
        "corrected": fsc.reported.tolist(),
        "coverage": fsc.coverage.tolist(),
    }
    write_json(folder / FSC, {"of": "half maps from images only", "unit": "1/angstrom", **curves})
    return folder / FSC


def made_with(folder: Path) -> Mapping[str, Any]:
    """Facts of an earlier reconstruction in this folder; empty when there is none or it cannot be read."""
    try:
        facts = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
