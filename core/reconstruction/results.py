"""Reading back what a reconstruction left in its folder (outputs.py): maps, curves, numbers. Loads no torch.

A map that a learned prior took part in carries LEARNED as its provenance wherever it is shown, and DATA_ONLY above it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.io.json_file import explained, read_json
from core.reconstruction import outputs
from core.volumes.reading import look_at, read_map
from core.volumes.volume import Volume, VolumeSet

LEARNED = "posterior mean: images + learned prior"
DATA_ONLY = "Resolution is that of the half maps from images alone."
CURVES = ("corrected", "unmasked", "masked", "randomised")
HALF, SPREAD = "from images alone", "spread of the samples"
_AGAIN = "Run the reconstruction again."


@dataclass(frozen=True, eq=False)
class Outcome:
    """`curves`: FSC of the half maps by name, shells 0 ... Nyquist; `weight` (3, L, L): sections through the origin of
    Fourier space, share of the data 0 ... 1, across z, y and x; `facts`: result.json."""

    folder: Path
    volumes: VolumeSet
    curves: dict[str, np.ndarray]
    pixel_size_a: float
    weight: np.ndarray | None
    facts: Mapping[str, Any]


def provenance(method: str) -> str:
    """What must stay written on a map of this method."""
    return LEARNED if method == "dps" else ""


def read_outcome(folder: Path, cancelled: Callable[[], bool] | None = None) -> Outcome:
    """Everything of a finished reconstruction. `InputError` when it is not there or damaged; `Cancelled` by
    `cancelled()`. Large maps come as means of 2 x 2 x 2 voxels, and say so."""
    facts = outputs.made_with(folder)
    path = folder / outputs.MAP
    if not facts or not path.is_file():
        raise InputError(f"The maps of this reconstruction are not in {folder} any more.", _AGAIN, folder)
    halved = look_at(path).large

    def read(name: str, kind: str, words: str) -> Volume:
        return replace(read_map(folder / name, halved, None, cancelled, kind), provenance=words)

    words = provenance(str(facts.get("method", "")))
    main = read(outputs.MAP, "map", words)
    found = [replace(main, notes=(*main.notes, DATA_ONLY)) if words else main]
    for name, kind, words in (
        (outputs.HALF1, "half1", HALF),
        (outputs.HALF2, "half2", HALF),
        (outputs.STD, "std", SPREAD),
    ):
        if (folder / name).is_file():
            found.append(read(name, kind, words))
    curves, pixel = _curves(folder / outputs.FSC)
    return Outcome(folder, VolumeSet(tuple(found)), curves, pixel, _weight(folder, halved, cancelled), facts)


def _curves(path: Path) -> tuple[dict[str, np.ndarray], float]:
    """FSC by name, and the pixel size that their last shell speaks of."""
    what = "the FSC of a reconstruction"
    try:
        values = read_json(path, what, _AGAIN)
        with explained(path, what, _AGAIN):
            nyquist = float(values["frequency"][-1])
            curves = {name: np.asarray(values[name], float) for name in CURVES}
            if not nyquist > 0 or any(len(c) != len(values["frequency"]) for c in curves.values()):
                raise ValueError("curves of different lengths")
    except FileNotFoundError:
        raise InputError(f"{path} is not there.", _AGAIN, path) from None
    return curves, 1 / (2 * nyquist)


def _weight(folder: Path, halved: bool, cancelled: Callable[[], bool] | None) -> np.ndarray | None:
    path = folder / outputs.WEIGHT
    if not path.is_file():
        return None
    values = read_map(path, halved, None, cancelled, "weight").values
    middle = len(values) // 2
    return np.stack([values[middle], values[:, middle], values[:, :, middle]])
