"""What a user marked on micrographs beside noise boxes: excluded areas, and "there is no noise here".

A JSON file beside the noise boxes (noise_boxes.star -> noise_boxes.marks.json), so that the STAR file stays one
plain table for other programs. x = column, y = row in pixels, as in coordinates.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.atomic import remove, write_json
from core.io.box import is_far
from core.io.coordinates import match_names
from core.io.json_file import explained, read_json, texts


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
    what, hint = "marks of micrographs", "Move it away to start without excluded areas."
    try:
        data = read_json(path, what, hint)
    except FileNotFoundError:
        return Marks()
    with explained(path, what, hint):
        excluded = {name: [_polygon(corners) for corners in polygons] for name, polygons in data["excluded"].items()}
        empty = frozenset(texts(data["empty"]))
    polygons = [polygon for several in excluded.values() for polygon in several]
    if any(len(p) < 3 or not np.isfinite(p).all() for p in polygons):
        raise InputError(f"{path} holds an area with fewer than three corners.", "Move the file away.", path)
    name = next((n for n, several in excluded.items() if any(is_far(p).any() for p in several)), None)
    if name is not None:
        raise InputError(f"{path}: an area of {name} lies outside of every micrograph.", "Move the file away.", path)
    return Marks(excluded, empty)


def marks_by_micrograph(
    path: Path | None, micrographs: Sequence[Path]
) -> tuple[dict[Path, list[np.ndarray]], set[Path]]:
    """Excluded polygons of each micrograph, and the micrographs ticked as holding no noise; none without a file."""
    if path is None:
        return {}, set()
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Choose the .marks.json beside the noise boxes.")
    marks = read_marks(path)
    listed = list(dict.fromkeys([*marks.excluded, *marks.empty]))
    places = {name: np.array([[i, 0.0]]) for i, name in enumerate(listed)}
    areas: dict[Path, list[np.ndarray]] = {}
    ticked = set()
    for micrograph, rows in match_names(places, micrographs).items():
        for name in (listed[int(i)] for i in rows[:, 0]):
            areas.setdefault(micrograph, []).extend(marks.excluded.get(name, []))
            if name in marks.empty:
                ticked.add(micrograph)
    return areas, ticked


def _polygon(corners: list) -> np.ndarray:
    polygon = np.array(corners, dtype=np.float64)
    return polygon if polygon.ndim == 2 and polygon.shape[1] == 2 else polygon.reshape(0, 2)


def write_marks(path: Path, excluded: Mapping[str, Iterable[np.ndarray]], empty: Iterable[str]) -> None:
    """Write the marks, atomically; without any, an old file is removed."""
    areas = {name: [np.round(p, 2).tolist() for p in polygons] for name, polygons in sorted(excluded.items())}
    areas = {name: polygons for name, polygons in areas.items() if polygons}
    ticked = sorted(empty)
    if areas or ticked:
        write_json(path, {"version": 1, "excluded": areas, "empty": ticked})
    else:
        remove(path)
