"""The header of an MRC file: what it says, in any byte order, plain or compressed.

Follows MRC2014 and copes with what breaks it: no MAP stamp, wrong machine stamp, IMOD's unsigned bytes,
float16 (mode 12). Pixels are read in mrc.py and written in mrc_write.py.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from core.errors import AppError, InputError, ResourceError

HEADER_BYTES = 1024
_DTYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_REFUSED = {
    3: "complex integers (mode 3), a Fourier transform",
    4: "complex numbers (mode 4), a Fourier transform",
    101: "packed 4-bit numbers (mode 101)",
}
_IMOD_STAMP = 1146047817
_MAX_SIDE = 1 << 20

# The damage a reader of compressed or cut files meets, beyond OSError.
_DECODE_ERRORS = (EOFError, zlib.error)


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


def opener_of(path: Path) -> Callable[[], BinaryIO] | None:
    """How to open a compressed file; None for a plain one. Decided by content: suffixes lie."""
    with path.open("rb") as stream:
        magic = stream.read(3)
    if magic[:2] == b"\x1f\x8b":
        return lambda: cast(BinaryIO, gzip.open(path, "rb"))
    if magic == b"BZh":
        return lambda: cast(BinaryIO, bz2.open(path, "rb"))
    return None


@contextmanager
def explained(path: Path):
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
        raise InputError(f"{path} may not be read.", "Check its permissions.", path) from exc
    except MemoryError as exc:
        raise ResourceError(f"{path} does not fit into memory.", "Close other programs.") from exc
    except (OSError, *_DECODE_ERRORS) as exc:
        raise InputError(f"{path} is damaged: {exc}.", "Copy it again from its source.", path) from exc


def _plausible(header: np.ndarray) -> bool:
    sides = (int(header["nx"]), int(header["ny"]), int(header["nz"]))
    known = int(header["mode"]) in _DTYPES or int(header["mode"]) in _REFUSED
    return known and all(0 < side <= _MAX_SIDE for side in sides) and 0 <= int(header["nsymbt"]) < 1 << 31


def _interpret(raw: bytes, path: Path) -> np.ndarray:
    """The header in its own byte order; InputError when the bytes cannot be one."""
    if len(raw) < HEADER_BYTES:
        reason = "is empty" if not raw else "is too short to be an MRC file"
        raise InputError(f"{path} {reason}.", "Choose another file.", path)
    stamped = HEADER_DTYPE.newbyteorder(">" if raw[212:213] == b"\x11" else "<")
    # Machine stamps are wrong in the wild: believe the stamp first, the numbers if it makes no sense.
    for dtype in (stamped, stamped.newbyteorder()):
        header = np.frombuffer(raw, dtype)[0]
        if _plausible(header):
            return header
    if raw[208:211] == b"MAP":
        header = np.frombuffer(raw, stamped)[0]
        raise InputError(
            f"{path} has an MRC header that makes no sense (mode {int(header['mode'])}, "
            f"{int(header['nx'])} x {int(header['ny'])} x {int(header['nz'])}).",
            "Convert it again with the program that wrote it.",
            path,
        )
    raise InputError(f"{path} is not an MRC file.", "Choose .mrc, .mrcs or .tif micrographs.", path)


def _dtype_of(header: np.ndarray, raw: bytes, path: Path) -> np.dtype[Any]:
    mode = int(header["mode"])
    if mode in _REFUSED:
        raise InputError(
            f"{path} holds {_REFUSED[mode]}, which is no micrograph.",
            "Convert it to mode 2 (float32).",
            path,
        )
    order = "<" if header.dtype["nx"].newbyteorder("<") == header.dtype["nx"] else ">"
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
    """Read the header alone (1024 bytes, also of a compressed file); `InputError` when it is not usable."""
    path = Path(path)
    with explained(path):
        opener = opener_of(path)
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
    with explained(info.path):
        opener = opener_of(info.path)
        with opener() if opener else info.path.open("rb") as stream:
            stream.seek(HEADER_BYTES)
            return stream.read(info.ext_header_size)
