"""STAR tables: reading through starfile behind checks, and writing small tables.

starfile returns an empty dict for a file that is not STAR and a dict of odd values where `loop_` is missing;
here both become an InputError that names the file. pandas stays inside this module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.atomic import write_text

Table = dict[str, np.ndarray]  # column name without the leading underscore -> values, all of one length


def read_star(path: Path) -> dict[str, Table]:
    """All tables of a STAR file: block name (without `data_`) -> columns. Single values become length 1."""
    import starfile

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Choose a STAR file.", path)
    try:
        text_start = path.open("rb").read(4096)
        if b"\0" in text_start:
            raise InputError(f"{path} is a binary file, not a STAR file.", "Choose a STAR file.", path)
        blocks = starfile.read(path, always_dict=True)
    except InputError:
        raise
    except Exception as err:  # starfile raises whatever its parser trips over
        raise InputError(
            f"{path} cannot be read as STAR: {str(err).splitlines()[0] if str(err) else type(err).__name__}.",
            "Check that every row has as many values as the table has columns.",
            path,
        ) from None
    tables = {str(name): _columns(block) for name, block in blocks.items()}
    if not any(tables.values()):
        raise InputError(f"{path} holds no STAR table.", "Choose a STAR file with a particle table.", path)
    return tables


def _columns(block: object) -> Table:
    if isinstance(block, Mapping):  # a block of single values, or a table whose loop_ is missing
        return {str(k): np.array([v], dtype=object) for k, v in block.items()}
    return {str(name): block[name].to_numpy() for name in block.columns}  # type: ignore[attr-defined,index]


def numbers(table: Table, column: str, path: Path) -> np.ndarray:
    """A column as float64, or an InputError that names the first value that is not a finite number."""
    values = table[column]
    try:
        result = values.astype(np.float64)
    except (TypeError, ValueError):
        result = np.array([_to_float(v) for v in values])
    bad = np.flatnonzero(~np.isfinite(result))
    if bad.size:
        raise InputError(
            f"{path}: row {bad[0] + 1} has no number in _{column} ({values[bad[0]]!r}).",
            "The table may lack its loop_ line, or a row is incomplete.",
            path,
        )
    return result


def _to_float(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")


def write_star(path: Path, block: str, columns: Mapping[str, Sequence]) -> None:
    """Write one loop table, atomically. Numbers keep 6 decimals; texts must not hold spaces."""
    names = list(columns)
    lines = ["# version 30001", "", f"data_{block}", "", "loop_"]
    lines += [f"_{name} #{i}" for i, name in enumerate(names, 1)]
    for row in zip(*columns.values(), strict=True):
        lines.append(" ".join(_cell(v) for v in row))
    write_text(path, "\n".join([*lines, ""]))


def _cell(value: object) -> str:
    if isinstance(value, (float, np.floating)):
        return f"{value:.6f}"
    text = str(value)
    return f'"{text}"' if " " in text else text
