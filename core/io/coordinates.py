"""Positions on micrographs: particles and noise boxes from and to STAR, CryoDDM's text format and EMAN's .box.

x = column, y = row of the array as stored, row 0 first, in pixels of the micrograph; a position is a centre.
No inversion of Y happens here: a file whose Y runs upwards must be converted first (cs2star's explicit choice).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from core.errors import InputError
from core.io import box
from core.io.atomic import write_text
from core.io.particles_star import refuse_tomography
from core.io.star import Table, as_numbers, is_star, missing_column, numbers, read_star
from core.io.star_paths import resolve
from core.io.star_scan import Cancelled, Progress
from core.io.star_write import write_star

Positions = dict[str, np.ndarray]  # micrograph name as in the file -> (n, 2) float64, columns x, y

_UID = re.compile(r"^(?:\d{18,22}_)+")  # CryoSPARC's number before the name; a time stamp has at most 17 digits
# Files of one micrograph: <stem>_manualpick.star (RELION), <stem>_automatch.star or .box (Gautomatch)
_PICKS = re.compile(r"_([a-z]*pick|automatch)$", re.IGNORECASE)
BOX_SIZES = (16, 2048)  # px, what a noise box may be
_XY = ("rlnCoordinateX", "rlnCoordinateY")
_LISTED = ("rlnMicrographName", "rlnMicrographCoordinates")
_COLUMNS = frozenset({*_XY, *_LISTED, "vitreousBoxSize"})
_SUFFIXES = (".eer", ".gz", ".bz2", ".mrc", ".mrcs", ".tif", ".tiff", ".star", ".txt", ".box")


@dataclass(frozen=True)
class NoiseBoxes:
    """Centres of empty boxes by micrograph name; `box_size` in px, None when the file does not say it."""

    positions: Positions
    box_size: int | None = None

    @property
    def count(self) -> int:
        """Number of boxes."""
        return sum(len(p) for p in self.positions.values())


class BadRowsError(InputError):
    """Rows without a usable position: reading again with `skip_bad_rows` leaves them out."""


@dataclass(frozen=True)
class Reading:
    """How positions are read: what happens to rows without a position, and who hears of it and of the progress.

    `told(sentence)` is called when rows were skipped; `progress` and `cancelled` as in read_star.
    """

    skip_bad_rows: bool = False
    told: Callable[[str], None] | None = None
    progress: Progress | None = None
    cancelled: Cancelled | None = None


def read_particles(path: Path, how: Reading = Reading()) -> Positions:
    """Particle centres of a STAR file (RELION 3.0 to 5, with or without optics table), by column name.

    Also reads a list of per-micrograph files (rlnMicrographCoordinates), a per-micrograph file without
    micrograph names (STAR, .box), whose positions go under the file's own name, and a folder of .box files.
    Raises BadRowsError at text, nan or inf where a position should be, unless such rows are skipped.
    """
    path = Path(path)
    found = _read_positions(path, how)
    if not any(len(xy) for xy in found.values()):
        what = "folder has only empty files" if path.is_dir() else "file is empty" if box.is_box(path) else ""
        raise InputError(
            f"{path} holds no positions: {f'the {what}' if what else 'its table has no rows'}.",
            "Choose another file of positions.",
            path,
        )
    return found


def _read_positions(path: Path, how: Reading) -> Positions:
    if path.is_dir() or box.is_box(path):
        return {name: boxes.centres for name, boxes in box.read_boxes(path).items()}
    return _positions(_read_tables(path, how), path, how)


def _read_tables(path: Path, how: Reading) -> dict[str, Table]:
    return read_star(path, _COLUMNS, progress=how.progress, cancelled=how.cancelled)


def _positions(tables: Mapping[str, Table], path: Path, how: Reading) -> Positions:
    for table in tables.values():
        if all(name in table for name in _XY):
            return _by_micrograph(table, path, how)
    for table in tables.values():
        if all(name in table for name in _LISTED):
            return _read_listed(table, path, how)
    table = max(tables.values(), key=lambda t: (len(t.lines), len(t.names)))
    refuse_tomography(table, path)
    raise missing_column(path, _XY, table, "Choose the STAR file of a picking or extraction job.")


def _by_micrograph(table: Table, path: Path, how: Reading) -> Positions:
    refuse_tomography(table, path)
    xy = np.stack([as_numbers(table[name]) for name in _XY], axis=1)
    finite = np.isfinite(xy).all(axis=1)
    far = finite & box.is_far(xy)
    bad = np.flatnonzero(far | ~finite)
    if bad.size and (not how.skip_bad_rows or bad.size == len(xy)):
        raise _bad_row(table, path, xy, bad, bool(far[bad[0]]))
    names = table.get("rlnMicrographName")
    if bad.size:
        if how.told is not None:
            count = "1 row" if bad.size == 1 else f"{bad.size} rows"
            how.told(f"{count} without a position skipped in {path.name} (the first is line {table.lines[bad[0]]}).")
        good = np.delete(np.arange(len(xy)), bad)
        xy, names = xy[good], names[good] if names is not None else None
    if names is None:
        return {path.name: xy}
    index: dict[str, int] = {}
    which = np.fromiter((index.setdefault(str(name), len(index)) for name in names), np.int64, len(xy))
    order = np.argsort(which, kind="stable")
    parts = np.split(xy[order], np.cumsum(np.bincount(which, minlength=len(index)))[:-1])
    return dict(zip(index, parts, strict=True)) if index else {}


def _bad_row(table: Table, path: Path, xy: np.ndarray, bad: np.ndarray, far: bool) -> BadRowsError:
    """The sentence for the first row without a usable position."""
    row = int(bad[0])
    more = f" {bad.size} of {len(xy)} rows are like that." if bad.size > 1 else ""
    where = f"{path}, line {table.lines[row]}"
    if far:
        x, y = xy[row]
        return BadRowsError(
            f"{path}: row {row + 1} (line {table.lines[row]}) has a position ({x:g}, {y:g}) px that lies outside of "
            f"every micrograph.{more}",
            "Positions are in pixels of the micrograph: correct or delete the row.",
            path,
        )
    name = next(n for n, value in zip(_XY, xy[row], strict=True) if not math.isfinite(value))
    shown = f"{table[name][row]!s:.40}"
    return BadRowsError(f"{where}: '{shown}' in _{name} is no number.{more}", "Correct or delete the row.", path)


def _read_listed(table: Table, path: Path, how: Reading) -> Positions:
    found: Positions = {}
    for name, listed in zip(*(table[column] for column in _LISTED), strict=True):
        file = resolve(str(listed), path.resolve())
        if file.is_file():
            rows = _read_positions(file, Reading(how.skip_bad_rows, how.told, None, how.cancelled))
            found[str(name)] = np.concatenate([np.empty((0, 2)), *rows.values()])
    if not found:
        raise InputError(
            f"{path} lists coordinate files, but none of them was found.",
            "Keep the STAR file inside its RELION project folder.",
            path,
        )
    return found


def stem_of(name: str) -> str:
    """The part of a micrograph's name that identifies it: no folder, no uid prefix, no suffixes."""
    return _bare(_UID.sub("", _parts(name)[-1]))


def _parts(name: str) -> tuple[str, ...]:
    """Folders and file name, in the notation of any system."""
    return PurePosixPath(name.replace("\\", "/")).parts or ("",)


def _bare(base: str) -> str:
    """A file name without its suffixes."""
    while True:
        shorter = next((base[: -len(s)] for s in _SUFFIXES if base.lower().endswith(s)), base)
        if shorter == base:
            return base
        base = shorter


def match_names(positions: Mapping[str, np.ndarray], micrographs: Sequence[Path]) -> dict[Path, np.ndarray]:
    """Positions (n, 2) for each micrograph file; micrographs without positions get an empty (0, 2) array.

    Every name goes to one file: the one whose name fits best without suffix (a uid prefix may be missing on
    one side), then the one that shares most folders with it, then the one with the same suffix. A name that
    fits several files equally well goes to none of them, and names of several folders that fit one file equally well
    go nowhere: a guess would put picks on the wrong micrograph.
    """
    by_stem: dict[str, list[Path]] = {}
    for file in dict.fromkeys(micrographs):
        by_stem.setdefault(stem_of(file.name), []).append(file)
    claims: dict[Path, list[tuple[_Fit, str]]] = {}
    for name in positions:
        best, files = _best_files(name, by_stem)
        if len(files) == 1:
            claims.setdefault(files[0], []).append((best, name))
    matched = {}
    for file in micrographs:
        closest = max((fit for fit, _ in claims.get(file, [])), default=None)
        names = [name for fit, name in claims.get(file, []) if fit == closest]
        folders = {_parts(name)[:-1] for name in names} - {()}
        found = [positions[name] for name in names] if len(folders) <= 1 else []
        matched[file] = np.concatenate(found) if found else np.empty((0, 2))
    return matched


_Fit = tuple[int, int, bool]  # how the names fit, number of folders shared, same file name


def _best_files(name: str, by_stem: Mapping[str, list[Path]]) -> tuple[_Fit, list[Path]]:
    """The files that fit a name best (several when they fit equally well), and how well."""
    parts = _parts(name)
    stem = stem_of(name)
    direct = by_stem.get(stem)
    candidates = direct or by_stem.get(_PICKS.sub("", stem), [])
    best, files = (-1, 0, False), []
    for file in candidates:
        shared = 0
        for ours, theirs in zip(reversed(parts[:-1]), reversed(file.parts[:-1]), strict=False):
            if ours != theirs:
                break
            shared += 1
        kind = 0 if not direct else 2 if _bare(parts[-1]) == _bare(file.name) else 1
        fit = (kind, shared, parts[-1] == file.name)
        if fit > best:
            best, files = fit, [file]
        elif fit == best:
            files.append(file)
    return best, files


def no_match_error(path: Path, positions: Mapping[str, np.ndarray], micrographs: Sequence[Path]) -> InputError:
    """The sentence for "no name fits", with examples from both sides."""
    by_stem: dict[str, list[Path]] = {}
    for file in micrographs:
        by_stem.setdefault(stem_of(file.name), []).append(file)
    for name in positions:
        files = _best_files(name, by_stem)[1]
        if len(files) > 1:
            return InputError(
                f"{name} in {path} could be {files[0]} or {files[1]}.",
                "Choose the micrographs of one folder, or write the folder into the names.",
                path,
            )
    there = ", ".join(list(positions)[:2]) or "nothing"
    here = ", ".join(m.name for m in list(micrographs)[:2])
    return InputError(
        f"No micrograph name in {path} fits the micrographs (it has {there}; the micrographs are {here}).",
        "Choose the micrographs that these positions were picked on.",
        path,
    )


def read_noise_boxes(path: Path, how: Reading = Reading()) -> NoiseBoxes:
    """Read noise boxes: `name x y` lines (.txt), a STAR table with an optional box-size column, .box or a folder."""
    path = Path(path)
    if path.is_dir() or (box.is_box(path) and path.is_file()):
        return _read_boxes(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist.", "Pick noise on Home first, or choose its file.", path)
    if not is_star(path):
        return NoiseBoxes(_read_text(path))
    tables = _read_tables(path, how)
    positions = _positions(tables, path, how)
    if not any(len(xy) for xy in positions.values()):
        raise InputError(f"{path} holds no positions: its table has no rows.", "Choose another file.", path)
    table = next((t for t in tables.values() if "vitreousBoxSize" in t and "rlnCoordinateX" in t), None)
    size = _box_size(numbers(table, "vitreousBoxSize", path), path) if table is not None else None
    return NoiseBoxes(positions, size)


def _box_size(values: np.ndarray, path: Path, where: str = "row of _vitreousBoxSize") -> int:
    size, (low, high) = values[0], BOX_SIZES
    if (values != size).any() or size != round(size) or not low <= size <= high:
        raise InputError(
            f"{path}: its box size is not one whole number from {low} to {high}.",
            f"Write the same size in every {where}.",
            path,
        )
    return int(size)


def _read_boxes(path: Path) -> NoiseBoxes:
    found = box.read_boxes(path)
    sizes = np.concatenate([boxes.sizes.ravel() for boxes in found.values()])
    if not sizes.size:
        raise InputError(f"{path} holds no noise boxes.", "Pick some on Home, or run pick-noise.", path)
    size = _box_size(sizes, path, "line, as width and height")
    return NoiseBoxes({name: boxes.centres for name, boxes in found.items()}, size)


def _read_text(path: Path) -> Positions:
    found: dict[str, list[tuple[float, float]]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file.", "Noise boxes are lines of: name x y.", path) from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        parts = line.rsplit(maxsplit=2)
        try:
            name, x, y = parts[0], float(parts[1]), float(parts[2])
            if not math.isfinite(x) or not math.isfinite(y):
                raise ValueError("not finite")
            if max(abs(x), abs(y)) > box.FARTHEST:
                raise ValueError("on no micrograph")
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

    Text holds whole pixels (its format's convention) and no box size. A name in .box: see per_micrograph.py.
    """
    if box.is_box(path):
        from core.io.per_micrograph import write_box_files

        write_box_files(path, positions, box_size)
        return
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
        for name, *_ in rows:
            if name != name.strip() or name.startswith("#") or len(name.splitlines()) != 1:
                raise InputError(f"{name!r} cannot be written to {path}: it would be misread.", "Use .star.", path)
        write_text(path, "".join(f"{n} {round(x)} {round(y)}\n" for n, x, y in rows))


def file_stem(name: str) -> str:
    """What a micrograph's own coordinate file is named: no folder, no suffixes; an uid prefix stays."""
    return _bare(_parts(name)[-1])
