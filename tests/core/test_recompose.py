"""predict keeps pieces: another share of raw detail is recomposed without the network, and nothing is ever mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core.denoising.blend import SHELLS
from core.denoising.model import Facts, save_denoiser
from core.denoising.recompose import MOST_GATE_SIDE, open_pieces
from core.denoising.set_kind import set_kind
from core.denoising.unet import UNet
from core.errors import InputError
from core.io.mrc import open_mrc, write_mrc


def make_model(path: Path, seed: int = 0) -> str:
    """An untrained network with random weights and gains that fall with frequency."""
    torch.manual_seed(seed)
    net = UNet((8, 8, 8, 8))
    torch.nn.init.normal_(net.head.weight, std=0.3)
    fall = np.exp(-np.arange(SHELLS) / 12)
    blend = (tuple(0.5 * fall), tuple(0.5 + 0 * fall), tuple(fall))
    values = {
        "method": "noise-transfer", "widths": (8, 8, 8, 8), "particle_diameter_px": 48.0, "pixel_size_a": 2.5,
        "canonical_diameter": 24.0, "calibration": 1.0, "sign": 1.0, "snr": 0.5, "steps": 1, "val_loss": 1.0,
        "gate": (-0.3, 0.3), "blend": blend,
    }  # fmt: skip
    save_denoiser(path, net.state_dict(), Facts(**values))
    return str(path)


@pytest.fixture
def model(tmp_path) -> str:
    return make_model(tmp_path / "model.safetensors")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(open_mrc(path), np.float32)


def test_pieces_give_what_the_job_writes_for_every_share(data, model, run_job, tmp_path):
    """Live in the window and from the job: the same pixels, to the rounding of the kept pieces."""
    for keep in (0.0, 0.3, 0.5, 1.0):
        out = tmp_path / f"out{keep}"
        done = run_job("predict", micrographs=[data.folder], model=model, output=out, keep_raw=keep)
        assert done["exit_code"] == 0, done
        assert done["result"]["recomposed"] == 0
        written = pixels(out / "mic_0.mrc")
        for other in (tmp_path / "out0.0", out):  # the pieces do not depend on the share
            pieces = open_pieces(other / "parts/mic_0.safetensors", data.files[0], pixels(data.files[0]))
            again = pieces.picture(keep)
            assert np.abs(again - written).max() < 0.02 * written.std()
    gate = pieces.gate()
    assert 0 <= gate.opening.min() < gate.opening.max() <= 1
    assert gate.scale_x == pytest.approx(0.5, rel=0.02)


def test_another_share_alone_recomposes_all_without_the_network(data, model, run_job, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run_job("predict", micrographs=[data.folder], model=model, output=out)
    half = pixels(out / "mic_1.mrc")
    pieces = (out / "parts/mic_1.safetensors").read_bytes()
    monkeypatch.setattr("core.denoising.predict.run_network", lambda *a: pytest.fail("the network ran"))
    done = run_job("predict", micrographs=[data.folder], model=model, output=out, keep_raw=1.0)
    assert done["exit_code"] == 0, done
    assert done["result"]["recomposed"] == 2
    assert "without the network" in done["result"]["summary"]
    assert done["result"]["megapixels_per_cpu_second"] is None
    assert np.abs(pixels(out / "mic_1.mrc") - half).max() > 0.1 * half.std()
    assert (out / "parts/mic_1.safetensors").read_bytes() == pieces
    settings = json.loads((out / "denoised.json").read_text())
    assert settings["method"]["keep_raw"] == 1.0
    assert "remake" not in settings
    assert (
        run_job("predict", micrographs=[data.folder], model=model, output=out, keep_raw=1.0)["result"]["skipped"] == 2
    )


def test_overwrite_asks_the_network_again(data, model, run_job, tmp_path):
    for _ in range(2):
        done = run_job("predict", micrographs=[data.folder], model=model, output=tmp_path / "o", overwrite=True)
        assert done["result"]["recomposed"] == 0


def test_what_a_stopped_recomposing_left_is_made_by_the_next_run(data, model, run_job, tmp_path, monkeypatch):
    """No folder ever holds two shares that look like one."""
    out = tmp_path / "out"
    run_job("predict", micrographs=[data.folder], model=model, output=out)
    before = {name: pixels(out / name) for name in ("mic_0.mrc", "mic_1.mrc")}
    from core.denoising import predict as module

    real = module.finish

    def fails_on_the_second(image, *rest):
        if image.shape == before["mic_1.mrc"].shape:
            raise InputError("the disk went away.")
        return real(image, *rest)

    monkeypatch.setattr(module, "finish", fails_on_the_second)
    assert run_job("predict", micrographs=[data.folder], model=model, output=out, keep_raw=0.9)["exit_code"] == 3
    np.testing.assert_array_equal(pixels(out / "mic_1.mrc"), before["mic_1.mrc"])
    monkeypatch.setattr(module, "finish", real)
    done = run_job("predict", micrographs=[data.files[0]], model=model, output=out, keep_raw=0.9)
    assert json.loads((out / "denoised.json").read_text())["remake"] == ["mic_1.mrc"]  # this run did not name it
    done = run_job("predict", micrographs=[data.folder], model=model, output=out, keep_raw=0.9)
    assert (done["result"]["skipped"], done["result"]["recomposed"]) == (1, 1)
    assert np.abs(pixels(out / "mic_1.mrc") - before["mic_1.mrc"]).max() > 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"dtype": "float16"}, "settings"),
        ({"pixel_size": 2.6}, "settings"),
        ({"parts": False}, "settings"),
        ({"model": "other"}, "another model"),
        ({"micrographs": "one"}, "does not name"),
    ],
)
def test_any_other_difference_is_refused(data, model, run_job, tmp_path, change, word):
    out = tmp_path / "out"
    run_job("predict", micrographs=[data.folder], model=model, output=out)
    values = {"micrographs": [data.folder], "model": model, "output": out, "keep_raw": 0.7} | change
    if change.get("model"):
        values["model"] = make_model(tmp_path / "other.safetensors", seed=1)
    if change.get("micrographs"):
        values["micrographs"] = data.files[:1]
    kept = pixels(out / "mic_0.mrc")
    done = run_job("predict", **values)
    assert done["exit_code"] == 2
    assert word in done["message"]
    np.testing.assert_array_equal(pixels(out / "mic_0.mrc"), kept)


def test_outputs_without_pieces_are_refused_by_name(data, model, run_job, tmp_path):
    out = tmp_path / "out"
    run_job("predict", micrographs=[data.folder], model=model, output=out, parts=False)
    assert not (out / "parts").exists()
    done = run_job("predict", micrographs=[data.folder], model=model, output=out, keep_raw=0.7)
    assert done["exit_code"] == 2
    assert "without the pieces" in done["message"]
    with pytest.raises(InputError, match=r"mic_0\.mrc was denoised without"):
        open_pieces(out / "parts/mic_0.safetensors", data.files[0], pixels(data.files[0]))


def test_pieces_of_a_file_that_changed_are_not_used(data, model, run_job, tmp_path):
    out = tmp_path / "out"
    run_job("predict", micrographs=[data.folder], model=model, output=out)
    write_mrc(data.files[0], pixels(data.files[0]) + 1, 2.5)
    with pytest.raises(InputError, match="has changed"):
        open_pieces(out / "parts/mic_0.safetensors", data.files[0], pixels(data.files[0]))


def test_a_gate_map_stays_in_its_place_when_it_is_made_smaller(monkeypatch):
    from core.denoising import recompose
    from core.denoising.canonical import to_canonical
    from core.denoising.parts import Parts

    image = np.random.default_rng(0).standard_normal((300, 520)).astype(np.float32)
    canonical = to_canonical(image, 64.0, 1.0, 32.0)
    gate = np.zeros(canonical.image.shape, np.float32)
    gate[40:80, 120:160] = 1
    whole = recompose.Recomposer(image, canonical, Parts(gate, gate, gate, gate), 1.0)

    def middle(found) -> tuple[float, float]:
        y, x = (float(at.mean()) for at in np.nonzero(found.opening > 0.5))
        return x / found.scale_x + found.offset_x, y / found.scale_y + found.offset_y

    fine = middle(whole.gate())
    monkeypatch.setattr(recompose, "MOST_GATE_SIDE", 100)
    coarse = whole.gate()
    assert max(coarse.opening.shape) <= 100 < MOST_GATE_SIDE
    assert middle(coarse) == pytest.approx(fine, abs=1.0)


def test_the_kind_of_a_training_set_is_told_without_opening_it(tmp_path):
    assert set_kind(tmp_path) == ""
    assert set_kind(tmp_path / "nowhere") == ""
    for manifest, kind in (
        ({"method": "noise-transfer"}, "noise-transfer"),
        ({"method": "cryoddm"}, "cryoddm"),
        ({"method": "noise-transfer", "halves": {"snr": 0.1}}, "halves"),
        ({"method": "else"}, ""),
        ([], ""),
    ):
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        assert set_kind(tmp_path) == kind
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "library.safetensors").write_bytes(b"")
    assert set_kind(tmp_path) == "library"
