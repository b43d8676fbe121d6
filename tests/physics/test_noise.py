"""Noise learnt from patches: spectrum, draws and mosaics keep variance and correlation."""

import numpy as np
import scipy.ndimage as ndi

from core.physics.fourier import rfft2, shell_average
from core.physics.noise import gaussian_noise, noise_mosaic, noise_spectrum


def coloured(shape, seed):
    field = ndi.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), 1.0, mode="wrap")
    return (field / field.std()).astype(np.float32)


def patches_of(field, size, count, seed=1):
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, field.shape[0] - size, (count, 2))
    return np.stack([field[i : i + size, j : j + size] for i, j in corners])


def test_spectrum_of_small_patches_is_that_of_the_field():
    field = coloured((512, 512), 0)
    truth = shell_average(np.abs(rfft2(field)) ** 2 / field.size, 512)
    measured = shell_average(noise_spectrum(patches_of(field, 48, 300), 128), 128)
    shells = np.arange(8, 24)  # where most of the power is and the field itself is well sampled
    coarse = np.interp(shells / 128, np.arange(257) / 512, np.convolve(truth, np.ones(9) / 9, "same"))
    np.testing.assert_allclose(measured[shells], coarse, rtol=0.2)


def test_gaussian_draws_have_the_spectrum_and_the_variance():
    spectrum = noise_spectrum(patches_of(coloured((512, 512), 0), 48, 200), 128)
    rng = np.random.default_rng(2)
    draws = np.stack([gaussian_noise(spectrum, rng) for _ in range(60)])
    expected = (spectrum[:, 1:-1].sum() * 2 + spectrum[:, [0, -1]].sum()) / 128**2
    assert np.isclose(draws.var(), expected, rtol=0.05)
    power = np.mean([np.abs(rfft2(d)) ** 2 / d.size for d in draws], axis=0)
    np.testing.assert_allclose(shell_average(power, 128)[4:40], shell_average(spectrum, 128)[4:40], rtol=0.2)


def test_a_mosaic_keeps_the_variance_everywhere_also_at_the_seams():
    patches = np.random.default_rng(5).standard_normal((400, 32, 32)).astype(np.float32)
    rng = np.random.default_rng(6)
    stack = np.stack([noise_mosaic(patches, (90, 70), rng) for _ in range(300)])
    assert stack.shape[1:] == (90, 70)
    np.testing.assert_allclose(stack.var(axis=0).mean(), 1.0, rtol=0.02)
    assert stack.var(axis=0).min() > 0.6  # a linear fade would fall to 0.5 on average at every seam
