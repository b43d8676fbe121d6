"""Power spectra: white noise is flat, a wave is a peak at its resolution, energy is kept, and rings stay visible."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.images.pyramid import Cancelled, build_pyramid
from core.images.spectrum import (
    display,
    display_levels,
    power_spectrum,
    ring_means,
    square_corners,
    square_side,
)

APOFERRITIN = Path(__file__).resolve().parents[3] / "shared" / "data" / "apoferritin_10146"


def noise(ny: int, nx: int, sigma: float = 1.0, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((ny, nx)) * sigma).astype(np.float32)


def wave(ny: int, nx: int, fx: float, fy: float, amplitude: float = 1.0) -> np.ndarray:
    """Frequencies in cycles per pixel; x = column, y = row."""
    y, x = np.mgrid[:ny, :nx]
    return (amplitude * np.cos(2 * np.pi * (fx * x + fy * y))).astype(np.float32)


def test_white_noise_is_flat_and_its_level_is_its_variance() -> None:
    spectrum = power_spectrum(build_pyramid(noise(2000, 2000, 3.0) + 500, 1.0))
    assert spectrum.amplitude.shape == (512, 512)
    np.testing.assert_allclose(spectrum.power[5:], 9.0, rtol=0.12)
    assert spectrum.power[20:].mean() == pytest.approx(9.0, rel=0.01)
    assert np.square(spectrum.amplitude).mean() == pytest.approx(9.0, rel=0.01)


def test_parseval_of_one_square_is_exact() -> None:
    image = noise(128, 128) + 40
    spectrum = power_spectrum(build_pyramid(image, 1.0), side=128)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(128) + 0.5) / 128)
    taper = np.outer(window, window)
    mean = (image * taper).sum() / taper.sum()
    seen = ((image - mean) * taper) ** 2
    assert spectrum.squares == 1
    assert np.square(spectrum.amplitude).mean() == pytest.approx(seen.sum() / (taper**2).sum(), rel=1e-5)
    assert spectrum.amplitude[64, 64] < 1e-3, "the mean grey is taken out"


@pytest.mark.parametrize("pixel", [0.5, 1.0, 1.5])
def test_a_wave_is_a_peak_at_its_resolution(pixel: float) -> None:
    period_px = 8.0
    spectrum = power_spectrum(build_pyramid(wave(1100, 1300, 1 / period_px, 0.0) + noise(1100, 1300, 0.1), pixel))
    ring = int(spectrum.power.argmax())
    assert spectrum.radii[ring] == pytest.approx(1 / (period_px * pixel))
    assert spectrum.resolution(ring) == pytest.approx(period_px * pixel)
    assert spectrum.radius(period_px * pixel) == pytest.approx(ring)
    assert spectrum.step == pytest.approx(1 / (512 * pixel))
    assert spectrum.unit == "Å"


def test_directions_are_those_of_the_image() -> None:
    """A wave along x peaks on the row through the centre; a slanted one in two opposite quadrants."""
    along = power_spectrum(build_pyramid(wave(600, 600, 0.125, 0.0), 1.0)).amplitude
    y, x = np.unravel_index(along.argmax(), along.shape)
    assert (y, abs(x - 256)) == (256, 64)
    slanted = power_spectrum(build_pyramid(wave(600, 600, 0.125, 0.0625), 1.0)).amplitude
    places = {(int(y), int(x)) for y, x in np.argwhere(slanted > 0.9 * slanted.max())}
    assert places == {(256 + 32, 256 + 64), (256 - 32, 256 - 64)}


def test_the_plane_is_symmetric() -> None:
    amplitude = power_spectrum(build_pyramid(noise(600, 700), 1.0)).amplitude
    np.testing.assert_allclose(amplitude[1:, 1:], amplitude[1:, 1:][::-1, ::-1], rtol=1e-5)


def test_without_a_pixel_size_frequencies_are_per_pixel() -> None:
    spectrum = power_spectrum(build_pyramid(wave(600, 600, 0.1, 0), None))
    assert spectrum.unit == "px"
    assert spectrum.resolution(float(spectrum.power.argmax())) == pytest.approx(10, rel=0.02)
    assert spectrum.radii[-1] == pytest.approx(0.5)


def test_a_region_has_its_own_spectrum() -> None:
    image = noise(1024, 1024, 0.1)
    image[:512, :512] += wave(512, 512, 1 / 16, 0)
    image[512:, 512:] += wave(512, 512, 1 / 4, 0)
    pyramid = build_pyramid(image, 2.0)
    first = power_spectrum(pyramid, (-0.5, -0.5, 511.5, 511.5))
    second = power_spectrum(pyramid, (512, 512, 1500, 1500))
    assert first.resolution(float(first.power.argmax())) == pytest.approx(32, rel=0.05)
    assert second.resolution(float(second.power.argmax())) == pytest.approx(8, rel=0.05)


def test_coarser_pictures_keep_their_scale() -> None:
    """A quick preview has no level 0: frequencies are still those of the image."""
    import dataclasses

    whole = build_pyramid(wave(2048, 2048, 1 / 64, 0), 1.0)
    preview = dataclasses.replace(
        whole, levels=whole.levels[1:], grey_ranges=whole.grey_ranges[1:], finest=1, image_shape=whole.shape
    )
    spectrum = power_spectrum(preview)
    assert spectrum.resolution(float(spectrum.power.argmax())) == pytest.approx(64, rel=0.1)
    assert power_spectrum(preview, (0, 0, 200, 300)).amplitude.shape == (64, 64)


@pytest.mark.parametrize("shape", [(1200, 1240), (512, 512), (844, 760), (4096, 4096), (8184, 11520), (700, 9000)])
def test_squares_reach_every_edge_and_their_cost_is_bounded(shape: tuple[int, int]) -> None:
    side = square_side(shape)
    corners = square_corners(shape, side)
    assert len(set(corners)) == len(corners)
    assert len(corners) * side**2 <= 36 << 20
    columns, rows = {x for x, _ in corners}, {y for _, y in corners}
    assert min(rows) == min(columns) == 0
    assert (max(rows), max(columns)) == (shape[0] - side, shape[1] - side)
    if len(corners) * side**2 < 24 << 20:
        for starts in (sorted(rows), sorted(columns)):
            assert max(np.diff(starts), default=0) <= side // 2, "they overlap by half when they all fit"


def test_small_parts_are_refused_with_advice() -> None:
    pyramid = build_pyramid(noise(600, 600), 1.0)
    assert power_spectrum(pyramid, (10, 10, 60, 45)).amplitude.shape == (32, 32)
    for region in ((10, 10, 30, 30), (900, 900, 1000, 1000), (-80, -80, -20, -20)):
        with pytest.raises(InputError, match="too few") as caught:
            power_spectrum(pyramid, region)
        assert "Zoom out" in caught.value.hint


def test_ring_means_of_a_ramp() -> None:
    place = np.arange(64) - 32
    radius = np.hypot(place[:, None], place[None, :])
    np.testing.assert_allclose(ring_means(radius), np.arange(33), atol=0.25)  # ring 1 holds 1 and sqrt(2)


def test_the_background_is_smooth_and_rings_remain() -> None:
    """Rings of a CTF on a steep fall: taken out, what is left swings around one with its own zeros."""
    rng = np.random.default_rng(1)
    f = np.hypot(np.fft.fftfreq(1024)[:, None], np.fft.rfftfreq(1024)[None])
    rings = np.abs(np.sin(1500 * f**2))
    waves = np.fft.rfft2(rng.standard_normal((1024, 1024))) * (0.3 + rings) / (1 + (f / 0.05) ** 2)
    image = np.fft.irfft2(waves).astype(np.float32)
    spectrum = power_spectrum(build_pyramid(image, 1.0))
    ratio = spectrum.power / spectrum.background()
    assert np.abs(np.log(ratio[20:])).mean() < 1.0
    assert np.exp(np.mean(np.log(ratio[20:]))) == pytest.approx(1.0, abs=0.1)
    model = (0.3 + np.abs(np.sin(1500 * spectrum.radii**2))) ** 2
    part = slice(15, 60)
    assert np.corrcoef(ratio[part], model[part])[0, 1] > 0.8
    assert np.abs(np.diff(np.log(spectrum.background()))).max() < 0.5


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("flat", [True, False])
def test_the_picture_is_finite_and_has_levels(log: bool, flat: bool) -> None:
    for image in (noise(512, 512) + 100, np.full((300, 300), 7.0, np.float32), wave(512, 512, 0.25, 0)):
        shown = display(power_spectrum(build_pyramid(image, 1.0)), log, flat)
        assert shown.dtype == np.float32
        assert np.isfinite(shown).all()
        black, white = display_levels(shown)
        assert black < white


def test_it_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        power_spectrum(build_pyramid(noise(1024, 1024), 1.0), cancelled=lambda: True)


@pytest.mark.skipif(not APOFERRITIN.is_dir(), reason="the apoferritin micrographs are not beside the checkout")
def test_thon_rings_of_real_micrographs_show() -> None:
    """The rings of a defocus near 2 um: their fitted phase correlates with the flattened profile."""
    from core.images.source import open_source

    source = open_source(APOFERRITIN / "May08_03.05.02.bin_avg.mrc")
    spectrum = power_spectrum(build_pyramid(source.read(0), source.pixel_size_a))
    flat = np.log(spectrum.power / spectrum.background())
    seen = (spectrum.radii > 1 / 30) & (spectrum.radii < 1 / 10)
    wavelength = 0.0197  # Angstrom, 300 kV

    def agreement(defocus_um: float) -> float:
        phase = np.pi * wavelength * defocus_um * 1e4 * spectrum.radii**2 + 0.07
        return float(np.corrcoef(flat[seen], np.sin(phase[seen]) ** 2)[0, 1])

    tried = np.arange(0.8, 3.5, 0.02)
    best = tried[int(np.argmax([agreement(d) for d in tried]))]
    assert best == pytest.approx(1.96, abs=0.15)
    assert agreement(best) > 0.6
