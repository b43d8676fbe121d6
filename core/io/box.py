"""EMAN's .box files: one line per box of one micrograph, `left top width height` and maybe a score.

Here a position is the centre: the pixel index left + width // 2, so that the box covers the pixels
centre - width // 2 ... + width, as the jobs cut it. For an even size that index lies half a pixel right of and
below the box's geometrical middle. Rows count as stored, row 0 first; corners may lie outside the micrograph.
Names of micrographs are coordinates.py's business.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io.atomic import write_text

SUFFIX = ".box"
FARTHEST = 1e7  # px: no micrograph is that large; such numbers are slips, and arithmetic fails on them
_FORMAT = "A box file has lines of: left top width height [score]."


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes of one micrograph: `centres` (n, 2) x, y px; `sizes` (n, 2) width, height px; `scores` (n,) or None."""

    centres: np.ndarray
    sizes: np.ndarray
    scores: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.centres)


def read_box(path: Path) -> Boxes:
    """The boxes of one file (EMAN, crYOLO, Topaz, ...); an empty file is a micrograph without boxes."""
    path = Path(path)
    rows: list[list[float]] = []
    for number, line in enumerate(_lines(path), 1):
        parts = line.split()
        if not parts or parts[0].startswith("#"):
            continue
        row = _numbers(parts)
        if row is None:
            raise _bad_line(path, number, f"'{line.strip()[:60]}' is not four or five numbers")
        if row[2] <= 0 or row[3] <= 0:
            raise _bad_line(path, number, f"a box of {parts[2]} x {parts[3]} px is impossible")
        if max(map(abs, row[:4])) > FARTHEST:
            raise _bad_line(path, number, f"a box at {parts[0]}, {parts[1]} px lies outside of every micrograph")
        if rows and len(row) != len(rows[0]):
            raise _bad_line(path, number, f"{len(row)} numbers follow lines of {len(rows[0])}")
        rows.append(row)
    table = np.array(rows, np.float64).reshape(len(rows), len(rows[0]) if rows else 4)
    corners, sizes = table[:, :2], table[:, 2:4]
    return Boxes(corners + _half(sizes), sizes, table[:, 4] if table.shape[1] == 5 else None)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", _FORMAT, path) from None
    except OSError as err:
        missing = isinstance(err, FileNotFoundError)
        why = "does not exist" if missing else f"cannot be read: {err.strerror}"
        raise InputError(f"{path} {why}.", "Choose a .box file.", path) from None


def is_far(xy: np.ndarray) -> np.ndarray:
    """For positions (n, 2) in px: which of them (n,) cannot be on any micrograph."""
    return np.asarray(np.abs(xy).max(axis=1, initial=0.0) > FARTHEST)


def _numbers(parts: list[str]) -> list[float] | None:
    """Four or five finite numbers, or None."""
    try:
        row = [float(part) for part in parts]
    except ValueError:
        return None
    return row if len(row) in (4, 5) and all(map(math.isfinite, row)) else None


def _bad_line(path: Path, number: int, what: str) -> InputError:
    return InputError(f"{path}, line {number}: {what}.", _FORMAT, path)


def _half(sizes: np.ndarray) -> np.ndarray:
    """From the corner to the centre; sizes with a fraction (scaled by some programs) have their true half."""
    return np.where(sizes == np.floor(sizes), sizes // 2, sizes / 2)


def write_box(path: Path, boxes: Boxes) -> None:
    """Write one micrograph's boxes, atomically. Numbers are written so that they read back exactly."""
    corners = boxes.centres - _half(boxes.sizes)
    columns = np.column_stack([corners, boxes.sizes] + ([] if boxes.scores is None else [boxes.scores]))
    write_text(path, "".join("\t".join(map(_text, row)) + "\n" for row in columns.tolist()))


def _text(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def square(centres: np.ndarray, size: int) -> Boxes:
    """Square boxes of side `size` px with their corners on whole pixels: what every program that reads .box takes."""
    centres = np.rint(np.asarray(centres, np.float64).reshape(-1, 2))
    return Boxes(centres, np.full_like(centres, size))


def read_boxes(path: Path) -> dict[str, Boxes]:
    """A .box file, or every .box file of a folder (not of its subfolders): file name without .box -> boxes."""
    path = Path(path)
    if not path.is_dir():
        return {stem(path): read_box(path)}
    files = sorted(box_files(path))
    if not files:
        raise InputError(f"The folder {path} holds no .box file.", "Choose one with a file per micrograph.", path)
    return {stem(file): read_box(file) for file in files}


def box_files(folder: Path) -> list[Path]:
    """The .box files of a folder."""
    try:
        return [f for f in folder.iterdir() if is_box(f) and not f.name.startswith(".") and f.is_file()]
    except OSError as err:
        raise InputError(f"The folder {folder} cannot be read: {err.strerror}.", "Check it.", folder) from None


def is_box(path: Path) -> bool:
    """Whether a file name says EMAN boxes."""
    return path.suffix.lower() == SUFFIX


def stem(path: Path) -> str:
    """A file name without .box; other dots belong to the name."""
    return path.name[: -len(SUFFIX)] if is_box(path) else path.name


def write_boxes(folder: Path, boxes: Mapping[str, Boxes]) -> list[Path]:
    """One file `<name>.box` per entry in `folder`; names must differ without regard to case. Returns the files."""
    taken: dict[str, str] = {}
    for name in boxes:
        if name in ("", ".", "..") or set(name) & set('/\\:*?"<>|\0\r\n'):
            raise InputError(f"{name!r} cannot be the name of a .box file.", "Write a .star file instead.")
        other = taken.setdefault(name.casefold(), name)
        if other != name:
            raise InputError(
                f"{other} and {name} would share one .box file in {folder}.", "Write a .star file instead.", folder
            )
    files = [folder / f"{name}{SUFFIX}" for name in boxes]
    for file, content in zip(files, boxes.values(), strict=True):
        write_box(file, content)
    return files
