"""Reading single-channel TIFF micrographs, through tifffile. Pictures are written by tiff_write.py.

Rows come in the order of the file, row 0 first; no flip is ever implied.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import AppError, InputError
from core.io.mrc import replace_not_finite
from core.io.rows import BLOCK_BYTES, RowLayout, cut_short, read_rows

_GREY = "Choose grey images."


@dataclass(frozen=True)
class TiffInfo:
    """What the tags of a TIFF file say. `shape` is (n, ny, nx). TIFF states no reliable pixel size."""

    path: Path
    shape: tuple[int, int, int]
    dtype: np.dtype


def is_tiff(path: Path | str) -> bool:
    """Whether the file begins like a TIFF (or BigTIFF); False for what cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    except OSError:
        return False


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except AppError:
        raise
    except FileNotFoundError as exc:
        raise InputError(f"{path} does not exist.", "Check the name and the folder.", path) from exc
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, ImportError, TypeError, struct.error) as exc:
        # tifffile raises all of these for damaged files and for compressions it lacks a decoder for.
        raise InputError(
            f"{path} cannot be read as TIFF: {exc}.", "Save it uncompressed, or convert it to MRC.", path
        ) from exc


def read_tiff_header(path: Path | str) -> TiffInfo:
    """Number of pages, size and type, without reading pixels."""
    import tifffile

    path = Path(path)
    with _explained(path), tifffile.TiffFile(path) as tif:
        pages = len(tif.pages)
        page = tif.pages[0] if pages else None
        shape = tuple(int(side) for side in page.shape) if page is not None else ()
        dtype = page.dtype if page is not None else None
    if not shape or 0 in shape:
        raise InputError(f"{path} holds no image.", "Copy it again from its source.", path)
    if dtype is not None and dtype.kind == "b":
        raise InputError(f"{path} is black and white (one bit per pixel), not a micrograph.", _GREY, path)
    if dtype is not None and dtype.kind not in "uif":
        raise InputError(f"{path} holds pixels of type {dtype}, which is no micrograph.", _GREY, path)
    if len(shape) != 2 or dtype is None or dtype.kind not in "uif":
        raise InputError(f"{path} is a colour picture, not a micrograph.", _GREY, path)
    return TiffInfo(path, (pages, shape[0], shape[1]), np.dtype(dtype))


def tiff_rows(path: Path | str, index: int = 0) -> RowLayout | None:
    """Where the rows of one page lie; None when it is compressed, tiled or otherwise not row after row."""
    import tifffile

    path = Path(path)
    with _explained(path), tifffile.TiffFile(path) as tif:
        if not 0 <= index < len(tif.pages):
            raise _no_page(path, len(tif.pages), index)
        page: Any = tif.pages[index]
        first = page.keyframe
        offsets, sizes = page.dataoffsets, page.databytecounts
        strips_join = len(offsets) > 0 and all(
            offset + size == following
            for offset, size, following in zip(offsets[:-1], sizes[:-1], offsets[1:], strict=True)
        )
        if not (strips_join and first.is_final and first.dtype is not None and len(page.shape) == 2):
            return None
        dtype = np.dtype(tif.byteorder + first.dtype.char)
        layout = RowLayout(path, int(page.dataoffsets[0]), dtype, (int(page.shape[0]), int(page.shape[1])))
        if layout.offset + layout.nbytes > path.stat().st_size:
            raise cut_short(layout, path.stat().st_size)
    return layout


def _no_page(path: Path, pages: int, index: int) -> InputError:
    return InputError(f"{path} has {pages} page(s), not {index + 1}.", "Choose another.", path)


def read_tiff(path: Path | str, index: int = 0, cancelled: Callable[[], bool] | None = None) -> np.ndarray:
    """One page as float32 (ny, nx), every value finite (NaN and infinities become the median).

    `cancelled` is asked between strips or tiles; when it says yes, the caller must drop what comes back.
    """
    import tifffile

    path = Path(path)
    info = read_tiff_header(path)
    if not 0 <= index < info.shape[0]:
        raise _no_page(path, info.shape[0], index)
    with _explained(path), tifffile.TiffFile(path) as tif:
        page = tif.pages[index]
        if tuple(page.shape) != info.shape[1:]:
            raise InputError(f"{path}: page {index + 1} has another size than the first.", "Split it.", path)
        layout = tiff_rows(path, index)
        pixels = read_rows(layout, cancelled) if layout else _decode(page, info.shape[1:], cancelled)
    return replace_not_finite(pixels, path)


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
