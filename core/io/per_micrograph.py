"""Writing one coordinate file per micrograph: EMAN's .box, and the folder of a RELION manual picking job.

Reading them back is coordinates.py's `read_particles` and `read_noise_boxes`; the format of a line box.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.errors import InputError
from core.io import box
from core.io.atomic import remove
from core.io.coordinates import Positions, file_stem
from core.io.star_write import write_star

PICKS_SUFFIX = "_manualpick.star"
LIST_NAME = "manualpick.star"
_UNKNOWN = -999.0  # what RELION writes for the class, angle and score of a pick by hand


def _by_file(positions: Mapping[str, np.ndarray], path: Path) -> Positions:
    """Positions by the stem of their own file; two micrographs may not share one."""
    names: dict[str, str] = {}
    for name in positions:
        other = names.setdefault(file_stem(name), name)
        if other != name:
            raise InputError(
                f"{other} and {name} would share one coordinate file in {path}.", "Write one .star file instead.", path
            )
    return {stem: positions[name] for stem, name in names.items()}


def write_box_files(path: Path, positions: Mapping[str, np.ndarray], box_size: int) -> list[Path]:
    """Write EMAN boxes with corners on whole pixels, one file per micrograph, named after it; returns the files.

    `path` may be the file of the only micrograph (`mic.box` for mic.mrc). Otherwise it is a folder, made when
    missing; one whose name ends in .box belongs to this writer: files of other micrographs in it are removed.
    """
    path = Path(path)
    by_file = {stem: box.square(xy, box_size) for stem, xy in _by_file(positions, path).items()}
    if box.is_box(path) and not path.is_dir():
        only = [*by_file] or [box.stem(path)] * path.is_file()  # the last box of a file was taken away
        if only == [box.stem(path)]:
            box.write_box(path, by_file.get(box.stem(path), box.square(np.empty((0, 2)), box_size)))
            return [path]
    if path.is_file():
        raise InputError(
            f"{path} is a file for one micrograph: boxes of {', '.join(list(by_file)[:3])} do not belong into it.",
            "Choose a new name: it becomes a folder with one .box file per micrograph.",
            path,
        )
    files = box.write_boxes(path, by_file)
    if box.is_box(path) and path.is_dir():
        written = {file.name.casefold() for file in files}
        for other in box.box_files(path):
            if other.name.casefold() not in written:
                remove(other)
    return files


def write_manual_picks(folder: Path, positions: Mapping[str, np.ndarray]) -> Path:
    """Write picks as RELION's manual picking does: `<stem>_manualpick.star` per micrograph and their list.

    The list (manualpick.star, returned) names each micrograph as given, and its file with `folder` in front
    when that is relative, as RELION's project paths are. Fractions of a pixel are kept.
    """
    folder = Path(folder)
    by_file = _by_file(positions, folder)
    for stem, xy in by_file.items():
        columns = {
            "rlnCoordinateX": [float(x) for x, _ in xy],
            "rlnCoordinateY": [float(y) for _, y in xy],
            "rlnClassNumber": [int(_UNKNOWN)] * len(xy),
            "rlnAnglePsi": [_UNKNOWN] * len(xy),
            "rlnAutopickFigureOfMerit": [_UNKNOWN] * len(xy),
        }
        write_star(folder / f"{stem}{PICKS_SUFFIX}", "", columns)
    listed = {
        "rlnMicrographName": list(positions),
        "rlnMicrographCoordinates": [(folder / f"{file_stem(name)}{PICKS_SUFFIX}").as_posix() for name in positions],
    }
    write_star(folder / LIST_NAME, "coordinate_files", listed)
    return folder / LIST_NAME
