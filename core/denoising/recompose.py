"""A denoised micrograph put together again with another share of raw detail, from its pieces: no network, no torch.

The window does this live (app/tabs/predict_live.py). What the pieces are is parts.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.denoising.canonical import Canonical, to_canonical
from core.denoising.parts import Parts, file_mark, finish, load_parts
from core.errors import InputError

MOST_GATE_SIDE = 1024  # px of a gate map: it is smooth over a particle, which is 32 px at most


@dataclass(frozen=True)
class GateMap:
    """How far the gate is open: `opening` float32 (h, w), 0..1.

    Its pixel (column i, row j) lies at (i / scale_x + offset_x, j / scale_y + offset_y) px of the micrograph.
    """

    opening: np.ndarray
    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float


@dataclass(frozen=True)
class Recomposer:
    """One micrograph, ready to be put together with any share of raw detail."""

    image: np.ndarray  # (h, w) as in the file
    canonical: Canonical
    parts: Parts
    sigma: float

    def picture(self, keep: float) -> np.ndarray:
        """The denoised micrograph as the job predict writes it: float32 (h, w), units of the input."""
        return finish(self.image, self.canonical, self.parts, self.sigma, keep)

    def gate(self) -> GateMap:
        """Where the network sees particles."""
        opening, scale_x, scale_y = self.parts.gate, self.canonical.scale_x, self.canonical.scale_y
        offset_x = offset_y = 0.0
        while max(opening.shape) > MOST_GATE_SIDE:
            height, width = (n // 2 * 2 for n in opening.shape)
            whole = opening[:height, :width]
            opening = (whole[::2, ::2] + whole[1::2, ::2] + whole[::2, 1::2] + whole[1::2, 1::2]) / 4
            offset_x, offset_y = offset_x + 0.5 / scale_x, offset_y + 0.5 / scale_y  # a mean lies between its pixels
            scale_x, scale_y = scale_x / 2, scale_y / 2
        return GateMap(opening, scale_x, scale_y, offset_x, offset_y)


def open_pieces(pieces: Path, source: Path, image: np.ndarray, check: Callable[[], None] = lambda: None) -> Recomposer:
    """Load the pieces of a micrograph and bring its pixels to their scale; `check` may raise between the steps.

    `InputError` says in one sentence why it cannot be done.
    """
    if not pieces.is_file():
        raise InputError(
            f"{source.name} was denoised without keeping its pieces.", "Denoise it again with Overwrite.", pieces
        )
    parts, sigma, made_by = load_parts(pieces)
    mark = file_mark(source)
    if any(made_by.get(name) != mark[name] for name in mark):
        raise InputError(f"{source.name} has changed since it was denoised.", "Denoise it again.", source)
    check()
    try:
        canonical = to_canonical(
            image, float(made_by["diameter_px"]), float(made_by["sign"]), float(made_by["canonical_px"])
        )
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{pieces} does not tell its scale.", "Denoise the micrograph again.", pieces) from None
    if parts.gate.shape != canonical.image.shape:
        raise InputError(f"The pieces of {source.name} are of another scale.", "Denoise it again.", pieces)
    return Recomposer(image, canonical, parts, sigma)
