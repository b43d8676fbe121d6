"""The benchmark of the denoisers: simulated micrographs are what they say, measures are right where that is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import denoising
from benchmarks.denoise import measures, optics, picking, poses, verdict
from benchmarks.denoise.evaluate import evaluate
from benchmarks.denoise.projection import angle_deg, in_plane, project, turned, view_rotations
from benchmarks.denoise.simulate import Settings, simulate
from benchmarks.denoise.simulated import tuned
from benchmarks.denoise.specimens import SPECIMENS, octahedral, symmetry_rotations
from core.denoising.baselines import gaussian
from core.io.coordinates import read_noise_boxes, read_particles
from core.io.mrc import read_image
from core.physics import exposure

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def kinase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kinase")
    simulate(SPECIMENS["kinase"], folder, Settings(side=384, micrographs=2, noise_box=64))
    return folder


def test_the_signal_inside_discs_has_the_asked_share_of_the_noise(kinase: Path) -> None:
    facts = json.loads((kinase / "truth.json").read_text())
    inside, noise = [], []
    for m in facts["micrographs"]:
        truth = read_image(kinase / "truth" / m["name"])
        counts = read_image(kinase / "micrographs" / m["name"])
        noise.append(optics.flatten(counts - truth, facts["diameter_px"]).std())
        full = np.array(m["xy"], int).reshape(-1, 2)[~np.array(m["faint"], bool)]
        inside.append(truth[optics.discs(truth.shape, full, facts["diameter_px"] / 2)])
    measured = np.concatenate(inside).var() / np.mean(noise) ** 2
    assert measured == pytest.approx(SPECIMENS["kinase"].snr, rel=0.06)


def test_a_blank_has_no_signal_and_the_strip_no_particle(kinase: Path) -> None:
    facts = json.loads((kinase / "truth.json").read_text())
    blank = next(m for m in facts["micrographs"] if m["blank"])
    assert not blank["xy"]
    assert not read_image(kinase / "truth" / blank["name"]).any()
    mic = facts["micrographs"][0]
    truth = read_image(kinase / "truth" / mic["name"])
    image = read_image(kinase / "micrographs" / blank["name"])
    assert abs(np.corrcoef(truth.ravel(), optics.flatten(image, facts["diameter_px"]).ravel())[0, 1]) < 0.02
    edge = 0.75 * facts["side"] - facts["diameter_px"] / 2
    assert max(x for m in facts["micrographs"] for x, _ in m["xy"]) <= edge
    assert sum(mic["faint"]) == round(0.15 * len(mic["xy"]))


def test_the_files_are_read_by_the_product_and_boxes_touch_no_particle(kinase: Path) -> None:
    facts = json.loads((kinase / "truth.json").read_text())
    particles, boxes = read_particles(kinase / "particles.star"), read_noise_boxes(kinase / "noise_boxes.star")
    assert boxes.box_size == 64
    for m in facts["micrographs"]:
        if not m["blank"]:
            assert particles[m["name"]].tolist() == m["xy"]
            apart = np.abs(boxes.positions[m["name"]][:, None] - particles[m["name"]][None]).max(axis=2)
            assert apart.min() > (64 + facts["diameter_px"]) / 2


def test_the_same_seed_gives_the_same_counts(kinase: Path, tmp_path: Path) -> None:
    simulate(SPECIMENS["kinase"], tmp_path, Settings(side=384, micrographs=2, noise_box=64))
    for name in ("mic_01.mrc", "blank_00.mrc"):
        first, second = (read_image(f / "micrographs" / name) for f in (kinase, tmp_path))
        assert np.array_equal(first, second)


def test_shot_noise_is_poisson_through_the_detector() -> None:
    mean = np.full((256, 256), 160.0)
    plain = exposure.shot(mean, np.ones((256, 129)), np.random.default_rng(1))
    assert plain.var() == pytest.approx(160, rel=0.03)
    response = exposure.detector((256, 256), 1.0)
    full = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    expected = 160 * np.mean(np.exp(-2 * (2 * full) ** 2))
    assert exposure.shot(mean, response, np.random.default_rng(1)).var() == pytest.approx(expected, rel=0.03)


def test_flatten_takes_off_what_is_smooth_and_keeps_what_is_fine() -> None:
    y, x = np.mgrid[:200, :200]
    checks = np.cos(np.pi * x / 4) * np.cos(np.pi * y / 5)
    assert optics.flatten(np.full((200, 200), 7.0), 10).std() < 1e-9
    assert np.corrcoef(optics.flatten(checks + 5, 20).ravel(), checks.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("snr", [0.1, 4.0])
def test_snr_of_truth_and_noise_is_theirs_whatever_the_scale(snr: float) -> None:
    truth = RNG.standard_normal((400, 400))
    image = -3 * (truth + RNG.standard_normal((400, 400)) / np.sqrt(snr)) + 20
    everywhere = np.ones(truth.shape, bool)
    assert measures.snr_db(image, truth, everywhere) == pytest.approx(10 * np.log10(snr), abs=0.15)


def test_no_gaussian_passes_the_bound_of_radial_filters(kinase: Path) -> None:
    facts = json.loads((kinase / "truth.json").read_text())
    m = facts["micrographs"][0]
    raw, truth = (optics.flatten(read_image(kinase / f / m["name"]), 37) for f in ("micrographs", "truth"))
    field = measures.inner(raw.shape, 32)
    inside = optics.discs(raw.shape, np.array(m["xy"]), 18) & field
    bound_inside, bound_field = measures.wiener_bounds_db(raw, truth, inside, field)
    for resolution in (15, 20, 30, 40, 60):
        filtered = gaussian(raw.astype(np.float32), resolution, facts["pixel_size_a"])
        assert measures.snr_db(filtered, truth, inside) <= bound_inside + 0.02
        assert measures.snr_db(filtered, truth, field) <= bound_field + 0.02


def test_bound_of_white_signal_in_white_noise_is_their_ratio() -> None:
    truth = RNG.standard_normal((256, 256))
    image = truth + 2 * RNG.standard_normal((256, 256))
    everywhere = np.ones(truth.shape, bool)
    assert measures.wiener_bounds_db(image, truth, everywhere, everywhere)[0] == pytest.approx(-6.02, abs=0.15)


def test_slopes_are_the_contrast_of_each_particle() -> None:
    truth = RNG.standard_normal((64, 96))
    image = truth.copy()
    image[:, 48:] *= 0.5
    assert measures.slopes(image, truth, np.array([[20, 30], [72, 30]]), 16) == pytest.approx([1.0, 0.5])


def test_octahedral_symmetry_is_a_group_and_the_shell_has_it() -> None:
    group = octahedral()
    assert len(group) == 24
    flat = {tuple(np.rint(g).astype(int).ravel()) for g in group}
    assert all(tuple(np.rint(a @ b).astype(int).ravel()) in flat for a in group for b in group)
    volume = np.asarray(denoising_density("shell"))
    quarter = np.rot90(volume[1:, 1:, 1:], axes=(1, 2))  # about the origin at n // 2
    assert np.corrcoef(quarter.ravel(), volume[1:, 1:, 1:].ravel())[0, 1] > 0.98


def denoising_density(name: str) -> np.ndarray:
    from benchmarks.denoise.specimens import density

    return density(SPECIMENS[name])


def test_turning_a_projection_is_projecting_the_turned_volume() -> None:
    volume = denoising_density("kinase")
    view = view_rotations(7)[2]
    first, second = project(volume, np.stack([view, in_plane(0.6) @ view]))
    assert np.corrcoef(turned(first, 0.6).ravel(), second.ravel())[0, 1] > 0.998
    assert angle_deg(view[None], (in_plane(0.6) @ view)[None], np.eye(3)[None])[0] == pytest.approx(np.rad2deg(0.6))
    copy = view @ symmetry_rotations("C2")[1]
    assert angle_deg(view[None], copy[None], symmetry_rotations("C2"))[0] == pytest.approx(0, abs=1e-4)


def test_poses_of_noise_free_projections_lie_within_the_grid_and_give_the_volume_back() -> None:
    from core.physics.phantom import random_rotation

    volume, rng = denoising_density("kinase"), np.random.default_rng(3)
    rotations = np.stack([random_rotation(rng) for _ in range(120)])
    response = optics.transfer(64, 2.0, 1.5)
    images = exposure.filtered(np.stack(list(project(volume, rotations))), response)
    grid = poses.make_grid(volume, 2.0, 37.8)
    found = poses.matched(images[:40], grid.references(1.5), grid)
    symmetry = symmetry_rotations("C2")
    error = poses.pose_errors_deg(found, rotations[:40], symmetry)
    nearest = [
        angle_deg(np.repeat(r[None], len(grid.rotations), 0), grid.rotations, symmetry).min() for r in rotations[:40]
    ]
    assert (error <= np.array(nearest) + 12).mean() > 0.9
    again = poses.reconstruct(images, rotations, np.full(120, 1.5), 2.0)
    assert poses.mean_fsc(again, volume, 2.0, 37.8) > 0.95
    assert poses.shell_correlation(volume, volume)[:20] == pytest.approx(np.ones(20))


def test_hit_rates_let_the_same_number_of_false_peaks_through() -> None:
    raw = picking.Peaks(np.array([9.0, 8, 7, 6, 5, 4]), np.array([2, 2, 0, 1, 0, 0]), 1, 2)
    assert picking.false_count([raw]) == 1
    assert picking.hit_rates([raw], 1) == (1.0, 1.0)
    assert picking.hit_rates([raw], 0) == (0.0, 1.0)


def test_the_gaussian_is_tuned_on_the_other_micrograph() -> None:
    found = {
        f"gaussian{a}": {"per_micrograph": {"one": {"snr_db": v}, "two": {"snr_db": w}}}
        for a, v, w in ((15, 0.0, 3.0), (20, 5.0, 0.0))
    }
    assert tuned(found, "snr_db") == {"one": 15, "two": 20}


def test_the_truth_scores_best_and_the_verdict_knows_what_is_missing(kinase: Path) -> None:
    truth = evaluate(kinase, kinase / "truth", pose=False)
    raw = evaluate(kinase, None, pose=False)
    assert truth["snr_inside_db"] > 60
    assert truth["slope_cv"] < 1e-3
    assert truth["blank_leak"] < 1e-3
    assert truth["d_prime"] > raw["d_prime"]
    assert truth["faint_hit_rate"] >= raw["faint_hit_rate"]
    lines = verdict.simulated("kinase", {"raw": raw, "quick": truth, "gaussian_inside": raw, "gaussian_field": raw})
    met = {(x["mode"], x["figure"]): x["met"] for x in lines}
    assert met["quick", "SNR inside particles, dB"] is True
    assert met["quick", "mean FSC"] is None
    assert met["quality", "slope CV"] is None


def test_the_command_runs_and_skips_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VITREOUS_TOPAZ_PYTHON", raising=False)
    monkeypatch.setattr(denoising, "BASELINES", ("gaussian30",))
    arguments = ["--quick", "--json", "--specimens", "kinase", "--size", "256", "--no-real", "--methods", "topaz"]
    assert denoising.main([*arguments, "--keep", str(tmp_path), "--speed-size", "64"]) == 0
    figures = json.loads(capsys.readouterr().out)
    methods = figures["simulated"]["kinase"]["methods"]
    assert "VITREOUS_TOPAZ_PYTHON" in methods["topaz"]["skipped"]
    assert methods["gaussian30"]["snr_db"][0] > methods["raw"]["snr_db"][0]
    assert methods["gaussian30"]["predict_cpu_s"][0] > 0
    assert figures["verdict"]
    assert all(x["met"] is None for x in figures["verdict"])
