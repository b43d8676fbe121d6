"""The header of an MRC file: what it says, in any byte order, plain or compressed.

Follows MRC2014 and copes with what breaks it: no MAP stamp, wrong machine stamp, IMOD's unsigned bytes and packed
4-bit pixels, float16 (mode 12). Damage is told in mrc_checks.py; pixels are read in mrc.py and written in mrc_write.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from core.errors import InputError
from core.io.compressed import Unpacked, kind_of, most_inside
from core.io.file_errors import explained
from core.io.mrc_checks import DTYPES, HEADER_BYTES, REFUSED, interpret
from core.io.rows import row_bytes

_PIECE_BYTES = 1 << 20
_IMOD_STAMP = 1146047817
_SIGNED, _HALF_WIDTH = 1, 16  # IMOD's flags: bytes are signed; a byte holds two pixels and nx counts bytes
_LEAST_A, _MOST_A = 1e-3, 1e5  # pixel sizes beyond these are damage
_OURS = "Vitreous"  # begins our labels: we write no pixel size when none is known
_DEFAULT_A = 1.0  # what many programs write when they do not know it


@dataclass(frozen=True)
class MrcInfo:
    """What the header of an MRC file says. `shape` is always (n, ny, nx).

    `notes`: what is odd about the file, for every reader to hear. `remarks`: how its header was understood.
    """

    path: Path
    shape: tuple[int, int, int]
    mode: int
    dtype: np.dtype[Any]  # with the byte order of the file
    pixel_size_a: float | None
    is_stack: bool  # n images, not one volume
    ext_header_size: int
    compressed: bool
    labels: tuple[str, ...] = ()
    packed: bool = False  # two pixels in a byte of `dtype`
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    header: np.ndarray = field(default_factory=lambda: np.zeros((), HEADER_DTYPE), repr=False, compare=False)

    @property
    def data_offset(self) -> int:
        """Bytes before the first pixel."""
        return HEADER_BYTES + self.ext_header_size

    @property
    def image_bytes(self) -> int:
        """Bytes of one image (one section)."""
        return self.shape[1] * row_bytes(self.shape[2], self.dtype, self.packed)

    @property
    def needed_bytes(self) -> int:
        """Bytes of the whole file, decompressed, as the header promises them."""
        return self.data_offset + self.shape[0] * self.image_bytes


def opener_of(path: Path) -> Callable[[], BinaryIO] | None:
    """How to open a compressed file; None for a plain one. Decided by content: suffixes lie."""
    return _opener(path, kind_of(path))


def _opener(path: Path, kind: str) -> Callable[[], BinaryIO] | None:
    return (lambda: cast(BinaryIO, Unpacked(path, kind))) if kind else None


def read_header(path: Path | str) -> MrcInfo:
    """Read the header alone (1024 bytes, also of a compressed file); `InputError` when it is not usable."""
    path = Path(path)
    with explained(path):
        kind, size = kind_of(path), path.stat().st_size
        opener = _opener(path, kind)
        with opener() if opener else path.open("rb") as stream:
            raw = stream.read(HEADER_BYTES)
    header, oddities = interpret(raw, path, bool(kind))
    mode = int(header["mode"])
    if mode in REFUSED:
        raise InputError(
            f"{path} holds {REFUSED[mode]}, which is no micrograph.", "Convert it to mode 2 (float32).", path
        )
    dtype, packed, wider, remark = _pixels(header, raw)
    count = min(max(int(header["nlabl"]), 0), 10)
    labels = tuple(bytes(label).decode("latin-1").rstrip("\0 ") for label in header["label"][:count])
    pixel, doubt = _pixel_size(header, labels)
    named_stack = ".mrcs" in (suffix.lower() for suffix in path.suffixes[-2:])
    sections = int(header["nz"])
    info = MrcInfo(
        path=path,
        shape=(sections, int(header["ny"]), int(header["nx"]) * wider),
        mode=mode,
        dtype=dtype,
        pixel_size_a=pixel,
        is_stack=sections > 1 and (int(header["ispg"]) == 0 or named_stack),
        ext_header_size=int(header["nsymbt"]),
        compressed=bool(kind),
        labels=labels,
        packed=packed,
        notes=(*oddities, *_wrong_name(path, kind)),
        remarks=tuple(text for text in (remark, doubt) if text),
        header=header,
    )
    _check_size(info, kind, size)
    return info


def read_extended_header(info: MrcInfo) -> bytes:
    """The bytes between the header and the first pixel."""
    with explained(info.path):
        opener = opener_of(info.path)
        with opener() if opener else info.path.open("rb") as stream:
            stream.read(HEADER_BYTES)
            parts, left = [], info.ext_header_size
            while left and (part := stream.read(min(left, _PIECE_BYTES))):  # a lying header sets no memory aside
                parts.append(part)
                left -= len(part)
            return b"".join(parts)


def _pixels(header: np.ndarray, raw: bytes) -> tuple[np.dtype[Any], bool, int, str]:
    """Type of the stored values, whether two pixels share one, pixels per column of the header, and a remark."""
    mode = int(header["mode"])
    order = "<" if header.dtype["nx"].newbyteorder("<") == header.dtype["nx"] else ">"
    dtype = np.dtype(DTYPES[mode]).newbyteorder(order)
    if mode == 101:
        return dtype, True, 1, "4-bit pixels, two in a byte"
    if mode != 0:
        return dtype, False, 1, ""
    unsigned = np.dtype("u1")
    stamp = np.frombuffer(raw, np.dtype("i4").newbyteorder(order), 2, offset=152)
    if int(stamp[0]) == _IMOD_STAMP:
        flags = int(stamp[1])
        if flags & _HALF_WIDTH and not flags & _SIGNED:
            return unsigned, True, 2, "4-bit pixels, two in a byte, as the flag of IMOD says"
        kind = "signed" if flags & _SIGNED else "unsigned"
        return (dtype if flags & _SIGNED else unsigned), False, 1, f"bytes read as {kind}, as the flag of IMOD says"
    low, high = float(header["dmin"]), float(header["dmax"])
    # Files older than MRC2014 carry unsigned bytes without a flag; their statistics give them away.
    if low >= 0 and 127 < high <= 255:
        return unsigned, False, 1, f"bytes read as unsigned, because the header tells a maximum of {high:g}"
    why = f"because the header tells a minimum of {low:g}" if -128 <= low < 0 else "as MRC2014 has them"
    return dtype, False, 1, f"bytes read as signed, {why}"


def _pixel_size(header: np.ndarray, labels: tuple[str, ...]) -> tuple[float | None, str]:
    """Angstrom per pixel along x, or None when the header does not say; and why it is not believed.

    Exactly 1 is what many programs write when they do not know it; only our own label vouches for it.
    """
    intervals = int(header["mx"])
    length = float(header["cella"]["x"])
    if intervals <= 0 or not np.isfinite(length) or not _LEAST_A <= length / intervals <= _MOST_A:
        return None, ""
    pixel = length / intervals
    if pixel == _DEFAULT_A and not any(label.startswith(_OURS) for label in labels):
        return None, "a pixel size of exactly 1 Å is what programs write when they do not know it: taken as unknown"
    return pixel, ""


def _wrong_name(path: Path, kind: str) -> list[str]:
    named = {".gz": "gzip", ".bz2": "bzip2"}.get(path.suffix.lower(), "")
    if kind == named:
        return []
    return [f"it is {f'compressed ({kind})' if kind else 'not compressed'}, whatever its name says"]


def _check_size(info: MrcInfo, kind: str, size: int) -> None:
    """What the header claims, held against the file before any memory is asked for."""
    most = most_inside(kind, size) if kind else size
    if most is None:
        return
    if info.data_offset > most:
        raise InputError(
            f"{info.path}: its header claims an extended header of {info.ext_header_size} bytes, and the file "
            f"has {size}: damaged header, or cut short.",
            "Copy it again from its source.",
            info.path,
        )
    if kind and info.needed_bytes > most:
        raise InputError(
            f"{info.path}: its header claims {info.needed_bytes} bytes, more than a compressed file of {size} bytes "
            "can hold: damaged header, or cut short.",
            "Copy it again from its source.",
            info.path,
        )
