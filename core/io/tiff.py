"""Reading single-channel TIFF micrographs, through tifffile. Nothing is written as TIFF.

Rows come in the order of the file, row 0 first; no flip is ever implied.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import AppError, InputError
from core.io.mrc import replace_not_finite


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
    except (OSError, ValueError, KeyError, IndexError, RuntimeError, ImportError) as exc:
        # tifffile raises all of these for damaged files and for compressions it lacks a decoder for.
        raise InputError(
            f"{path} cannot be read as TIFF: {exc}.", "Save it uncompressed, or convert it to MRC.", path
        ) from exc


def read_tiff_header(path: Path | str) -> TiffInfo:
    """Number of pages, size and type, without reading pixels."""
    import tifffile

    path = Path(path)
    with _explained(path), tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        shape = tuple(int(side) for side in page.shape)
        dtype = page.dtype
        pages = len(tif.pages)
    if len(shape) != 2 or dtype is None or dtype.kind not in "uif":
        raise InputError(f"{path} is a colour picture, not a micrograph.", "Choose grey images.", path)
    return TiffInfo(path, (pages, shape[0], shape[1]), np.dtype(dtype))


def read_tiff(path: Path | str, index: int = 0) -> np.ndarray:
    """One page as float32 (ny, nx), every value finite (NaN and infinities become the median)."""
    import tifffile

    path = Path(path)
    info = read_tiff_header(path)
    if not 0 <= index < info.shape[0]:
        raise InputError(f"{path} has {info.shape[0]} page(s), not {index + 1}.", "Choose another.", path)
    with _explained(path), tifffile.TiffFile(path) as tif:
        pixels = tif.pages[index].asarray()
    if pixels.shape != info.shape[1:]:
        raise InputError(f"{path}: page {index + 1} has another size than the first.", "Split it.", path)
    return replace_not_finite(np.ascontiguousarray(pixels, dtype=np.float32), path)
