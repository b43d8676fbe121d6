"""forward: every crop is where x = column, y = row say; layout, manifest, schedule, and refusals."""

import json

import numpy as np
import pytest

from core.denoising.collect import disc
from core.denoising.dataset import TrainingSet
from core.denoising.unet import MULTIPLE
from core.io.coordinates import read_noise_boxes, write_noise_boxes
from core.io.mrc import open_mrc, read_header, write_mrc
from core.io.star_write import write_star


@pytest.mark.parametrize("shape", [(300, 521), (533, 310)])
@pytest.mark.parametrize("diameter", [16, 25, 40])
def test_every_crop_is_where_its_coordinates_say_to_the_pixel(tmp_path, run_job, shape, diameter):
    """A coordinate-encoded image: the value of a pixel is row * 1000 + column (exact in float32)."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    write_mrc(tmp_path / "m.mrc", (rows * 1000 + cols).astype(np.float32), 2.0)
    rng = np.random.default_rng(1)
    particles = rng.uniform([50, 50], [shape[1] - 50, shape[0] - 50], (9, 2))
    noise = rng.integers([50, 50], [shape[1] - 50, shape[0] - 50], (7, 2)).astype(float)
    write_star(
        tmp_path / "p.star",
        "particles",
        {"rlnMicrographName": ["m.mrc"] * 9, "rlnCoordinateX": particles[:, 0], "rlnCoordinateY": particles[:, 1]},
    )
    write_noise_boxes(tmp_path / "n.star", {"m.mrc": noise}, 22)
    done = run_job(
        "forward",
        micrographs=[tmp_path / "m.mrc"],
        particles=tmp_path / "p.star",
        noise=tmp_path / "n.star",
        particle_diameter=diameter,
        output=tmp_path / "out",
    )
    assert done["exit_code"] == 0, done
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert {c["set"] for c in manifest["crops"]} == {"s1", "s3"}
    for name, stack in (("s1", "s1/particles.mrcs"), ("s3", "s3/noise.mrcs")):
        crops = open_mrc(tmp_path / "out" / stack)
        listed = [c for c in manifest["crops"] if c["set"] == name]
        assert [c["index"] for c in listed] == list(range(len(crops)))
        for c in listed:
            crop = crops[c["index"]]
            half = crop.shape[-1] // 2
            assert crop[half, half] == c["y"] * 1000 + c["x"]
            assert crop[0, 0] == (c["y"] - half) * 1000 + (c["x"] - half)
    asked = np.rint(particles).astype(int)
    kept = {(c["x"], c["y"]) for c in manifest["crops"] if c["set"] == "s1"}
    assert kept <= {tuple(p) for p in asked}
    assert {(c["x"], c["y"]) for c in manifest["crops"] if c["set"] == "s3"} == {tuple(p) for p in noise.astype(int)}


def test_layout_pixel_sizes_and_units(training_set, data):
    for stack, pixel in (
        ("s1/particles.mrcs", 2.5),
        ("s3/noise.mrcs", 2.5),
        ("s2/input.mrcs", 2.5),
        ("val/label.mrcs", 2.5),
    ):
        assert read_header(training_set / stack).pixel_size_a == pytest.approx(pixel, rel=1e-3)
    assert open_mrc(training_set / "s2/input.mrcs").shape == open_mrc(training_set / "s2/label.mrcs").shape
    manifest = json.loads((training_set / "manifest.json").read_text())
    assert manifest["contrast"] == "dark"
    assert manifest["snr"]["measured"]
    assert 0.1 < manifest["snr"]["value"] < 3
    for sigma in manifest["normalisation"]["noise_sigma"].values():
        assert sigma == pytest.approx(20, rel=0.15)
    assert manifest["schedule"]["rsilb_bits"] == sorted(manifest["schedule"]["rsilb_bits"], reverse=True)


def test_the_working_set_is_flattened_and_in_noise_sigmas(training_set):
    data = TrainingSet(training_set)
    assert data.noise.std() == pytest.approx(1, abs=0.1)
    side = data.particles.shape[-1]
    assert side % MULTIPLE == 0  # the network takes them as they are
    inner = slice(side // 2 - 4, side // 2 + 4)
    assert data.particles[:, inner, inner].mean() < -0.3  # dark particles


def test_light_particles_are_turned_dark(data, run_job, tmp_path):
    for path in data.files:
        write_mrc(path, -np.asarray(open_mrc(path)), 2.5)
    run_job("pick-noise", micrographs=[data.folder], particles=data.star, box_size=24, output=data.noise)
    done = run_job(
        "forward",
        micrographs=[data.folder],
        particles=data.star,
        noise=data.noise,
        particle_diameter=24,
        output=tmp_path / "out",
    )
    assert done["result"]["contrast"] == "light"
    particles = TrainingSet(tmp_path / "out").particles
    side = particles.shape[-1]
    assert particles[:, disc(side, 10)].mean() < -0.3
    assert particles[:, disc(side, 10)].mean() < particles[:, ~disc(side, 17)].mean()


def test_cryoddm_method_writes_its_chain_with_the_noisier_image_as_input(data, run_job, tmp_path, training_set):
    done = run_job(
        "forward",
        micrographs=[data.folder],
        particles=data.star,
        noise=data.noise,
        particle_diameter=24,
        output=tmp_path / "cd",
        method="cryoddm",
        rsilb=0,
    )
    assert done["exit_code"] == 0
    particles = done["result"]["particles"]
    assert open_mrc(tmp_path / "cd/s2/input.mrcs").shape[0] == 3 * particles  # steps 2, 3, 4; step 5 is held out
    assert open_mrc(tmp_path / "cd/val/input.mrcs").shape[0] == particles
    strips = run_job.of("preview", "strip")
    assert strips[0]["labels"] == ["raw crop", *(f"t = {i}" for i in range(1, 6))]


def test_max_particles_thins_at_random_but_repeatably(data, run_job, tmp_path, training_set):
    picked = []
    for name in ("a", "b"):
        run_job(
            "forward",
            micrographs=[data.folder],
            particles=data.star,
            noise=data.noise,
            particle_diameter=24,
            output=tmp_path / name,
            max_particles=5,
        )
        crops = json.loads((tmp_path / name / "manifest.json").read_text())["crops"]
        picked.append([(c["micrograph"], c["x"], c["y"]) for c in crops if c["set"] == "s1"])
    assert picked[0] == picked[1]
    assert len(picked[0]) == 5


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"preset": "custom", "beta": 0.5, "steps": 3}, 2, "--beta"),
        ({"preset": "custom", "beta": 0.1, "steps": 3, "start": 5}, 2, "--start"),
        ({"noise": "missing.txt"}, 3, "missing.txt"),
        ({"particle_diameter": 500}, 2, "too small"),
        ({"output": __file__}, 2, "not a folder"),
    ],
)
def test_bad_input_is_one_sentence(data, run_job, training_set, change, code, word):
    values = {
        "micrographs": [data.folder],
        "particles": data.star,
        "noise": data.noise,
        "particle_diameter": 24,
        "output": data.folder.parent / "again",
    }
    done = run_job("forward", **(values | change))
    assert done["exit_code"] == code, done
    assert word in done["message"]
    assert "trace" not in done
    assert not (data.folder.parent / "again/manifest.json").exists()


def test_a_list_of_particles_is_refused_as_noise_and_few_boxes_are_told(data, run_job, training_set, tmp_path):
    values = {"micrographs": [data.folder], "particles": data.star, "particle_diameter": 24, "output": tmp_path / "out"}
    done = run_job("forward", **values, noise=data.star)
    assert (done["exit_code"], "lie on picked particles" in done["message"]) == (3, True), done
    assert not (tmp_path / "out/manifest.json").exists()
    boxes = read_noise_boxes(data.noise)
    name, xy = next((n, p) for n, p in boxes.positions.items() if len(p))
    write_noise_boxes(tmp_path / "two.star", {name: xy[:2]}, boxes.box_size or 24)
    done = run_job("forward", **values, noise=tmp_path / "two.star")
    assert done["exit_code"] == 0, done
    assert any("Only 2 noise boxes" in e["message"] for e in run_job.of("warning"))


def test_different_pixel_sizes_are_refused(data, run_job, training_set, tmp_path):
    write_mrc(data.files[1], np.asarray(open_mrc(data.files[1])), 1.1)
    done = run_job(
        "forward",
        micrographs=[data.folder],
        particles=data.star,
        noise=data.noise,
        particle_diameter=24,
        output=tmp_path / "out",
    )
    assert done["exit_code"] == 3
    assert "pixel size" in done["message"]


def test_a_truncated_micrograph_is_named(data, run_job, training_set, tmp_path):
    whole = data.files[0].read_bytes()
    data.files[0].write_bytes(whole[: len(whole) // 2])
    done = run_job(
        "forward",
        micrographs=[data.folder],
        particles=data.star,
        noise=data.noise,
        particle_diameter=24,
        output=tmp_path / "out",
    )
    assert done["exit_code"] == 3
    assert data.files[0].name in done["message"]
