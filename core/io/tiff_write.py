"""Writing TIFF pictures from rows as they come: 8-bit grey, RGB, or float32; uncompressed, one page.

The description begins as ImageJ's does, so that ImageJ and Fiji show lengths in nm; the resolution tags say the
same. Reading is tiff.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

import core
from core.io.atomic import atomic_path

_CLASSIC_LIMIT = (1 << 32) - (1 << 20)  # bytes; beyond, TIFF needs 64-bit offsets


def write_tiff(
    path: Path | str,
    shape: tuple[int, ...],
    dtype: str,
    blocks: Iterable[np.ndarray],
    rows_per_block: int,
    pixel_size_a: float | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write rows, all or nothing: `shape` (ny, nx) or (ny, nx, 3), every block but the last `rows_per_block` high."""
    import tifffile

    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    per_nm = _ratio(10.0 / pixel_size_a) if pixel_size_a else None
    with (
        atomic_path(path) as partial,
        tifffile.TiffWriter(partial, byteorder="<", bigtiff=size > _CLASSIC_LIMIT) as writer,
    ):
        writer.write(
            _strips(shape, dtype, blocks),
            shape=shape,
            dtype=dtype,
            photometric="rgb" if len(shape) == 3 else "minisblack",
            rowsperstrip=rows_per_block,
            description=_description(pixel_size_a, texts or {}).encode(),
            resolution=(per_nm, per_nm) if per_nm else None,
            resolutionunit="NONE",
            software=f"Vitreous {core.__version__}",
            metadata=None,
        )


def _strips(shape: tuple[int, ...], dtype: str, blocks: Iterable[np.ndarray]) -> Iterator[bytes]:
    written = 0
    for block in blocks:
        if block.shape[1:] != shape[1:]:
            raise ValueError(f"rows of {shape[1:]} are needed, not {block.shape[1:]}")
        written += len(block)
        yield np.ascontiguousarray(block, np.dtype(dtype).newbyteorder("<")).tobytes()
    if written != shape[0]:
        raise ValueError(f"{written} rows were given for a picture of {shape[0]}")


def _ratio(value: float) -> tuple[int, int]:
    """Numerator and denominator that fit into a TIFF tag."""
    fraction = Fraction(value).limit_denominator(1_000_000)
    return fraction.numerator, fraction.denominator


def _description(pixel_size_a: float | None, texts: Mapping[str, str]) -> str:
    """`key=value` lines, as ImageJ reads them: a backslash would be an escape, a line end a new entry."""
    lines = ["ImageJ=1.54f"]
    if pixel_size_a:
        lines.append("unit=nm")
    lines += [f"{key}={' | '.join(text.splitlines())}".replace("\\", "/") for key, text in texts.items()]
    return "\n".join([*lines, ""])
