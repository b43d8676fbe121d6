"""Writing MRC images and stacks: whole arrays, or one section after another in constant memory.

Files appear complete or not at all (core/io/atomic.py). Reading lives in core/io/mrc.py.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from core.errors import InputError
from core.io.atomic import atomic_path
from core.io.mrc_header import read_extended_header, read_header

_MODES = {"float32": 2, "float16": 12}
_BLOCK_VALUES = 1 << 20
_F16_MAX = 65504.0


class _Statistics:
    """Minimum, maximum, mean and standard deviation of a stream, in double precision."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self.count, self.mean, self._m2 = 0, 0.0, 0.0

    def add(self, block: np.ndarray) -> None:
        values = block.astype(np.float64)
        count, mean = values.size, float(values.mean())
        values -= mean
        m2 = float(np.dot(values.ravel(), values.ravel()))
        # Chan's pairwise update: no cancellation when the mean is far from zero.
        delta, total = mean - self.mean, self.count + count
        self._m2 += m2 + delta * delta * self.count * count / total
        self.mean += delta * count / total
        self.count = total
        self.low, self.high = min(self.low, float(block.min())), max(self.high, float(block.max()))

    @property
    def rms(self) -> float:
        return math.sqrt(self._m2 / self.count) if self.count else 0.0


def _new_header() -> np.ndarray:
    header = np.zeros((), HEADER_DTYPE)
    header["map"] = b"MAP "
    header["machst"] = [0x44, 0x44, 0, 0]
    header["nversion"] = 20141
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    for angle in ("alpha", "beta", "gamma"):
        header["cellb"][angle] = 90.0
    return header


def _header_like(like: Path) -> tuple[np.ndarray, bytes, float | None]:
    """Header (little-endian copy), extended header and pixel size of the file to imitate."""
    from core.io.tiff import is_tiff  # here: tiff.py imports from mrc.py, which imports this module

    if is_tiff(like):
        return _new_header(), b"", None
    info = read_header(like)
    header = np.zeros((), HEADER_DTYPE)
    for name in HEADER_DTYPE.names or ():
        header[name] = info.header[name]
    extended = read_extended_header(info)
    if info.dtype.byteorder == ">":
        extended = b""  # its numbers are in the other byte order, and the file we write is little-endian
        header["exttyp"] = b""
    fresh = _new_header()
    for name in ("map", "machst", "nversion", "mapc", "mapr", "maps"):
        header[name] = fresh[name]
    return header, extended, info.pixel_size_a


def _add_label(header: np.ndarray, text: str) -> None:
    """Append a label of at most 80 characters; the oldest of ten gives way."""
    encoded = text.encode("ascii", "replace")[:80].ljust(80)
    used = min(max(int(header["nlabl"]), 0), 10)
    if used == 10:
        header["label"][:9] = header["label"][1:].copy()
        used = 9
    header["label"][used] = encoded
    header["nlabl"] = used + 1


def _finish_header(
    header: np.ndarray,
    shape: tuple[int, int, int],
    mode: int,
    pixel_size_a: float | None,
    extended: bytes,
    stats: _Statistics,
    label: str,
    volume: bool = False,
) -> bytes:
    n, ny, nx = shape
    nz = n if volume else 1  # sections of one map, or images of a stack
    header["nx"], header["ny"], header["nz"] = nx, ny, n
    header["mx"], header["my"], header["mz"] = nx, ny, nz
    header["mode"], header["ispg"], header["nsymbt"] = mode, int(volume), len(extended)
    pixel = float(pixel_size_a or 0.0)
    for axis, size in (("x", nx), ("y", ny), ("z", nz)):
        header["cella"][axis] = pixel * size
    header["dmin"], header["dmax"] = stats.low, stats.high
    header["dmean"], header["rms"] = stats.mean, stats.rms
    _add_label(header, f"Vitreous {label}".strip())
    return header.tobytes()


def write_mrc(
    path: Path | str,
    array: np.ndarray,
    pixel_size_a: float | None = None,
    like: Path | str | None = None,
    dtype: str = "float32",
    label: str = "",
    volume: bool = False,
) -> None:
    """Write an image (ny, nx), an image stack (n, ny, nx) or, with `volume`, a map (nz, ny, nx), whole or not at all.

    `pixel_size_a` None keeps the one of `like` (unknown without it). `like` lends its header fields,
    labels and extended header (nothing when it is a TIFF). float16 values beyond +-65504 are clipped.
    """
    if dtype not in _MODES:
        raise ValueError(f"dtype must be float32 or float16, not {dtype}")
    images = array[None] if array.ndim == 2 else array
    if images.ndim != 3 or 0 in images.shape:
        raise ValueError(f"an image or a stack of images is needed, not shape {array.shape}")
    header, extended = _new_header(), b""
    if like is not None:
        header, extended, like_pixel = _header_like(Path(like))
        pixel_size_a = like_pixel if pixel_size_a is None else pixel_size_a
    stats = _Statistics()
    with atomic_path(path) as partial, partial.open("wb") as stream:
        stream.write(bytes(1024) + extended)
        for image in images:
            _write_section(stream, image, dtype, stats)
        stream.seek(0)
        shape = (images.shape[0], images.shape[1], images.shape[2])
        stream.write(_finish_header(header, shape, _MODES[dtype], pixel_size_a, extended, stats, label, volume))


def _write_section(stream: IO[bytes], image: np.ndarray, dtype: str, stats: _Statistics) -> None:
    """Write one image in row blocks, so that no second copy of it is needed."""
    rows = max(1, _BLOCK_VALUES // image.shape[1])
    for top in range(0, image.shape[0], rows):
        block = np.asarray(image[top : top + rows], dtype=np.float32)
        if dtype == "float16":
            block = np.clip(block, -_F16_MAX, _F16_MAX)
        stored = np.ascontiguousarray(block, dtype="<f2" if dtype == "float16" else "<f4")
        stats.add(stored)
        stream.write(stored.data)


class MrcStackWriter:
    """Write a float32 image stack section by section: `with MrcStackWriter(...) as w: w.append(image)`.

    Memory does not grow with `n`. The file appears when the block ends; its header gives the number really
    appended and the statistics. A stack with no image is not written: closing raises `InputError`, because
    a zero-section MRC is refused by most programs. After an exception nothing is left behind.
    """

    def __init__(
        self, path: Path | str, n: int, ny: int, nx: int, pixel_size_a: float | None = None, label: str = ""
    ) -> None:
        self.path, self.n, self.ny, self.nx = Path(path), n, ny, nx
        self.pixel_size_a, self.label = pixel_size_a, label
        self.count = 0
        self._stats = _Statistics()
        self._stack = ExitStack()
        self._stream: IO[bytes] | None = None

    def __enter__(self) -> MrcStackWriter:
        partial = self._stack.enter_context(atomic_path(self.path))
        try:
            self._stream = self._stack.enter_context(partial.open("wb"))
            self._stream.write(bytes(1024))
        except BaseException as exc:
            if not self._stack.__exit__(type(exc), exc, exc.__traceback__):
                raise
        return self

    def append(self, image: np.ndarray) -> None:
        """Add one image (ny, nx)."""
        if self._stream is None:
            raise ValueError("the writer is not open")
        if image.shape != (self.ny, self.nx):
            raise ValueError(f"the stack holds images of {(self.ny, self.nx)}, not {image.shape}")
        if self.count >= self.n:
            raise ValueError(f"{self.path.name} was announced with {self.n} images")
        _write_section(self._stream, image, "float32", self._stats)
        self.count += 1

    def __exit__(self, exc_type: Any, exc: Any, trace: Any) -> None:
        stream, self._stream = self._stream, None
        if exc_type is None and stream is not None:
            try:
                self._finish(stream)
            except BaseException as error:
                if not self._stack.__exit__(type(error), error, error.__traceback__):
                    raise
        else:
            self._stack.__exit__(exc_type, exc, trace)
            return
        self._stack.close()

    def _finish(self, stream: IO[bytes]) -> None:
        if self.count == 0:
            raise InputError(f"{self.path} would hold no image, so it was not written.", "Check the picks.", self.path)
        shape = (self.count, self.ny, self.nx)
        stream.seek(0)
        stream.write(_finish_header(_new_header(), shape, 2, self.pixel_size_a, b"", self._stats, self.label))
