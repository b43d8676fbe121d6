"""Where images come from: one interface over MRC, MRCS, compressed MRC, TIFF and EER files, and lists of them.

Reads pixels and names them for the cache; keeps none (core/images/cache.py does). What jobs ask of a micrograph
is single.py.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from core.errors import InputError
from core.io import eer, mrc, tiff
from core.io.atomic import PARTIAL_SUFFIX
from core.io.file_errors import explained
from core.io.finite import Tell, replace_not_finite
from core.io.rows import RowLayout

MRC_SUFFIXES = (".mrc", ".mrcs", ".map", ".st", ".rec")
TIFF_SUFFIXES = (".tif", ".tiff")
EER_SUFFIX = ".eer"
COMPRESSED = (".gz", ".bz2")
# What a micrograph may be called; maps and tomograms open by name but are not collected from folders.
SUFFIXES = (".mrc", ".mrcs", ".tif", ".tiff", ".mrc.gz", ".mrcs.gz", ".mrc.bz2", ".mrcs.bz2", ".eer")

ImageKey = tuple[str, int, int, int]


class ImageSource(Protocol):
    """A file with `n` images of `shape` (ny, nx), `pixel_size_a` Angstrom per pixel (None when unknown).

    `frames`: of a raw movie, whose sum is the one image here; else 0. `notes`: what is odd about the file, in words.
    `label`: what the picture is where it is not simply the file's own; shown over it.
    """

    path: Path
    shape: tuple[int, int]
    n: int
    pixel_size_a: float | None
    frames: int
    notes: tuple[str, ...]
    label: str

    def read(self, index: int = 0, cancelled: Callable[[], bool] | None = None, tell: Tell | None = None) -> np.ndarray:
        """Image `index` as float32 (ny, nx), finite, its own memory; `tell` (None: the log) hears what was mended."""
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

    frames = 0
    label = ""

    def __init__(self, path: Path) -> None:
        self._info = info = mrc.read_header(path)
        self.path = path
        self.n, self.shape = info.shape[0], (info.shape[1], info.shape[2])
        self.pixel_size_a = info.pixel_size_a
        self.notes: tuple[str, ...] = info.notes
        if path.suffix.lower() in TIFF_SUFFIXES:
            self.notes = (*self.notes, "it is an MRC file, whatever its name says")

    def read(self, index: int = 0, cancelled: Callable[[], bool] | None = None, tell: Tell | None = None) -> np.ndarray:
        """Image `index` as float32 (ny, nx)."""
        return mrc.read_image(self.path, index, cancelled, tell)

    def rows(self, index: int = 0, count: int = 1) -> RowLayout:
        """Where the rows of `count` images from `index` on lie, as one tall image."""
        return mrc.image_rows(self._info, index, count)

    def key(self, index: int = 0) -> ImageKey:
        """Cache key of image `index`."""
        return file_key(self.path, index)


class TiffSource:
    """Pages of a grey-scale TIFF file."""

    pixel_size_a: float | None = None
    frames = 0
    label = ""

    def __init__(self, path: Path, info: tiff.TiffInfo) -> None:
        self.path = path
        self.n, self.shape = info.shape[0], (info.shape[1], info.shape[2])
        self.notes: tuple[str, ...] = ()
        if path.suffix.lower() not in TIFF_SUFFIXES:
            self.notes = ("it is a TIFF file, whatever its name says",)

    def read(self, index: int = 0, cancelled: Callable[[], bool] | None = None, tell: Tell | None = None) -> np.ndarray:
        """Page `index` as float32 (ny, nx)."""
        return tiff.read_tiff(self.path, index, cancelled, tell)

    def rows(self, index: int = 0, count: int = 1) -> RowLayout | None:
        """Where the rows of page `index` lie, when it is neither compressed nor tiled; None for several pages."""
        layout = tiff.tiff_rows(self.path, index) if count == 1 else None
        return layout if layout and layout.shape == self.shape else None  # `read` says what is wrong with the page

    def key(self, index: int = 0) -> ImageKey:
        """Cache key of page `index`."""
        return file_key(self.path, index)


class EerSource:
    """A quick look at an EER movie: the sum of its frames, or of some of them, as one image."""

    n = 1
    pixel_size_a: float | None = None

    def __init__(self, path: Path, info: tiff.TiffInfo) -> None:
        self.path, self.frames = path, info.shape[0]
        self.shape = (info.shape[1], info.shape[2])
        summed = len(eer.chosen_frames(self.frames))
        self.label = f"sum of {summed} of {self.frames} raw frames, no motion or gain correction: motion-correct first"
        self.notes: tuple[str, ...] = (self.label,)

    def read(self, index: int = 0, cancelled: Callable[[], bool] | None = None, tell: Tell | None = None) -> np.ndarray:
        """The sum, in electrons per pixel, as float32 (ny, nx)."""
        if index:
            raise InputError(f"{self.path} has 1 image here, the sum of its frames.", "Choose it.", self.path)
        return replace_not_finite(eer.sum_frames(self.path, cancelled=cancelled), self.path, tell)

    def rows(self, index: int = 0, count: int = 1) -> None:
        """None: the frames are not stored as rows."""
        return

    def key(self, index: int = 0) -> ImageKey:
        """Cache key of the sum."""
        return file_key(self.path, index)


def open_source(path: Path | str) -> ImageSource:
    """Open a micrograph or stack file by its content; `InputError` in one sentence when it is neither."""
    path = Path(path)
    with explained(path):
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{path} is a folder.", "Choose a file in it.", path)
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is no file but a pipe or a device.", "Choose a file.", path)  # reading could hang
    if tiff.is_tiff(path):
        info = tiff.read_tiff_header(path)
        return TiffSource(path, info) if info.first_event_frame is None else EerSource(path, info)
    if path.suffix.lower() == EER_SUFFIX:
        raise InputError(f"{path} is not an EER movie, whatever its name says.", "Copy it again.", path)
    try:
        return MrcSource(path)
    except InputError as err:
        if path.suffix.lower() in TIFF_SUFFIXES and path.stat().st_size:
            raise InputError(f"{path} is not a TIFF file, whatever its name says.", "Copy it again.", path) from err
        raise


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

    A file named explicitly is taken whatever its suffix; EER movies of a folder only where it holds nothing else.
    `InputError` when a path is missing or none found.
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
            still = [file for file in files if file.suffix.lower() != EER_SUFFIX]
            files = still or files  # raw movies beside micrographs are what those were made of
            found.update(dict.fromkeys(files))
        elif place.is_file():
            found[place] = None
        else:
            raise InputError(f"{place} does not exist.", "Check the name and the folder.", place)
    if not found:
        named = ", ".join(str(place) for place in places[:3]) or "an empty list"
        raise InputError(f"No micrograph was found in {named}.", f"Files ending in {', '.join(SUFFIXES)} are read.")
    return sorted(found, key=natural_key)
