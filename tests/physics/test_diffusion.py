"""The forward process: variance preservation, CryoDDM's published factors, RSILB."""

import numpy as np
import pytest

from core.denoising import diffusion
from core.denoising.diffusion import PRESETS, Schedule


def test_the_chain_preserves_variance_and_its_signal_share_falls():
    schedule = PRESETS["config1"]
    rng = np.random.default_rng(0)
    x0, n = rng.standard_normal((2, 200_000))
    for bar in schedule.alpha_bars:
        assert np.var(np.sqrt(bar) * x0 + np.sqrt(1 - bar) * n) == pytest.approx(1, abs=0.02)
    assert (np.diff(diffusion.transfer_snr(schedule)) < 0).all()


def test_cryoddm_factors_are_the_published_ones():
    image, noise = diffusion.cryoddm_factors(PRESETS["config1"])
    np.testing.assert_allclose(image, [0.910, 0.791, 0.649, 0.478, 0.273], atol=1.5e-3)
    np.testing.assert_allclose(noise, [0.129, 0.258, 0.386, 0.515, 0.644], atol=1e-3)
    np.testing.assert_allclose(
        diffusion.cryoddm_snr(PRESETS["config1"]), [0.980, 0.871, 0.546, 0.140, 0.008], atol=2e-3
    )
    np.testing.assert_allclose(diffusion.cryoddm_snr(PRESETS["config2"])[-1], 0.011, atol=1e-3)


def test_information_is_half_a_bit_per_shell_at_snr_one_and_falls_along_the_chain():
    flat = np.ones(64)
    bits = diffusion.structural_information(flat, flat, np.array([1.0, 0.1, 0.0]))
    assert bits[0] == pytest.approx(32.0)
    assert bits[0] > bits[1] > bits[2] == 0


@pytest.mark.parametrize(("bound", "kept"), [(0.0, 4), (5.0, 3), (25.0, 2), (1000.0, 2)])
def test_the_bound_stops_the_chain_but_never_before_its_start(bound, kept):
    assert diffusion.steps_kept(np.array([50.0, 30.0, 10.0, 2.0]), bound, start=2) == kept


def test_schedules_of_a_single_step_work():
    schedule = Schedule(0.2, 1, 1)
    assert schedule.alpha_bars == pytest.approx([0.8])
    assert diffusion.transfer_snr(schedule) == pytest.approx([4.0])
