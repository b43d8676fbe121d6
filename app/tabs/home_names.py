"""Names of micrographs in a noise file, and the open micrographs that they mean. No Qt, no files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np


def keys_of(micrographs: Sequence[Path]) -> dict[Path, str]:
    """The name of each micrograph in a noise file: its file name, with its folder where two share a name."""
    names = [m.name for m in micrographs]
    twice = {n for n in names if names.count(n) > 1} if len(set(names)) < len(names) else set()
    return {m: f"{m.parent.name}/{m.name}" if m.name in twice else m.name for m in micrographs}


def positions_by_key(
    positions: Mapping[str, np.ndarray], micrographs: Sequence[Path], keys: Mapping[Path, str]
) -> dict[str, np.ndarray]:
    """Positions under the names of the open micrographs; those of other micrographs keep their own names."""
    from core.io.coordinates import match_names, stem_of

    matched = match_names(positions, micrographs)
    by_stem: dict[str, list[np.ndarray]] = {}
    for micrograph, xy in matched.items():
        by_stem.setdefault(stem_of(micrograph.name), []).append(xy)

    def taken(name: str, xy: np.ndarray) -> bool:
        """Did a micrograph get these rows? A name that fits several equally well is given to none."""
        return any((rows == xy[0]).all(axis=1).any() for rows in by_stem.get(stem_of(name), []) if len(rows))

    found = {keys[m]: xy for m, xy in matched.items() if len(xy)}
    return found | {n: xy for n, xy in positions.items() if len(xy) and not taken(n, xy) and n not in found}


def keys_for(names: Iterable[str], micrographs: Sequence[Path], keys: Mapping[Path, str]) -> dict[str, str]:
    """For names as a file has them: those that the open micrographs have now; others stay as they are."""
    given = list(names)
    places = {name: np.array([[float(i), 0.0]]) for i, name in enumerate(given)}
    found = dict(zip(given, given, strict=True))
    for key, xy in positions_by_key(places, micrographs, keys).items():
        found.update({given[int(i)]: key for i in xy[:, 0]})
    return found
