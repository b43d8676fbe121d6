"""The job `reconstruct` on simulated particles: maps beside the truth, resolution from images, labels, resuming."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core.io.mrc import open_mrc, read_header, write_mrc
from core.jobs.base import JobContext
from core.jobs.reconstruct_sums import counting_share
from core.metrics.fsc import auto_mask, coverage_of, directional_fsc, half_map_fsc, randomise_phases
from core.reconstruction import advice, methods, posterior, shells, statistics
from core.reconstruction import outputs as out
from core.reconstruction.likelihood import likelihood

MODEL = Path(__file__).resolve().parents[2] / "resources/library/1aki.pdb.gz"
BOX, PIXEL = 32, 3.0


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """300 simulated views of lysozyme at SNR .3 with their truth."""
    from tests.core.conftest import Runner

    folder = tmp_path_factory.mktemp("simulated")
    end = Runner(folder / "runs")(
        "simulate", model=MODEL, output=folder / "sim", box=BOX, pixel_size=PIXEL, views=300, snr=0.3, shift=2, seed=3
    )
    assert end["exit_code"] == 0, end
    return folder / "sim"


def against(truth: np.ndarray, volume: np.ndarray) -> float:
    ball = methods.sphere(BOX, 0.45 * BOX, 0.01).numpy() > 0.5
    return float(np.corrcoef(volume[ball], truth[ball])[0, 1])


def reconstruct(run_job, simulated: Path, output: Path, **values):
    return run_job("reconstruct", particles=simulated / "particles.star", output=output, **values)


@pytest.mark.parametrize(("method", "least"), [("backproject", 0.7), ("wiener", 0.94), ("positive", 0.96)])
def test_maps_show_the_truth_at_its_own_grey_scale(tmp_path, run_job, simulated, method, least):
    end = reconstruct(run_job, simulated, tmp_path / "maps", method=method)
    assert end["exit_code"] == 0, end
    truth, volume = (np.array(open_mrc(p)) for p in (simulated / "truth.mrc", tmp_path / "maps/map.mrc"))
    assert against(truth, volume) > least
    assert float((truth * volume).sum() / (truth**2).sum()) == pytest.approx(1, abs=0.12)
    info = read_header(tmp_path / "maps/map.mrc")
    assert info.pixel_size_a == pytest.approx(PIXEL)
    assert any("images" in label for label in info.labels)
    facts = json.loads((tmp_path / "maps/result.json").read_text(encoding="utf-8"))
    assert facts["particles"] == 300
    assert not facts["prior_used"]
    curves = json.loads((tmp_path / "maps/fsc.json").read_text(encoding="utf-8"))
    half = np.clip(curves["corrected"], 0, 1)
    mask = np.array(open_mrc(tmp_path / "maps/mask.mrc"))
    true = shells.correlation(volume * mask, truth * mask)
    if method == "wiener":  # what the halves predict for the whole is not more than what is true
        assert float((np.sqrt(2 * half / (1 + half)) - true)[1:16].mean()) < 0.03


def test_with_a_prior_the_map_is_labelled_and_its_resolution_is_still_of_the_images(tmp_path, run_job, simulated):
    values = {"chains": 2, "levels": 6, "seed": 5}
    end = reconstruct(run_job, simulated, tmp_path / "dps", method="dps", **values)
    assert end["exit_code"] == 0, end
    reconstruct(run_job, simulated, tmp_path / "wiener", method="wiener")
    for name in (out.HALF1, out.HALF2, out.FSC):
        assert (tmp_path / "dps" / name).read_bytes() == (tmp_path / "wiener" / name).read_bytes()
    assert any("PRIOR" in label for label in read_header(tmp_path / "dps/map.mrc").labels)
    assert end["result"]["prior_used"]
    samples = [np.array(open_mrc(p)) for p in sorted((tmp_path / "dps/samples").iterdir())]
    assert len(samples) == 2
    np.testing.assert_allclose(np.array(open_mrc(tmp_path / "dps/map.mrc")), np.mean(samples, axis=0), atol=1e-5)
    np.testing.assert_allclose(np.array(open_mrc(tmp_path / "dps/std.mrc")), np.std(samples, axis=0, ddof=1), atol=1e-5)
    truth = np.array(open_mrc(simulated / "truth.mrc"))
    assert against(truth, np.mean(samples, axis=0)) > 0.95


def test_progress_follows_what_takes_time(tmp_path, run_job, simulated, monkeypatch):
    told = []
    monkeypatch.setattr(JobContext, "step", lambda _self, done, total, message="": told.append((done / total, message)))
    end = reconstruct(run_job, simulated, tmp_path / "dps", method="dps", chains=2, levels=6)
    assert end["exit_code"] == 0, end
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    at = {message: share for share, message in reversed(told)}  # first of each
    assert at["Half maps"] < 0.05  # 300 images are counted soon, the sampler works long
    assert at["dps: 6 of 6"] - at["dps: 1 of 6"] > 0.6
    assert counting_share(300, "wiener") < counting_share(50_000, "wiener")
    assert counting_share(1_000_000, "dps") > 0.9


def test_statistics_are_counted_once(tmp_path, run_job, simulated, monkeypatch):
    reconstruct(run_job, simulated, tmp_path / "maps", method="wiener")
    first = (tmp_path / "maps/map.mrc").read_bytes()
    monkeypatch.setattr(statistics, "add", lambda *_: pytest.fail("the images were read again"))
    end = reconstruct(run_job, simulated, tmp_path / "maps", method="wiener", overwrite=True)
    assert end["exit_code"] == 0
    assert (tmp_path / "maps/map.mrc").read_bytes() == first


def test_a_stopped_run_goes_on_and_gives_the_same_map(tmp_path, run_job, simulated, monkeypatch):
    from core.reconstruction.inputs import ParticleSet

    monkeypatch.setattr(ParticleSet, "batch_size", lambda self: 64)
    monkeypatch.setattr("core.jobs.reconstruct_sums._SAVE_EVERY", 64)
    reconstruct(run_job, simulated, tmp_path / "whole", method="wiener")
    step = JobContext.step

    def stop(self, done, total, message=""):
        if message.startswith("192"):
            raise KeyboardInterrupt
        step(self, done, total, message)

    monkeypatch.setattr(JobContext, "step", stop)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(run_job, simulated, tmp_path / "parts", method="wiener")
    monkeypatch.setattr(JobContext, "step", step)
    seen = statistics.load(tmp_path / "parts/statistics.npz")
    assert seen is not None
    assert seen.done == 192
    assert not (tmp_path / "parts/map.mrc").exists()
    end = reconstruct(run_job, simulated, tmp_path / "parts", method="wiener")
    assert end["exit_code"] == 0
    one, two = (np.array(open_mrc(tmp_path / name / "map.mrc")) for name in ("whole", "parts"))
    assert np.abs(one - two).max() < 1e-3 * np.abs(one).max()


def test_a_sharpened_map_comes_only_on_request(tmp_path, run_job, simulated):
    end = reconstruct(run_job, simulated, tmp_path / "maps", method="wiener", sharpen=150)
    plain, sharp = (np.array(open_mrc(tmp_path / "maps" / name)) for name in (out.MAP, out.SHARPENED))
    power = [shells.shell_mean(torch.fft.rfftn(torch.from_numpy(v)).abs() ** 2).numpy() for v in (plain, sharp)]
    curves = json.loads((tmp_path / "maps/fsc.json").read_text(encoding="utf-8"))
    fsc = np.clip(curves["corrected"], 0, 1)
    gain = 2 * fsc / (1 + fsc) * np.exp(150 / 2 * np.array(curves["frequency"]) ** 2)
    np.testing.assert_allclose(power[1][1:16], (power[0] * gain)[1:16], rtol=2e-3)
    assert any("SHARPENED" in label for label in read_header(tmp_path / "maps" / out.SHARPENED).labels)
    facts = end["result"]
    assert facts["resolution_a_best_direction"] <= facts["resolution_a_worst_direction"]
    reconstruct(run_job, simulated, tmp_path / "maps", method="wiener", overwrite=True)
    assert not (tmp_path / "maps" / out.SHARPENED).exists()


def test_what_no_view_has_seen_is_taken_off_the_resolution():
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(BOX,) * 3).astype(np.float32)
    whole = np.ones((BOX,) * 3, np.float32)
    half = np.ones(BOX // 2 + 1)
    assert half_map_fsc(signal, signal, whole, PIXEL, half).corrected[1:16].min() > 0.999
    share = torch.zeros(BOX, BOX, BOX // 2 + 1)
    share[: BOX // 2] = 1  # half of every shell is seen
    coverage = coverage_of(share)
    np.testing.assert_allclose(coverage[6:16], np.sqrt(0.5), atol=0.05)
    told = half_map_fsc(signal, signal, whole, PIXEL, coverage).corrected
    np.testing.assert_allclose(np.sqrt(2 * told / (1 + told))[6:16], coverage[6:16], atol=1e-3)


def test_maps_are_safe_until_told(tmp_path, run_job, simulated):
    reconstruct(run_job, simulated, tmp_path / "maps", method="backproject")
    assert reconstruct(run_job, simulated, tmp_path / "maps", method="wiener")["exit_code"] == 2
    assert reconstruct(run_job, simulated, tmp_path / "o", method="wiener", symmetry="Q7")["exit_code"] == 2
    end = reconstruct(run_job, simulated, tmp_path / "o", method="dps", box=24)
    assert end["exit_code"] == 2
    assert "prior is for a box of 32" in end["message"]


@pytest.fixture
def uncounted(monkeypatch):
    """No image may be counted."""
    monkeypatch.setattr("core.jobs.reconstruct_sums._noise", lambda *_: pytest.fail("the noise was measured"))
    monkeypatch.setattr(statistics, "add", lambda *_: pytest.fail("images were counted"))


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"box": 24}, "Use --box 32."),
        ({"box": 24, "pixel_size": 3.1}, "Use --box 32."),
        ({"pixel_size": 4.0}, "The particles are 128 Å wide in 32 pixels; the prior needs 96 Å (32 voxels of 3 Å)"),
        ({"pixel_size": 2.8}, "choose positive, or train a prior for this box with train-prior."),
    ],
)
def test_a_prior_that_does_not_fit_is_refused_before_counting(tmp_path, run_job, simulated, uncounted, values, hint):
    end = reconstruct(run_job, simulated, tmp_path / "o", method="dps", **values)
    assert end["exit_code"] == 2, end
    assert hint in end["hint"]
    assert ("--box" in end["hint"]) is hint.startswith("Use --box")


def test_finer_images_are_advised_the_priors_box_only_where_it_fits():
    from types import SimpleNamespace

    from core.jobs.reconstruct import _prior_advice

    def advice_for(size: int, pixel: float) -> str:
        return _prior_advice(32, 3.0, SimpleNamespace(size=size, pixel_size_a=pixel))  # type: ignore[arg-type]

    assert advice_for(96, 1.0) == "Use --box 32."
    assert advice_for(64, 1.57) == "Use --box 32."  # 4.7 % wider
    assert "--box" not in advice_for(64, 1.6)
    assert "--box" not in advice_for(24, 4.0)  # as wide, but too few pixels


def test_a_mask_of_another_size_is_refused_before_counting(tmp_path, run_job, simulated, uncounted):
    mask = tmp_path / "mask.mrc"
    out.write_map(tmp_path, mask.name, np.ones((16, 16, 16), np.float32), PIXEL, "mask")
    end = reconstruct(run_job, simulated, tmp_path / "o", method="wiener", mask=mask)
    assert end["exit_code"] != 0
    assert "mask.mrc has 16 x 16 x 16 voxels, the map 32 x 32 x 32" in end["message"]


def test_particles_of_one_half_are_refused_before_counting(tmp_path, run_job, simulated, uncounted):
    np.save(tmp_path / "one.npy", np.array([7]))
    end = reconstruct(
        run_job, simulated, tmp_path / "o", method="wiener", indices=tmp_path / "one.npy", contrast="light"
    )
    assert end["exit_code"] != 0
    assert "one half only" in end["message"]


def test_a_box_beyond_the_memory_is_one_sentence(tmp_path, run_job, simulated, monkeypatch):
    monkeypatch.setattr("core.jobs.reconstruct_sums._BYTES", 1 << 40)
    end = reconstruct(run_job, simulated, tmp_path / "maps", method="wiener")
    assert end["exit_code"] == 4
    assert "--box" in end["hint"]


# ---- parts ----------------------------------------------------------------------------------------------


def test_the_sampler_follows_the_prior_where_there_are_no_data_and_the_data_where_there_are():
    box = 16
    target = methods.sphere(box, 4, 2)

    class Knows:
        def denoise(self, x, sigma):
            return target.expand_as(x)

    nothing = statistics.empty(box, 1.0, np.ones((1, box // 2)))
    data = likelihood(nothing.both)
    made = posterior.sample(data, Knows(), torch.zeros(box, box, box), 1.0, torch.ones(box, box, box), 2, 6)
    assert float((made.mean - target).abs().max()) < 0.01
    strong = likelihood(nothing.both)
    strong.spectrum.fill_(1e6)
    strong.weight.fill_(1e6)
    strong.b.copy_(1e6 * 3 * target)
    made = posterior.sample(strong, Knows(), torch.zeros(box, box, box), 1.0, torch.ones(box, box, box), 2, 6)
    assert float((made.mean - 3 * target).abs().max()) < 0.01


def test_the_method_is_chosen_by_what_the_images_know():
    box = 16
    data = likelihood(statistics.empty(box, 1.0, np.ones((1, box // 2))).both)
    power = torch.ones(box // 2 + 1, dtype=torch.float64)
    for weight, fits, method in (
        (0.5, True, "dps"),
        (0.5, False, "positive"),
        (20, True, "positive"),
        (1e4, True, "positive"),
    ):
        data.weight.fill_(weight)
        found, why = advice.choose(data, power, fits)
        assert found == method
        assert "%" in why


def test_half_map_curves():
    rng = np.random.default_rng(0)
    axis = np.arange(BOX) - BOX // 2
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis**2)
    density = rng.normal(size=(BOX,) * 3) * (radius < 8)
    signal = (np.clip(density, 0, None) * 3).astype(np.float32)
    noise = rng.normal(0, 0.05, (2, BOX, BOX, BOX)).astype(np.float32)
    mask = auto_mask(signal, PIXEL)
    assert mask[BOX // 2, BOX // 2, BOX // 2] > 0.99
    assert mask[0, 0, 0] == 0
    good = half_map_fsc(signal + noise[0], signal + noise[1], mask, PIXEL)
    assert good.resolution_a() is None
    only_noise = half_map_fsc(noise[0], noise[1], mask, PIXEL)
    assert np.abs(only_noise.corrected[4:16]).max() < 0.5
    mixed = randomise_phases(signal, 5, rng)
    fsc = shells.correlation(mixed, signal)
    assert fsc[1:5].min() > 0.999
    assert np.abs(fsc[6:]).max() < 0.35
    power = [shells.shell_mean(torch.fft.rfftn(torch.from_numpy(v)).abs() ** 2)[5:16] for v in (mixed, signal)]
    np.testing.assert_allclose(power[0], power[1], rtol=0.05)
    cones = directional_fsc(signal, signal, np.eye(3))
    np.testing.assert_allclose(cones[:, 2:16], 1, atol=1e-5)


@pytest.mark.parametrize("symmetry", ["C1", "C4"])
def test_noise_has_no_resolution_and_no_prior_is_let_loose_on_it(tmp_path, run_job, symmetry):
    values = {"model": MODEL, "output": tmp_path / "sim", "box": BOX, "pixel_size": PIXEL, "views": 200, "snr": 1e-5}
    assert run_job("simulate", **values)["exit_code"] == 0
    mask = np.zeros((BOX,) * 3, np.float32)
    mask[12:20, 12:20, 12:20] = 1
    write_mrc(tmp_path / "hard.mrc", mask, PIXEL, volume=True)
    for given in (None, tmp_path / "hard.mrc"):
        end = reconstruct(
            run_job,
            tmp_path / "sim",
            tmp_path / "maps",
            symmetry=symmetry,
            contrast="light",
            mask=given,
            overwrite=True,
        )
        assert end["exit_code"] == 0, end
        assert end["result"]["nothing_resolved"]
        assert end["result"]["resolution_a_0.143"] is None
        assert end["result"]["method"] == "wiener"
        assert "no resolution" in end["result"]["summary"]
        said = " ".join(event["message"] for event in run_job.of("warning"))
        assert "agree on nothing" in said
        assert ("hard rim" in said) == (given is not None)


def test_images_without_contrast_and_images_that_stand_twice(tmp_path, run_job, simulated):
    stack = np.array(open_mrc(simulated / "particles.mrcs"))
    for name, images in (("flat", np.zeros_like(stack)), ("twice", stack)):
        (tmp_path / name).mkdir()
        write_mrc(tmp_path / name / "particles.mrcs", images, PIXEL)
        text = (simulated / "particles.star").read_text(encoding="utf-8")
        if name == "twice":
            rows = text.rstrip("\n").split("\n")
            text = "\n".join([*rows, *rows[-40:], ""])
        (tmp_path / name / "particles.star").write_text(text, encoding="utf-8")
    end = reconstruct(run_job, tmp_path / "flat", tmp_path / "o1", method="wiener", contrast="light")
    assert end["exit_code"] == 3, end
    assert not (tmp_path / "o1/map.mrc").exists()
    end = reconstruct(run_job, tmp_path / "twice", tmp_path / "o2", method="backproject")
    assert end["exit_code"] == 0, end
    assert any("40 images stand twice" in event["message"] for event in run_job.of("warning"))


def test_fewer_samples_leave_no_older_ones(tmp_path, run_job, simulated):
    for chains in (3, 2):
        reconstruct(run_job, simulated, tmp_path / "m", method="dps", chains=chains, levels=4, overwrite=True)
        assert len(list((tmp_path / "m/samples").iterdir())) == chains
    reconstruct(run_job, simulated, tmp_path / "m", method="wiener", overwrite=True)
    assert not list((tmp_path / "m/samples").iterdir())
    assert not (tmp_path / "m/std.mrc").exists()
