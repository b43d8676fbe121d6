"""The file of refused places, and what pick-noise says about them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.errors import InputError
from core.io.coordinates import read_noise_boxes
from core.io.marks import write_marks
from core.io.mrc import write_mrc
from core.io.refused import Refused, read_refused, refused_path, write_refused
from core.io.star_write import write_star


def test_places_come_back_as_written(tmp_path):
    path = refused_path(tmp_path / "noise.star")
    assert path.name == "noise.refused.json"
    texts = ["Darker than the background around it by 0.4 sigma.", 'A "quoted" reason, 3.7 Å.']
    one = Refused(np.array([[10.5, 20.0], [3.0, 4.0]]), ["brightness", "crystal"], texts)
    write_refused(path, {"a.mrc": one, "b.mrc": Refused(np.empty((0, 2)), [], [])}, 64, {"crystal": "crystalline ice"})
    back = read_refused(path)
    assert back.box_size == 64
    assert back.labels == {"crystal": "crystalline ice"}
    np.testing.assert_array_equal(back.places["a.mrc"].centres, one.centres)
    assert back.places["a.mrc"].codes == one.codes
    assert back.places["a.mrc"].texts == texts
    assert back.positions["b.mrc"].shape == (0, 2)


BROKEN = [
    "{",
    "[]",
    '{"box_size": 4}',
    '{"box_size": 4, "micrographs": {"a": [{"x": 1}]}}',
    "[" * 100_000,
    '{"box_size": 1e999, "micrographs": {}}',
    '{"box_size": 4, "micrographs": []}',
    '{"box_size": 4, "micrographs": {}, "labels": []}',
    '{"box_size": 4, "micrographs": {"a": {}}}',
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_one_sentence(tmp_path, text):
    path = tmp_path / "n.refused.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"n\.refused\.json cannot be read"):
        read_refused(path)
    with pytest.raises(InputError, match="does not exist"):
        read_refused(tmp_path / "none.json")


def test_a_place_beyond_every_micrograph_is_named(tmp_path):
    path = tmp_path / "n.refused.json"
    places = {"b.mrc": Refused(np.array([[5.0, 5.0], [1e8, 5.0]]), ["c", "c"], ["t", "t"])}
    write_refused(path, places, 32, {})
    with pytest.raises(InputError, match=r"n\.refused\.json: place 2 of b\.mrc"):
        read_refused(path)


def contaminated(folder) -> np.ndarray:
    """Two micrographs of noise; the first with a dark rough quarter and hot pixels. Returns the hot places."""
    rng = np.random.default_rng(0)
    rows = {"rlnMicrographName": ["m.mrc", "n.mrc"], "rlnCoordinateX": [30.0] * 2, "rlnCoordinateY": [30.0] * 2}
    write_star(folder / "p.star", "particles", rows)
    hot = rng.integers(20, 240, (8, 2))
    for name in ("m.mrc", "n.mrc"):
        image = rng.standard_normal((640, 640)).astype(np.float32)
        if name == "m.mrc":
            image[400:, 400:] += 2 * np.sin(np.arange(240) / 6.0)[None] - 1
            image[hot[:, 1], hot[:, 0]] += 30
        write_mrc(folder / name, image, 1.0)
    return hot


def test_the_job_says_where_and_why(tmp_path, run_job):
    hot = contaminated(tmp_path)
    done = run_job(
        "pick-noise", micrographs=[tmp_path], particles=tmp_path / "p.star", box_size=32, output=tmp_path / "n.star"
    )
    result = done["result"]
    places = read_refused(tmp_path / "n.refused.json")
    assert result["refused_file"] == str(tmp_path / "n.refused.json")
    assert places.box_size == 32
    assert sum(len(p.codes) for p in places.places.values()) == result["refused"]
    assert sum(result["refused_by_reason"].values()) == result["refused"] > 30
    assert "hot or dead pixels" in result["summary"]
    kept = read_noise_boxes(tmp_path / "n.star").positions["m.mrc"]
    for x, y in hot:
        assert not (
            (x >= kept[:, 0] - 16) & (x < kept[:, 0] + 16) & (y >= kept[:, 1] - 16) & (y < kept[:, 1] + 16)
        ).any()
    assert not ((kept > 420).all(axis=1)).any()
    told = result["refused_places"]["m.mrc"]
    assert len(told) <= 200
    assert [row[2] for row in told] == places.places["m.mrc"].codes[: len(told)]
    assert json.dumps(result)


def test_excluded_areas_and_ticks_of_home_are_kept(tmp_path, run_job):
    contaminated(tmp_path)
    area = np.array([[100.0, 100.0], [500.0, 100.0], [500.0, 640.0], [100.0, 640.0]])
    write_marks(tmp_path / "n.marks.json", {"m.mrc": [area]}, {"n.mrc"})
    values = {
        "micrographs": [tmp_path],
        "particles": tmp_path / "p.star",
        "box_size": 32,
        "output": tmp_path / "n.star",
    }
    done = run_job("pick-noise", **values, exclude=tmp_path / "n.marks.json")
    boxes = read_noise_boxes(tmp_path / "n.star").positions
    assert list(boxes) == ["m.mrc"]
    assert not run_job.of("warning"), "a tick is not worth a warning"
    outside = (boxes["m.mrc"] < 100 - 15).any(axis=1) | (boxes["m.mrc"][:, 0] > 500 + 15)
    assert outside.all()
    assert done["result"]["boxes"] > 10
    done = run_job("pick-noise", **values, exclude=tmp_path / "none.json")
    assert done["exit_code"] == 3
    assert "none.json" in done["message"]
