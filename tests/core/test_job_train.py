"""train: resume is exact to the batch, a kill loses little, bad input is one sentence, learning happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.denoising.dataset import TrainingSet
from core.denoising.model import load_denoiser, load_model
from core.denoising.pairs import UNKNOWN
from core.denoising.training import StructuralLoss, amplitude_loss, denoising_loss, learning_rate, presence_loss
from core.denoising.unet import UNet
from core.errors import InputError, JobStopped
from core.jobs import rundir
from core.jobs.base import EventWriter, JobContext
from core.jobs.train import TrainParams, run

MAIN = Path(__file__).resolve().parents[2] / "main.py"
CPU = torch.device("cpu")


def same_weights(a: Path, b: Path) -> bool:
    one, two = load_file(a), load_file(b)
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


class StopAt:
    """Asks to stop at the n-th step report, as a user would."""

    def __init__(self, reports: int) -> None:
        self.left = reports

    def __call__(self) -> bool:
        self.left -= 1
        return self.left < 0


def train_in_process(training_set: Path, output: Path, stop=lambda: False, **values) -> dict:
    run_dir = output.parent / f"run-{output.name}-{time.monotonic_ns()}"
    run_dir.mkdir(parents=True)
    params = TrainParams.parse(
        {"input": training_set, "output": output, "mode": "scratch", "epochs": 1, "batch_size": 4} | values
    )
    return run(params, JobContext(run_dir, EventWriter(run_dir), stop))


def test_a_stopped_training_resumes_to_the_same_weights_to_the_bit(training_set, tmp_path):
    whole = train_in_process(training_set, tmp_path / "whole")
    with pytest.raises(JobStopped):
        train_in_process(training_set, tmp_path / "parts", stop=StopAt(20))
    step = json.loads((tmp_path / "parts/checkpoint.json").read_text())["step"]
    assert 0 < step < whole["steps"]
    resumed = train_in_process(training_set, tmp_path / "parts", resume=True)
    assert resumed["steps"] == whole["steps"]
    assert same_weights(tmp_path / "whole/model.safetensors", tmp_path / "parts/model.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX matter")
def test_kill_9_in_the_middle_then_run_again_ends_as_if_nothing_had_happened(training_set, tmp_path, monkeypatch):
    """The run folder itself is started again, as after a power cut. Same seed, CPU and threads: equal to the bit."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    whole = train_in_process(training_set, tmp_path / "whole")
    params = TrainParams.parse(
        {"input": training_set, "output": tmp_path / "killed", "mode": "scratch", "epochs": 1, "batch_size": 4}
    )
    run_dir = rundir.create("train", params, tmp_path / "runs")
    command = [sys.executable, str(MAIN), "run", str(run_dir)]
    quick = dict(os.environ) | {"VITREOUS_CHECKPOINT_S": "0"}  # a checkpoint after every step
    child = subprocess.Popen(command, env=quick, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 90
    while not (tmp_path / "killed/checkpoint.json").exists():
        assert time.monotonic() < deadline
        assert child.poll() is None, child.stderr.read().decode() if child.stderr else ""
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert rundir.inspect(run_dir).state == "lost"
    assert not (tmp_path / "killed/model.safetensors").exists()
    again = subprocess.run(command, env=quick, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stderr
    assert rundir.inspect(run_dir).result["steps"] == whole["steps"]
    assert same_weights(tmp_path / "whole/model.safetensors", tmp_path / "killed/model.safetensors")


def test_an_earlier_training_is_not_overwritten_by_accident(training_set, tmp_path, run_job):
    with pytest.raises(JobStopped):
        train_in_process(training_set, tmp_path / "m", stop=StopAt(10))
    done = run_job("train", input=training_set, output=tmp_path / "m", mode="scratch", epochs=1)
    assert done["exit_code"] == 2
    assert "--resume" in done["hint"]
    done = run_job("train", input=training_set, output=tmp_path / "m", mode="scratch", epochs=1, seed=99, resume=True)
    assert done["exit_code"] == 2
    assert "other settings (seed 0, now 99" in done["message"]


def test_training_lowers_the_loss_and_reports_everything_the_window_shows(training_set, tmp_path, run_job):
    done = run_job("train", input=training_set, output=tmp_path / "m", mode="scratch", epochs=4, batch_size=4)
    assert done["exit_code"] == 0, done
    losses = [e["value"] for e in run_job.of("metric", "loss")]
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    assert run_job.of("metric", "val_loss")
    assert run_job.of("metric", "tslm")
    for name in ("validation_before", "validation"):
        shown = np.load(run_job.of("preview", name)[-1]["path"], allow_pickle=False)
        assert shown.shape == (3, 128, 128)
    before, after = (np.load(run_job.of("preview", n)[-1]["path"]) for n in ("validation_before", "validation"))
    np.testing.assert_array_equal(before[0], after[0])  # the same crop
    assert np.mean((after[1] - after[2]) ** 2) < np.mean((before[1] - before[2]) ** 2)
    facts = load_denoiser(tmp_path / "m/model.safetensors", CPU).facts
    assert facts.particle_diameter_px == 24
    assert facts.tslm == pytest.approx(done["result"]["tslm"])


def test_structural_loss_is_0_for_the_identity_and_1_when_everything_is_removed(training_set):
    data = TrainingSet(training_set)
    loss = StructuralLoss(data.particles, data.recipe.diameter, 0.0, CPU)
    identity = lambda images, level: (images, images)  # noqa: E731
    nothing = lambda images, level: (torch.zeros_like(images), images)  # noqa: E731
    assert loss.whole(identity) == pytest.approx(0, abs=1e-6)  # type: ignore[arg-type]
    assert loss.whole(nothing) == pytest.approx(1, abs=0.05)  # type: ignore[arg-type]


def test_a_new_network_starts_by_removing_everything_and_keeps_the_size():
    net = UNet()
    for out in net(torch.randn(2, 1, 64, 96), torch.zeros(2)):  # the signal, and where it is
        assert out.shape == (2, 1, 64, 96)
        assert not out.any()


def test_quick_starts_from_the_generic_model_and_resumes_exactly(training_set, generic, tmp_path, monkeypatch):
    monkeypatch.setattr("core.denoising.model.GENERIC_PATH", generic)
    whole = train_in_process(training_set, tmp_path / "whole", mode="quick")
    assert whole["started_from"] == "generic/generic.safetensors"
    facts = load_denoiser(tmp_path / "whole/model.safetensors", CPU).facts
    assert facts.widths == (8, 8, 8, 8)  # of the model it started from
    assert facts.method == "noise-transfer"
    with pytest.raises(JobStopped):
        train_in_process(training_set, tmp_path / "parts", mode="quick", stop=StopAt(20))
    train_in_process(training_set, tmp_path / "parts", mode="quick", resume=True)
    assert same_weights(tmp_path / "whole/model.safetensors", tmp_path / "parts/model.safetensors")
    given = train_in_process(training_set, tmp_path / "given", mode="quality", start=generic)
    assert given["started_from"] == whole["started_from"]


def test_a_missing_generic_model_is_one_sentence(training_set, tmp_path, run_job, monkeypatch):
    monkeypatch.setattr("core.denoising.model.GENERIC_PATH", tmp_path / "nowhere.safetensors")
    done = run_job("train", input=training_set, output=tmp_path / "m", epochs=1)
    assert done["exit_code"] == 3
    assert "nowhere.safetensors" in done["message"]
    assert "scratch" in done["hint"]
    assert "trace" not in done


def test_a_clean_library_gives_a_generic_model_that_is_a_start_and_no_denoiser(tmp_path, run_job, monkeypatch):
    monkeypatch.setattr("core.denoising.library_set.LibrarySet.pairs_per_epoch", 8)
    monkeypatch.setattr("core.denoising.library_set.VALIDATION_PAIRS", 4)
    library = run_job("build-library", output=tmp_path / "lib", phantoms=6, views=2)
    assert library["exit_code"] == 0, library
    done = run_job("train", input=tmp_path / "lib", output=tmp_path / "g", mode="scratch", epochs=1, batch_size=4)
    assert done["exit_code"] == 0, done
    path = tmp_path / "g/model.safetensors"
    assert load_model(path, CPU).facts.method == "generic"
    assert "1ubi" in load_model(path, CPU).facts.specimens
    assert {w.dtype for w in load_file(path).values()} == {torch.float16}  # kept small
    with pytest.raises(InputError, match="generic model"):
        load_denoiser(path, CPU)


def test_presence_and_amplitude_count_only_where_they_are_known():
    target = torch.zeros(1, 1, 64, 64)
    target[..., 8:24, 8:24] = -1.0
    presence = (target != 0).float()
    assert amplitude_loss(target, target, presence) == pytest.approx(0, abs=1e-6)
    assert amplitude_loss(0.5 * target, target, presence) == pytest.approx(0.25, abs=1e-5)
    assert amplitude_loss(0.5 * target, target, torch.full_like(target, UNKNOWN)) == 0
    logit = 20 * (2 * presence - 1)
    assert presence_loss(logit, presence) < 1e-6
    assert presence_loss(-logit, presence) > 10
    assert presence_loss(-logit, torch.full_like(target, UNKNOWN)) == 0
    assert denoising_loss(target, target) == 0
    assert denoising_loss(torch.zeros_like(target), target) == pytest.approx(np.log(2), abs=0.05)


def test_learning_rate_warms_up_then_falls_to_its_end():
    rates = [learning_rate(s, s / 1000, 1.0) for s in range(1001)]
    assert rates[0] < rates[29]
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[-1] == pytest.approx(0.02, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"input": "nowhere"}, 3, "manifest.json"),
        ({"device": "cuda:7"}, 4, "cuda:7"),
        ({"device": "abacus"}, 2, "abacus"),
    ],
)
def test_bad_input_is_one_sentence(training_set, tmp_path, run_job, change, code, word):
    done = run_job(
        "train", **({"input": training_set, "output": tmp_path / "m", "mode": "scratch", "epochs": 1} | change)
    )
    assert done["exit_code"] == code, done
    assert word in done["message"]
    assert "trace" not in done


def test_models_of_others_and_broken_ones_are_refused_without_running_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'ran'}",))

    torch.save({"x": Bomb()}, tmp_path / "best.pth")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    save_file({"w": torch.zeros(3)}, tmp_path / "other.safetensors")
    for name in ("best.pth", "cut.safetensors", "other.safetensors", "none.safetensors"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            load_denoiser(tmp_path / name, CPU)
    assert not (tmp_path / "ran").exists()


def test_a_training_that_learns_nothing_is_no_model(training_set, tmp_path, run_job):
    done = run_job(
        "train", input=training_set, output=tmp_path / "m", mode="scratch", epochs=1, batch_size=4, learning_rate=1
    )
    assert done["exit_code"] == 3
    assert not (tmp_path / "m/model.safetensors").exists()


def test_two_jobs_do_not_write_to_one_folder(training_set, tmp_path, run_job):
    from core.jobs.lock import exclusive

    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with exclusive(tmp_path / "m"):
            (tmp_path / "m/.vitreous-lock").write_text(json.dumps(rundir.process_mark(other.pid)))
            done = run_job("train", input=training_set, output=tmp_path / "m", mode="scratch", epochs=1)
            assert done["exit_code"] == 2
            assert "Another job" in done["message"]
    finally:
        other.kill()
        other.wait()
    (tmp_path / "m").mkdir(exist_ok=True)
    (tmp_path / "m/.vitreous-lock").write_text(
        json.dumps({"pid": other.pid, "born": 1.0, "host": socket.gethostname()})
    )
    with exclusive(tmp_path / "m"):  # the lock of a job that is gone gives way
        pass


@pytest.mark.parametrize("key", ["recipe", "snr", "library", "validation", "pairs_per_epoch", "seed", "contrast"])
def test_an_incomplete_manifest_is_one_sentence(training_set, tmp_path, run_job, key):
    manifest = json.loads((training_set / "manifest.json").read_text())
    del manifest[key]
    (training_set / "manifest.json").write_text(json.dumps(manifest))
    done = run_job("train", input=training_set, output=tmp_path / "m", mode="scratch", epochs=1)
    assert done["exit_code"] == 3, done
    assert "trace" not in done
