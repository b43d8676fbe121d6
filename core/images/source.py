"""Where images come from: one interface over MRC, MRCS, compressed MRC and TIFF files, and lists of them.

Reads pixels and names them for the cache; keeps none (core/images/cache.py does).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from core.errors import InputError
from core.io import mrc, tiff
from core.io.atomic import PARTIAL_SUFFIX
from core.io.rows import RowLayout

MRC_SUFFIXES = (".mrc", ".mrcs", ".map", ".st", ".rec")
TIFF_SUFFIXES = (".tif", ".tiff")
COMPRESSED = (".gz", ".bz2")
# What a micrograph may be called; maps and tomograms open by name but are not collected from folders.
SUFFIXES = (".mrc", ".mrcs", ".tif", ".tiff", ".mrc.gz", ".mrcs.gz", ".mrc.bz2", ".mrcs.bz2")

ImageKey = tuple[str, int, int, int]


class ImageSource(Protocol):
    """A file with `n` images of `shape` (ny, nx), `pixel_size_a` Angstrom per pixel (None when unknown)."""

    path: Path
    shape: tuple[int, int]
    n: int
    pixel_size_a: float | None

    def read(self, index: int = 0, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
        """Image `index` as float32 (ny, nx), finite, its own memory."""
        ...

    def rows(self, index: int = 0, count: int = 1) -> RowLayout | None:
        """Where the rows of `count` images from `index` on lie, as one tall image; None when they do not so lie."""
        ...

    def key(self, index: int = 0) -> ImageKey:
        """(path, modification time in ns, size in bytes, index): changes when the file does."""
        ...


def file_key(path: Path, index: int = 0) -> ImageKey:
    """The cache key of image `index` of a file, from its state on disk now."""
    try:
        state = path.stat()
    except OSError as exc:
        raise InputError(f"{path} does not exist.", "Check the name and the folder.", path) from exc
    return (str(path), state.st_mtime_ns, state.st_size, index)


class MrcSource:
    """Images of an MRC file, plain or compressed."""

    def __init__(self, path: Path) -> None:
        self._info = info = mrc.read_header(path)
        self.path = path
        self.n, self.shape = info.shape[0], (info.shape[1], info.shape[2])
        self.pixel_size_a = info.pixel_size_a

    def read(self, index: int = 0, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
        """Image `index` as float32 (ny, nx)."""
        return mrc.read_image(self.path, index, cancelled)

    def rows(self, index: int = 0, count: int = 1) -> RowLayout:
        """Where the rows of `count` images from `index` on lie, as one tall image."""
        return mrc.image_rows(self._info, index, count)

    def key(self, index: int = 0) -> ImageKey:
        """Cache key of image `index`."""
        return file_key(self.path, index)


class TiffSource:
    """Pages of a grey-scale TIFF file."""

    pixel_size_a: float | None = None

    def __init__(self, path: Path) -> None:
        info = tiff.read_tiff_header(path)
        self.path = path
        self.n, self.shape = info.shape[0], (info.shape[1], info.shape[2])

    def read(self, index: int = 0, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
        """Page `index` as float32 (ny, nx)."""
        return tiff.read_tiff(self.path, index, cancelled)

    def rows(self, index: int = 0, count: int = 1) -> RowLayout | None:
        """Where the rows of page `index` lie, when it is neither compressed nor tiled; None for several pages."""
        layout = tiff.tiff_rows(self.path, index) if count == 1 else None
        return layout if layout and layout.shape == self.shape else None  # `read` says what is wrong with the page

    def key(self, index: int = 0) -> ImageKey:
        """Cache key of page `index`."""
        return file_key(self.path, index)


def open_source(path: Path | str) -> ImageSource:
    """Open a micrograph or stack file by its content; `InputError` in one sentence when it is neither."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist.", "Check the name and the folder.", path)
    if path.is_dir():
        raise InputError(f"{path} is a folder.", "Choose a file in it.", path)
    if not path.is_file():
        raise InputError(f"{path} is no file but a pipe or a device.", "Choose a file.", path)  # reading could hang
    if tiff.is_tiff(path):
        return TiffSource(path)
    if path.suffix.lower() in TIFF_SUFFIXES:
        raise InputError(f"{path.name} is not a TIFF file, whatever its name says.", "Copy it again.", path)
    return MrcSource(path)


def is_micrograph_name(path: Path) -> bool:
    """Whether a folder listing should show this file."""
    name = path.name.lower()
    return name.endswith(SUFFIXES) and not name.startswith(".") and not name.endswith(PARTIAL_SUFFIX)


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sort key in which `m2` comes before `m10`."""
    parts = re.split(r"(\d+)", str(path).lower())
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


def list_micrographs(where: Path | str | Iterable[Path | str]) -> list[Path]:
    """The micrographs of a folder (not its subfolders), a file, or a mixture, in natural order, each once.

    A file named explicitly is taken whatever its suffix. `InputError` when a path is missing or none found.
    """
    places = [Path(where)] if isinstance(where, (str, Path)) else [Path(place) for place in where]
    found: dict[Path, None] = {}
    for place in places:
        if place.is_dir():
            try:
                entries = list(place.iterdir())
            except OSError as exc:
                raise InputError(f"The folder {place} may not be read.", "Check its permissions.", place) from exc
            files = [entry for entry in entries if is_micrograph_name(entry) and entry.is_file()]
            found.update(dict.fromkeys(files))
        elif place.is_file():
            found[place] = None
        else:
            raise InputError(f"{place} does not exist.", "Check the name and the folder.", place)
    if not found:
        named = ", ".join(str(place) for place in places[:3]) or "an empty list"
        raise InputError(f"No micrograph was found in {named}.", f"Files ending in {', '.join(SUFFIXES)} are read.")
    return sorted(found, key=natural_key)
