"""Hot pixels: a few of 10^6 change nothing but themselves; large strong regions are left alone."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from core.denoising.canonical import background, fine_sigma, to_canonical
from core.denoising.hot_pixels import without_hot_pixels
from core.denoising.quality import flattened

DIAMETER = 24.0


def micrograph(seed=0):
    rng = np.random.default_rng(seed)
    noise = ndi.gaussian_filter(rng.standard_normal((420, 500)), 0.8)
    ramp = np.linspace(0, 40, 500)
    return (500 + 20 * noise / noise.std() + ramp).astype(np.float32)


def with_hot_pixels(image, value=1e6):
    rng = np.random.default_rng(1)
    hot = image.copy()
    rows, cols = rng.integers(0, image.shape[0], 20), rng.integers(0, image.shape[1], 20)
    hot[rows, cols] = value
    return hot, (rows, cols)


@pytest.mark.parametrize("value", [1e6, -1e6, 1e30])
def test_normalised_images_are_the_same_elsewhere(value):
    image = micrograph()
    hot, at = with_hot_pixels(image, value)
    clean, spoilt = to_canonical(image, DIAMETER, canonical=DIAMETER), to_canonical(hot, DIAMETER, canonical=DIAMETER)
    sigma = fine_sigma(clean.image)
    assert fine_sigma(spoilt.image) == pytest.approx(sigma, rel=0.01)
    assert spoilt.outliers >= clean.outliers + 20
    elsewhere = np.ones(image.shape, bool)
    elsewhere[at] = False
    difference = np.abs(spoilt.image - clean.image)[:420, :500][elsewhere]
    assert difference.max() < 0.1 * sigma
    np.testing.assert_allclose(
        flattened(hot, DIAMETER)[elsewhere], flattened(image, DIAMETER)[elsewhere], atol=0.1 * sigma
    )


def test_at_the_scale_of_the_network_too():
    image = micrograph()
    hot, _ = with_hot_pixels(image)
    clean, spoilt = to_canonical(image, 48.0), to_canonical(hot, 48.0)
    change = (spoilt.image - clean.image) / clean.image.std()
    assert np.sqrt((change**2).mean()) < 0.05


def test_a_dark_region_is_no_hot_pixel():
    image = micrograph()
    image[:120] -= 3000  # a grid bar, a hundred sigmas darker
    image[200:202, 300] = 1e6
    image[:, 77] = 1e6  # a dead column
    cleaned = without_hot_pixels(image)
    assert cleaned is not image
    assert cleaned.max() < 1000
    same = np.ones(image.shape, bool)
    same[200:202, 300] = same[:, 77] = False
    np.testing.assert_array_equal(cleaned[same], image[same])
    assert image.max() == 1e6  # the original is as it was


def test_nothing_is_copied_where_there_is_nothing_to_do():
    image = micrograph()
    assert without_hot_pixels(image) is image
    flat = np.zeros((30, 40), np.float32)
    flat[3, 4] = 1e6
    assert without_hot_pixels(flat) is flat
    assert background(np.ones((2, 3), np.float32), DIAMETER).rows(0, 2).shape == (2, 3)
