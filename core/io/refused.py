"""Places that automatic picking refused, with the reasons: a JSON file beside the noise boxes.

noise.star -> noise.refused.json. Not STAR: nothing that reads positions shall take these for particles or noise.
x = column, y = row in pixels, as in coordinates.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.atomic import write_json
from core.io.box import is_far
from core.io.json_file import explained, read_json

VERSION = 1


@dataclass(frozen=True)
class Refused:
    """Refused places of one micrograph: centres (n, 2) x, y, and for each a short code and a sentence."""

    centres: np.ndarray
    codes: list[str]
    texts: list[str]


@dataclass(frozen=True)
class RefusedPlaces:
    """`box_size` in px; `places` by micrograph name as in the noise boxes; `labels`: what a code means, in short."""

    box_size: int
    places: dict[str, Refused]
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def positions(self) -> dict[str, np.ndarray]:
        """Centres by micrograph name, as core.io.coordinates.match_names takes them."""
        return {name: found.centres for name, found in self.places.items()}


def refused_path(noise: Path) -> Path:
    """Where the refused places that belong to a file of noise boxes are."""
    return noise.with_name(f"{noise.stem}.refused.json")


def write_refused(path: Path, places: Mapping[str, Refused], box_size: int, labels: Mapping[str, str]) -> None:
    """Write the places, atomically."""
    rows = {
        name: [
            {"x": round(float(x), 1), "y": round(float(y), 1), "code": code, "text": text}
            for (x, y), code, text in zip(found.centres, found.codes, found.texts, strict=True)
        ]
        for name, found in places.items()
    }
    write_json(path, {"version": VERSION, "box_size": box_size, "labels": dict(labels), "micrographs": rows})


def read_refused(path: Path) -> RefusedPlaces:
    """Read the places back."""
    what, hint = "refused places", "Run the automatic picking again."
    try:
        data = read_json(path, what, hint)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", hint, path) from None
    with explained(path, what, hint):
        places = {name: _one(rows) for name, rows in data["micrographs"].items()}
        labels = {code: str(label) for code, label in data.get("labels", {}).items()}
        found = RefusedPlaces(int(data["box_size"]), places, labels)
    for name, place in places.items():
        far = np.flatnonzero(is_far(place.centres))
        if far.size:
            raise InputError(f"{path}: place {far[0] + 1} of {name} lies outside of every micrograph.", hint, path)
    return found


def _one(rows: list[dict]) -> Refused:
    centres = np.array([(row["x"], row["y"]) for row in rows], np.float64).reshape(-1, 2)
    if not isinstance(rows, list) or not np.isfinite(centres).all():
        raise ValueError("a position is not finite")
    return Refused(centres, [str(row["code"]) for row in rows], [str(row["text"]) for row in rows])
