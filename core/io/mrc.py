"""Reading MRC images and stacks: header, memory map, one image as float32. Writing lives in core/io/mrc_write.py.

Follows MRC2014 and copes with what breaks it: no MAP stamp, wrong machine stamp, IMOD's unsigned bytes,
float16 (mode 12), gzip and bzip2. x = column, y = row as stored, row 0 first; volumes are (z, y, x).
"""

from __future__ import annotations

import bz2
import gzip
import logging
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from core.errors import AppError, InputError, ResourceError
from core.io.mrc_write import MrcStackWriter, write_mrc

__all__ = ["MrcInfo", "MrcStackWriter", "open_mrc", "read_header", "read_image", "replace_not_finite", "write_mrc"]

log = logging.getLogger(__name__)

HEADER_BYTES = 1024
BLOCK_BYTES = 4 << 20  # one read or conversion: short enough to leave the interpreter lock to the window
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_REFUSED = {
    3: "complex integers (mode 3), a Fourier transform",
    4: "complex numbers (mode 4), a Fourier transform",
    101: "packed 4-bit numbers (mode 101)",
}
_IMOD_STAMP = 1146047817
_MAX_SIDE = 1 << 20

# The damage a reader of compressed or cut files meets, beyond OSError.
READ_ERRORS = (EOFError, zlib.error)


@dataclass(frozen=True)
class MrcInfo:
    """What the header of an MRC file says. `shape` is always (n, ny, nx)."""

    path: Path
    shape: tuple[int, int, int]
    mode: int
    dtype: np.dtype[Any]  # with the byte order of the file
    pixel_size_a: float | None
    is_stack: bool  # n images, not one volume
    ext_header_size: int
    compressed: bool
    labels: tuple[str, ...] = ()
    header: np.ndarray = field(default_factory=lambda: np.zeros((), HEADER_DTYPE), repr=False, compare=False)

    @property
    def data_offset(self) -> int:
        """Bytes before the first pixel."""
        return HEADER_BYTES + self.ext_header_size

    @property
    def image_bytes(self) -> int:
        """Bytes of one image (one section)."""
        return self.shape[1] * self.shape[2] * self.dtype.itemsize


def _opener(path: Path) -> Callable[[], IO[bytes]] | None:
    """How to open a compressed file; None for a plain one. Decided by content: suffixes lie."""
    with path.open("rb") as stream:
        magic = stream.read(3)
    if magic[:2] == b"\x1f\x8b":
        return lambda: gzip.open(path, "rb")
    if magic == b"BZh":
        return lambda: bz2.open(path, "rb")
    return None


@contextmanager
def _explained(path: Path):
    """Turn what the operating system and the decompressors raise into one sentence about `path`."""
    try:
        yield
    except AppError:
        raise
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist.", "Check the name and the folder.", path) from exc
    except IsADirectoryError as exc:
        raise InputError(f"{path} is a folder, not an MRC file.", "Choose a file.", path) from exc
    except PermissionError as exc:
        raise InputError(f"{path.name} may not be read.", "Check its permissions.", path) from exc
    except MemoryError as exc:
        raise ResourceError(f"{path.name} does not fit into memory.", "Close other programs or bin it.") from exc
    except (OSError, *READ_ERRORS) as exc:
        raise InputError(f"{path.name} is damaged: {exc}.", "Copy it again from its source.", path) from exc


def _plausible(header: np.ndarray) -> bool:
    sides = (int(header["nx"]), int(header["ny"]), int(header["nz"]))
    known = int(header["mode"]) in _DTYPES or int(header["mode"]) in _REFUSED
    return known and all(0 < side <= _MAX_SIDE for side in sides) and 0 <= int(header["nsymbt"]) < 1 << 31


def _interpret(raw: bytes, path: Path) -> np.ndarray:
    """The header in its own byte order; InputError when the bytes cannot be one."""
    if len(raw) < HEADER_BYTES:
        reason = "is empty" if not raw else "is too short to be an MRC file"
        raise InputError(f"{path.name} {reason}.", "Choose another file.", path)
    order = ">" if raw[212:213] == b"\x11" else "<"
    # Machine stamps are wrong in the wild: believe the stamp first, the numbers if it makes no sense.
    for candidate in (order, "<" if order == ">" else ">"):
        header = np.frombuffer(raw, HEADER_DTYPE.newbyteorder(candidate))[0]
        if _plausible(header):
            return header
    if raw[208:211] == b"MAP":
        header = np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0]
        raise InputError(
            f"{path.name} has an MRC header that makes no sense (mode {int(header['mode'])}, "
            f"{int(header['nx'])} x {int(header['ny'])} x {int(header['nz'])}).",
            "Convert it again with the program that wrote it.",
            path,
        )
    raise InputError(f"{path.name} is not an MRC file.", "Choose .mrc, .mrcs or .tif micrographs.", path)


def _dtype_of(header: np.ndarray, raw: bytes, path: Path) -> np.dtype[Any]:
    mode = int(header["mode"])
    if mode in _REFUSED:
        raise InputError(
            f"{path.name} holds {_REFUSED[mode]}, which is no micrograph.", "Convert it to mode 2 (float32).", path
        )
    order = header.dtype["nx"].byteorder.replace("=", "<" if np.little_endian else ">")
    dtype = np.dtype(_DTYPES[mode]).newbyteorder(order)
    if mode == 0:
        stamp = np.frombuffer(raw, np.dtype("i4").newbyteorder(order), 2, offset=152)
        imod_unsigned = int(stamp[0]) == _IMOD_STAMP and not int(stamp[1]) & 1
        # Files older than MRC2014 carry unsigned bytes without a flag; their statistics give them away.
        if imod_unsigned or (float(header["dmin"]) >= 0 and 127 < float(header["dmax"]) <= 255):
            dtype = np.dtype("u1")
    return dtype


def _pixel_size(header: np.ndarray) -> float | None:
    """Angstrom per pixel along x, or None when the header does not say."""
    intervals = int(header["mx"])
    length = float(header["cella"]["x"])
    if intervals <= 0 or not np.isfinite(length) or length <= 0:
        return None
    return length / intervals


def read_header(path: Path | str) -> MrcInfo:
    """Read the header alone (1024 bytes, also of a compressed file); `InputError` when it is no usable MRC."""
    path = Path(path)
    with _explained(path):
        opener = _opener(path)
        with opener() if opener else path.open("rb") as stream:
            raw = stream.read(HEADER_BYTES)
    header = _interpret(raw, path)
    shape = (int(header["nz"]), int(header["ny"]), int(header["nx"]))
    count = min(max(int(header["nlabl"]), 0), 10)
    labels = tuple(bytes(label).decode("latin-1").rstrip("\0 ") for label in header["label"][:count])
    named_stack = ".mrcs" in (suffix.lower() for suffix in path.suffixes[-2:])
    return MrcInfo(
        path=path,
        shape=shape,
        mode=int(header["mode"]),
        dtype=_dtype_of(header, raw, path),
        pixel_size_a=_pixel_size(header),
        is_stack=shape[0] > 1 and (int(header["ispg"]) == 0 or named_stack),
        ext_header_size=int(header["nsymbt"]),
        compressed=opener is not None,
        labels=labels,
        header=header,
    )


def read_extended_header(info: MrcInfo) -> bytes:
    """The bytes between the header and the first pixel."""
    with _explained(info.path):
        opener = _opener(info.path)
        with opener() if opener else info.path.open("rb") as stream:
            stream.seek(HEADER_BYTES)
            return stream.read(info.ext_header_size)


def _check_length(info: MrcInfo) -> None:
    needed = info.data_offset + info.shape[0] * info.image_bytes
    size = info.path.stat().st_size
    if size < needed:
        raise _cut_short(info, needed, size)


def _cut_short(info: MrcInfo, needed: int, size: int) -> InputError:
    return InputError(
        f"{info.path.name} is cut short: its header promises {needed} bytes and only {size} are there.",
        "Copy it again from its source.",
        info.path,
    )


def _decode(info: MrcInfo, first: int = 0, count: int | None = None) -> np.ndarray:
    """Decompress `count` sections from `first` on: what the header promises, never more. (count, ny, nx)"""
    count = info.shape[0] if count is None else count
    start, total = info.data_offset + first * info.image_bytes, count * info.image_bytes
    _check_memory(info, total)
    data = np.empty(total, np.uint8)
    view = memoryview(data)
    opener = _opener(info.path) or (lambda: info.path.open("rb"))
    with opener() as stream:
        done = 0
        while done < start + total:
            left = start - done if done < start else start + total - done
            chunk = stream.read(min(BLOCK_BYTES, left))
            if not chunk:
                raise _cut_short(info, info.data_offset + info.shape[0] * info.image_bytes, done)
            if done >= start:
                view[done - start : done - start + len(chunk)] = chunk
            done += len(chunk)
    return data.view(info.dtype).reshape(count, *info.shape[1:])


def _check_memory(info: MrcInfo, needed: int) -> None:
    """A lying header in a small compressed file must not exhaust the machine."""
    import psutil

    if needed > 0.9 * psutil.virtual_memory().available:
        raise ResourceError(
            f"{info.path.name} needs {needed / 2**30:.1f} GiB of memory when decompressed.",
            "Decompress it on disk first: plain files are read piece by piece.",
        )


def open_mrc(path: Path | str) -> np.ndarray:
    """The pixels in the file's own type and byte order: (ny, nx) for one image, else (n, ny, nx).

    A read-only memory map when the file is plain, an array in memory when it is compressed.
    """
    path = Path(path)
    info = read_header(path)
    with _explained(path):
        if info.compressed:
            data = _decode(info)
        else:
            _check_length(info)
            data = np.memmap(path, dtype=info.dtype, mode="r", offset=info.data_offset, shape=info.shape)
    return data[0] if info.shape[0] == 1 else data


def read_image(path: Path | str, index: int = 0, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
    """One image as float32 (ny, nx): C-contiguous, native byte order, its own memory, every value finite.

    NaN and infinities become the median of the finite values (a warning is logged). `cancelled` is asked
    between blocks; when it says yes, the rest of the array stays zero and the caller must drop it.
    """
    path = Path(path)
    info = read_header(path)
    if not 0 <= index < info.shape[0]:
        raise InputError(
            f"{path.name} has {info.shape[0]} image(s), so there is no number {index + 1}.", "Choose another.", path
        )
    with _explained(path):
        if info.compressed:
            image = np.ascontiguousarray(_decode(info, index, 1)[0], dtype=np.float32)
        else:
            _check_length(info)
            image = _read_plain(info, index, cancelled)
    return replace_not_finite(image, path) if info.dtype.kind == "f" else image


def _read_plain(info: MrcInfo, index: int, cancelled: Callable[[], bool] | None) -> np.ndarray:
    """Read row blocks into float32. No memory map: a vanished network disk is an error here, not a crash."""
    _, ny, nx = info.shape
    image = np.zeros((ny, nx), np.float32)
    direct = info.dtype == np.dtype(np.float32)
    rows = max(1, BLOCK_BYTES // (nx * max(info.dtype.itemsize, 4)))
    scratch = np.empty(0 if direct else rows * nx, info.dtype)
    with info.path.open("rb", buffering=0) as stream:
        stream.seek(info.data_offset + index * info.image_bytes)
        for top in range(0, ny, rows):
            if cancelled is not None and cancelled():
                break
            target = image[top : top + rows].reshape(-1)  # rows are contiguous: a view
            buffer = target if direct else scratch[: target.size]
            _fill(stream, memoryview(buffer.view(np.uint8)), info)
            if not direct:
                target[...] = buffer
    return image


def _fill(stream: Any, view: memoryview, info: MrcInfo) -> None:
    done = 0
    while done < len(view):
        count = stream.readinto(view[done:])
        if not count:
            needed = info.data_offset + info.shape[0] * info.image_bytes
            raise _cut_short(info, needed, info.path.stat().st_size)
        done += count


def replace_not_finite(image: np.ndarray, path: Path | str = "image") -> np.ndarray:
    """Put the median of the finite pixels where `image` (ny, nx) is NaN or infinite, in place; log how many."""
    bad = 0
    rows = max(1, BLOCK_BYTES // (image.shape[1] * 4))
    blocks = [image[top : top + rows] for top in range(0, image.shape[0], rows)]
    # A sum is finite only when every term is: one cheap pass for the normal case.
    with np.errstate(invalid="ignore", over="ignore"):
        suspects = [block for block in blocks if not np.isfinite(block.sum(dtype=np.float64))]
    if not suspects:
        return image
    finite = image[np.isfinite(image)]
    median = np.float32(np.median(finite)) if finite.size else np.float32(0)
    for block in suspects:
        wrong = ~np.isfinite(block)
        bad += int(wrong.sum())
        block[wrong] = median
    log.warning("%s: %d pixels are NaN or infinite; replaced by the median %g", Path(path).name, bad, median)
    return image
