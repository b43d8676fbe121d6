"""Ring correlation: one for equal images, nothing for independent noise, and a known limit where it belongs."""

import numpy as np
import pytest

from core.errors import InputError
from core.images.pyramid import Cancelled, build_pyramid
from core.metrics.frc import HALF, ONE_SEVENTH, compare, ring_correlation


def noise(ny: int, nx: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((ny, nx)).astype(np.float32)


def shaped(image: np.ndarray, response) -> np.ndarray:
    """The image with each frequency (cycles per pixel) multiplied by response(frequency)."""
    ny, nx = image.shape
    f = np.hypot(np.fft.fftfreq(ny)[:, None], np.fft.rfftfreq(nx)[None])
    return np.fft.irfft2(np.fft.rfft2(image) * response(f), image.shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(256, 256), (301, 200), (200, 333)])
def test_an_image_agrees_with_itself(shape: tuple[int, int]) -> None:
    image = noise(*shape, 1) + 500
    result = ring_correlation(image, image, 2.0)
    np.testing.assert_allclose(result.correlation[1:], 1.0, atol=1e-6)
    assert result.resolution(HALF) is None
    assert result.holds_to_the_end(HALF)
    np.testing.assert_allclose(ring_correlation(image, 900 - 3 * image).correlation[1:], -1.0, atol=1e-5)
    assert len(result.frequency) == min(shape) // 2 + 1
    assert result.frequency[-1] == pytest.approx(1 / result.finest, rel=0.01)


def test_independent_noise_stays_within_its_sigma_curve() -> None:
    scores = []
    for seed in range(20):
        result = ring_correlation(noise(300, 256, seed), noise(300, 256, 1000 + seed))
        scores.append((result.correlation * np.sqrt(result.independent))[3:])
        assert not result.holds_to_the_end(HALF)
    values = np.array(scores)
    assert values.mean() == pytest.approx(0.0, abs=0.1)
    assert values.std() == pytest.approx(1.0, abs=0.1), "one standard deviation is what it says"
    assert (np.abs(values) > 3).mean() < 0.01
    np.testing.assert_allclose(result.sigma(3)[5:], 3 / np.sqrt(result.independent[5:]))


def test_the_order_of_the_images_does_not_matter() -> None:
    common = noise(256, 256, 0)
    a, b = common + noise(256, 256, 1), common + 2 * noise(256, 256, 2)
    one, other = ring_correlation(a, b), ring_correlation(b, a)
    np.testing.assert_allclose(one.correlation, other.correlation, atol=1e-6)


@pytest.mark.parametrize("pixel", [1.0, 1.5])
@pytest.mark.parametrize("cut", [0.1, 0.25])
def test_the_limit_of_a_common_signal_is_found(cut: float, pixel: float) -> None:
    signal = shaped(noise(512, 512, 0), lambda f: 3.0 * (f < cut))
    a, b = signal + noise(512, 512, 1), signal + noise(512, 512, 2)
    result = ring_correlation(a, b, pixel)
    spread = 4 / (512 * pixel)  # the mask smears 9 times the noise over a few rings beyond a sharp limit
    for threshold in (HALF, ONE_SEVENTH, result.sigma(3)):
        crossing, resolution = result.crossing(threshold), result.resolution(threshold)
        assert crossing == pytest.approx(cut / pixel, abs=spread)
        assert resolution == pytest.approx(1 / crossing)
    np.testing.assert_allclose(result.correlation[10 : int(cut * 512) - 10], 0.9, atol=0.1)  # 9 / (9 + 1)


def test_the_curve_follows_the_signal_to_noise_ratio() -> None:
    """S / (S + N) on every ring: 1/7 is where S / N is 1/6, one half where they are equal."""
    signal = shaped(noise(768, 768, 0), lambda f: 4.0 * np.exp(-f / 0.06))
    result = ring_correlation(signal + noise(768, 768, 1), signal + noise(768, 768, 2))
    ratio = (4.0 * np.exp(-result.frequency / 0.06)) ** 2
    np.testing.assert_allclose(result.correlation[20:], (ratio / (1 + ratio))[20:], atol=0.12)
    # The scatter of a ring (0.04) is four rings' fall, and the first crossing is taken: a little early.
    assert result.crossing(HALF) == pytest.approx(0.06 * np.log(4), abs=8 / 768)
    assert result.crossing(ONE_SEVENTH) == pytest.approx(0.06 * np.log(4 * np.sqrt(6)), abs=8 / 768)


def test_crossings_are_interpolated_and_only_downwards() -> None:
    result = ring_correlation(noise(64, 64, 0), noise(64, 64, 0), 1.0)

    def curve(*values: float):
        import dataclasses

        wave = np.full(len(result.frequency), values[-1])
        wave[: len(values)] = values
        return dataclasses.replace(result, correlation=wave)

    step, first = float(result.frequency[1]), result.first_ring
    assert result.independent[first] >= 36 > result.independent[first - 1]
    whole = [1.0] * first
    assert curve(*whole, 1, 0.9, 0.1).crossing(0.5) == pytest.approx((first + 1.5) * step)
    assert curve(*whole, 0.6, 0.2, 0.9, 0.0).crossing(0.5) == pytest.approx((first + 0.25) * step), "the first one"
    assert curve(0.1, 0.1).crossing(0.5) is None
    assert not curve(0.1, 0.1).holds_to_the_end(0.5)
    risen = curve(*[0.1] * (first + 2), 0.8, 0.9, 0.4, 0.2)
    assert risen.crossing(0.5) == pytest.approx((first + 3.8) * step)
    assert curve(1, 0.2, 0.1, 1, 1, 1).crossing(0.5) is None, "the innermost rings hold too few values"
    assert curve(1, 0.2, 0.1, 1, 1, 1).holds_to_the_end(0.5)


def test_grey_levels_and_gradients_of_the_mean_do_not_count() -> None:
    a, b = noise(256, 256, 1), noise(256, 256, 2)
    plain = ring_correlation(a, b).correlation
    np.testing.assert_allclose(ring_correlation(a * 7 + 3000, b - 100).correlation[1:], plain[1:], atol=2e-3)


def test_a_region_is_compared_alone() -> None:
    a, b = noise(400, 500, 1), noise(400, 500, 2)
    b[:200, :250] = a[:200, :250]
    equal = compare(a, b, (-0.5, -0.5, 249.5, 199.5))
    other = compare(a, b, (250, 200, 900, 900))
    assert equal.correlation.min() > 0.999
    assert np.abs(other.correlation[10:]).max() < 0.5


def test_large_images_are_halved_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.metrics.frc.LARGEST_SIDE", 300)
    image = build_pyramid(noise(512, 640, 1), 1.5)
    result = compare(image, image)
    assert (result.halvings, result.pixel_size_a, result.finest) == (2, 6.0, 12.0)
    region = compare(image, image, (0, 0, 255, 255))
    assert (region.halvings, region.pixel_size_a) == (0, 1.5)


def test_row_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = noise(200, 300, 1), noise(200, 300, 2) + noise(200, 300, 1)
    whole = ring_correlation(a, b)
    monkeypatch.setattr("core.metrics.frc._BLOCK_VALUES", 1000)
    parts = ring_correlation(a, b)
    np.testing.assert_allclose(parts.correlation, whole.correlation, atol=1e-6)
    np.testing.assert_array_equal(parts.independent, whole.independent)


def test_what_cannot_be_compared_is_explained() -> None:
    a = build_pyramid(noise(300, 300, 1), 1.5, "a.mrc")
    with pytest.raises(InputError, match="different sizes: 300 × 300 and 320 × 300"):
        compare(a, build_pyramid(noise(300, 320, 1), 1.5))
    with pytest.raises(InputError, match="different pixel sizes"):
        compare(a, build_pyramid(noise(300, 300, 1), 1.6))
    with pytest.raises(InputError, match="too few"):
        compare(a, a, (10, 10, 30, 30))
    with pytest.raises(Cancelled):
        compare(a, a, cancelled=lambda: True)
    assert compare(a, build_pyramid(noise(300, 300, 1))).pixel_size_a == 1.5, "one header is enough"


def test_filtered_pictures_are_refused() -> None:
    from core.images.lowpass import low_pass

    a = build_pyramid(noise(600, 600, 1), 1.0, "a.mrc")
    with pytest.raises(InputError, match="without its finest pixels"):
        compare(a, low_pass(a, 30.0))


def test_constant_images_give_zeros() -> None:
    flat = np.full((64, 64), 5.0, np.float32)
    assert np.isfinite(ring_correlation(flat, noise(64, 64, 0)).correlation).all()
