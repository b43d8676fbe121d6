"""predict: exact inversion of units, header kept, any size, resumes missing outputs, never mixes two models."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from core.compute.parallel import Workers
from core.denoising.blend import SHELLS
from core.denoising.canonical import fine_sigma, to_canonical
from core.denoising.inference import OVERLAP, TILE, run_network
from core.denoising.model import Facts, save_denoiser
from core.denoising.parts import load_parts
from core.denoising.unet import UNet
from core.io.mrc import open_mrc, read_header, write_mrc
from core.jobs import rundir
from core.jobs.predict import PredictParams

MAIN = Path(__file__).resolve().parents[2] / "main.py"
CPU = torch.device("cpu")


def facts(**changes) -> Facts:
    values = {
        "method": "noise-transfer", "widths": (8, 8, 8, 8), "particle_diameter_px": 24.0, "pixel_size_a": 2.5,
        "canonical_diameter": 24.0, "calibration": 1.0, "sign": 1.0, "snr": 0.5, "steps": 1, "val_loss": 1.0,
        "gate": (-0.5, 0.5), "blend": ((0.3,) * SHELLS, (0.6,) * SHELLS, (0.4,) * SHELLS),
    }  # fmt: skip
    return Facts(**(values | changes))


@pytest.fixture
def model(tmp_path) -> str:
    """An untrained network with random weights: its output is not zero, and its sums are quick."""
    torch.manual_seed(0)
    net = UNet((8, 8, 8, 8))
    torch.nn.init.normal_(net.head.weight, std=0.3)
    save_denoiser(tmp_path / "model.safetensors", net.state_dict(), facts())
    return str(tmp_path / "model.safetensors")


def test_sizes_units_header_and_pixel_size_survive(data, model, run_job, tmp_path):
    """Two non-square, odd, different sizes in one run, in counts around 500."""
    done = run_job("predict", micrographs=[data.folder], model=model, output=tmp_path / "out")
    assert done["exit_code"] == 0, done
    assert len(done["result"]["files"]) == 2
    for raw, out in zip(data.files, done["result"]["files"], strict=True):
        before, after = read_header(raw), read_header(Path(out))
        assert after.shape == before.shape
        assert after.pixel_size_a == pytest.approx(2.5, rel=1e-4)
        assert any("denoised" in label for label in after.labels)
        image, result = np.asarray(open_mrc(raw)), np.asarray(open_mrc(Path(out)))
        assert np.isfinite(result).all()
        assert abs(result.mean() - image.mean()) < 2  # grey values of the input, not of a network
        correlation = np.corrcoef(result.ravel(), image.ravel())[0, 1]
        assert correlation > 0.05


@pytest.mark.parametrize(("shape", "diameter"), [((301, 450), 20.0), ((260, 333), 75.0), ((512, 256), 64.0)])
def test_normalisation_is_inverted_exactly_below_the_canonical_band(shape, diameter):
    """to_canonical and back returns the image itself, but for what is finer than the canonical pixel."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    image = 900 + 0.3 * xx + 40 * np.sin(xx / 19.0) * np.cos(yy / 23.0)
    image = image.astype(np.float32)
    canonical = to_canonical(image, diameter)
    back = canonical.restore(canonical.image)
    assert back.shape == shape
    inner = slice(20, -20), slice(20, -20)
    np.testing.assert_allclose(back[inner], image[inner], atol=0.5)
    light = to_canonical(image, diameter, sign=-1.0)
    np.testing.assert_allclose(light.restore(light.image)[inner], image[inner], atol=0.5)
    assert to_canonical(image + rng.standard_normal(shape).astype(np.float32), diameter).outliers == 0


def test_a_hot_pixel_does_not_change_the_rest():
    rng = np.random.default_rng(1)
    image = rng.standard_normal((300, 300)).astype(np.float32)
    spoilt = image.copy()
    spoilt[100, 100] = 1e4
    one, two = to_canonical(image, 30), to_canonical(spoilt, 30)
    assert two.outliers == 1
    far = np.hypot(*(np.mgrid[:300, :300] - 100)) > 100
    assert np.abs(one.image - two.image)[far].max() < 0.5


def test_tiles_leave_no_seam(monkeypatch):
    """The network on one big tile and on many gives the same picture away from the border."""
    monkeypatch.setattr("core.compute.devices.fast_bfloat16", lambda device_type: False)  # rounding is not asked about
    torch.manual_seed(1)
    net = UNet((8, 8, 8, 8)).eval()
    torch.nn.init.normal_(net.head.weight, std=0.3)
    side = TILE + 200
    image = np.random.default_rng(2).standard_normal((side, side)).astype(np.float32)
    with Workers(CPU, 2) as workers:
        tiled = run_network(net, image, 0.0, workers)
    pad = -side % 32
    whole = np.pad(image, ((0, pad), (0, pad)), mode="reflect")
    with torch.inference_mode():
        reference = net(torch.from_numpy(whole)[None, None], torch.zeros(1))
    inner = slice(OVERLAP, -OVERLAP)
    # the log odds of random weights hardly vary over a picture: their spread is a stricter measure
    for one, two, share in zip(tiled, reference, (0.02, 0.1), strict=True):
        expected = two[0, 0, :side, :side].numpy()
        assert np.abs(one - expected)[inner, inner].max() < share * expected.std()


def pixels(folder: Path, name: str = "mic_0.mrc") -> np.ndarray:
    return np.asarray(open_mrc(folder / name))


def test_another_share_of_raw_detail_does_not_need_the_network(data, model, run_job, tmp_path, monkeypatch):
    values = {"micrographs": [data.folder], "model": model}
    assert run_job("predict", **values, output=tmp_path / "out")["exit_code"] == 0
    balance = pixels(tmp_path / "out")
    for keep in (0.0, 1.0):
        done = run_job("predict", **values, output=tmp_path / f"fresh{keep}", keep_raw=keep, parts=False)
        assert done["exit_code"] == 0
        assert not (tmp_path / f"fresh{keep}/parts").exists()

    def fail(*_: object) -> None:
        raise AssertionError("the network ran")

    monkeypatch.setattr("core.denoising.predict.run_network", fail)
    for keep in (0.0, 1.0):
        done = run_job("predict", **values, output=tmp_path / "out", keep_raw=keep)
        assert done["exit_code"] == 0, done
        assert done["result"]["recomposed"] == 2
        for file in data.files:
            again, fresh = pixels(tmp_path / "out", file.name), pixels(tmp_path / f"fresh{keep}", file.name)
            np.testing.assert_allclose(again, fresh, atol=0.005 * 20)  # float16 pieces, noise of 20 grey values
        assert np.abs(pixels(tmp_path / "out") - balance).max() > 1
    write_mrc(data.files[0], pixels(data.folder) + 1, 2.5)  # another file: its pieces are of no use
    done = run_job("predict", **values, output=tmp_path / "out", overwrite=True)
    assert "the network ran" in done["message"] + str(done.get("trace"))


def test_a_generic_model_is_refused_with_its_reason(data, generic, run_job, tmp_path):
    done = run_job("predict", micrographs=[data.folder], model=str(generic), output=tmp_path / "out")
    assert done["exit_code"] == 3
    assert "generic model" in done["message"]
    assert "quick" in done["hint"]


def test_a_cryoddm_set_gives_the_network_alone(data, run_job, tmp_path, training_set):
    values = {"micrographs": [data.folder], "particles": data.star, "noise": data.noise, "particle_diameter": 24}
    assert run_job("forward", **values, output=tmp_path / "set", method="cryoddm")["exit_code"] == 0
    done = run_job("train", input=tmp_path / "set", output=tmp_path / "m", mode="scratch", epochs=1, batch_size=16)
    assert done["exit_code"] == 0, done
    path = tmp_path / "m/model.safetensors"
    done = run_job("predict", micrographs=data.files[:1], model=str(path), output=tmp_path / "out")
    assert done["exit_code"] == 0, done
    parts, _sigma, _made_by = load_parts(tmp_path / "out/parts/mic_0.safetensors")
    assert (parts.gate == 1).all()
    assert parts.network.std() > 0
    for keep in (0.0, 0.25, 0.5):
        np.testing.assert_allclose(parts.compose(keep), parts.network, atol=2e-3 * np.abs(parts.network).max())
    assert parts.compose(1.0).std() > 0


def test_another_pixel_size_scales_the_particle():
    assert facts().diameter_for(1.25) == pytest.approx(48)
    assert facts().diameter_for(None) == 24


def test_only_missing_outputs_are_made_and_two_models_are_not_mixed(data, model, run_job, tmp_path):
    out = tmp_path / "out"
    run_job("predict", micrographs=[data.folder], model=model, output=out)
    first = (out / "mic_0.mrc").stat().st_mtime_ns
    (out / "mic_1.mrc").unlink()
    done = run_job("predict", micrographs=[data.folder], model=model, output=out)
    assert done["result"]["skipped"] == 1
    assert (out / "mic_0.mrc").stat().st_mtime_ns == first
    assert (out / "mic_1.mrc").exists()
    done = run_job("predict", micrographs=[data.folder], model="gaussian:30", output=out)
    assert done["exit_code"] == 2
    assert "another model" in done["message"]
    assert (
        run_job("predict", micrographs=[data.folder], model="gaussian:30", output=out, overwrite=True)["exit_code"] == 0
    )


def test_one_bad_file_does_not_cost_the_others(data, model, run_job, tmp_path):
    (data.folder / "broken.mrc").write_bytes(b"not an image")
    done = run_job("predict", micrographs=[data.folder], model=model, output=tmp_path / "out")
    assert done["exit_code"] == 3
    assert "broken.mrc" in done["message"]
    assert sorted(p.name for p in (tmp_path / "out").glob("*.mrc")) == ["mic_0.mrc", "mic_1.mrc"]
    assert not list((tmp_path / "out").glob("*.partial"))


def test_baselines_keep_units_and_lower_the_noise(data, run_job, tmp_path, training_set):
    for i, (model, extra) in enumerate([("gaussian:30", {}), ("wiener", {}), ("wiener", {"noise": data.noise})]):
        out = tmp_path / f"out{i}"
        done = run_job("predict", micrographs=[data.folder], model=model, output=out, **extra)
        assert done["exit_code"] == 0, done
        raw, result = (np.asarray(open_mrc(p)) for p in (data.files[0], out / "mic_0.mrc"))
        assert abs(raw.mean() - result.mean()) < 2
        assert result.std() < 0.9 * raw.std()


def test_a_gaussian_halves_the_amplitude_at_its_resolution(run_job, tmp_path):
    x = np.arange(400)
    wave = np.sin(2 * np.pi * x * 2.0 / 40.0)  # 40 A at 2 A/px
    write_mrc(tmp_path / "w.mrc", np.broadcast_to(wave, (120, 400)).astype(np.float32), 2.0)
    run_job("predict", micrographs=[tmp_path / "w.mrc"], model="gaussian:40", output=tmp_path / "o")
    out = np.asarray(open_mrc(tmp_path / "o/w.mrc"))
    assert out[60, 100:300].std() / wave[100:300].std() == pytest.approx(0.5, abs=0.01)


def test_float16_and_16_bit_input(data, model, run_job, tmp_path):
    done = run_job("predict", micrographs=data.files[:1], model=model, output=tmp_path / "o", dtype="float16")
    assert done["exit_code"] == 0
    assert read_header(tmp_path / "o/mic_0.mrc").mode == 12


@pytest.mark.parametrize(
    ("offset", "contrast", "word"),
    [(70_000, 100.0, "65504"), (40_000, 20.0, "steps of 32"), (-70_000, 100.0, "65504")],
)
def test_float16_is_refused_where_it_would_spoil_the_image(run_job, tmp_path, offset, contrast, word):
    image = offset + contrast * np.random.default_rng(0).standard_normal((200, 240))
    write_mrc(tmp_path / "m.mrc", image.astype(np.float32), 2.0)
    values = {"micrographs": [tmp_path / "m.mrc"], "model": "gaussian:20"}
    done = run_job("predict", **values, output=tmp_path / "o", dtype="float16")
    assert done["exit_code"] == 3
    assert word in done["message"]
    assert "float32" in done["hint"]
    assert not (tmp_path / "o/m.mrc").exists()
    assert run_job("predict", **values, output=tmp_path / "p")["exit_code"] == 0


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"model": "gaussian"}, 2, "gaussian:30"),
        ({"model": "gaussian:zero"}, 2, "gaussian"),
        ({"model": "none.safetensors"}, 3, "none.safetensors"),
        ({"micrographs": ["nowhere"]}, 3, "nowhere"),
        ({"device": "cuda:9"}, 4, "cuda:9"),
    ],
)
def test_bad_input_is_one_sentence(data, model, run_job, tmp_path, change, code, word):
    values = {"micrographs": [data.folder], "model": model, "output": tmp_path / "out"}
    done = run_job("predict", **(values | change))
    assert done["exit_code"] == code, done
    assert word in done["message"] + done["hint"]
    assert "trace" not in done


def test_raw_data_are_never_overwritten(data, model, run_job):
    done = run_job("predict", micrographs=[data.folder], model=model, output=data.folder)
    assert done["exit_code"] == 2
    assert "raw" in done["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX matter")
def test_kill_9_loses_at_most_the_micrograph_in_work(data, model, tmp_path, run_job, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for i in range(2, 8):
        write_mrc(data.folder / f"mic_{i}.mrc", np.asarray(open_mrc(data.files[0])), 2.5)
    whole = run_job("predict", micrographs=[data.folder], model=model, output=tmp_path / "whole")
    assert whole["exit_code"] == 0
    params = PredictParams.parse({"micrographs": [data.folder], "model": str(model), "output": tmp_path / "out"})
    run_dir = rundir.create("predict", params, tmp_path / "runs")
    command = [sys.executable, str(MAIN), "run", str(run_dir)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out/mic_1.mrc").exists():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    for finished in (tmp_path / "out").glob("*.mrc"):  # what has its name is complete
        np.testing.assert_array_equal(open_mrc(finished), open_mrc(tmp_path / "whole" / finished.name))
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == 0
    for i in range(8):
        a, b = (np.asarray(open_mrc(tmp_path / d / f"mic_{i}.mrc")) for d in ("whole", "out"))
        np.testing.assert_array_equal(a, b)


def test_foreign_files_and_shared_names_are_refused(data, model, run_job, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mic_0.mrc").write_bytes(data.files[0].read_bytes())
    done = run_job("predict", micrographs=[data.folder], model="gaussian:30", output=other)
    assert done["exit_code"] == 2
    assert "mic_0.mrc" in done["message"]
    assert (other / "mic_0.mrc").read_bytes() == data.files[0].read_bytes()
    (data.folder / "mic_0.mrcs").write_bytes(data.files[0].read_bytes())
    done = run_job("predict", micrographs=[data.folder], model="gaussian:30", output=tmp_path / "out")
    assert done["exit_code"] == 2
    assert "mic_0.mrcs" in done["message"]


def test_other_data_under_the_same_name_are_not_taken_for_done(data, model, run_job, tmp_path):
    run_job("predict", micrographs=data.files[:1], model="gaussian:30", output=tmp_path / "out")
    write_mrc(data.files[0], np.asarray(open_mrc(data.files[0])) + 1, 2.5)
    done = run_job("predict", micrographs=data.files[:1], model="gaussian:30", output=tmp_path / "out")
    assert done["exit_code"] == 2
    assert "another file" in done["message"]


def test_a_masked_half_changes_neither_the_noise_level_nor_the_rest():
    rng = np.random.default_rng(5)
    image = (500 + 20 * rng.standard_normal((400, 400))).astype(np.float32)
    masked = image.copy()
    masked[:, :256] = 0
    whole, half = to_canonical(image, 40), to_canonical(masked, 40)
    assert half.valid is not None
    assert fine_sigma(half.image, half.valid) == pytest.approx(fine_sigma(whole.image), rel=0.05)
    assert half.outliers == 0
    right = whole.image.shape[1] * 9 // 10
    np.testing.assert_allclose(half.image[20:-20, right:-10].std(), whole.image[20:-20, right:-10].std(), rtol=0.1)


@pytest.mark.parametrize("side", [1, 3, 11, 33, 35, 65])
def test_tiny_images_survive_the_way_there_and_back(side):
    image = np.random.default_rng(side).standard_normal((side, side + 2)).astype(np.float32)
    canonical = to_canonical(image, 80)
    assert canonical.restore(canonical.image).shape == image.shape


def test_a_model_is_used_at_the_scale_it_was_trained_at(data, run_job, tmp_path):
    image = np.asarray(open_mrc(data.files[0]))
    assert to_canonical(image, 20, canonical=32.0).scale_x == pytest.approx(1.6, rel=0.02)
    net = UNet((8, 8, 8, 8))
    coarse = facts(particle_diameter_px=80.0, pixel_size_a=0.25, canonical_diameter=32.0)  # 8 px in these micrographs
    save_denoiser(tmp_path / "m.safetensors", net.state_dict(), coarse)
    done = run_job("predict", micrographs=data.files, model=str(tmp_path / "m.safetensors"), output=tmp_path / "o")
    assert done["exit_code"] == 3
    assert "8 px" in done["message"]


def test_constant_images_and_models_that_are_no_numbers_are_refused(data, model, run_job, tmp_path):
    write_mrc(tmp_path / "flat.mrc", np.full((100, 100), 7, np.float32), 2.0)
    done = run_job("predict", micrographs=[tmp_path / "flat.mrc"], model=model, output=tmp_path / "o")
    assert done["exit_code"] == 3
    assert "flat.mrc" in done["message"]
    net = UNet((8, 8, 8, 8))
    torch.nn.init.constant_(net.head.bias, float("nan"))  # type: ignore[arg-type]
    save_denoiser(tmp_path / "nan.safetensors", net.state_dict(), facts())
    save_denoiser(tmp_path / "odd.safetensors", UNet((8, 8, 8, 8)).state_dict(), facts(snr=0.0))
    for name in ("nan.safetensors", "odd.safetensors"):
        done = run_job("predict", micrographs=data.files, model=str(tmp_path / name), output=tmp_path / "o2")
        assert done["exit_code"] == 3
        assert name in done["message"]


def test_a_small_file_without_pixel_size_is_denoised_and_its_doubts_are_told(model, run_job, tmp_path):
    write_mrc(tmp_path / "small.mrc", np.random.default_rng(0).standard_normal((20, 22)).astype(np.float32))
    done = run_job("predict", micrographs=[tmp_path / "small.mrc"], model=model, output=tmp_path / "out")
    assert done["exit_code"] == 0, done
    said = [e["message"] for e in run_job.of("warning")]
    assert any("small.mrc is 22 x 20 px, smaller than one particle of 24 px" in text for text in said), said
    assert any("2.5 A, that of the training, is assumed" in text and "--pixel-size" in text for text in said), said
