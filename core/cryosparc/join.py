"""Joining what several datasets know about the same particles, by uid. Rows are never multiplied.

The main dataset names the rows; others only add columns it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.cryosparc.particles import Names, Particles
from core.errors import InputError


@dataclass(frozen=True)
class Joined:
    """What one file added: how many of the main rows it knows, how many rows of its own were not needed."""

    path: Path
    matched: int
    missing: int
    unused: int
    duplicates: int
    by_source: bool  # joined by the uid that a symmetry-expanded particle came from
    ignored: str = ""  # alignments that the main file's own stand in place of


def join(main: Particles, main_path: Path, other: Particles, path: Path) -> tuple[Joined, np.ndarray]:
    """Add columns of `other` to `main`, in place; returns counts and which rows (n,) of `main` found a partner.

    Rows without a partner get zeros: the caller takes them out or refuses. `InputError` when no uid is shared.
    """
    if "uid" not in main or "uid" not in other:
        lacking = main_path if "uid" not in main else path
        raise InputError(f"{lacking} has no column uid, so {path.name} cannot be joined.", "Leave it out.", lacking)
    order = np.argsort(other.numbers["uid"], kind="stable")
    known = other.numbers["uid"][order]
    duplicates = int((known[1:] == known[:-1]).sum())
    place, found = _look_up(known, main.numbers["uid"])
    by_source = False
    if not found.all() and "source_uid" in main:
        source_place, source_found = _look_up(known, main.numbers["source_uid"])
        by_source = int(source_found.sum()) > int(found.sum())
        if by_source:
            place, found = source_place, source_found
    matched = int(found.sum())
    if main.n and not matched:
        raise InputError(
            f"{path} knows none of the {main.n} particles of {main_path.name}: no uid is shared.",
            "Choose the passthrough file of the same job.",
            path,
        )
    rows = order[place] if len(order) else np.zeros(main.n, np.int64)
    ignored = other.alignment if main.alignment and other.alignment not in ("", main.alignment) else ""
    _add(main, other, rows, found)
    needed = np.zeros(other.n, bool)
    needed[place[found]] = True
    unused = other.n - int(needed.sum())
    return Joined(path, matched, main.n - matched, unused, duplicates, by_source, ignored), found


def together(parts: list[Particles]) -> Particles:
    """The rows of several files one after the other; columns that one of them lacks are left out."""
    if len(parts) == 1:
        return parts[0]
    whole = Particles(sum(part.n for part in parts), alignment=parts[0].alignment, classes=parts[0].classes)
    for name, first in parts[0].numbers.items():
        columns = [part.numbers[name] for part in parts if name in part.numbers]
        if len(columns) == len(parts) and all(column.shape[1:] == first.shape[1:] for column in columns):
            whole.numbers[name] = np.concatenate(columns)
    for name in parts[0].texts:
        names = [part.texts[name] for part in parts if name in part.texts]
        if len(names) == len(parts):
            starts = np.cumsum([0, *(len(n.values) for n in names)])
            which = [n.which + start for n, start in zip(names, starts, strict=False)]
            whole.texts[name] = Names([v for n in names for v in n.values], np.concatenate(which).astype(np.int32))
    if any(part.alignment != whole.alignment for part in parts):
        whole.alignment = ""
        whole.numbers = {k: v for k, v in whole.numbers.items() if not k.startswith("align_")}
    return whole


def _look_up(known: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (n,) in the sorted `known` of each wanted number, and whether (n,) it is there."""
    if not len(known):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return place, known[place] == wanted


def _add(main: Particles, other: Particles, rows: np.ndarray, found: np.ndarray) -> None:
    """Columns that `main` lacks; alignments only when it has none at all: a job's own result counts, whatever its kind,
    and parts of two alignments must not be mixed."""
    aligned = bool(main.alignment)
    if not aligned:
        main.alignment, main.classes = other.alignment, other.classes
    for name, values in other.numbers.items():
        if name in main.numbers or (name.startswith("align_") and aligned):
            continue
        taken = values[rows] if other.n else np.zeros((main.n, *values.shape[1:]), values.dtype)
        taken[~found] = 0
        main.numbers[name] = taken
    for name, names in other.texts.items():
        if name not in main.texts:
            values = [*names.values, ""]
            which = names.which[rows] if other.n else np.zeros(main.n, np.int32)
            main.texts[name] = Names(values, np.where(found, which, len(values) - 1).astype(np.int32))
