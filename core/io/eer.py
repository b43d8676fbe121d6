"""Electron event representation (EER): a quick look at a raw movie, as the sum of its frames.

The container is a BigTIFF with a page of electron events each frame; imagecodecs decodes them, at the sensor's own
pixels (no super-resolution). Nothing is corrected here: no motion, no gain. Positions within pixels are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.io.tiff import TiffInfo, check_claim, explained_tiff, read_tiff_header

_COPY = "Copy it again from its source."

MOST_FRAMES = 100  # that are summed, evenly over the movie: enough to see the particles


def chosen_frames(n: int, most: int = MOST_FRAMES) -> list[int]:
    """Numbers of the frames of `n` that are summed."""
    return [int(number) for number in np.linspace(0, n - 1, min(n, most)).round()]


def sum_frames(
    path: Path | str,
    most: int = MOST_FRAMES,
    cancelled: Callable[[], bool] | None = None,
    step: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Electrons per pixel, float32 (ny, nx), of up to `most` frames, read one after another.

    `cancelled` is asked before each frame; when it says yes, the caller must drop what comes back. `step` hears
    (frames done, frames to do).
    """
    import tifffile

    path = Path(path)
    info: TiffInfo = read_tiff_header(path)
    if info.first_event_frame is None:
        raise ValueError(f"{path} is no EER file")
    total = np.zeros(info.shape[1:], np.float32)
    chosen = chosen_frames(info.shape[0], most)
    with explained_tiff(path), tifffile.TiffFile(path, superres=0) as tif:
        pages: Any = tif.pages
        for done, number in enumerate(chosen):
            if cancelled is not None and cancelled():
                break
            if step is not None:
                step(done, len(chosen))
            page = pages[info.first_event_frame + number].aspage()
            if tuple(page.shape) != total.shape:
                raise InputError(f"{path}: frame {number + 1} has another size than the first.", _COPY, path)
            check_claim(page, path, np.dtype(np.uint8))
            total += page.asarray(maxworkers=1)
    return total
