"""A model that meets another noise than it learnt is told of before anything is computed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
import torch

from core.denoising.blend import SHELLS
from core.denoising.canonical import to_canonical
from core.denoising.model import Facts, save_denoiser
from core.denoising.noise_fingerprint import fingerprint_of_micrograph
from core.denoising.unet import UNet
from core.io.mrc import write_mrc

PIXEL_A, DIAMETER = 2.5, 24.0
WIDTHS = (8, 8, 8, 8, 8)


def noise(seed: int, blur: float) -> np.ndarray:
    image = ndi.gaussian_filter(np.random.default_rng(seed).standard_normal((512, 480)), blur)
    return (500 + 20 * image / image.std()).astype(np.float32)


@pytest.fixture
def model(tmp_path) -> str:
    """An untrained network that has learnt (the fingerprint of) finely grained noise."""
    canonical = to_canonical(noise(0, 0.5), DIAMETER)
    learnt = fingerprint_of_micrograph(canonical, DIAMETER, PIXEL_A / canonical.scale_x, PIXEL_A)
    assert learnt is not None
    facts = Facts(
        method="noise-transfer", widths=WIDTHS, particle_diameter_px=DIAMETER, pixel_size_a=PIXEL_A,
        canonical_diameter=DIAMETER, calibration=1.0, sign=1.0, snr=0.3, steps=1, val_loss=1.0,
        gate=(-0.5, 0.5), blend=((0.3,) * SHELLS, (0.6,) * SHELLS, (0.4,) * SHELLS), noise=learnt.as_dict(),
    )  # fmt: skip
    torch.manual_seed(0)
    save_denoiser(tmp_path / "model.safetensors", UNet(WIDTHS).state_dict(), facts)
    return str(tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("blur", "pixel", "word"), [(0.5, PIXEL_A, ""), (3.0, PIXEL_A, "noise"), (0.5, 2 * PIXEL_A, "pixel size")]
)
def test_another_noise_is_told_before_the_first_micrograph_is_computed(blur, pixel, word, model, run_job, tmp_path):
    for i in range(2):
        write_mrc(tmp_path / f"raw/mic_{i}.mrc", noise(5 + i, blur), pixel)
    done = run_job("predict", micrographs=[tmp_path / "raw"], model=model, output=tmp_path / "out")
    assert done["exit_code"] == 0, done
    told = [i for i, e in enumerate(run_job.events) if e["kind"] == "warning" and "another noise" in e["message"]]
    computed = [i for i, e in enumerate(run_job.events) if e["kind"] == "progress" and "of 2: " in e["message"]]
    assert bool(told) == bool(word)
    if word:
        assert word in run_job.events[told[0]]["message"]
        assert max(told) < min(computed)
