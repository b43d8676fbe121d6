"""Animated GIFs: every frame is there, in its colours, for its time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.io.gif import write_gif


def test_frames_come_back_with_their_colours(tmp_path: Path) -> None:
    frames = [np.full((20, 30, 3), colour, np.uint8) for colour in ((250, 10, 10), (10, 250, 10), (10, 10, 250))]
    frames[0][5:9, 5:9] = (240, 240, 20)
    path = tmp_path / "turn.gif"
    write_gif(path, frames, 10.0)
    with Image.open(path) as image:
        assert image.n_frames == 3
        assert image.size == (30, 20)
        for number, frame in enumerate(frames):
            image.seek(number)
            assert image.info["duration"] == 100
            found = np.asarray(image.convert("RGB")).astype(int)
            assert np.abs(found - frame).max() <= 8
    assert [p.name for p in tmp_path.iterdir()] == ["turn.gif"]


def test_frames_of_two_sizes_or_none_are_refused(tmp_path: Path) -> None:
    for frames in ([], [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)]):
        with pytest.raises(ValueError, match="one size"):
            write_gif(tmp_path / "x.gif", frames)
    assert not (tmp_path / "x.gif").exists()
