"""The view's filter: half amplitude where it says, no leak across the edges, cheap levels, values keep their unit."""

import numpy as np
import pytest

from core.errors import ParamError
from core.images.lowpass import filter_level, filtered, low_pass
from core.images.pyramid import Cancelled, build_pyramid


def wave(ny: int, nx: int, period: float, axis: int = 1) -> np.ndarray:
    """A cosine that mirrors onto itself at the edges: its half period must divide the side."""
    place = np.arange(nx if axis == 1 else ny) + 0.5
    line = np.cos(2 * np.pi * place / period).astype(np.float32)
    return np.broadcast_to(line if axis == 1 else line[:, None], (ny, nx)).copy()


def noise(ny: int, nx: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((ny, nx)).astype(np.float32)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("resolution", [4.0, 8.0, 16.0, 32.0])
def test_half_the_amplitude_is_left_at_the_resolution(resolution: float, axis: int) -> None:
    """At every level: the averaging of the pyramid is undone."""
    image = wave(512, 640, resolution, axis)
    result = low_pass(build_pyramid(image, 1.0), resolution).levels[0]
    step = image.shape[1] // result.shape[1]
    expected = 0.5 * wave(512 // step, 640 // step, resolution / step, axis)
    np.testing.assert_allclose(result, expected, atol=2e-3)


def test_finer_detail_goes_and_coarser_stays() -> None:
    for period, left in [(5.0, 0.0), (10.0, 0.5**4), (20.0, 0.5), (80.0, 0.5 ** (1 / 16))]:
        result = filtered(wave(400, 400, period), 20.0)
        np.testing.assert_allclose(result, left * wave(400, 400, period), atol=2e-3)


def test_the_ring_is_round() -> None:
    y, x = np.mgrid[:256, :256] + 0.5
    slanted = np.cos(2 * np.pi * x * 24 / 512) * np.cos(2 * np.pi * y * 32 / 512)
    period = 512 / np.hypot(24, 32)
    np.testing.assert_allclose(filtered(slanted.astype(np.float32), period), 0.5 * slanted, atol=1e-3)


@pytest.mark.parametrize("pixel", [0.66, 1.0, 1.5])
@pytest.mark.parametrize("resolution", [3.0, 8.0, 20.0, 33.0, 200.0])
def test_the_level_is_the_coarsest_that_holds_what_passes(pixel: float, resolution: float) -> None:
    pyramid = build_pyramid(noise(1024, 768), pixel, "m.mrc")
    level = filter_level(pyramid, resolution)
    assert level == 0 or pixel * 2**level <= resolution / 4 * (1 + 1e-6)
    assert level == pyramid.coarsest or pixel * 2 ** (level + 1) > resolution / 4
    result = low_pass(pyramid, resolution)
    assert (result.finest, result.shape, result.name) == (level, pyramid.shape, "m.mrc")
    assert [part.shape for part in result.levels] == [part.shape for part in pyramid.levels[level:]]
    assert all(part.dtype == np.float32 for part in result.levels)


def test_a_coarse_level_shows_what_filtering_every_pixel_would() -> None:
    """White noise is the hardest case: everything beyond the level's limit could fold back."""
    image = noise(1024, 1024)
    result = low_pass(build_pyramid(image, 1.0), 20.0)
    exact = filtered(image, 20.0).reshape(256, 4, 256, 4).mean(axis=(1, 3))
    assert result.finest == 2
    assert np.corrcoef(result.levels[0].ravel(), exact.ravel())[0, 1] > 0.985


@pytest.mark.parametrize("shape", [(513, 700), (700, 513), (515, 517)])
def test_odd_sizes_stay_in_place(shape: tuple[int, int]) -> None:
    image = np.zeros(shape, np.float32)
    image[200, 300] = 1000.0
    result = low_pass(build_pyramid(image, 1.0), 16.0)
    assert result.levels[0].shape == tuple(-(-side // 4) for side in shape)
    y, x = np.unravel_index(result.levels[0].argmax(), result.levels[0].shape)
    assert (y, x) == (50, 75)


def test_opposite_edges_do_not_mix() -> None:
    image = np.zeros((300, 400), np.float32)
    image[:, 200:] = 100.0
    result = filtered(image, 30.0)
    assert np.abs(result[:, :100]).max() < 0.01
    assert np.abs(result[:, -100:] - 100).max() < 0.01
    assert result.min() > -0.01, "a Gaussian does not ring"
    assert result.max() < 100.01


def test_grey_values_keep_their_mean() -> None:
    image = noise(520, 610) * 5 + 700
    for high in (None, 100.0):
        result = low_pass(build_pyramid(image, 2.0), 30.0, None, high)
        assert result.levels[0].mean() == pytest.approx(image.mean(), rel=1e-4)
    flat = low_pass(build_pyramid(np.full((300, 300), 42.0, np.float32), 1.0), 10.0)
    np.testing.assert_allclose(flat.levels[0], 42.0, rtol=1e-5)


def test_the_high_pass_levels_an_ice_gradient() -> None:
    detail = wave(512, 512, 32.0)
    slope = np.linspace(0, 200, 512, dtype=np.float32)[:, None]
    result = low_pass(build_pyramid(detail + slope, 1.0), None, None, 200.0).levels[0]
    assert np.abs(result[100:-100] - slope.mean() - detail[100:-100]).max() < 0.2
    half = filtered(wave(400, 400, 100.0), None, 100.0)
    np.testing.assert_allclose(half, 0.5 * wave(400, 400, 100.0), atol=1e-3)


def test_without_a_pixel_size_the_resolution_is_in_pixels() -> None:
    image = noise(512, 512)
    one = low_pass(build_pyramid(image, None), 16.0)
    two = low_pass(build_pyramid(image, 2.0), 32.0)
    assert one.finest == two.finest
    np.testing.assert_allclose(one.levels[0], two.levels[0], atol=1e-5)


def test_the_image_is_left_alone_and_a_filtered_picture_can_be_filtered() -> None:
    image = noise(600, 600)
    pyramid = build_pyramid(image.copy(), 1.0)
    once = low_pass(pyramid, 16.0)
    np.testing.assert_array_equal(pyramid.levels[0], image)
    again = low_pass(once, 8.0)  # finer levels are not here
    assert again.finest == once.finest == 2


def test_it_can_be_cancelled() -> None:
    pyramid = build_pyramid(noise(2048, 2048), 1.0)
    calls = []

    def cancelled() -> bool:
        calls.append(1)
        return len(calls) > 3

    with pytest.raises(Cancelled):
        low_pass(pyramid, 3.0, cancelled)
    assert len(calls) == 4


@pytest.mark.parametrize(("low", "high"), [(0.0, None), (-3.0, None), (float("nan"), None), (30.0, 20.0), (None, 0.0)])
def test_impossible_filters_are_explained(low: float | None, high: float | None) -> None:
    with pytest.raises(ParamError) as caught:
        low_pass(build_pyramid(noise(300, 300), 1.0), low, None, high)
    assert caught.value.hint
