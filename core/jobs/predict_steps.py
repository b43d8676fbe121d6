"""One micrograph read, denoised and written: the three steps that the predict job overlaps."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import core
from core.errors import InputError

if TYPE_CHECKING:
    from core.denoising.predict import Method, Step
    from core.images.single import Single, Warn

FLOAT16_MAX, FLOAT16_STEP = 65504, 0.1  # steps of float16, as a share of the contrast, that still do no harm


@dataclass
class Result:
    """A denoised micrograph, before it is written."""

    path: Path
    image: np.ndarray
    pixel_size_a: float | None


def read_raw(path: Path, pixel_size_a: float | None, warn: Warn) -> Single:
    """Read one file, or say in one sentence why it is no micrograph. A given pixel size overrides the file's."""
    from core.images.single import read_single

    raw = read_single(path, warn)
    return replace(raw, pixel_size_a=pixel_size_a or raw.pixel_size_a)


def doubts(method: Method, raw: Single) -> list[str]:
    """What a user should hear before a network denoises this micrograph: it is too small, or of unknown scale."""
    facts = getattr(getattr(method, "denoiser", None), "facts", None)
    if facts is None:
        return []
    found = []
    diameter, (rows, columns) = float(facts.diameter_for(raw.pixel_size_a)), raw.image.shape
    if min(rows, columns) < diameter:
        found.append(
            f"{raw.path.name} is {columns} x {rows} px, smaller than one particle of {diameter:.0f} px: "
            "its result means little."
        )
    if raw.pixel_size_a is None and facts.pixel_size_a:
        found.append(
            f"The files do not tell their pixel size: {facts.pixel_size_a:g} A, that of the training, is assumed. "
            "State it with --pixel-size."
        )
    return found


def denoise(method: Method, raw: Single, dtype: str, step: Step) -> Result:
    """Denoise one micrograph; what came out must be numbers that the file can hold."""
    result = method(raw.image, raw.path, raw.pixel_size_a, step)
    low, high = float(result.min()), float(result.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(
            f"{raw.path.name} gives values that are not numbers.",
            "Its grey values may be too large for float32.",
            raw.path,
        )
    if dtype == "float16":
        _check_float16(raw.path, result, max(-low, high))
    return Result(raw.path, result, raw.pixel_size_a)


def _check_float16(path: Path, result: np.ndarray, largest: float) -> None:
    """float16 has 11 bits and ends at 65504: refuse what it would clip, and contrast finer than its steps."""
    if largest > FLOAT16_MAX:
        raise InputError(
            f"{path.name} has grey values up to {largest:.6g}, and float16 ends at 65504.", "Use --dtype float32.", path
        )
    middle = abs(float(np.median(result[:: max(1, result.shape[0] // 256)])))
    step = float(np.spacing(np.float16(middle)))
    if step > FLOAT16_STEP * float(result.std()):
        raise InputError(
            f"{path.name}: at grey values about {middle:.6g} float16 goes in steps of {step:g}, too coarse for its "
            f"contrast of {float(result.std()):.3g}.",
            "Use --dtype float32.",
            path,
        )


def write_result(result: Result, target: Path, dtype: str, method_name: str) -> int:
    """Write one result; returns its number of pixels."""
    from core.io.mrc import write_mrc

    label = f"Vitreous {core.__version__} denoised ({method_name}): for seeing and picking"
    write_mrc(target, result.image, result.pixel_size_a, like=result.path, dtype=dtype, label=label)
    return result.image.size


def existing(files: Iterable[Path]) -> set[Path]:
    """Those of the files that exist, by listing each folder once: asking for thousands one by one takes long."""
    found: set[Path] = set()
    names: dict[Path, set[str]] = {}
    for path in files:
        if path.parent not in names:
            try:
                with os.scandir(path.parent) as entries:
                    names[path.parent] = {entry.name for entry in entries}
            except OSError:
                names[path.parent] = set()
        if path.name in names[path.parent]:
            found.add(path)
    return found
