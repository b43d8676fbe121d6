"""Frame halves: pairs share their signal and not their noise; what does not belong together is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.denoising.collect import disc
from core.denoising.dataset import HALVES, TrainingSet
from core.denoising.halves import HalfPairs, match_halves
from core.denoising.model import load_denoiser
from core.denoising.pairs import CROP, UNKNOWN
from core.errors import AppError, InputError, JobStopped
from core.io.coordinates import match_names, read_particles
from core.io.mrc import open_mrc, write_mrc
from core.jobs.base import EventWriter, JobContext
from core.jobs.forward import ForwardParams
from core.jobs.forward import run as forward
from core.jobs.train import TrainParams, run


@pytest.fixture(scope="module")
def made(tmp_path_factory, prepared):
    """Simulated halves with noise of their own, their means as micrographs, and the training set: made once."""
    folder = tmp_path_factory.mktemp("halves")
    shutil.copytree(prepared / "micrographs", folder / "micrographs")
    for name in ("particles.star", "noise.star"):
        shutil.copy(prepared / name, folder / name)
    positions = read_particles(folder / "particles.star")
    for i, file in enumerate(sorted((folder / "micrographs").glob("*.mrc"))):
        shape, centres = open_mrc(file).shape, match_names(positions, [file])[file]
        pair = [simulated(shape, centres, 100 * side + i) for side in (1, 2)]
        for side, ending, image in zip(("even", "odd"), ("_EVN", "_odd"), pair, strict=True):
            write_mrc(folder / side / f"{file.stem}{ending}.mrc", image, 2.5)
        write_mrc(file, (pair[0] + pair[1]) / 2, 2.5)
    run_dir = folder / "run"
    run_dir.mkdir()
    params = ForwardParams.parse(parameters(folder))
    result = forward(params, JobContext(run_dir, EventWriter(run_dir), lambda: False))
    assert result["half_pairs"] > 4
    assert "frame halves" in result["summary"]
    return folder


def parameters(folder):
    return {
        "micrographs": [folder / "micrographs"],
        "particles": folder / "particles.star",
        "noise": folder / "noise.star",
        "particle_diameter": 24,
        "output": folder / "training-set",
        "even": [folder / "even"],
        "odd": [folder / "odd"],
    }


def simulated(shape, centres, seed):
    """Dark discs on white noise of sigma 20 grey values, on a slope."""
    image = np.random.default_rng(seed).standard_normal(shape)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    for x, y in centres:
        image -= 0.9 / (1 + np.exp((np.hypot(xx - x, yy - y) - 12) / 1.5))
    return (500 + 20 * image + 0.02 * xx).astype(np.float32)


@pytest.fixture
def halves(made, tmp_path):
    """This test's own copy of micrographs and halves; what forward is asked for."""
    shutil.copytree(made, tmp_path / "mine", ignore=shutil.ignore_patterns("training-set", "run"))
    return parameters(tmp_path / "mine")


@pytest.fixture
def half_set(made, tmp_path):
    return Path(shutil.copytree(made / "training-set", tmp_path / "set"))


def test_pairs_share_the_signal_and_not_the_noise(half_set):
    data = TrainingSet(half_set)
    assert data.halves is not None
    even, odd = data.halves
    assert even.shape == odd.shape == (len(even), CROP, CROP)
    manifest = json.loads((half_set / "manifest.json").read_text())
    assert manifest["halves"]["pairs"] == len(even)
    assert manifest["halves"]["snr"] == pytest.approx(manifest["snr"]["value"] / 2)
    for sigma in manifest["halves"]["noise_sigma"].values():
        assert sigma == pytest.approx(20, rel=0.15)  # of one half
    for sigma in manifest["normalisation"]["noise_sigma"].values():
        assert sigma == pytest.approx(20 / np.sqrt(2), rel=0.15)
    calm = np.abs(even - odd).std()
    assert calm == pytest.approx(np.sqrt(2) * np.sqrt(1 - 2 / np.pi), rel=0.15)  # |difference| of two sigmas 1
    assert np.corrcoef(even.ravel(), odd.ravel())[0, 1] > 0.02  # the particles


def test_noise_of_the_halves_does_not_correlate_at_any_scale(halves, run_job):
    """Without particles nothing is shared, coarse structure included: the halves are flattened one by one."""
    rng = np.random.default_rng(7)
    for folder in (*halves["even"], *halves["odd"]):
        for file in folder.glob("*.mrc"):
            noise = 500 + 20 * rng.standard_normal(open_mrc(file).shape)
            write_mrc(file, noise.astype(np.float32), 2.5)
    assert run_job("forward", **halves)["exit_code"] == 0
    even, odd = TrainingSet(halves["output"]).halves or ((), ())
    assert abs(np.corrcoef(np.ravel(even), np.ravel(odd))[0, 1]) < 0.01
    one, two = (np.fft.rfft2(side)[:, :3, :3].reshape(len(side), -1)[:, 1:] for side in (even, odd))
    coarse = (one * two.conj()).real.sum() / np.sqrt((abs(one) ** 2).sum() * (abs(two) ** 2).sum())
    assert abs(coarse) < 0.2


def test_batches_are_turned_together_swapped_at_random_and_repeat():
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((5, CROP, CROP)).astype(np.float32)
    pairs = HalfPairs(signal + 1, signal - 1, -2.0, 3)
    batch = pairs.batch(6, 40)
    difference = batch.noisy - batch.target
    assert torch.allclose(difference.abs(), torch.full_like(difference, 2), atol=1e-5)  # pixel by pixel the same place
    swapped = (difference.mean((1, 2, 3)) < 0).float().mean()
    assert 0.2 < swapped < 0.8
    assert (batch.presence == UNKNOWN).all()
    assert batch.log_snr.mean() == pytest.approx(-2.0, abs=0.15)
    assert all(a.equal(b) for a, b in zip(batch, pairs.batch(6, 40), strict=True))
    assert not batch.noisy.equal(pairs.batch(8, 40).noisy)


def test_half_pairs_take_turns_with_noise_transfer(half_set):
    pairs = TrainingSet(half_set).pairs()
    assert (pairs.batch(0, 2).presence == UNKNOWN).all()
    assert (pairs.batch(1, 2).presence >= 0).all()
    assert (pairs.batch(2, 2).presence == UNKNOWN).all()


def train(training_set, output, stop=lambda: False, **values):
    run_dir = output.parent / f"run-{output.name}"
    run_dir.mkdir(exist_ok=True)
    params = TrainParams.parse({"input": training_set, "output": output, "epochs": 1, "batch_size": 8} | values)
    return run(params, JobContext(run_dir, EventWriter(run_dir), stop))


def test_a_short_training_runs_resumes_exactly_and_says_what_it_was(half_set, generic, tmp_path):
    whole = train(half_set, tmp_path / "whole", start=generic)
    facts = load_denoiser(tmp_path / "whole/model.safetensors", torch.device("cpu")).facts
    assert facts.method == HALVES == "noise2noise on frame halves"
    events = [json.loads(line) for line in (tmp_path / "run-whole/events.jsonl").read_text().splitlines()]
    assert {e["name"] for e in events if e["kind"] == "metric"} >= {"loss_halves", "val_loss"}
    left = iter(range(7))
    with pytest.raises(JobStopped):
        train(half_set, tmp_path / "parts", start=generic, stop=lambda: next(left, None) is None)
    step = json.loads((tmp_path / "parts/checkpoint.json").read_text())["step"]
    assert 0 < step < whole["steps"]
    train(half_set, tmp_path / "parts", start=generic, resume=True)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)
    scratch = train(half_set, tmp_path / "scratch", mode="scratch")
    assert scratch["started_from"] == ""


def test_light_particles_are_turned_dark_in_both_halves(halves, run_job):
    for folder in (*halves["micrographs"], *halves["even"], *halves["odd"]):
        for file in folder.glob("*.mrc"):
            write_mrc(file, 1000 - np.asarray(open_mrc(file)), 2.5)
    done = run_job("forward", **halves)
    assert done["result"]["contrast"] == "light"
    even, odd = TrainingSet(halves["output"]).halves or ((), ())
    dark = [np.percentile(side, 0.5) + np.percentile(side, 99.5) for side in (even, odd)]
    assert max(dark) < 0  # the tail of the particles lies on the dark side


def spoil(halves, what):
    """Change one half so that it no longer belongs to its micrograph."""
    odd = sorted(halves["odd"][0].glob("*.mrc"))[0]
    image = np.asarray(open_mrc(odd)).copy()
    if what == "shape":
        write_mrc(odd, image[:-2], 2.5)
    elif what == "pixel size":
        write_mrc(odd, image, 2.6)
    elif what == "missing":
        odd.unlink()
    elif what == "stack":
        write_mrc(odd, np.stack([image, image]), 2.5)
    elif what == "twice":
        write_mrc(odd.with_name(odd.name.replace("_odd", "")), image, 2.5)
    return odd


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("shape", "px, its micrograph"),
        ("pixel size", "2.6 A/px"),
        ("missing", "even half only"),
        ("stack", "stack"),
        ("twice", "two halves"),
    ],
)
def test_halves_that_do_not_fit_are_one_sentence(halves, run_job, what, word):
    odd = spoil(halves, what)
    done = run_job("forward", **halves)
    assert done["exit_code"] == 3, done
    assert word in done["message"]
    assert odd.stem.split("_odd")[0] in done["message"]
    assert "trace" not in done
    assert not (halves["output"] / "manifest.json").exists()


def test_both_halves_or_none_and_not_with_cryoddm(halves, run_job):
    done = run_job("forward", **(halves | {"odd": ()}))
    assert done["exit_code"] == 2
    assert "--even" in done["message"]
    done = run_job("forward", **halves, method="cryoddm")
    assert done["exit_code"] == 2
    assert "CryoDDM" in done["message"]
    done = run_job("forward", **(halves | {"odd": halves["even"]}))
    assert done["exit_code"] == 2
    files = sorted(halves["micrographs"][0].glob("*.mrc"))
    with pytest.raises(InputError, match="named like"):
        match_halves([files[0]], [files[0]], [files[1]], None)


@pytest.mark.parametrize("change", [{"snr": None}, {"snr": 0.0}, {}])
def test_a_set_whose_halves_are_damaged_is_one_sentence(half_set, change):
    path = half_set / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["halves"] |= change
    if not change:
        del manifest["halves"]["snr"]
    path.write_text(json.dumps(manifest))
    if change.get("snr") == 0.0:
        assert np.isfinite(TrainingSet(half_set).half_log_snr)
    else:
        with pytest.raises(AppError, match="training set"):
            TrainingSet(half_set)


def test_particles_look_alike_in_both_halves(half_set):
    """The mean of what is dark in one half is dark in the other: shared signal, seen on average."""
    even, odd = TrainingSet(half_set).halves or ((), ())
    smooth = disc(13, 6).astype(np.float32)
    kernel = np.zeros((CROP, CROP), np.float32)
    kernel[:13, :13] = smooth / smooth.sum()
    low = [np.fft.irfft2(np.fft.rfft2(np.asarray(side)) * np.fft.rfft2(kernel)) for side in (even, odd)]
    dark = low[0] < np.percentile(low[0], 5)
    assert low[1][dark].mean() < low[1].mean() - 0.1
