"""Invariants of resampling and shell averages."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from core.physics.fourier import fourier_resample, frequency_grid, rfft2, shell_average, shell_index

even = st.integers(8, 40).map(lambda n: 2 * n)


def band_limited(shape, cut, seed=0):
    """Noise without anything at or above `cut` cycles/px."""
    rng = np.random.default_rng(seed)
    spectrum = rfft2(rng.standard_normal(shape)) * (frequency_grid(*shape) < cut)
    return np.fft.irfft2(spectrum, s=shape).astype(np.float32)


@given(even, even)
@settings(max_examples=20, deadline=None)
def test_down_and_up_again_is_the_identity_below_the_smaller_nyquist(height, width):
    image = band_limited((2 * height, 2 * width), 0.24)
    back = fourier_resample(fourier_resample(image, (height, width)), image.shape)
    np.testing.assert_allclose(back, image, atol=1e-4)


def test_mean_and_positions_are_kept():
    yy, xx = np.mgrid[:96, :128]
    image = np.exp(-((yy - 30) ** 2 + (xx - 80) ** 2) / (2 * 6.0**2)).astype(np.float32)
    small = fourier_resample(image, (48, 64))
    assert np.isclose(small.mean(), image.mean(), rtol=1e-4)
    total = small.sum()
    rows, cols = np.mgrid[:48, :64]
    assert abs((rows * small).sum() / total - 15) < 0.02
    assert abs((cols * small).sum() / total - 40) < 0.02


def test_white_noise_has_a_flat_spectrum_and_shells_partition_the_grid():
    rng = np.random.default_rng(3)
    power = np.mean([np.abs(rfft2(rng.standard_normal((64, 64)))) ** 2 / 64**2 for _ in range(200)], axis=0)
    profile = shell_average(power, 64)
    assert profile.shape == (33,)
    np.testing.assert_allclose(profile[1:], 1.0, atol=0.12)
    assert np.bincount(shell_index(64).ravel()).sum() == 64 * 33
