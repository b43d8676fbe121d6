"""Polygons: points and boxes in them, against exact geometry. The file of excluded areas and ticks."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError, ResourceError
from core.images.polygon import inside, touched, touched_by_any
from core.io.marks import Marks, marks_path, read_marks, write_marks
from core.io.per_micrograph import write_box_files

SQUARE = np.array([[10.0, 10], [30, 10], [30, 30], [10, 30]])


def test_points_in_a_concave_polygon() -> None:
    u_shape = np.array([[0.0, 0], [30, 0], [30, 30], [20, 30], [20, 10], [10, 10], [10, 30], [0, 30]])
    points = np.array([[5, 20], [15, 20], [25, 20], [15, 5], [-1, 5], [31, 5]])
    assert inside(points, u_shape).tolist() == [True, False, True, True, False, False]


@settings(max_examples=200, deadline=None)
@given(st.integers(-20, 60), st.integers(-20, 60), st.integers(1, 30))
def test_boxes_touch_a_square_exactly_when_they_overlap(x: int, y: int, side: int) -> None:
    overlap = all(c - side / 2 < 30 and c + side / 2 > 10 for c in (x, y))
    assert touched(np.array([[x, y]]), side, SQUARE)[0] == overlap


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=3, max_size=7), st.integers(0, 2**31))
def test_a_box_is_touched_when_one_of_its_points_is_inside(corners, seed: int) -> None:
    polygon = np.array(corners, dtype=float)
    rng = np.random.default_rng(seed)
    centre, side = rng.uniform(0, 60, 2), float(rng.uniform(2, 30))
    samples = centre + rng.uniform(-side / 2, side / 2, (200, 2))
    if inside(samples, polygon).any():
        assert touched(centre[None], side, polygon)[0]


def test_no_box_and_no_polygon() -> None:
    assert len(touched(np.empty((0, 2)), 8, SQUARE)) == 0
    assert touched_by_any(np.array([[20.0, 20]]), 8, []).tolist() == [False]
    assert touched_by_any(np.array([[20.0, 20], [90, 90]]), 8, [SQUARE]).tolist() == [True, False]


def test_marks_come_back(tmp_path: Path) -> None:
    path = marks_path(tmp_path / "noise_boxes.star")
    assert path.name == "noise_boxes.marks.json"
    assert read_marks(path) == Marks()
    write_marks(path, {"a.mrc": [SQUARE, SQUARE[:3]], "b.mrc": []}, {"c.mrc"})
    marks = read_marks(path)
    assert list(marks.excluded) == ["a.mrc"]
    np.testing.assert_allclose(marks.excluded["a.mrc"][1], SQUARE[:3])
    assert marks.empty == {"c.mrc"}
    write_marks(path, {}, set())
    assert not path.exists()
    write_marks(path, {}, set())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"excluded": {}}',
        '{"excluded": {"a": [[[1, 2], [3]]]}, "empty": []}',
        "{",
        "\0",
        "[" * 100_000,
        '{"excluded": {}, "empty": "abc"}',
        '{"excluded": {}, "empty": [1]}',
        '{"excluded": {"a": [[1, 2, 3, 4, 5, 6]]}, "empty": []}',
        '{"excluded": {"a": [[[1, 2, 3], [4, 5, 6]]]}, "empty": []}',
        '{"excluded": {"a": [[[1, 2], [3, 4], [5, 1e8]]]}, "empty": []}',
        '{"excluded": {"a": [[[1, 2], [3, 4], [5, 1e999]]]}, "empty": []}',
        '{"excluded": {"a": [[[1, 2], [3, 4], [5, 1' + "0" * 400 + ']]]}, "empty": []}',
    ],
)
def test_a_broken_file_is_told_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "noise.marks.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"noise\.marks\.json"):
        read_marks(path)


def test_an_area_needs_three_corners(tmp_path: Path) -> None:
    path = tmp_path / "noise.marks.json"
    path.write_text(json.dumps({"excluded": {"a": [[[1, 2], [3, 4]]]}, "empty": []}))
    with pytest.raises(InputError, match="three"):
        read_marks(path)


def test_marks_that_cannot_be_removed_are_told_in_words(tmp_path: Path, monkeypatch) -> None:
    path = marks_path(tmp_path / "noise_boxes.star")
    write_marks(path, {"a.mrc": [SQUARE]}, ())

    def refuse(self, missing_ok=False):
        raise PermissionError(errno.EROFS, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ResourceError, match=r"noise_boxes\.marks\.json could not be removed"):
        write_marks(path, {}, ())


def test_box_files_that_cannot_be_removed_are_told_in_words(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "noise.box"
    xy = np.array([[50.0, 50.0]])
    write_box_files(folder, {"a.mrc": xy, "b.mrc": xy}, 32)
    unlink = Path.unlink

    def refuse(self, missing_ok=False):
        if self.name == "b.box":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ResourceError, match=r"b\.box could not be removed"):
        write_box_files(folder, {"a.mrc": xy}, 32)
