"""pick-noise: boxes keep clear of particles, of each other and of the border; bad input is one sentence."""

import itertools

import numpy as np
import pytest

from core.io.coordinates import read_noise_boxes
from core.io.mrc import write_mrc
from core.io.star import write_star


def test_boxes_keep_clear_of_particles_each_other_and_the_border(data, run_job):
    box, diameter, clearance = 20, 30, 5
    done = run_job(
        "pick-noise",
        micrographs=[data.folder],
        particles=data.star,
        box_size=box,
        particle_diameter=diameter,
        clearance=clearance,
        output=data.noise,
    )
    assert done["exit_code"] == 0
    boxes = read_noise_boxes(data.noise)
    assert boxes.box_size == box
    assert boxes.count == done["result"]["boxes"] > 20
    shapes = {"mic_0.mrc": (401, 300), "mic_1.mrc": (320, 443)}
    for name, xy in boxes.positions.items():
        height, width = shapes[name]
        assert (xy >= box // 2).all()
        assert (xy[:, 0] + box / 2 <= width).all()
        assert (xy[:, 1] + box / 2 <= height).all()
        gap = np.abs(xy[:, None] - data.particles[name][None]).max(axis=2)
        assert gap.min() >= (box + diameter) / 2 + clearance
        for a, b in itertools.combinations(xy, 2):
            assert np.abs(a - b).max() >= box


def test_text_output_a_limit_and_the_same_seed_give_the_same_boxes(data, run_job, tmp_path):
    texts = []
    for name in ("a.txt", "b.txt"):
        run_job(
            "pick-noise",
            micrographs=data.files,
            particles=data.star,
            box_size=24,
            output=tmp_path / name,
            max_per_micrograph=3,
            seed=4,
        )
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert texts[0].count("mic_0.mrc") == texts[0].count("mic_1.mrc") == 3


def test_ice_and_unlisted_particles_are_refused(tmp_path, run_job):
    rng = np.random.default_rng(0)
    image = rng.standard_normal((400, 400)).astype(np.float32)
    image[200:400, 200:400] += 4 * np.sin(np.arange(200) / 6.0)[None]  # a contaminated quarter
    write_mrc(tmp_path / "m.mrc", image, 1.0)
    write_star(
        tmp_path / "p.star",
        "particles",
        {"rlnMicrographName": ["m.mrc"], "rlnCoordinateX": [50.0], "rlnCoordinateY": [50.0]},
    )
    done = run_job(
        "pick-noise",
        micrographs=[tmp_path / "m.mrc"],
        particles=tmp_path / "p.star",
        box_size=32,
        output=tmp_path / "n.txt",
    )
    xy = read_noise_boxes(tmp_path / "n.txt").positions["m.mrc"]
    assert done["result"]["refused"] > 10
    assert not ((xy > 220).all(axis=1)).any()


def test_a_micrograph_without_particles_or_room_is_warned_about(data, run_job, tmp_path):
    write_mrc(data.folder / "other.mrc", np.zeros((64, 64), np.float32), 2.5)
    run_job("pick-noise", micrographs=[data.folder], particles=data.star, box_size=24, output=data.noise)
    assert any("other.mrc" in e["message"] for e in run_job.of("warning"))


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"output": "n.csv"}, 2, "n.csv"),
        ({"particles": "none.star"}, 3, "none.star"),
        ({"micrographs": ["nowhere"]}, 3, "nowhere"),
        ({"box_size": 400}, 3, "400 px"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_its_code(data, run_job, change, code, word):
    values = {"micrographs": [data.folder], "particles": data.star, "box_size": 24, "output": data.noise}
    done = run_job("pick-noise", **(values | change))
    assert done["exit_code"] == code, done
    assert word in done["message"]
    assert "trace" not in done


def test_names_that_fit_nothing_show_both_sides(data, run_job, tmp_path):
    write_star(
        tmp_path / "p.star",
        "particles",
        {"rlnMicrographName": ["x/alien.mrc"], "rlnCoordinateX": [5.0], "rlnCoordinateY": [5.0]},
    )
    done = run_job(
        "pick-noise", micrographs=[data.folder], particles=tmp_path / "p.star", box_size=24, output=data.noise
    )
    assert done["exit_code"] == 3
    assert "alien.mrc" in done["message"]
    assert "mic_0.mrc" in done["message"]
