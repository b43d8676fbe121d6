"""Which rows and columns of a dataset can be used at all: what is no number where RELION needs one is left out."""

from __future__ import annotations

import numpy as np

from core.cryosparc.particles import Names, Particles

_FINITE = (
    ("pose or shift is not a number", ("align_pose", "align_shift", "align_split", "align_class")),
    ("defocus is not a number", ("defocus_u", "defocus_v", "defocus_angle", "phase_shift")),
    ("position is not a number", ("x_fraction", "y_fraction")),
)
# optics: columns of it without any sense are taken for absent, single rows without sense are left out
_ABOVE_ZERO = {"pixel_size": "pixel size", "voltage": "voltage", "align_psize_A": "pixel size of the alignment"}
_NUMBERS = {"spherical_aberration": "spherical aberration", "amplitude_contrast": "amplitude contrast"}
_UNSET = 1 << 31  # an unsigned -1, which means that there is none


def usable(found: Particles) -> tuple[Particles, dict[str, int], list[str]]:
    """The rows that can be written; how many were left out, by reason; and what there is to say about columns."""
    dropped: dict[str, int] = {}
    said: list[str] = []
    keep = np.ones(found.n, bool)

    def leave_out(bad: np.ndarray, reason: str) -> None:
        nonlocal keep
        count = int((bad & keep).sum())
        if count:
            dropped[reason] = dropped.get(reason, 0) + count
            keep &= ~bad

    numbers = dict(found.numbers)
    for reason, keys in _FINITE:
        for values in (numbers[key] for key in keys if key in numbers):
            leave_out(np.asarray(~np.isfinite(values.reshape(found.n, -1)).all(axis=1)), reason)
    for key, what in (_ABOVE_ZERO | _NUMBERS).items():
        if key not in numbers:
            continue
        bad = ~np.isfinite(numbers[key])
        if key in _ABOVE_ZERO:
            bad |= ~(numbers[key] > 0)
        if found.n and bad.all():
            said.append(f"The {what} in the dataset is 0 or no number, and was not used.")
            del numbers[key]
        else:
            leave_out(bad, f"{what} is 0 or no number")
    texts = {name: Names(names.values, names.which) for name, names in found.texts.items()}
    if "image" in texts and "image_index" in numbers and found.n:
        empty = np.array([not path for path in texts["image"].values])[texts["image"].which]
        empty |= numbers["image_index"] >= _UNSET
        if empty.all():
            said.append("The dataset names no images: its paths are empty.")
            del texts["image"]
        else:
            leave_out(empty, "no image is named")
    numbers = _without_unset(numbers, said)
    whole = Particles(found.n, numbers, texts, found.alignment, found.classes)
    return (whole.take(np.flatnonzero(keep)) if dropped else whole), dropped, said


def _without_unset(numbers: dict[str, np.ndarray], said: list[str]) -> dict[str, np.ndarray]:
    """Classes and groups of -1, stored unsigned, mean none: they become the class 0 of RELION, the group 0."""
    for key, what in (("align_class", "class"), ("exposure_group", "exposure group")):
        values = numbers.get(key)
        unset = None if values is None else values.astype(np.float64) >= _UNSET
        if values is not None and unset is not None and unset.any():
            said.append(f"{int(unset.sum())} particles have no {what}: they are written with the number 0.")
            numbers[key] = np.where(unset, -1, values.astype(np.int64))
    return numbers
