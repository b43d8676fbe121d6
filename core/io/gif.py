"""Animated GIF files, which slides and web pages play; 256 colours a frame, so single pictures are better as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.io.atomic import atomic_path


def write_gif(path: Path | str, frames: Sequence[np.ndarray], per_second: float = 12.0) -> None:
    """Write uint8 frames (ny, nx, 3) of one size that play for ever, all or nothing."""
    from PIL import Image

    if not frames or any(frame.dtype != np.uint8 or frame.shape != frames[0].shape for frame in frames):
        raise ValueError("frames of uint8 (ny, nx, 3) and of one size are needed")
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    # Every frame gets its own 256 colours; the usual 20 ms are the least that browsers play.
    shown = [picture.quantize(256, dither=Image.Dither.NONE) for picture in pictures]
    wait_ms = max(20, round(1000 / per_second))
    with atomic_path(path) as partial, partial.open("wb") as stream:
        shown[0].save(stream, "GIF", save_all=True, append_images=shown[1:], duration=wait_ms, loop=0)
