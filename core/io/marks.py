"""What a user marked on micrographs beside noise boxes: excluded areas, and "there is no noise here".

A JSON file beside the noise boxes (noise_boxes.star -> noise_boxes.marks.json), so that the STAR file stays one
plain table for other programs. x = column, y = row in pixels, as in coordinates.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.atomic import write_json


@dataclass(frozen=True)
class Marks:
    """`excluded`: polygons (m, 2) by micrograph name; `empty`: micrographs without noise on purpose."""

    excluded: dict[str, list[np.ndarray]] = field(default_factory=dict)
    empty: frozenset[str] = frozenset()


def marks_path(noise: Path) -> Path:
    """Where the marks that belong to a file of noise boxes are."""
    return noise.with_name(f"{noise.stem}.marks.json")


def read_marks(path: Path) -> Marks:
    """Read the marks; none when there is no such file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        excluded = {
            str(name): [np.array(polygon, dtype=np.float64).reshape(-1, 2) for polygon in polygons]
            for name, polygons in data["excluded"].items()
        }
        empty = frozenset(str(name) for name in data["empty"])
    except FileNotFoundError:
        return Marks()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as err:
        raise InputError(
            f"{path} cannot be read as marks of micrographs ({type(err).__name__}).",
            "Move it away to start without excluded areas.",
            path,
        ) from None
    if any(len(p) < 3 or not np.isfinite(p).all() for polygons in excluded.values() for p in polygons):
        raise InputError(f"{path} holds an area with fewer than three corners.", "Move the file away.", path)
    return Marks(excluded, empty)


def write_marks(path: Path, excluded: Mapping[str, Iterable[np.ndarray]], empty: Iterable[str]) -> None:
    """Write the marks, atomically; without any, an old file is removed."""
    areas = {name: [np.round(p, 2).tolist() for p in polygons] for name, polygons in sorted(excluded.items())}
    areas = {name: polygons for name, polygons in areas.items() if polygons}
    ticked = sorted(empty)
    if areas or ticked:
        write_json(path, {"version": 1, "excluded": areas, "empty": ticked})
    else:
        path.unlink(missing_ok=True)
