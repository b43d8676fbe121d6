"""Optics groups: particles that share voltage, pixel size and all else that RELION keeps once per group.

A group of CryoSPARC (exposure group) whose particles differ becomes several, so that nothing is lost; the number
that CryoSPARC gave stays in the name. RELION wants groups numbered 1, 2, ...
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.cryosparc.particles import Particles

_MANY = 1000


@dataclass(eq=False)
class Optics:
    """RELION's optics table, and the group (n,) of every particle."""

    columns: dict[str, list[Any]]
    group: np.ndarray
    warnings: list[str] = field(default_factory=list)


def optics_of(found: Particles) -> Optics:
    """Groups of the particles, in the order of CryoSPARC's exposure groups."""
    warnings: list[str] = []
    parts = _parts(found, warnings)
    which, rows = _distinct(list(parts.values()), found.n)
    exposure = parts["exposure"][rows] if "exposure" in parts else np.zeros(len(rows), np.int64)
    order = np.argsort(exposure, kind="stable")
    number = np.empty(len(order), np.int64)
    number[order] = np.arange(1, len(order) + 1)
    first = rows[order]
    columns: dict[str, list[Any]] = {
        label: parts[label][first].astype(np.float64).tolist() for label in _NUMBERS.values() if label in parts
    }
    columns["rlnOpticsGroup"] = list(range(1, len(first) + 1))
    if "rlnImageSize" in parts:
        columns["rlnImageSize"] = [int(v) for v in parts["rlnImageSize"][first]]
    columns["rlnImageDimensionality"] = [2] * len(first)
    columns["rlnOpticsGroupName"] = _group_names(exposure[order])
    for label in ("rlnMicrographPixelSize", *_TILT, *_MATRIX):
        if label in parts:
            columns[label] = parts[label][first].astype(np.float64).tolist()
    columns = {label: columns[label] for label in _ORDER if label in columns}
    split = len(first) - len(set(exposure.tolist()))
    if split and found.n:
        warnings.append(f"Particles of one exposure group differ in their optics: {split} more group(s) were made.")
    if len(first) > _MANY:
        warnings.append(f"There are {len(first)} optics groups: is a value that differs for every particle meant so?")
    return Optics(columns, number[which] if found.n else np.empty(0, np.int64), warnings)


_NUMBERS = {
    "voltage": "rlnVoltage",
    "pixel_size": "rlnImagePixelSize",
    "spherical_aberration": "rlnSphericalAberration",
    "amplitude_contrast": "rlnAmplitudeContrast",
}
_TILT = ("rlnBeamTiltX", "rlnBeamTiltY")
_MATRIX = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
_ORDER = (
    "rlnVoltage",
    "rlnImagePixelSize",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
    "rlnOpticsGroup",
    "rlnImageSize",
    "rlnImageDimensionality",
    "rlnOpticsGroupName",
    "rlnMicrographPixelSize",
    *_TILT,
    *_MATRIX,
)


def _parts(found: Particles, warnings: list[str]) -> dict[str, np.ndarray]:
    """What makes a group: RELION's label (or `exposure`) -> values (n,)."""
    numbers = found.numbers
    parts: dict[str, np.ndarray] = {}
    if "exposure_group" in found:
        parts["exposure"] = numbers["exposure_group"].astype(np.int64)
    for key, label in _NUMBERS.items():
        if key in found:
            parts[label] = numbers[key]
    missing = [label for label in _NUMBERS.values() if label not in parts]
    if missing:
        warnings.append(f"The optics table lacks {', '.join(missing)}: RELION needs them for anything but positions.")
    box = numbers.get("box")
    if box is not None and box.ndim == 2 and found.n:
        parts["rlnImageSize"] = box[:, -1]
        if (box[:, 0] != box[:, -1]).any():
            warnings.append("Some images are not square: RELION does not read them.")
    micrograph = numbers.get("micrograph_pixel_size")
    if micrograph is not None and found.n and (np.isfinite(micrograph) & (micrograph > 0)).all():
        parts["rlnMicrographPixelSize"] = micrograph
    _add_tilt(found, parts, warnings)
    _add_magnification(found, parts, warnings)
    return parts


def _add_tilt(found: Particles, parts: dict[str, np.ndarray], warnings: list[str]) -> None:
    tilt, cs = found.numbers.get("beam_tilt"), found.numbers.get("spherical_aberration")
    if tilt is None or not tilt.any():
        return
    if cs is None or not (cs > 0).all():
        warnings.append("Beam tilt was not written: it needs a spherical aberration above 0.")
        return
    ratio = tilt.astype(np.float64) / (cs.astype(np.float64)[:, None] * 1e7)
    if not (np.abs(ratio) < 1).all():
        warnings.append("Beam tilt was not written: its values are impossible.")
        return
    for label, values in zip(_TILT, (1e3 * np.arcsin(ratio)).T, strict=True):
        parts[label] = values
    warnings.append("Beam tilt was written in mrad; its sign was not compared with a refinement in RELION.")


def _add_magnification(found: Particles, parts: dict[str, np.ndarray], warnings: list[str]) -> None:
    values = found.numbers.get("magnification")
    if values is None or not values.any() or values.ndim != 2 or values.shape[1] != 4:
        return
    matrix = values.astype(np.float64) + np.array([1.0, 0.0, 0.0, 1.0])
    for label, part in zip(_MATRIX, matrix.T, strict=True):
        parts[label] = part
    warnings.append(
        "Anisotropic magnification was written as identity plus CryoSPARC's values, which is not verified: compare "
        "with a refinement in RELION, or delete rlnMagMat00 ... 11."
    )


def _distinct(parts: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Number (n,) of every row's combination of values, and the first row of each combination."""
    if not parts or not n:
        return np.zeros(n, np.int64), np.zeros(1 if n else 0, np.int64)
    changes = np.zeros(n, bool)
    changes[0] = True
    for values in parts:
        changes[1:] |= values[1:] != values[:-1]
    heads = np.flatnonzero(changes)  # few where neighbours agree: only these are looked at one by one
    seen: dict[tuple[Any, ...], int] = {}
    columns = [values[heads].tolist() for values in parts]
    number = np.array([seen.setdefault(key, len(seen)) for key in zip(*columns, strict=True)], np.int64)
    firsts = np.full(len(seen), -1, np.int64)
    firsts[number[::-1]] = heads[::-1]
    return number[np.cumsum(changes) - 1], firsts


def _group_names(exposure: np.ndarray) -> list[str]:
    """opticsGroup<exposure group + 1>, with a second number where one exposure group became several."""
    seen: Counter[int] = Counter()
    names = []
    for number in exposure.tolist():
        seen[number] += 1
        names.append(f"opticsGroup{number + 1}" + (f"_{seen[number]}" if seen[number] > 1 else ""))
    return names
