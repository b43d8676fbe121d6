"""pick-noise: boxes keep clear of particles, of each other and of the border; bad input is one sentence."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from core.io.coordinates import match_names, read_noise_boxes, read_particles
from core.io.mrc import write_mrc
from core.io.star_write import write_star

DEMO = Path(__file__).resolve().parents[2] / "resources/demo"


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


def test_equal_names_in_two_folders_keep_their_own_boxes(run_job, tmp_path):
    rng = np.random.default_rng(0)
    rows = {"rlnMicrographName": ["A/m.mrc", "B/m.mrc"], "rlnCoordinateX": [40.0, 160.0], "rlnCoordinateY": [100.0] * 2}
    for folder in "AB":
        (tmp_path / folder).mkdir()
        write_mrc(tmp_path / folder / "m.mrc", rng.standard_normal((200, 200)).astype(np.float32), 1.0)
    write_star(tmp_path / "p.star", "particles", rows)
    files = [tmp_path / "A", tmp_path / "B"]
    run_job("pick-noise", micrographs=files, particles=tmp_path / "p.star", box_size=40, output=tmp_path / "n.star")
    boxes = read_noise_boxes(tmp_path / "n.star").positions
    assert list(boxes) == ["A/m.mrc", "B/m.mrc"]
    for name, x in (("A/m.mrc", 40), ("B/m.mrc", 160)):
        assert np.abs(boxes[name] - [x, 100]).max(axis=1).min() >= 40


def test_inputs_are_never_overwritten(data, run_job):
    before = data.star.read_bytes()
    done = run_job("pick-noise", micrographs=[data.folder], particles=data.star, box_size=24, output=data.star)
    assert (done["exit_code"], done["fields"]) == (2, ["output"])
    picture = data.files[0].rename(data.folder / "mic_0.star")  # an absurd name, but a named file is taken
    done = run_job("pick-noise", micrographs=[picture], particles=data.star, box_size=24, output=picture)
    assert done["exit_code"] == 2
    assert data.star.read_bytes() == before


def test_a_stack_is_refused(run_job, data):
    write_mrc(data.files[0], np.zeros((3, 64, 64), np.float32), 1.0)
    done = run_job("pick-noise", micrographs=[data.folder], particles=data.star, box_size=24, output=data.noise)
    assert done["exit_code"] == 3
    assert "holds 3 images" in done["message"]


@pytest.mark.parametrize("fill", [0.0, 7.0])
@pytest.mark.parametrize("counts", [False, True])
def test_a_masked_half_gives_no_boxes_and_does_not_spoil_the_others(fill, counts):
    from core.denoising.patches import pick_boxes

    image = np.random.default_rng(0).standard_normal((400, 400)).astype(np.float32)
    if counts:
        image = np.rint(10 + 2 * image)
    whole = pick_boxes(image, np.empty((0, 2)), 32, 32, 0, 100, np.random.default_rng(1))
    image[:, 200:] = fill
    half = pick_boxes(image, np.empty((0, 2)), 32, 32, 0, 100, np.random.default_rng(1))
    assert (half.centres[:, 0] <= 200 - 16 + 2).all()
    assert len(half.centres) >= 0.4 * len(whole.centres) > 20


def test_positions_outside_of_their_micrographs_are_warned_of(data, run_job, tmp_path):
    names = [f"mic_{i % 2}.mrc" for i in range(20)]
    x = [40.0] * 20
    y = [100.0 + 4 * i for i in range(18)] + [2000.0, 2100.0]
    write_star(tmp_path / "p.star", "particles", {"rlnMicrographName": names, "rlnCoordinateX": x, "rlnCoordinateY": y})
    run_job(
        "pick-noise", micrographs=[data.folder], particles=tmp_path / "p.star", box_size=20, output=tmp_path / "n.star"
    )
    warnings = [event["message"] for event in run_job.of("warning")]
    assert warnings[0].startswith("2 of 20 positions of p.star (10 %) lie outside of their micrographs. Only Y is")


def test_inverted_positions_are_warned_of(run_job, tmp_path):
    files = sorted(DEMO.glob("*.mrc.gz"))
    found = match_names(read_particles(DEMO / "particles.star"), files)
    rows = [(file.name, x, 1200 - y) for file, xy in found.items() for x, y in xy]
    columns = dict(zip(("rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY"), zip(*rows, strict=True), strict=True))
    write_star(tmp_path / "p.star", "particles", columns)
    run_job(
        "pick-noise",
        micrographs=files,
        particles=tmp_path / "p.star",
        box_size=64,
        max_per_micrograph=1,
        output=tmp_path / "n.star",
    )
    assert any(event["message"].endswith("is Y inverted?") for event in run_job.of("warning"))
