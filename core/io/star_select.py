"""Selected rows of a STAR file, all else kept as it stands: other tables, comments, column order, digits.

Works on lines, so that a file of any size passes in constant memory. Values are read in star.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.atomic import atomic_path

_TOKEN = re.compile(r'"([^"]*)"|\'([^\']*)\'|(\S+)')
_PARTICLES = ("rlnImageName", "rlnCoordinateX", "rlnMicrographName")  # a table with the first of these is meant
_STEP = 1 << 14


@dataclass(frozen=True)
class Rows:
    """The particle table of a STAR file: its block's name, columns, and how many rows it has."""

    block: str
    columns: tuple[str, ...]
    n: int


def scan(path: Path, progress: Callable[[int], None] | None = None) -> Rows:
    """Find the table of particles (or micrographs) and count its rows; `progress(rows)` may raise to stop."""
    tables: dict[str, Rows] = {}
    for block, columns, row, _ in _lines(path):
        if row >= 0:
            tables[block] = Rows(block, columns, row + 1)
            if progress is not None and row % _STEP == 0:
                progress(row)
        elif columns and block not in tables:
            tables[block] = Rows(block, columns, 0)
    for label in _PARTICLES:
        for table in tables.values():
            if label in table.columns:
                return table
    raise InputError(
        f"{path} has no table of particles.", "Choose a STAR file with _rlnImageName or _rlnCoordinateX.", path
    )


def column(path: Path, rows: Rows, label: str) -> list[str]:
    """The texts of one column of the particle table."""
    place = rows.columns.index(label)
    return [_value(line, place, path, row) for block, _, row, line in _lines(path) if block == rows.block and row >= 0]


def _value(line: str, place: int, path: Path, row: int) -> str:
    if "'" in line or '"' in line:
        values = [next(group for group in match.groups() if group is not None) for match in _TOKEN.finditer(line)]
    else:
        values = line.split(None, place + 1)
    if place >= len(values):
        raise InputError(
            f"{path}: row {row + 1} of the particles has only {len(values)} values.", "Correct the row.", path
        )
    return values[place].strip()


def write_selected(
    path: Path, rows: Rows, keep: np.ndarray, output: Path, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write `path` without the particle rows where `keep` (n,) says no, all or nothing."""
    with atomic_path(output) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        for block, _, row, line in _lines(path):
            if row >= 0 and block == rows.block:
                if progress is not None and row % _STEP == 0:
                    progress(row, rows.n)
                if not keep[row]:
                    continue
            stream.write(line)


def _lines(path: Path) -> Iterator[tuple[str, tuple[str, ...], int, str]]:
    """Every line with the table it belongs to: block name, its columns so far, row number (-1: no row), the line."""
    block, columns, row, loop, seen = "", (), -1, False, set[str]()
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            for line in stream:
                text = line.strip()
                if text.startswith("data_") and len(text.split()) == 1:
                    if text in seen:
                        raise InputError(
                            f"{path} holds two tables named {text[:60]}.", "Keep one, or rename the other.", path
                        )
                    seen.add(text)
                    block, columns, row, loop = text[5:], (), -1, False
                elif text == "loop_":
                    loop = True
                elif loop and text.startswith("_"):
                    columns = (*columns, text.split()[0][1:])
                elif loop and columns and text and not text.startswith("#"):
                    row += 1
                    yield block, columns, row, line
                    continue
                yield block, columns, -1, line
    except UnicodeDecodeError:
        packed = path.name.lower().endswith((".gz", ".bz2"))
        why = "it is compressed" if packed else "it is not text"
        raise InputError(
            f"{path} cannot be cut: {why}.", "Unpack it first." if packed else "Choose a STAR file.", path
        ) from None
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", "Choose a STAR file.", path) from None
