"""STAR tables: reading through starfile behind checks. Writing lives in star_write.py.

starfile returns an empty dict for a file that is not STAR and a dict of odd values where `loop_` is missing;
here both become an InputError that names the file. pandas stays inside this module.
"""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.errors import InputError

_TEXT = ("rlnMicrographName", "rlnMicrographCoordinates")  # 001 is a name, not the number 1

Table = dict[str, np.ndarray]  # column name without the leading underscore -> values, all of one length


def read_star(path: Path) -> dict[str, Table]:
    """All tables of a STAR file: block name (without `data_`) -> columns. Single values become length 1."""
    import starfile

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Choose a STAR file.", path)
    try:
        _check_lines(path)
        blocks = starfile.read(path, always_dict=True, parse_as_string=list(_TEXT))
    except InputError:
        raise
    except Exception as err:  # starfile raises whatever its parser trips over
        raise InputError(
            f"{path} cannot be read as STAR: {str(err).splitlines()[0] if str(err) else type(err).__name__}.",
            "Check that every row has as many values as the table has columns.",
            path,
        ) from None
    finally:
        linecache.clearcache()  # starfile reads through it, and forgets it only when nothing went wrong
    tables = {str(name): _columns(block, path) for name, block in blocks.items()}
    if not any(tables.values()):
        raise InputError(f"{path} holds no STAR table.", "Choose a STAR file with a particle table.", path)
    return tables


def _check_lines(path: Path) -> None:
    """Refuse what starfile would misread without a word: binary data, old line ends, one block name twice."""
    seen: set[bytes] = set()
    with path.open("rb") as stream:
        start = stream.read(4096)
        if b"\0" in start:
            raise InputError(f"{path} is a binary file, not a STAR file.", "Choose a STAR file.", path)
        if b"\r" in start and b"\n" not in start:
            raise InputError(f"{path} has line ends of old Macintosh systems.", "Save it with Unix line ends.", path)
        stream.seek(0)
        for line in stream:
            name = line.strip()
            if not name.startswith(b"data_"):
                continue
            if name in seen:
                shown = name.decode("utf-8", "replace")[:60]
                raise InputError(f"{path} holds two tables named {shown}.", "Keep one, or rename the other.", path)
            seen.add(name)


def _columns(block: object, path: Path) -> Table:
    if isinstance(block, Mapping):  # a block of single values, or a table whose loop_ is missing
        return {str(k): np.array([v], dtype=object) for k, v in block.items()}
    names = [str(name) for name in getattr(block, "columns", ())]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has the column _{twice} twice.", "Keep one of the two columns.", path)
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
