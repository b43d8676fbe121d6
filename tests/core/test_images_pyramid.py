"""Pyramids hold area means, resampling shows them, contrast and cache keep their promises."""

import gc
import math
import tracemalloc
import warnings

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.images.cache import ImageCache
from core.images.contrast import auto_levels, histogram, to_8bit
from core.images.gallery import montage_frames
from core.images.preview import preview_pyramid
from core.images.pyramid import Cancelled, build_pyramid, halve
from core.images.resample import level_for, sample_window, zoomed_size
from core.images.source import open_source
from core.images.streamed import load_pyramid


def area_mean(image, factor):
    ny, nx = image.shape
    return image.reshape(ny // factor, factor, nx // factor, factor).mean(axis=(1, 3), dtype=np.float64)


@given(st.integers(1, 9), st.integers(1, 9))
def test_halving_averages_what_is_there(ny, nx):
    image = np.random.default_rng(ny * 10 + nx).normal(size=(ny, nx)).astype(np.float32)
    half = halve(image)
    assert half.shape == ((ny + 1) // 2, (nx + 1) // 2)
    for y in range(half.shape[0]):
        for x in range(half.shape[1]):
            block = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
            assert half[y, x] == pytest.approx(block.mean(dtype=np.float64), abs=1e-5)


def test_levels_go_down_to_256_and_are_area_means():
    image = np.random.default_rng(0).normal(size=(1024, 2048)).astype(np.float32)
    pyramid = build_pyramid(image, 1.5, "m.mrc")
    assert [level.shape for level in pyramid.levels] == [(1024, 2048), (512, 1024), (256, 512), (128, 256)]
    assert all(level.dtype == np.float32 for level in pyramid.levels)
    np.testing.assert_allclose(pyramid.levels[3], area_mean(image, 8), atol=1e-6)
    assert pyramid.nbytes == sum(level.nbytes for level in pyramid.levels)
    assert (pyramid.shape, pyramid.pixel_size_a, pyramid.name) == ((1024, 2048), 1.5, "m.mrc")


def test_row_blocks_leave_no_seams(monkeypatch):
    image = np.random.default_rng(0).normal(size=(301, 77)).astype(np.float32)
    whole = halve(image)
    monkeypatch.setattr("core.images.pyramid._BLOCK_VALUES", 500)
    np.testing.assert_array_equal(halve(image), whole)


def test_build_can_be_cancelled():
    calls = []

    def cancelled():
        calls.append(1)
        return len(calls) > 2

    with pytest.raises(Cancelled):
        build_pyramid(np.zeros((2048, 2048), np.float32), cancelled=cancelled)
    assert len(calls) == 3


def test_the_level_is_several_times_finer_than_the_screen():
    zooms = (4, 1, 0.9, 0.5, 0.3, 0.25, 0.125, 0.11, 0.05, 0.04, 1 / 64)
    assert [level_for(zoom) for zoom in zooms] == [0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3]


def test_whole_factors_show_exact_area_means():
    image = np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32)
    pyramid = build_pyramid(image)
    np.testing.assert_allclose(sample_window(pyramid, 0.25, 0, 0, 256, 256), area_mean(image, 4), atol=1e-6)
    np.testing.assert_allclose(
        sample_window(pyramid, 0.25, 30, 20, 50, 40), area_mean(image, 4)[20:60, 30:80], atol=1e-6
    )


def exact_means(image, zoom, size):
    """Area means of any width, through the integral image."""
    integral = np.pad(image.astype(np.float64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def edges(count, limit):
        return np.minimum(np.arange(count + 1) / zoom, limit)

    def interpolate(table, places, axis):
        low = np.minimum(places.astype(int), table.shape[axis] - 2)
        part = (places - low).reshape((-1, 1) if axis == 0 else (1, -1))
        return np.take(table, low, axis) * (1 - part) + np.take(table, low + 1, axis) * part

    ys, xs = edges(size[0], image.shape[0]), edges(size[1], image.shape[1])
    sums = np.diff(np.diff(interpolate(interpolate(integral, ys, 0), xs, 1), axis=0), axis=1)
    return sums / np.outer(np.diff(ys), np.diff(xs))


@pytest.mark.parametrize("zoom", [0.047, 0.061, 0.11, 0.119, 0.19, 0.2197, 0.37, 0.5001, 0.731, 0.99])
def test_a_fitted_view_of_noise_correlates_with_the_exact_area_mean(zoom):
    image = np.random.default_rng(0).normal(size=(2048, 2048)).astype(np.float32)
    size = zoomed_size(image.shape, zoom)
    shown = sample_window(build_pyramid(image), zoom, 0, 0, size[1], size[0])
    correlation = np.corrcoef(shown.ravel(), exact_means(image, zoom, size).ravel())[0, 1]
    assert correlation > 0.95


def test_nearest_pixels_from_one_to_one_on():
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    pyramid = build_pyramid(image)
    np.testing.assert_array_equal(sample_window(pyramid, 1.0, 1, 1, 3, 2), image[1:3, 1:4])
    np.testing.assert_array_equal(sample_window(pyramid, 3.0, 0, 0, 12, 9), image.repeat(3, axis=0).repeat(3, axis=1))


@settings(max_examples=40, deadline=None)
@given(st.floats(0.02, 20), st.integers(1, 700), st.integers(1, 700))
def test_tiles_agree_with_the_whole_at_any_zoom(zoom, ny, nx):
    image = np.random.default_rng(ny).normal(size=(ny, nx)).astype(np.float32)
    pyramid = build_pyramid(image)
    height, width = (min(side, 300) for side in zoomed_size(image.shape, zoom))
    whole = sample_window(pyramid, zoom, 0, 0, width, height)
    assert whole.shape == (height, width)
    assert np.isfinite(whole).all()
    assert image.min() - 1e-4 <= whole.min() <= whole.max() <= image.max() + 1e-4
    left, top = width // 3, height // 3
    part = sample_window(pyramid, zoom, left, top, width - left, height - top)
    np.testing.assert_allclose(part, whole[top:, left:], atol=1e-6)


def test_levels_of_noise_with_hot_pixels():
    rng = np.random.default_rng(0)
    image = rng.normal(100, 5, (2000, 2000)).astype(np.float32)
    image[rng.integers(0, 2000, 50), rng.integers(0, 2000, 50)] = 1e6
    low, high = auto_levels(image)
    assert low == pytest.approx(100 - 2.576 * 5, abs=0.2)
    assert high == pytest.approx(100 + 2.576 * 5, abs=0.2)
    calm = rng.normal(100, 5, (500, 500)).astype(np.float32)
    assert auto_levels(calm, "sigma") == (pytest.approx(85, abs=0.3), pytest.approx(115, abs=0.3))


@pytest.mark.parametrize("value", [0.0, 7.0, -3e30, 1e-38])
def test_constant_images_get_usable_levels(value):
    image = np.full((10, 10), value, np.float32)
    black, white = auto_levels(image)
    assert black < value < white
    assert set(to_8bit(image, black, white).ravel().tolist()) <= {127, 128}


def test_grey_range_follows_the_averaging():
    image = np.random.default_rng(0).normal(0, 1, (2048, 2048)).astype(np.float32)
    pyramid = build_pyramid(image)
    spans = [np.ptp(pyramid.grey_range(zoom)) for zoom in (2.0, 1.0, 0.7, 0.5, 0.25)]
    assert spans[0] == spans[1] > spans[2] > spans[3] > spans[4]
    assert spans[3] == pytest.approx(spans[1] / 2, rel=0.03)


def test_to_8bit_ends_gamma_and_inversion():
    values = np.array([[-5.0, 0.0, 0.5, 1.0, 9.0]], np.float32)
    assert to_8bit(values, 0, 1).tolist() == [[0, 0, 128, 255, 255]]
    assert to_8bit(values, 0, 1, invert=True).tolist() == [[255, 255, 127, 0, 0]]
    bright = to_8bit(values, 0, 1, gamma=2.0)[0]
    assert bright.tolist() == [0, 0, 181, 255, 255]


class Value:
    def __init__(self, nbytes):
        self.nbytes = nbytes


def test_cache_evicts_the_least_recently_used_within_its_budget():
    cache = ImageCache(100)
    for key in "abc":
        cache.put(key, Value(30))
    assert cache.get("a") is not None
    cache.put("d", Value(30))
    assert "b" not in cache
    assert all(key in cache for key in "acd")
    assert cache.stats().used_bytes == 90
    assert cache.get("b") is None
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.items, stats.budget_bytes) == (1, 1, 3, 100)
    cache.resize(60)
    assert cache.stats().used_bytes == 60
    assert "d" in cache
    cache.clear()
    assert cache.stats().used_bytes == 0


def test_cache_returns_what_is_too_large_without_keeping_it():
    cache = ImageCache(100)
    cache.put("small", Value(50))
    value = Value(101)
    assert cache.get_or_make("big", lambda: value) is value
    assert "big" not in cache
    assert "small" in cache


def test_eviction_releases_the_memory():
    tracemalloc.start()
    try:
        cache = ImageCache(8 << 20)
        for number in range(40):
            cache.put(number, build_pyramid(np.full((512, 1024), number, np.float32)))
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < (8 << 20) + (4 << 20)
    finally:
        tracemalloc.stop()


def test_room_is_made_before_a_value_is_built():
    cache = ImageCache(100)
    for key in "abc":
        cache.put(key, Value(30))
    cache.make_room(50)
    assert cache.stats().used_bytes <= 50
    assert "c" in cache


HUGE = ("both signs", "one pixel", "with not a number", "one sign", "everything")


@pytest.mark.parametrize("kind", HUGE)
@pytest.mark.parametrize("side", [200, 1100, 2300])
@pytest.mark.filterwarnings("error")
def test_values_at_the_end_of_float32_make_finite_levels_and_ranges(tmp_path, kind, side):
    rng = np.random.default_rng(0)
    image = rng.normal(size=(side, side)).astype(np.float32)
    if kind == "one pixel":
        image[7, 9] = 3e38
    elif kind == "everything":
        image[:] = -3.4e38
    else:
        image = np.where(rng.random(image.shape) > 0.5, 3e38, -3e38 if kind == "both signs" else 0).astype(np.float32)
        if kind == "with not a number":
            image[rng.random(image.shape) > 0.9] = np.nan
    path = tmp_path / "huge.mrc"
    with mrcfile.new(path) as out, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out.set_data(image)
    source = open_source(path)
    preview = preview_pyramid(source, smallest=0)
    for pyramid in (load_pyramid(source), build_pyramid(source.read()), *([preview] if preview else [])):
        assert all(np.isfinite(level).all() for level in pyramid.levels)
        for level, (black, white) in zip(pyramid.levels, pyramid.grey_ranges, strict=True):
            assert math.isfinite(black)
            assert black < white < math.inf
            counts = histogram(level, black - 0.6 * (white - black), white + 0.6 * (white - black))
            assert counts.shape == (128,)
    assert np.isfinite(montage_frames(path, bin=4)).all()
    assert np.abs(load_pyramid(source).levels[0]).max() == np.float32(1e37)


def test_a_histogram_of_no_range_is_empty():
    image = np.full((20, 20), 1e9, np.float32)
    for low, high in ((0.0, 0.0), (1e9, np.nextafter(1e9, 2e9)), (-math.inf, 1.0), (0.0, math.nan), (1.0, 0.0)):
        assert histogram(image, low, high).tolist() == [0] * 128
    assert histogram(image, 0.0, 2e9).sum() == 400
