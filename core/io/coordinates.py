"""Positions on micrographs: particles from STAR, noise boxes from and to CryoDDM's text format or STAR.

x = column, y = row of the array as stored, row 0 first, in pixels of the micrograph; a position is a centre.
No inversion of Y happens here: a file whose Y runs upwards must be converted first (cs2star's explicit choice).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from core.errors import InputError
from core.io.atomic import write_text
from core.io.star import Table, numbers, read_star, write_star

Positions = dict[str, np.ndarray]  # micrograph name as in the file -> (n, 2) float64, columns x, y

_UID = re.compile(r"^\d{10,}_")  # CryoSPARC puts a number of about 21 digits before the name
_SUFFIXES = (".gz", ".bz2", ".mrc", ".mrcs", ".tif", ".tiff", ".star", ".txt")


@dataclass(frozen=True)
class NoiseBoxes:
    """Centres of empty boxes by micrograph name; `box_size` in px, None when the file does not say it."""

    positions: Positions
    box_size: int | None = None

    @property
    def count(self) -> int:
        """Number of boxes."""
        return sum(len(p) for p in self.positions.values())


def read_particles(path: Path) -> Positions:
    """Particle centres of a STAR file (RELION 3.0 to 5, with or without optics table), by column name.

    Also reads a list of per-micrograph files (rlnMicrographCoordinates) and a per-micrograph file without
    micrograph names, whose positions go under the file's own stem.
    """
    path = Path(path)
    tables = read_star(path)
    for table in tables.values():
        if "rlnCoordinateX" in table and "rlnCoordinateY" in table:
            return _by_micrograph(table, path)
    for table in tables.values():
        if "rlnMicrographCoordinates" in table and "rlnMicrographName" in table:
            return _read_listed(table, path)
    raise InputError(
        f"{path} has no table with _rlnCoordinateX and _rlnCoordinateY.",
        "Choose the STAR file of a picking or extraction job.",
        path,
    )


def _by_micrograph(table: Table, path: Path) -> Positions:
    xy = np.stack([numbers(table, "rlnCoordinateX", path), numbers(table, "rlnCoordinateY", path)], axis=1)
    if "rlnMicrographName" not in table:
        return {path.name: xy}
    names = table["rlnMicrographName"].astype(str)
    return {str(name): xy[names == name] for name in dict.fromkeys(names)}


def _read_listed(table: Table, path: Path) -> Positions:
    found: Positions = {}
    for name, listed in zip(table["rlnMicrographName"], table["rlnMicrographCoordinates"], strict=True):
        places = [parent / str(listed) for parent in path.resolve().parents]
        file = next((p for p in places if p.is_file()), None)
        if file is not None:
            found[str(name)] = np.concatenate(list(read_particles(file).values()))
    if not found:
        raise InputError(
            f"{path} lists coordinate files, but none of them was found.",
            "Keep the STAR file inside its RELION project folder.",
            path,
        )
    return found


def stem_of(name: str) -> str:
    """The part of a micrograph's name that identifies it: no folder, no uid prefix, no suffixes."""
    base = _UID.sub("", PurePosixPath(name.replace("\\", "/")).name)
    while True:
        shorter = next((base[: -len(s)] for s in _SUFFIXES if base.lower().endswith(s)), base)
        if shorter == base:
            return base
        base = shorter


def match_names(positions: Mapping[str, np.ndarray], micrographs: Sequence[Path]) -> dict[Path, np.ndarray]:
    """Positions for each micrograph file; names match by path, then without folder, uid and suffix.

    Micrographs without positions get an empty (0, 2) array. Two files with one stem are told apart by folder.
    """
    by_stem: dict[str, list[str]] = {}
    for name in positions:
        by_stem.setdefault(stem_of(name), []).append(name)
    matched = {}
    for file in micrographs:
        names = by_stem.get(stem_of(file.name), [])
        if not names:  # RELION's per-micrograph files: <stem>_manualpick.star, <stem>_autopick.star
            stem = stem_of(file.name)
            names = [n for s, ns in by_stem.items() if re.fullmatch(re.escape(stem) + r"_\w*pick", s) for n in ns]
        if len(names) > 1:
            tail = [n for n in names if file.as_posix().endswith(n.replace("\\", "/").lstrip("./"))]
            names = tail or names
        found = [positions[n] for n in names]
        matched[file] = np.concatenate(found) if found else np.empty((0, 2))
    return matched


def no_match_error(path: Path, positions: Mapping[str, np.ndarray], micrographs: Sequence[Path]) -> InputError:
    """The sentence for "no name fits", with examples from both sides."""
    there = ", ".join(list(positions)[:2]) or "nothing"
    here = ", ".join(m.name for m in list(micrographs)[:2])
    return InputError(
        f"No micrograph name in {path} fits the micrographs (it has {there}; the micrographs are {here}).",
        "Choose the micrographs that these positions were picked on.",
        path,
    )


def read_noise_boxes(path: Path) -> NoiseBoxes:
    """Read noise boxes: `name x y` lines (.txt) or a STAR table with an optional box-size column."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Pick noise on Home first, or choose its file.", path)
    if path.suffix.lower() == ".star":
        table = next((t for t in read_star(path).values() if "rlnCoordinateX" in t), None)
        size = None
        if table is not None and "vitreousBoxSize" in table:
            size = int(numbers(table, "vitreousBoxSize", path)[0])
        return NoiseBoxes(read_particles(path), size)
    return NoiseBoxes(_read_text(path))


def _read_text(path: Path) -> Positions:
    found: dict[str, list[tuple[float, float]]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", "Noise boxes are lines of: name x y.", path) from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = line.rsplit(maxsplit=2)
        try:
            name, x, y = parts[0], float(parts[1]), float(parts[2])
        except (IndexError, ValueError):
            raise InputError(
                f"{path}, line {number}: '{line.strip()[:60]}' is not 'name x y'.",
                "Each line needs a micrograph name and two numbers.",
                path,
            ) from None
        found.setdefault(name, []).append((x, y))
    if not found:
        raise InputError(f"{path} holds no noise boxes.", "Pick some on Home, or run pick-noise.", path)
    return {name: np.array(xy, dtype=np.float64) for name, xy in found.items()}


def write_noise_boxes(path: Path, positions: Mapping[str, np.ndarray], box_size: int) -> None:
    """Write noise boxes, atomically: STAR when the name ends in .star, otherwise CryoDDM's `name x y` lines.

    Text holds whole pixels (its format's convention) and no box size.
    """
    rows = [(name, float(x), float(y)) for name, xy in positions.items() for x, y in xy]
    if path.suffix.lower() == ".star":
        columns = {
            "rlnMicrographName": [r[0] for r in rows],
            "rlnCoordinateX": [r[1] for r in rows],
            "rlnCoordinateY": [r[2] for r in rows],
            "vitreousBoxSize": [int(box_size)] * len(rows),
        }
        write_star(path, "noise_boxes", columns)
    else:
        write_text(path, "".join(f"{n} {round(x)} {round(y)}\n" for n, x, y in rows))
