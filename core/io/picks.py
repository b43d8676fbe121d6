"""Picked particles: a RELION STAR file, and beside it all candidates with their scores, also those not picked.

x = column, y = row in pixels of the raw micrograph; a position is a centre. `picks.star` -> `picks.candidates.star`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.star import numbers, read_star
from core.io.star_write import write_star_tables

USABLE = "usable"  # in the column of reasons: nothing speaks against this candidate
ALL = "all candidates, also those not picked"  # a comment of the file of candidates
_REASON = "vitreousLeftOut"
_NUMBERS = ("rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit", "rlnMicrographPixelSize")


@dataclass(frozen=True)
class Picks:
    """Candidates of one micrograph: `xy` (n, 2), `score` (n,) in sigmas, `reason` (n,) "" or why it is left out."""

    xy: np.ndarray
    score: np.ndarray
    reason: np.ndarray

    def chosen(self, threshold: float) -> np.ndarray:
        """Bool (n,): not left out and not below the threshold."""
        return (self.reason == "") & (self.score >= threshold)


def candidates_path(picks: Path) -> Path:
    """Where the candidates that belong to a file of picks are."""
    return picks.with_name(f"{picks.stem}.candidates.star")


def write_picks(
    path: Path,
    found: Mapping[str, Picks],
    threshold: float,
    pixel_sizes_a: Mapping[str, float | None],
    comments: Sequence[str] = (),
) -> int:
    """Write the candidates from `threshold` on as RELION particles, atomically; returns how many there are.

    With an optics table when every micrograph tells its pixel size, one group for each size.
    """
    names: list[str] = []
    rows: list[np.ndarray] = []
    for name, picks in found.items():
        chosen = picks.chosen(threshold)
        names += [name] * int(chosen.sum())
        rows.append(np.column_stack([picks.xy[chosen], picks.score[chosen]]))
    table = np.concatenate([np.empty((0, 3)), *rows])
    columns: dict[str, Sequence] = {
        "rlnMicrographName": names,
        "rlnCoordinateX": table[:, 0].tolist(),
        "rlnCoordinateY": table[:, 1].tolist(),
        "rlnAutopickFigureOfMerit": table[:, 2].tolist(),
    }
    sizes = {name: pixel_sizes_a.get(name) for name in found}
    tables: dict[str, Mapping[str, Sequence]] = {}
    known = [float(size) for size in sizes.values() if size]
    if known and len(known) == len(sizes):
        groups = {size: number for number, size in enumerate(sorted({round(k, 6) for k in known}), 1)}
        tables["optics"] = {
            "rlnOpticsGroupName": [f"opticsGroup{number}" for number in groups.values()],
            "rlnOpticsGroup": list(groups.values()),
            "rlnMicrographPixelSize": list(groups),
        }
        columns["rlnOpticsGroup"] = [groups[round(float(sizes[name] or 0.0), 6)] for name in names]
    tables["particles"] = columns
    write_star_tables(path, tables, comments)
    return len(names)


def write_candidates(
    path: Path, found: Mapping[str, Picks], pixel_sizes_a: Mapping[str, float | None], comments: Sequence[str] = ()
) -> None:
    """Write all candidates, also those left out, with the reason; atomically. An unknown pixel size is 0."""
    names: list[str] = []
    table: list[list[float]] = []
    reasons: list[str] = []
    for name, picks in found.items():
        names += [name] * len(picks.xy)
        size = np.full(len(picks.xy), pixel_sizes_a.get(name) or 0.0)
        table += np.column_stack([picks.xy, picks.score, size]).tolist()
        reasons += [str(r) or USABLE for r in picks.reason]
    columns: dict[str, Sequence] = {"rlnMicrographName": names}
    columns |= {name: [row[i] for row in table] for i, name in enumerate(_NUMBERS)}
    write_star_tables(path, {"candidates": columns | {_REASON: reasons}}, comments)


def save_chosen(candidates: Path, output: Path, threshold: float) -> int:
    """Write the candidates of a file from another threshold on as picks; returns how many there are.

    What the file says about the search is kept in the comments.
    """
    head = candidates.read_text(encoding="utf-8").split("\ndata_", 1)[0].splitlines()
    told = [line[2:] for line in head if line.startswith("# ") and line not in ("# version 30001", f"# {ALL}")]
    told = [re.sub(r"; threshold .*", f"; threshold {threshold:.2f} sigmas, as chosen", line) for line in told]
    return write_picks(output, read_candidates(candidates), threshold, _pixel_sizes(candidates), told)


def _pixel_sizes(path: Path) -> dict[str, float | None]:
    table = read_star(path)["candidates"]
    sizes = numbers(table, _NUMBERS[3], path)
    return {str(n): float(s) or None for n, s in zip(table["rlnMicrographName"], sizes, strict=True)}


def read_candidates(path: Path) -> dict[str, Picks]:
    """Candidates by micrograph name, as `write_candidates` wrote them."""
    table = read_star(path).get("candidates")
    needed = ("rlnMicrographName", *_NUMBERS, _REASON)
    missing = next((name for name in needed if table is None or name not in table), None)
    if missing is not None or table is None:
        raise InputError(f"{path} holds no candidates: _{missing} is missing.", "Run pick-particles again.", path)
    names = table["rlnMicrographName"].astype(str)
    x, y, score = (numbers(table, column, path) for column in needed[1:4])
    reason = np.where(table[_REASON].astype(str) == USABLE, "", table[_REASON].astype(str))
    order = np.argsort(names, kind="stable")
    listed, first = np.unique(names[order], return_index=True)
    parts = zip(listed, np.split(order, first[1:]), strict=True) if len(names) else ()
    return {str(n): Picks(np.stack([x[rows], y[rows]], axis=1), score[rows], reason[rows]) for n, rows in parts}
