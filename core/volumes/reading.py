"""Reading a map from an MRC file: all of it, or means of 2 × 2 × 2 voxels where memory is short.

Only the axes are put into the order z, y, x; origin and start of the header are left out of account, because the
middle of the box is the origin here. Headers and rows of MRC files are core/io's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import AppError, InputError, ResourceError
from core.images.pyramid import Cancelled
from core.io.mrc import image_rows, read_header, replace_not_finite
from core.io.mrc_header import MrcInfo
from core.io.rows import open_rows
from core.volumes.surface import halve_pair
from core.volumes.volume import Volume, kind_of_name, size_text

LARGE_BYTES = 512 << 20  # of float32: from here on the user is asked whether means will do
_MEMORY_SHARE = 0.8
_PRIOR = "prior"  # word of a label in the header that must stay written on the map
_OURS = "vitreous "  # begins our labels
_FOURIER = "fourier space"  # first words of a label: the values are no density
_NO_MAP = (_FOURIER, "standard deviation", "mask of")  # first words of labels of what is no map

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class MapInfo:
    """What a header says about a map; `shape` is (z, y, x) after the axes were put in order."""

    header: MrcInfo
    shape: tuple[int, int, int]
    order: tuple[int, int, int]  # axes of the file that are z, y, x
    is_map: bool  # the header says that it is a volume, not a stack of images

    @property
    def nbytes(self) -> int:
        """Bytes of the whole map in memory."""
        return 4 * self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def large(self) -> bool:
        """Whether means of 2 × 2 × 2 voxels are to be offered."""
        return self.nbytes >= LARGE_BYTES


def look_at(path: Path | str) -> MapInfo:
    """Read the header alone; `InputError` when the file has no third dimension."""
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{path} is no file but a pipe or a device.", "Choose a file.", path)  # reading could hang
    header = read_header(path)
    if header.shape[0] < 2:
        raise InputError(
            f"{path.name} holds one image, not a map.", "Open it as a micrograph, or choose a 3D map.", path
        )
    axes = [int(header.header[name]) for name in ("maps", "mapr", "mapc")]  # what sections, rows, columns are
    order = (axes.index(3), axes.index(2), axes.index(1)) if sorted(axes) == [1, 2, 3] else (0, 1, 2)
    shape = tuple(header.shape[axis] for axis in order)
    group = int(header.header["ispg"])
    return MapInfo(header, (shape[0], shape[1], shape[2]), order, 1 <= group <= 230 and not header.is_stack)


def is_map(path: Path | str) -> bool:
    """Whether the header of a file says that it is a 3D map (space group 1); False for whatever cannot be read."""
    try:
        return look_at(path).is_map
    except AppError:
        return False


def read_map(
    path: Path | str,
    halved: bool = False,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    kind: str | None = None,
) -> Volume:
    """The map as float32, finite; `halved`: means of 2 × 2 × 2 voxels, read two sections at a time.

    What its header calls "Fourier space" becomes of kind `fourier`, whatever `kind` says: it has no surface.
    `InputError` for a file that is cut short or damaged, `ResourceError` when it does not fit into memory.
    """
    path = Path(path)
    info = look_at(path)
    kind = "fourier" if _labelled(info, _FOURIER) else kind or kind_of_name(path.name)
    nz, ny, nx = info.header.shape
    _check(info, halved)
    scale = 2 if halved else 1
    values = np.empty((nz // scale, ny // scale, nx // scale), np.float32)
    layout = image_rows(info.header, 0, nz)
    pair = np.empty((2, ny, nx), np.float32)
    with open_rows(layout) as reader:
        for z in range(len(values)):
            if cancelled is not None and cancelled():
                raise Cancelled
            if halved:
                reader.read(2 * z * ny, pair.reshape(-1, nx))
                values[z] = halve_pair(pair)
            else:
                reader.read(z * ny, values[z])
            if progress is not None:
                progress(z + 1, len(values))
    notes = [*_notes(info), *([_mend(values)] if not np.isfinite(values.sum(dtype=np.float64)) else [])]
    if halved:
        notes.append("Means of 2 × 2 × 2 voxels are shown: half of the resolution of the file.")
    pixel = info.header.pixel_size_a
    return Volume(
        np.ascontiguousarray(values.transpose(info.order)),
        None if pixel is None else pixel * scale,
        path.name,
        _provenance(info, kind),
        kind=kind,
        path=path,
        notes=tuple(notes),
    )


def _provenance(info: MapInfo, kind: str) -> str:
    """The label of a header that says that a learned prior took part in the map, or that what is shown as a map is
    none; empty where no label does."""
    learned = next((label for label in info.header.labels if _PRIOR in label.lower()), "")
    return learned or (_labelled(info, *_NO_MAP) if kind in ("map", "other", "fourier") else "")


def _labelled(info: MapInfo, *begins: str) -> str:
    """The first label of our own that begins so; empty without one."""
    return next(
        (label for label in info.header.labels if label.lower().startswith(tuple(_OURS + b for b in begins))), ""
    )


def _check(info: MapInfo, halved: bool) -> None:
    """Is all of it there, and does it fit into memory?"""
    import psutil

    header = info.header
    nz = header.shape[0]
    if not header.compressed:
        there = max(0, header.path.stat().st_size - header.data_offset) // header.image_bytes
        if there < nz:
            raise InputError(
                f"{header.path.name} is cut short: {there} of its {nz} sections are there.",
                "Copy it again from its source.",
                header.path,
            )
    if halved and min(header.shape) < 4:
        raise InputError(f"{header.path.name} is too small to be halved.", "Open all of it.", header.path)
    needed = info.nbytes // (8 if halved else 1)
    if needed > _MEMORY_SHARE * psutil.virtual_memory().available:
        hint = "Close other programs." if halved else "Close other programs, or open it at half its size."
        raise ResourceError(
            f"{header.path.name} ({size_text(info.shape)} voxels) needs {needed / 2**30:.1f} GiB of memory.", hint
        )


def _notes(info: MapInfo) -> list[str]:
    """Sentences about what is unusual."""
    notes, header = [], info.header
    if len(set(info.shape)) > 1:
        notes.append(f"The box is not a cube: {size_text(info.shape)} voxels.")
    if header.pixel_size_a is None:
        notes.append("The pixel size is unknown: lengths are in voxels.")
    cells = [(float(header.header["cella"][axis]), int(header.header[f"m{axis}"])) for axis in "xyz"]
    sizes = [length / n for length, n in cells if n > 0 and length > 0]
    if len(sizes) == 3 and max(sizes) > 1.001 * min(sizes):
        written = ", ".join(f"{size:.4g}" for size in sizes)
        notes.append(f"Voxels are not cubes ({written} Å along x, y, z): lengths are right along x only.")
    if info.order != (0, 1, 2):
        notes.append("The axes of the file were put into the order x, y, z.")
    return notes


def _mend(values: np.ndarray) -> str:
    """Replace what is not finite by the median of its section; a sentence that says how much."""
    bad = 0
    for section in values:
        wrong = int(np.count_nonzero(~np.isfinite(section)))
        if wrong:
            bad += wrong
            replace_not_finite(section, "map", lambda _mended: None)  # counted here
    if not bad:
        return "Some values are very large."
    return f"{bad} of {values.size} voxels are not finite; they are shown as the median of their section."
