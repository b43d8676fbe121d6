"""The blend is the best radial mixture of two estimates; the pieces are put together as they should, and kept."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi

from core.denoising import parts as parts_module
from core.denoising.blend import SHARE, SHELLS, Blend, fit_blend
from core.denoising.canonical import to_canonical
from core.denoising.parts import BALANCE, FLOOR, NAMES, Gate, Parts, finish, load_parts, make_parts, save_parts
from core.denoising.response import choose_gate
from core.errors import InputError

SIDE = 128
INNER = slice(4, 60)  # shells with many coefficients


def coloured(rng: np.random.Generator, sigma: float) -> np.ndarray:
    field = ndi.gaussian_filter(rng.standard_normal((SIDE, SIDE)), sigma, mode="wrap")
    return (field / field.std()).astype(np.float32)


def pieces(network, count=24, seed=0, scale=1.0):
    """Known signals of variance 1 in white noise of variance 1, and what a network makes of them."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        truth = coloured(rng, 1.0)
        raw = truth + rng.standard_normal(truth.shape).astype(np.float32)
        yield scale * truth, scale * raw, scale * network(truth, raw, rng), np.ones_like(truth)


def nothing(truth, raw, rng):
    return np.zeros_like(truth)


def noise_only(truth, raw, rng):
    return rng.standard_normal(truth.shape).astype(np.float32)


def perfect(truth, raw, rng):
    return truth


def fair(truth, raw, rng):
    return truth + 0.3 * rng.standard_normal(truth.shape).astype(np.float32)


def inverted(truth, raw, rng):
    return -truth


@pytest.mark.parametrize("network", [nothing, noise_only])
def test_with_a_useless_network_the_blend_is_the_wiener_filter(network):
    blend = fit_blend(pieces(network))
    np.testing.assert_allclose(blend.raw[INNER], blend.wiener[INNER], atol=0.02)
    assert blend.network[INNER].max() < 0.05
    rng = np.random.default_rng(9)
    raw = coloured(rng, 1.0) + rng.standard_normal((SIDE, SIDE)).astype(np.float32)
    mixed, linear = blend.apply(raw, np.zeros_like(raw))
    np.testing.assert_allclose(mixed, linear, atol=0.03 * raw.std())


def wiener_of_truth() -> np.ndarray:
    """S / (S + N) of `pieces`: a Gaussian-filtered field of sigma 1 px and variance 1 in white noise of variance 1."""
    k = np.arange(SHELLS) / SIDE
    signal = 4 * np.pi * np.exp(-4 * (np.pi * k) ** 2)
    return signal / (signal + 1)


def test_the_linear_filter_is_signal_over_signal_and_noise():
    found = fit_blend(pieces(nothing, count=60)).wiener[INNER]
    expected = wiener_of_truth()[INNER]
    scale = (found @ expected) / (expected @ expected)  # the whole may be scaled: known signals keep their contrast
    assert 0.95 < scale < 2
    np.testing.assert_allclose(found / scale, expected, atol=0.06)


def test_with_a_perfect_network_its_share_is_all_that_it_is_trusted():
    blend = fit_blend(pieces(perfect))
    expected = wiener_of_truth()
    told = (expected > 0.1) & (expected < 0.75)
    assert told.sum() > 10
    share = blend.network[told]
    np.testing.assert_allclose(share, np.median(share), rtol=0.05)  # at every frequency
    np.testing.assert_allclose(blend.raw[told] / share * SHARE / (1 - SHARE), expected[told], atol=0.06)


def test_units_cancel_and_a_network_that_doubles_gets_half_the_share():
    one = fit_blend(pieces(fair))
    other = fit_blend(pieces(fair, scale=37.0))
    half = fit_blend(pieces(lambda t, y, rng: 2 * fair(t, y, rng)))
    for a, b in ((one.raw, other.raw), (one.network, other.network), (one.wiener, other.wiener)):
        np.testing.assert_allclose(a, b, atol=1e-4)
    np.testing.assert_allclose(2 * half.network, one.network, atol=1e-4)
    np.testing.assert_allclose(half.raw, one.raw, atol=1e-4)


@pytest.mark.parametrize("network", [nothing, noise_only, perfect, fair, inverted])
def test_gains_are_never_negative_and_the_blend_is_nearer_to_the_truth_than_the_linear_filter(network):
    blend = fit_blend(pieces(network))
    for curve in (blend.raw, blend.network, blend.wiener):
        assert curve.shape == (SHELLS,)
        assert curve.min() >= 0
        assert curve.max() < 3
    correlation = np.zeros(2)
    for truth, raw, answer, _ in pieces(network, seed=1):  # other signals than those it was fitted on
        correlation += [np.corrcoef(i.ravel(), truth.ravel())[0, 1] for i in blend.apply(raw, answer)]
    assert correlation[0] > 0.995 * correlation[1]
    if network in (perfect, fair):
        assert correlation[0] > 1.02 * correlation[1]


# --- the pieces


def some_parts(shape=(90, 71), seed=0) -> Parts:
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((3, *shape)).astype(np.float32)
    gate = np.clip(ndi.gaussian_filter(rng.standard_normal(shape), 4) * 20, 0, 1).astype(np.float32)
    return Parts(images[0], images[1], images[2], gate)


def test_keep_goes_from_the_network_over_the_blend_to_the_linear_filter():
    parts = some_parts()
    opened = parts.gate == 1
    assert opened.any()
    np.testing.assert_allclose(parts.compose(0.0), parts.gate * parts.network, atol=1e-6)
    np.testing.assert_allclose(parts.compose(BALANCE)[opened], parts.blend[opened], atol=1e-6)
    np.testing.assert_allclose(parts.compose(1.0), parts.linear, atol=1e-6)
    shut = parts.gate == 0
    np.testing.assert_allclose(parts.compose(BALANCE)[shut], FLOOR * parts.linear[shut], atol=1e-6)
    assert parts.shown(0.0).min() == 0
    assert parts.shown(1.0).min() == pytest.approx(1)


def test_keep_moves_the_picture_without_a_jump():
    parts = some_parts()
    shares = np.linspace(0, 1, 201)  # the balance is one of them
    pictures = np.stack([parts.compose(float(k)) for k in shares])
    steps = np.abs(np.diff(pictures, axis=0)).max(axis=(1, 2))
    assert steps.max() < 0.15
    around = np.abs(parts.compose(BALANCE + 1e-4) - parts.compose(BALANCE - 1e-4)).max()
    assert around < 5e-3


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_the_picture_is_linear_in_its_pieces(keep):
    one, two = some_parts(seed=1), some_parts(seed=2)
    network, blend, linear = (getattr(one, n) + 3 * getattr(two, n) for n in NAMES[:3])
    both = Parts(network, blend, linear, one.gate)
    other = Parts(two.network, two.blend, two.linear, one.gate)
    np.testing.assert_allclose(both.compose(keep), one.compose(keep) + 3 * other.compose(keep), atol=1e-5)


def test_the_gate_is_shut_below_open_above_and_hides_blanks_but_not_particles():
    rng = np.random.default_rng(0)
    blank, particles = rng.normal(-4, 1, 5000), rng.normal(3, 1, 400)
    gate = choose_gate(blank, particles)
    logit = np.full((96, 96), -4.0)
    logit[32:64, 32:64] = 3.0
    opened = gate.open(logit, 24)
    assert opened[:20].max() < 0.01
    assert opened[44:52, 44:52].min() > 0.99
    assert (blank < gate.low).mean() > 0.97
    assert (particles > gate.low).mean() > 0.88
    faint = choose_gate(blank, rng.normal(-3, 1, 400))  # rather a little noise than no faint particles
    assert faint.low < gate.low - 0.5
    assert (blank < faint.low).mean() > 0.8  # but never much
    assert faint.high > faint.low


def scene(shape, seed=0, units=20.0, base=500.0):
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    image = rng.standard_normal(shape)
    for y in range(40, shape[0], 90):
        for x in range(40, shape[1], 90):
            image -= np.hypot(xx - x, yy - y) < 20
    return (base + units * image + 0.01 * units * xx).astype(np.float32)


def pieces_of(canonical, sigma):
    """Pieces as a network would give them: a smoothed image, seen where it is dark."""
    raw = canonical.image / np.float32(sigma)
    smooth = ndi.gaussian_filter(raw, 2.0)
    gains = np.linspace(0.8, 0.1, SHELLS)
    return make_parts(raw, smooth, -8 * smooth - 1, Blend(0.5 * gains, 0.5 * gains, gains), Gate(-1.0, 2.0), 32.0)


@pytest.mark.parametrize("shape", [(301, 450), (333, 260), (97, 131)])
@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
def test_the_result_has_the_inputs_units_background_and_shape(shape, keep):
    image = scene(shape)
    canonical = to_canonical(image, 40)
    parts = pieces_of(canonical, 10.0)
    out = finish(image, canonical, parts, 10.0, keep)
    assert out.shape == image.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert abs(float(out.mean() - image.mean())) < 5  # a quarter of the noise
    assert out.std() < 1.2 * image.std()
    if keep:
        assert np.corrcoef(out.ravel(), image.ravel())[0, 1] > 0.3
    other = 3 * image + 100  # other units: the same picture in them
    scaled = to_canonical(other, 40)
    again = finish(other, scaled, pieces_of(scaled, 30.0), 30.0, keep)
    np.testing.assert_allclose(again, 3 * out + 100, rtol=1e-4, atol=0.2)


@pytest.mark.parametrize("keep", [0.0, 0.5, 1.0])
def test_light_particles_come_back_light(keep):
    image = scene((301, 280))
    light = 1000 - image
    one, two = to_canonical(image, 40), to_canonical(light, 40, sign=-1.0)
    dark = finish(image, one, pieces_of(one, 10.0), 10.0, keep)
    back = finish(light, two, pieces_of(two, 10.0), 10.0, keep)
    np.testing.assert_allclose(back, 1000 - dark, atol=0.05)


def test_the_result_does_not_depend_on_the_block_of_rows(monkeypatch):
    image = scene((301, 280))
    canonical = to_canonical(image, 40)
    parts = pieces_of(canonical, 10.0)
    whole = finish(image, canonical, parts, 10.0, 0.5)
    monkeypatch.setattr(parts_module, "ROWS", 37)
    np.testing.assert_array_equal(finish(image, canonical, parts, 10.0, 0.5), whole)


def test_a_small_share_of_the_finest_detail_is_kept_inside_the_gate_and_none_of_it_at_0():
    image = scene((400, 420))
    canonical = to_canonical(image, 80)  # canonical pixels are 2.5 times as large
    parts = pieces_of(canonical, 8.0)
    fine = image - canonical.restore(canonical.image)
    fine[:20] = fine[-20:] = 0
    bare = canonical.restore(parts.compose(0.5) * np.float32(8.0))
    added = finish(image, canonical, parts, 8.0, 0.5) - bare
    share = float((added * fine).sum() / (fine * fine).sum())
    assert 0 < share <= parts_module.TAIL
    alone = canonical.restore(parts.compose(0.0) * np.float32(8.0))
    np.testing.assert_allclose(finish(image, canonical, parts, 8.0, 0.0), alone, atol=1e-3)


def test_masked_places_show_the_background():
    image = scene((400, 420))
    image[:, :160] = 0
    canonical = to_canonical(image, 80)
    assert canonical.valid is not None
    parts = pieces_of(canonical, 8.0).masked(canonical.valid)
    out = finish(image, canonical, parts, 8.0, 0.5)
    background = canonical.background.rows(0, 400)
    np.testing.assert_allclose(out[60:-60, 20:100], background[60:-60, 20:100], atol=2)


def test_pieces_on_disk_come_back(tmp_path):
    parts = some_parts()
    save_parts(tmp_path / "p.safetensors", parts, 17.25, {"model": "ab", "n": 3})
    again, sigma, made_by = load_parts(tmp_path / "p.safetensors")
    assert sigma == 17.25
    assert made_by == {"model": "ab", "n": 3}
    for name in NAMES:
        np.testing.assert_allclose(getattr(again, name), getattr(parts, name), atol=2e-3)
        assert getattr(again, name).dtype == np.float32


def test_foreign_and_damaged_files_are_refused_by_name(tmp_path, generic):
    good = tmp_path / "good.safetensors"
    save_parts(good, some_parts(), 1.0, {})
    (tmp_path / "cut.safetensors").write_bytes(good.read_bytes()[:-100])
    (tmp_path / "text.safetensors").write_text("not an image")
    bad = Parts(*(np.zeros((4, 4 + (n == "gate")), np.float32) for n in NAMES))
    save_parts(tmp_path / "unequal.safetensors", bad, 1.0, {})
    save_parts(tmp_path / "still.safetensors", some_parts(), 0.0, {})
    for path in [generic, *(tmp_path / f"{n}.safetensors" for n in ("cut", "text", "unequal", "still", "none"))]:
        with pytest.raises(InputError, match=path.name.replace(".", r"\.")):
            load_parts(path)
