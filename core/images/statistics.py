"""What is known about an image: its file, its header, the numbers of its pixels. As short texts, by group.

Every pixel is counted, in row blocks that can be cancelled. Histograms and display levels live in contrast.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.images.pyramid import Cancelled, Pyramid

HOT_SIGMAS = 10.0
_BLOCK_VALUES = 1 << 20

Row = tuple[str, str]
Group = tuple[str, list[Row]]

# Extended header of FEI (Thermo Fisher): field, bit of "Bitmask 1" or "2" that says it was written, name, factor, unit.
_FEI_NUMBERS = (
    ("HT", 1, 5, "Voltage", 1e-3, "kV"),
    ("Dose", 1, 6, "Dose", 1e-20, "e⁻/Å²"),
    ("Alpha tilt", 1, 7, "Tilt", 1.0, "°"),
    ("Applied defocus", 1, 24, "Defocus set", 1e6, "µm"),
    ("Magnification", 1, 31, "Magnification", 1.0, "×"),
    ("Integration time", 2, 16, "Exposure", 1.0, "s"),
)


@dataclass(frozen=True)
class Numbers:
    """Statistics of all pixels."""

    count: int
    minimum: float
    maximum: float
    mean: float
    sd: float
    hot: int  # pixels more than HOT_SIGMAS standard deviations from the mean


def describe(
    path: Path | str | None, pyramid: Pyramid | None, cancelled: Callable[[], bool] | None = None
) -> list[Group]:
    """Groups (title, [(name, text)]) about a file and its picture; either may be None. `InputError` for bad files.

    Reads the header again, and the pixels of files of real numbers to count what is not finite.
    """
    groups: list[Group] = []
    if path is not None:
        groups += _file_groups(Path(path), pyramid, cancelled)
    if pyramid is not None:
        groups.append(("Pixels", _pixel_rows(Path(path) if path is not None else None, pyramid, cancelled)))
    return [(title, rows) for title, rows in groups if rows]


def as_text(groups: list[Group]) -> str:
    """All of it for the clipboard: name, tab, value; a line for each group's title."""
    return "\n\n".join(title + "\n" + "\n".join(f"{name}\t{text}" for name, text in rows) for title, rows in groups)


def measure(image: np.ndarray, cancelled: Callable[[], bool] | None = None) -> Numbers:
    """Statistics of a finite (ny, nx) image, in double precision: blocks are joined as Chan et al. (1983) do."""
    count, mean, squares = 0, 0.0, 0.0
    low, high = math.inf, -math.inf
    for block in _row_blocks(image, cancelled):
        values = block.astype(np.float64)
        part = float(values.mean())
        values -= part
        size, shift = values.size, part - mean
        squares += float(np.vdot(values, values)) + shift**2 * count * size / (count + size)
        mean += shift * size / (count + size)
        count += size
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    sd = math.sqrt(squares / count)
    reach = HOT_SIGMAS * sd
    hot = 0
    if sd > 0 and max(high - mean, mean - low) > reach:
        above, below = np.float32(mean + reach), np.float32(mean - reach)
        hot = sum(int(np.count_nonzero((b > above) | (b < below))) for b in _row_blocks(image, cancelled))
    return Numbers(count, low, high, mean, sd, hot)


def count_not_finite(path: Path, index: int = 0, cancelled: Callable[[], bool] | None = None) -> int | None:
    """NaN and infinite values of image `index` in a plain MRC file; None when that is not known cheaply."""
    from core.io.file_errors import explained
    from core.io.mrc_header import read_header

    info = read_header(path)
    if info.dtype.kind != "f":
        return 0
    if info.compressed:
        return None
    found, left = 0, info.shape[1] * info.shape[2]
    with explained(path), path.open("rb") as stream:
        stream.seek(info.data_offset + index * info.image_bytes)
        while left > 0:
            if cancelled is not None and cancelled():
                raise Cancelled
            values = np.frombuffer(stream.read(min(left, _BLOCK_VALUES) * info.dtype.itemsize), info.dtype)
            if not values.size:
                break
            found += values.size - int(np.count_nonzero(np.isfinite(values)))
            left -= values.size
    return found


def _row_blocks(image: np.ndarray, cancelled: Callable[[], bool] | None) -> Iterator[np.ndarray]:
    rows = max(1, _BLOCK_VALUES // image.shape[1])
    for top in range(0, image.shape[0], rows):
        if cancelled is not None and cancelled():
            raise Cancelled
        yield image[top : top + rows]


# -- file and header ------------------------------------------------------------------------------------------


def _file_groups(path: Path, pyramid: Pyramid | None, cancelled: Callable[[], bool] | None) -> list[Group]:
    from core.io import tiff

    try:
        size = path.stat().st_size
    except OSError as exc:
        raise InputError(f"{path} does not exist.", "Check the name and the folder.", path) from exc
    rows = [("Name", path.name), ("Folder", str(path.parent)), ("Size", bytes_text(size))]
    if tiff.is_tiff(path):
        info = tiff.read_tiff_header(path)
        rows += [("Format", "TIFF"), ("Values", _type_text(info.dtype))]
        if info.dtype.itemsize > 1:
            rows.append(("Byte order", _order_text(info.dtype)))
        header = [("Images", str(info.shape[0])), ("Image", _shape_text(info.shape[1:]))]
        if info.first_event_frame is not None:
            rows[-2:] = [("Format", "EER, raw movie")]
            header[0] = ("Frames", str(info.shape[0]))
        return [("File", rows + _notes(path)), ("Header", header)]
    return _mrc_groups(path, rows, pyramid.pixel_size_a if pyramid is not None else None)


def _mrc_groups(path: Path, rows: list[Row], pixel_in_use: float | None) -> list[Group]:
    from core.io.mrc_header import read_header

    info = read_header(path)
    packed = ", compressed" if info.compressed else ""
    values = "4-bit unsigned integers" if info.packed else _type_text(info.dtype)
    rows += [("Format", f"MRC{packed}"), ("Values", f"{values} (mode {info.mode})")]
    if info.dtype.itemsize > 1:
        rows.append(("Byte order", _order_text(info.dtype)))
    count = info.shape[0]
    kind = "Images" if count == 1 or info.is_stack else "Sections"
    header = [(kind, str(count)), ("Image", _shape_text(info.shape[1:]))]
    header.append(("Pixel size", "not given" if info.pixel_size_a is None else f"{info.pixel_size_a:.4g} Å"))
    pixel = info.pixel_size_a if pixel_in_use is None else pixel_in_use
    if pixel is not None:
        field = (f"{side * pixel / 1e4:.3g}" for side in (info.shape[2], info.shape[1]))
        header.append(("Field", " × ".join(field) + " µm"))
    header += [(f"Label {number}", " ".join(text.split())) for number, text in enumerate(info.labels, 1) if text]
    rows += _notes(path) + [("Read", remark) for remark in info.remarks]
    groups: list[Group] = [("File", rows), ("Header", header)]
    if info.ext_header_size:
        kind_text = bytes(info.header["exttyp"].item()).decode("latin-1").strip("\0 ") or "unknown kind"
        header.append(("Extended header", f"{kind_text}, {bytes_text(info.ext_header_size)}"))
        microscope = _fei_rows(info, kind_text)
        if microscope:
            groups.append(("Microscope", microscope))
    return groups


def _notes(path: Path) -> list[Row]:
    from core.images.source import open_source

    return [("Note", note) for note in open_source(path).notes]


def _fei_rows(info: Any, kind: str) -> list[Row]:
    """What the microscope wrote, as far as its bit masks say that it did."""
    if kind not in ("FEI1", "FEI2"):
        return []
    from mrcfile.dtypes import get_ext_header_dtype

    from core.io.mrc_header import read_extended_header

    dtype = get_ext_header_dtype(kind.encode(), ">" if info.dtype.str[0] == ">" else "<")
    raw = read_extended_header(info)
    if dtype is None or len(raw) < dtype.itemsize:
        return []
    record = np.frombuffer(raw, dtype, 1)[0]
    rows: list[Row] = []
    written = {1: int(record["Bitmask 1"]), 2: int(record["Bitmask 2"])}

    def words(field: str) -> str:
        return bytes(record[field].item()).decode("latin-1").strip("\0 ")

    if written[1] >> 1 & 1 and words("Microscope type"):
        rows.append(("Microscope", words("Microscope type")))
    if written[1] >> 3 & 1 and words("Application"):
        rows.append(("Software", f"{words('Application')} {words('Application version')}".strip()))
    if written[2] >> 19 & 1 and words("Camera name"):
        rows.append(("Camera", words("Camera name")))
    for field, mask, bit, name, factor, unit in _FEI_NUMBERS:
        value = float(record[field]) * factor
        if written[mask] >> bit & 1 and math.isfinite(value):
            rows.append((name, f"{value:.4g} {unit}" if abs(value) < 1e4 else f"{value:.0f} {unit}"))
    return rows


# -- pixels ---------------------------------------------------------------------------------------------------


def _pixel_rows(path: Path | None, pyramid: Pyramid, cancelled: Callable[[], bool] | None) -> list[Row]:
    from core.io import tiff

    image = pyramid.level(pyramid.finest)
    numbers = measure(image, cancelled)
    rows = [("Image", f"{pyramid.index + 1} of {pyramid.n}")] if pyramid.n > 1 else []
    if pyramid.finest:
        rows.append(("Of the picture", f"means of {2**pyramid.finest} × {2**pyramid.finest} pixels"))
    rows += [
        ("Mean", number_text(numbers.mean)),
        ("Standard deviation", number_text(numbers.sd)),
        ("Minimum", number_text(numbers.minimum)),
        ("Maximum", number_text(numbers.maximum)),
        (f"Beyond {HOT_SIGMAS:g} σ", _pixels(numbers.hot) if numbers.hot else "none"),
    ]
    known = None
    if path is not None and not tiff.is_tiff(path):
        known = count_not_finite(path, pyramid.index, cancelled)
    bad = pyramid.not_finite if known is None else known
    if bad:
        total = pyramid.shape[0] * pyramid.shape[1]
        rows.append(("Not a number", f"{_pixels(bad)} of {total}, shown as the median"))
    return rows


def number_text(value: float) -> str:
    """Up to six digits that mean something: 6.47e-05, 0.0123, 1234.56, 42910."""
    return f"{value:.6g}"


def bytes_text(count: int) -> str:
    """Sizes of files: 512 bytes, 2.8 MB (10^6 bytes)."""
    if count < 1000:
        return f"{count} bytes"
    step = min(int(math.log10(count * 1.0005) // 3), 4)  # 999.7 kB is 1 MB
    return f"{count / 1000**step:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[step]}"


def _pixels(count: int) -> str:
    return f"{count} pixel{'' if count == 1 else 's'}"


def _shape_text(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} × {shape[0]} px"


def _order_text(dtype: np.dtype[Any]) -> str:
    return "big-endian" if dtype.newbyteorder("=") != dtype else "little-endian"


def _type_text(dtype: np.dtype[Any]) -> str:
    kinds = {"u": "unsigned integers", "i": "integers", "f": "real"}
    return f"{dtype.itemsize * 8}-bit {kinds.get(dtype.kind, dtype.name)}"
