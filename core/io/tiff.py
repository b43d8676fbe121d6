"""Reading single-channel TIFF micrographs, through tifffile and imagecodecs. Pictures are written by tiff_write.py.

Rows come in the order of the file, row 0 first; no flip is ever implied. The frames of EER movies are eer.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import AppError, InputError, ResourceError
from core.io.finite import Tell, replace_not_finite
from core.io.rows import BLOCK_BYTES, RowLayout, cut_short, read_rows

_GREY = "Choose grey images."
# tifffile and its decoders raise all of these for damaged files and for compressions that they do not know.
_THEIRS = (
    OSError, ValueError, LookupError, RuntimeError, ImportError, TypeError, AttributeError, ArithmeticError,
    AssertionError, MemoryError, struct.error,
)  # fmt: skip
_MAX_SIDE = 1 << 20
_TILE_PIXELS = 1 << 24  # a tile may be larger than its image, but not without end
_EVENTS = (65000, 65001, 65002)  # compressions of electron event representation
_RATIO, _FLOOR = 1100, 64 << 20  # no compression makes more of noise; blank pictures are small


@dataclass(frozen=True)
class TiffInfo:
    """What the tags of a TIFF file say. `shape` is (n, ny, nx). TIFF states no reliable pixel size.

    `first_event_frame`: page that the frames of an EER movie begin at, which are then those `n`; None for a picture.
    """

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype
    first_event_frame: int | None = None


def is_tiff(path: Path | str) -> bool:
    """Whether the file begins like a TIFF (or BigTIFF); False for what cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return False


@contextmanager
def explained_tiff(path: Path) -> Iterator[None]:
    """Turn what tifffile and its decoders raise into one sentence about `path`."""
    try:
        yield
    except AppError:
        raise
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist.", "Check the name and the folder.", path) from exc
    except _THEIRS as exc:
        raise InputError(
            f"{path} cannot be read as TIFF: {exc}.", "Save it uncompressed, or convert it to MRC.", path
        ) from exc


def read_tiff_header(path: Path | str) -> TiffInfo:
    """Number of pages, size and type, without reading pixels."""
    import tifffile

    path = Path(path)
    with explained_tiff(path), tifffile.TiffFile(path) as tif:
        pages = len(tif.pages)
        page: Any = tif.pages[0] if pages else None
        first = _first_event_frame(tif.pages)
        if first is not None:
            page = tif.pages[first].aspage()
            pages -= first
        shape = tuple(int(side) for side in page.shape) if page is not None else ()
        dtype = page.dtype if page is not None else None
        if not shape or 0 in shape:
            raise InputError(f"{path} holds no image.", "Copy it again from its source.", path)
        if first is not None and len(shape) == 2:
            check_claim(page, path, np.dtype(np.uint8))
            return TiffInfo(path, (pages, shape[0], shape[1]), np.dtype(np.uint8), first)
        if dtype is not None and dtype.kind == "b":
            raise InputError(f"{path} is black and white (one bit per pixel), not a micrograph.", _GREY, path)
        if dtype is not None and dtype.kind not in "uif":
            raise InputError(f"{path} holds pixels of type {dtype}, which is no micrograph.", _GREY, path)
        if len(shape) != 2 or dtype is None or dtype.kind not in "uif":
            raise InputError(f"{path} is a colour picture, not a micrograph.", _GREY, path)
        check_claim(page, path, np.dtype(dtype))
        return TiffInfo(path, (pages, shape[0], shape[1]), np.dtype(dtype))


def _first_event_frame(pages: Any) -> int | None:
    """Number of the first page that holds electron events: 0, or 1 behind a picture of the whole exposure."""
    for number in range(min(2, len(pages))):
        if int(pages[number].aspage().compression) in _EVENTS:
            return number
    return None


def check_claim(page: Any, path: Path, dtype: np.dtype) -> None:
    """What the tags of a page claim, held against the file before any memory is asked for."""
    sides, size = tuple(page.shape[-2:]), path.stat().st_size
    claimed = int(np.prod(sides, dtype=object)) * dtype.itemsize
    tile = (page.tilelength or 1) * (page.tilewidth or 1)
    events = int(page.compression) in _EVENTS  # an empty frame is a few bytes
    limit = _FLOOR if events else max(_FLOOR, _RATIO * size if int(page.compression) != 1 else size)
    if max(sides) > _MAX_SIDE or claimed > limit or tile > max(_TILE_PIXELS, 4 * sides[0] * sides[1]):
        raise InputError(
            f"{path}: its tags claim {sides[1]} x {sides[0]} pixels, more than a file of {size} bytes can hold.",
            "Copy it again from its source.",
            path,
        )
    end = max((o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=False) if n), default=0)
    if end > size:
        raise InputError(
            f"{path} is cut short: its tags promise {end} bytes and only {size} are there.",
            "Copy it again from its source.",
            path,
        )
    import psutil

    if 4 * int(np.prod(sides, dtype=object)) > 0.9 * psutil.virtual_memory().available:
        raise ResourceError(
            f"{path} needs {4 * sides[0] * sides[1] / 2**30:.1f} GiB of memory when decompressed.",
            "Close other programs.",
        )


def tiff_rows(path: Path | str, index: int = 0) -> RowLayout | None:
    """Where the rows of one page lie; None when it is compressed, tiled or otherwise not row after row."""
    import tifffile

    path = Path(path)
    with explained_tiff(path), tifffile.TiffFile(path) as tif:
        if not 0 <= index < len(tif.pages):
            raise _no_page(path, len(tif.pages), index)
        page: Any = tif.pages[index]
        first = page.keyframe
        offsets, sizes = page.dataoffsets, page.databytecounts
        strips_join = len(offsets) > 0 and all(
            offset + size == following
            for offset, size, following in zip(offsets[:-1], sizes[:-1], offsets[1:], strict=True)
        )
        if not (strips_join and first.is_final and first.dtype and len(page.shape) == 2 and 0 not in page.shape):
            return None
        dtype = np.dtype(tif.byteorder + first.dtype.char)
        layout = RowLayout(path, int(page.dataoffsets[0]), dtype, (int(page.shape[0]), int(page.shape[1])))
        if layout.offset + layout.nbytes > path.stat().st_size:
            raise cut_short(layout, path.stat().st_size)
    return layout


def _no_page(path: Path, pages: int, index: int) -> InputError:
    return InputError(f"{path} has {pages} page(s), not {index + 1}.", "Choose another.", path)


def read_tiff(
    path: Path | str, index: int = 0, cancelled: Callable[[], bool] | None = None, tell: Tell | None = None
) -> np.ndarray:
    """One page as float32 (ny, nx), every value finite (NaN and infinities become the median; `tell` hears of it).

    `cancelled` is asked between strips or tiles; when it says yes, the caller must drop what comes back.
    """
    import tifffile

    path = Path(path)
    info = read_tiff_header(path)
    if not 0 <= index < info.shape[0]:
        raise _no_page(path, info.shape[0], index)
    with explained_tiff(path), tifffile.TiffFile(path) as tif:
        page = tif.pages[index]
        if tuple(page.shape) != info.shape[1:]:
            raise InputError(f"{path}: page {index + 1} has another size than the first.", "Split it.", path)
        check_claim(page.aspage(), path, info.dtype)
        layout = tiff_rows(path, index)
        pixels = read_rows(layout, cancelled) if layout else _decode(page, info.shape[1:], cancelled)
    return replace_not_finite(pixels, path, tell)


def _decode(page: Any, shape: tuple[int, int], cancelled: Callable[[], bool] | None) -> np.ndarray:
    """Strips or tiles of a compressed page, one after the other, as float32."""
    if page.keyframe.is_contiguous or 0 in page.keyframe.shaped:  # predictors without compression and such
        return np.ascontiguousarray(page.asarray(), dtype=np.float32)
    image = np.zeros(shape, np.float32)
    for segment, (_, _, top, left, _), size in page.segments(maxworkers=1, sort=True, buffersize=BLOCK_BYTES):
        if cancelled is not None and cancelled():
            break
        target = image[top : top + size[1], left : left + size[2]]
        if segment is None:
            target[...] = page.keyframe.nodata
        else:
            target[...] = segment[0, : target.shape[0], : target.shape[1], 0]
    return image
