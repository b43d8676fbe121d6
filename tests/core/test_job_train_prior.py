"""train-prior: what it writes can be used, resumes exactly, keeps the best at a stop, learns from no relatives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import InputError, JobStopped, ParamError
from core.jobs import train_prior
from core.jobs.base import EventWriter, JobContext
from core.jobs.train_prior import TrainPriorParams, run
from core.physics.structures import LIBRARY_FOLDER
from core.reconstruction import prior_set
from core.reconstruction.prior import load_prior


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A tiny training: small network, few maps, judged often; it need not learn much."""
    monkeypatch.setattr(train_prior, "VALIDATE_EVERY", 2)
    monkeypatch.setattr(train_prior, "WORST_LOSS", 10.0)
    monkeypatch.setattr(prior_set, "JUDGED_MAPS", 2)
    monkeypatch.setattr(prior_set, "SPECTRUM_MAPS", 4)
    monkeypatch.setattr("core.reconstruction.denoiser.Denoiser.__init__.__defaults__", ((8, 8, 8),))


@pytest.fixture
def structures(tmp_path) -> Path:
    folder = tmp_path / "structures"
    folder.mkdir()
    for name in ("1ubi", "1mbn"):
        shutil.copy(LIBRARY_FOLDER / f"{name}.pdb.gz", folder)
    return folder


def train(structures: Path, output: Path, stop=lambda: False, **values) -> dict:
    run_dir = output.parent / f"run-{output.stem}"
    run_dir.mkdir(exist_ok=True)
    given = {"structures": structures, "output": output, "box": 16, "pixel_size": 6, "steps": 6, "batch_size": 2}
    return run(TrainPriorParams.parse(given | values), JobContext(run_dir, EventWriter(run_dir), stop))


def events(output: Path, kind: str) -> list[dict]:
    lines = (output.parent / f"run-{output.stem}/events.jsonl").read_text(encoding="utf-8").splitlines()
    return [e for e in map(json.loads, lines) if e["kind"] == kind]


class StopAfter:
    """Asks to stop after so many reports, as a user would."""

    def __init__(self, reports: int) -> None:
        self.left = reports

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def test_a_training_gives_a_prior_with_its_list_and_shows_how_it_went(structures, tmp_path):
    output = tmp_path / "mine.safetensors"
    result = train(structures, output)
    prior = load_prior(output)
    assert {t.name for t in prior.training_list} == {"1ubi", "1mbn"} == set(result["trained"])
    assert all(len(t.sequences) == 1 for t in prior.training_list)
    assert (prior.box, prior.pixel_size_a, prior.facts.widths) == (16, 6.0, (8, 8, 8))
    assert prior.denoise(np.zeros((1, 16, 16, 16), np.float32), 0.5).shape == (1, 16, 16, 16)
    assert dict(prior.facts.held_out_mse) == {float(k): v for k, v in result["held_out_mse"].items()}
    assert [e["step"] for e in events(output, "metric") if e["name"] == "val_loss"] == [2, 4, 6, 6]
    assert np.load(tmp_path / "run-mine/previews/denoised.npy").shape == (3, 16, 16)
    assert "Only 2 structures" in events(output, "warning")[0]["message"]
    assert "on 2 structures" in result["summary"]


def test_a_stopped_training_resumes_to_the_same_prior(structures, tmp_path):
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    train(structures, whole)
    with pytest.raises(JobStopped):
        train(structures, parts, stop=StopAfter(8))
    facts = json.loads((tmp_path / "parts.training/checkpoint.json").read_text())
    assert 0 < facts["step"] < 6
    assert load_prior(parts).facts.steps <= facts["step"], "the best so far is kept at a stop"
    result = train(structures, parts, resume=True)
    assert result["steps"] == 6
    one, two = load_file(whole), load_file(parts)
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert load_prior(whole).facts == load_prior(parts).facts


def test_what_is_there_is_not_overwritten_and_other_settings_do_not_resume(structures, tmp_path):
    output = tmp_path / "p.safetensors"
    train(structures, output, steps=2)
    before = output.read_bytes()
    with pytest.raises(ParamError, match="is there already"):
        train(structures, output)
    with pytest.raises(ParamError, match="seed 0, now 1"):
        train(structures, output, resume=True, seed=1)
    assert output.read_bytes() == before
    with pytest.raises(ParamError, match="does not end in"):
        train(structures, tmp_path / "p.pth")


def test_relatives_of_test_structures_and_excluded_names_are_not_learnt_from(structures, tmp_path):
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy(LIBRARY_FOLDER / "1ubi.pdb.gz", tests / "target.pdb.gz")
    shutil.copy(LIBRARY_FOLDER / "1aki.pdb.gz", structures)
    (structures / "bad.pdb").write_text("nothing")
    result = train(structures, tmp_path / "p.safetensors", steps=1, test_structures=tests, exclude="1AKI, zzz")
    assert result["trained"] == ["1mbn"]
    assert result["left_out"]["1ubi"] == "100 % identical to target.pdb.gz"
    assert result["left_out"]["1aki"] == "excluded by name"
    assert set(result["left_out"]) == {"1ubi", "1aki", "bad"}
    facts = load_prior(tmp_path / "p.safetensors").facts
    assert dict(facts.left_out) == result["left_out"]
    told = [e["message"] for e in events(tmp_path / "p.safetensors", "warning")]
    assert any("1ubi is left out: 100 % identical" in line for line in told)
    with pytest.raises(InputError, match="no structure to learn from"):
        train(structures, tmp_path / "q.safetensors", exclude="1")


def test_held_out_structures_have_no_relative_in_the_training(structures, tmp_path, monkeypatch):
    monkeypatch.setattr(prior_set, "LEAST_TO_HOLD_OUT", 3)
    shutil.copy(LIBRARY_FOLDER / "1aki.pdb.gz", structures)
    for name in ("1ubi", "1mbn", "1aki"):
        shutil.copy(LIBRARY_FOLDER / f"{name}.pdb.gz", structures / f"copy_{name}.pdb.gz")
    data = prior_set.open_set(structures, None, (), 16, 6.0, 0, lambda share, text: None)
    assert len(data.held_out_names) == 1
    held = data.held_out_names[0]
    twin = held.removeprefix("copy_") if held.startswith("copy_") else f"copy_{held}"
    assert [(n, r) for n, r in data.left_out] == [(twin, f"100 % identical to {held}")]
    assert len(data.trained) == 4
    (structures / "x").mkdir()
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in "abc":
        shutil.copy(LIBRARY_FOLDER / "1ubi.pdb.gz", alone / f"{name}.pdb.gz")
    with pytest.raises(InputError, match="related to each other"):
        prior_set.open_set(alone, None, (), 16, 6.0, 0, lambda share, text: None)


def test_a_training_that_learns_nothing_says_so_and_writes_nothing(structures, tmp_path, monkeypatch):
    monkeypatch.setattr(train_prior, "WORST_LOSS", 0.01)
    with pytest.raises(InputError, match="learnt nothing in 2 steps") as caught:
        train(structures, tmp_path / "p.safetensors", steps=2)
    assert "--resume" in caught.value.hint
    assert not (tmp_path / "p.safetensors").exists()


def test_bad_values_are_one_sentence(structures, tmp_path):
    for values, flag in (({"box": 20}, "--box"), ({"pixel_size": 0}, "--pixel-size"), ({"minutes": 0}, "--minutes")):
        with pytest.raises(ParamError, match=flag):
            train(structures, tmp_path / "p.safetensors", **values)
    with pytest.raises(InputError, match="is not a folder"):
        train(tmp_path / "nowhere", tmp_path / "p.safetensors")
    with pytest.raises(InputError, match="is not a folder"):
        train(structures, tmp_path / "p.safetensors", test_structures=tmp_path / "nowhere")


def test_it_runs_as_a_job(structures, tmp_path, run_job):
    end = run_job(
        "train-prior", structures=structures, output=tmp_path / "p.safetensors", box=16, pixel_size=6, steps=2
    )
    assert end["exit_code"] == 0
    assert run_job.of("preview", "denoised")
    assert run_job.of("metric", "mse_sigma_0.3")
