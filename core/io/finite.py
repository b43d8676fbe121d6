"""Pixels that are no numbers: replaced, counted, and told. Reading files lives in mrc.py and tiff.py."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)

LARGEST = np.float32(1e37)  # four of them can be added
BLOCK_BYTES = 4 << 20  # looked at in one go: short enough to leave the interpreter lock to the window


@dataclass(frozen=True)
class Mended:
    """What was wrong with the pixels of one image, and what was put there."""

    path: Path
    bad: int  # NaN and infinite pixels
    total: int
    median: float  # of the others; 0 when there are none

    @property
    def sentence(self) -> str:
        """For the user."""
        if self.bad:
            return (
                f"{self.path.name}: {self.bad} of {self.total} pixels are not finite; "
                f"replaced by the median {self.median:g}."
            )
        return f"{self.path.name}: some values are beyond {LARGEST:g} and taken for that."


Tell = Callable[[Mended], None]


def replace_not_finite(image: np.ndarray, path: Path | str = "image", tell: Tell | None = None) -> np.ndarray:
    """Put the finite median where `image` (ny, nx) is NaN or infinite, in place; `tell` (None: the log) hears of it.

    Values beyond +-LARGEST, which are damage too, become that.
    """
    rows = max(1, BLOCK_BYTES // (image.shape[1] * 4))
    blocks = [image[top : top + rows] for top in range(0, image.shape[0], rows)]
    suspects = [block for block in blocks if not (block.min() >= -LARGEST and block.max() <= LARGEST)]
    if not suspects:
        return image
    finite = image[np.isfinite(image)]
    median = np.float32(np.median(finite.astype(np.float64))) if finite.size else np.float32(0)
    bad = 0
    for block in suspects:
        wrong = ~np.isfinite(block)
        bad += int(wrong.sum())
        block[wrong] = median
        np.clip(block, -LARGEST, LARGEST, out=block)
    (tell or _log)(Mended(Path(path), bad, image.size, float(median)))
    return image


def _log(mended: Mended) -> None:
    log.warning("%s", mended.sentence)
