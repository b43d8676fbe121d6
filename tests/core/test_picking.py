"""Picking by matched filter: positions, invariance of scores, spacing, reasons to leave out, thresholds, real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as ndi
from hypothesis import given, settings
from hypothesis import strategies as st

from core.denoising.baselines import gaussian
from core.errors import InputError
from core.images.source import list_micrographs, open_source
from core.io.coordinates import match_names, read_particles
from core.io.mrc import write_mrc
from core.io.picks import ALL, Picks, read_candidates, save_chosen, write_candidates, write_picks
from core.io.star import read_star
from core.picking import templates
from core.picking.correlation import principal_components, respond
from core.picking.evaluate import Evaluation
from core.picking.map_views import directions, frame, map_views
from core.picking.search import SCALE, Rules, contrast_sign, search_micrograph
from core.picking.threshold import automatic_threshold, heaps_valley, histogram, noise_threshold

DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo"
DIAMETER = 60.0
RULES = Rules(DIAMETER, 0.6 * DIAMETER, DIAMETER / 2)
BLOB = templates.blob(SCALE)


def discs(shape, centres, diameter=DIAMETER, depth=1.0) -> np.ndarray:
    """Dark discs with soft rims at sub-pixel centres."""
    image = np.zeros(shape, np.float32)
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    for x, y in centres:
        image -= depth / (1 + np.exp((np.hypot(xx - x, yy - y) - diameter / 2) / 2))
    return image


def noisy(image: np.ndarray, sigma: float, seed: int = 0) -> np.ndarray:
    return (image + sigma * np.random.default_rng(seed).standard_normal(image.shape)).astype(np.float32)


# Pitch of 97.3 and 103.7 px: every particle lies at another fraction of a pixel, and of a pixel of the search.
CENTRES = np.array([(60.2 + 97.3 * i, 71.4 + 103.7 * j) for i in range(6) for j in range(5)])
SHAPE = (601, 660)


@pytest.mark.parametrize("sigma", [0.3, 1.0])
def test_particles_are_found_where_they_are_to_a_fraction_of_a_pixel(sigma: float) -> None:
    found = search_micrograph(noisy(discs(SHAPE, CENTRES), sigma), BLOB, RULES)
    best = found.xy[: len(CENTRES)]
    nearest = np.linalg.norm(best[:, None] - CENTRES, axis=2).argmin(axis=1)
    assert len(set(nearest.tolist())) == len(CENTRES)
    off = best - CENTRES[nearest]
    assert np.sqrt((off**2).sum(axis=1).mean()) < 0.8 * max(sigma, 0.5)  # one px of the search is 2.5 raw px
    assert np.abs(off.mean(axis=0)).max() < 0.2


@settings(max_examples=5, deadline=None)
@given(scale=st.floats(0.01, 1e4), offset=st.floats(-1e4, 1e4))
def test_scores_do_not_depend_on_grey_scale_and_offset(scale: float, offset: float) -> None:
    image = noisy(discs((300, 320), CENTRES[CENTRES.max(axis=1) < 280]), 0.7).astype(np.float64)
    before = search_micrograph(image.astype(np.float32), BLOB, RULES)
    offset = np.clip(offset, -1e4 * scale, 1e4 * scale)  # else float32 itself loses the particles
    after = search_micrograph((scale * image + offset).astype(np.float32), BLOB, RULES)
    strong = before.score > 3
    assert strong.sum() >= 4
    np.testing.assert_allclose(after.score[: len(strong)][strong], before.score[strong], rtol=0.02)
    np.testing.assert_allclose(after.xy[: len(strong)][strong], before.xy[strong], atol=0.1)


def test_light_particles_are_known_and_found_like_dark_ones() -> None:
    image = noisy(discs(SHAPE, CENTRES), 1.0)
    assert contrast_sign(image, BLOB, RULES) > 1
    assert contrast_sign(-image, BLOB, RULES) < -1
    dark = search_micrograph(image, BLOB, RULES)
    light = search_micrograph(-image, BLOB, Rules(RULES.diameter, RULES.spacing, RULES.border, sign=-1.0))
    np.testing.assert_allclose(light.xy, dark.xy, atol=1e-3)
    np.testing.assert_allclose(light.score, dark.score, rtol=1e-4)


@pytest.mark.parametrize("spacing", [20.0, 36.0, 90.0])
def test_no_two_candidates_are_nearer_than_the_spacing(spacing: float) -> None:
    rules = Rules(DIAMETER, spacing, 0.0)
    found = search_micrograph(noisy(discs(SHAPE, CENTRES), 2.0), BLOB, rules)
    apart = np.linalg.norm(found.xy[:, None] - found.xy[None], axis=2) + 1e9 * np.eye(len(found.xy))
    assert apart.min() >= spacing - DIAMETER / SCALE * np.sqrt(2)  # half a px of the search each
    assert (np.diff(found.score) <= 0).all()


def test_the_mirror_beyond_the_border_makes_no_particles_there() -> None:
    found = search_micrograph(noisy(discs(SHAPE, CENTRES), 0.5), BLOB, Rules(DIAMETER, 36.0, 0.0))
    assert (found.xy > -2).all()
    assert (found.xy[:, 0] < SHAPE[1] + 1).all()
    assert (found.xy[:, 1] < SHAPE[0] + 1).all()


def reason_near(found, x: float, y: float) -> str:
    nearest = np.argmin(np.hypot(*(found.xy - (x, y)).T))
    assert np.hypot(*(found.xy[nearest] - (x, y))) < DIAMETER / 2
    return str(found.reason[nearest])


def test_border_mask_and_areas_are_told_apart() -> None:
    image = noisy(discs(SHAPE, [*CENTRES, (18.0, 300.0)]), 0.5)
    image[:140, :100] = 0.0  # its particle lies at (60, 71): put it back, on the mask's edge
    image[40:140, 60:100] = noisy(discs(SHAPE, CENTRES), 0.5)[40:140, 60:100]
    x, y = CENTRES[12]
    area = np.array([(x - 30, y - 30), (x + 30, y - 30), (x + 30, y + 30), (x - 30, y + 30)])
    found = search_micrograph(image, BLOB, RULES, [area])
    assert reason_near(found, 18, 300) == "edge"
    assert reason_near(found, x, y) == "area"
    assert reason_near(found, *CENTRES[8]) == ""
    near = np.hypot(*(found.xy - CENTRES[0]).T) < DIAMETER / 2
    assert set(found.reason[near]) <= {"masked", "edge"}


def test_ice_and_carbon_are_left_out_and_particles_are_not() -> None:
    image = discs(SHAPE, CENTRES)
    ice = (CENTRES[7] + CENTRES[14]) / 2 + (0, 50)
    image += discs(SHAPE, [ice], 50, depth=9.0)
    image = noisy(image, 1.0)
    rng = np.random.default_rng(3)
    carbon = ndi.gaussian_filter(rng.standard_normal(SHAPE), 3)
    image[:, 470:] += (carbon / carbon.std() * 4).astype(np.float32)[:, 470:]
    found = search_micrograph(image, BLOB, RULES)
    assert reason_near(found, *ice) == "strong"
    strong = found.score >= 4
    on_carbon = strong & (found.xy[:, 0] > 520)
    assert (found.reason[on_carbon] != "").mean() > 0.8
    particles = [c for c in CENTRES if c[0] < 400 and np.hypot(*(c - ice)) > 110]
    assert [reason_near(found, *c) for c in particles] == [""] * len(particles)


# -- templates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("made", [templates.blob(SCALE), templates.ring(SCALE), templates.blob(13.0)])
def test_templates_have_no_mean_unit_length_and_a_dark_inside(made) -> None:
    for image in made.images:
        assert abs(image.sum()) < 1e-4
        assert np.isclose((image**2).sum(), 1.0, atol=1e-5)
        assert (image[~made.support] == 0).all()
    assert made.images[0][made.support].min() < 0


def test_a_template_is_its_own_best_match() -> None:
    ring, blob = templates.ring(SCALE), templates.blob(SCALE)
    both = np.concatenate([ring.images, blob.images])
    image = np.zeros((160, 200), np.float32)
    size = len(ring.images[0])
    image[20 : 20 + size, 30 : 30 + size] = ring.images[0]
    image[100 : 100 + size, 120 : 120 + size] = 5 * blob.images[0]
    found = respond(image, both, ring.support)
    for x, y, number in ((30, 20, 0), (120, 100, 1)):
        x, y = x + size // 2, y + size // 2
        assert found.score[y, x] > 0.97
        assert found.best[y, x] == number
    assert found.score.max() <= 1.0 + 1e-4


def lopsided(size: int = 64) -> np.ndarray:
    """A light, round particle of 48 px with a heavy and a light end."""
    yy, xx = np.mgrid[:size, :size] - size // 2
    body = np.exp(-(((xx / 18.0) ** 2 + (yy / 10.0) ** 2) ** 2))
    return (body + 1.5 * np.exp(-((xx - 12) ** 2 + yy**2) / 30.0)).astype(np.float32)


def test_class_averages_find_particles_at_any_angle_and_say_which(tmp_path: Path) -> None:
    other = np.exp(-((np.hypot(*(np.mgrid[:64, :64] - 32)) - 16) ** 2) / 12).astype(np.float32)
    write_mrc(tmp_path / "classes.mrcs", np.stack([lopsided(), np.zeros((64, 64), np.float32), other]), 2.0)
    made, empty = templates.class_averages(tmp_path / "classes.mrcs", SCALE, SCALE / 48, 15.0)
    assert empty == [2]
    assert made.sources == 3
    assert len(made.images) == 48
    shape, rng = (500, 520), np.random.default_rng(0)
    image = np.zeros(shape, np.float32)
    places = [(70 + 75 * i, 70 + 75 * j) for i in range(6) for j in range(5)]
    which = rng.integers(0, 2, len(places)) * 2
    for (x, y), number in zip(places, which, strict=True):
        turned = ndi.rotate(lopsided() if number == 0 else other, rng.uniform(0, 360), reshape=False, order=1)
        image[y - 32 : y + 32, x - 32 : x + 32] -= turned
    found = search_micrograph(noisy(image, 0.7), made, Rules(48.0, 29.0, 24.0))
    best = found.xy[: len(places)]
    nearest = np.linalg.norm(best[:, None] - np.array(places)[None], axis=2)
    assert nearest.min(axis=1).max() < 3.0
    assert (found.source[: len(places)] == which[nearest.argmin(axis=1)]).mean() > 0.9


def test_many_templates_share_few_components() -> None:
    views = [lopsided()[20:45, 20:45]]
    made = templates.turn_all([np.pad(v, 5) for v in views], SCALE, 5.0, "x")
    components, weights = principal_components(made.images)
    assert len(components) < 0.5 * len(made.images)
    again = np.tensordot(weights, components, 1)
    assert ((again - made.images) ** 2).sum() < 0.03 * (made.images**2).sum()


def random_direction(rng: np.random.Generator) -> np.ndarray:
    direction = rng.standard_normal(3)
    return direction / np.linalg.norm(direction)


def test_views_of_a_map_find_its_projections(tmp_path: Path) -> None:
    zz, yy, xx = np.mgrid[:48, :48, :48] - 24.0
    volume = np.exp(-(((zz / 15) ** 2 + (yy / 8) ** 2 + (xx / 6) ** 2) ** 2)) + np.exp(
        -((zz - 8) ** 2 + (yy - 6) ** 2 + xx**2) / 18
    )
    write_mrc(tmp_path / "map.mrc", volume.astype(np.float32), 3.0)
    made = map_views(tmp_path / "map.mrc", SCALE, SCALE / 40, 30.0)
    assert made.sources == len(directions())
    image, rng = np.zeros((420, 420), np.float32), np.random.default_rng(1)
    places = [(60 + 75 * i, 60 + 75 * j) for i in range(5) for j in range(5)]
    for x, y in places:
        turn = frame(random_direction(rng))
        turned = ndi.affine_transform(volume, turn, np.full(3, 24.0) - turn @ np.full(3, 24.0), order=1)
        image[y - 24 : y + 24, x - 24 : x + 24] -= turned.sum(axis=0) / 8
    found = search_micrograph(noisy(image, 1.0), made, Rules(40.0, 24.0, 20.0))
    distance = np.linalg.norm(found.xy[: len(places), None] - np.array(places)[None], axis=2).min(axis=1)
    assert (distance < 5).mean() > 0.9


def test_directions_are_even_and_frames_are_rotations() -> None:
    some = directions(30.0)
    angle = np.degrees(np.arccos(np.clip(some @ some.T - 2 * np.eye(len(some)), -1, 1)))
    nearest = angle.min(axis=1)
    assert 18 < nearest.min() < nearest.max() < 40
    for direction in some[::7]:
        turn = frame(direction)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.isclose(np.linalg.det(turn), 1.0)
        np.testing.assert_allclose(turn[2], direction)


@pytest.mark.parametrize("fill", [np.nan, 0.0])
def test_bad_class_averages_are_one_sentence(tmp_path: Path, fill: float) -> None:
    stack = np.stack([lopsided(), lopsided()]) if np.isnan(fill) else np.zeros((2, 64, 64), np.float32)
    if np.isnan(fill):
        stack[1, 5, 5] = fill
    write_mrc(tmp_path / "classes.mrcs", stack, 1.0)
    with pytest.raises(InputError, match=r"Image 2 of classes\.mrcs" if np.isnan(fill) else "only empty"):
        templates.class_averages(tmp_path / "classes.mrcs", SCALE, 0.5, 30.0)


# -- thresholds ------------------------------------------------------------------------------------------------


def test_two_heaps_are_parted_and_one_is_not() -> None:
    rng = np.random.default_rng(0)
    noise, particles = np.abs(rng.normal(1.0, 0.6, 400)) + 1, rng.normal(6, 1, 300)
    valley = heaps_valley(np.concatenate([noise, particles]))
    assert valley is not None
    assert 2.8 < valley < 4.3
    for seed in range(20):
        one = np.random.default_rng(seed).gumbel(2, 0.5, 300)
        assert heaps_valley(one) is None


def test_pure_noise_gives_no_picks_and_a_few_particles_do() -> None:
    for seed in range(4):
        noise = ndi.gaussian_filter(np.random.default_rng(seed).standard_normal((700, 700)), 1.5).astype(np.float32)
        found = search_micrograph(noise, BLOB, RULES)
        threshold = automatic_threshold(found.score[found.reason == ""], found.null)
        assert found.chosen(threshold.value).sum() <= 6, threshold
    centres = CENTRES[[0, 5, 9, 13, 17, 21, 25, 28]]
    image = noise[:601, :660] / noise.std() + discs(SHAPE, centres, depth=1.6)
    found = search_micrograph(image, BLOB, RULES)
    threshold = automatic_threshold(found.score[found.reason == ""], found.null)
    chosen = found.xy[found.chosen(threshold.value)]
    assert len(chosen) >= 6
    assert (np.linalg.norm(chosen[:, None] - centres, axis=2).min(axis=1) < 10).mean() > 0.8


def test_the_noise_threshold_keeps_to_its_share() -> None:
    scores, null = np.concatenate([np.full(50, 8.0), np.linspace(1, 4, 100)]), np.linspace(1, 4, 100)
    value = noise_threshold(scores, null)
    assert value is not None
    assert (null >= value).sum() + 1 <= 0.1 * (scores >= value).sum()
    assert noise_threshold(null, null) is None
    assert noise_threshold(np.empty(0), null) is None


def test_the_histogram_counts_every_score() -> None:
    scores = np.random.default_rng(0).normal(3, 1, 500)
    edges, counts = histogram(scores)
    assert counts.sum() == 500
    assert len(edges) == len(counts) + 1
    assert histogram(np.empty(0))[1].sum() == 0


# -- real micrographs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("template", "least"), [(templates.blob, 0.94), (templates.ring, 0.945)])
@pytest.mark.parametrize("filtered", [False, True])
def test_human_picks_of_real_micrographs_are_found(template, least: float, filtered: bool) -> None:
    """Measured: disc 0.974 raw and 0.967 after a Gaussian of 20 Å, ring 0.972 and 0.969."""
    files = list_micrographs(DEMO)
    human = match_names(read_particles(DEMO / "particles.star"), files)
    evaluation, all_scores, null = Evaluation(80.0, 40.0), [], []
    for path in files:
        image = open_source(path).read(0)
        image = gaussian(image, 20.0, 1.5) if filtered else image
        found = search_micrograph(image, template(SCALE), Rules(80.0, 48.0, 40.0))
        evaluation.add(found, human[path], image.shape)
        all_scores.append(found.score[found.reason == ""])
        null.append(found.null)
    threshold = automatic_threshold(np.concatenate(all_scores), np.concatenate(null))
    figures = evaluation.at(threshold.value)
    assert threshold.how == "valley"
    assert figures["average_precision"] > least
    assert min(figures["precision"], figures["recall"]) > 0.9


# -- evaluation and files --------------------------------------------------------------------------------------


def test_precision_recall_and_border_are_counted() -> None:
    truth = np.array([(50.0, 50.0), (120.0, 50.0), (5.0, 5.0)])
    xy = np.array([(52.0, 50.0), (50.0, 53.0), (120.0, 55.0), (160.0, 160.0), (80.0, 80.0)])
    found = Picks(xy, np.array([9.0, 8, 7, 6, 1]), np.array(["", "", "", "", "strong"]))
    evaluation = Evaluation(diameter=20.0, border=10.0)
    evaluation.add(found, truth, (200, 200))
    figures = evaluation.at(5.0)
    assert (figures["reference_particles"], figures["reference_left_out"]) == (2, 1)
    assert figures["precision"] == 0.5
    assert figures["recall"] == 1.0
    assert figures["average_precision"] == pytest.approx((1 + 2 / 3) / 2, abs=1e-3)


def test_picks_and_candidates_are_read_back(tmp_path: Path) -> None:
    found = {
        "a b.mrc": Picks(np.array([(1.5, 2.25), (7.0, 8.0)]), np.array([5.0, 2.0]), np.array(["", ""])),
        "c.mrc": Picks(np.array([(3.0, 4.0)]), np.array([9.0]), np.array(["strong"])),
    }
    path = tmp_path / "picks.star"
    assert write_picks(path, found, 3.0, {"a b.mrc": 1.5, "c.mrc": 2.0}, ["made by\na test"]) == 1
    tables = read_star(path)
    assert tables["optics"]["rlnMicrographPixelSize"].astype(float).tolist() == [1.5, 2.0]
    assert tables["particles"]["rlnAutopickFigureOfMerit"].astype(float).tolist() == [5.0]
    np.testing.assert_allclose(read_particles(path)["a b.mrc"], [[1.5, 2.25]])
    assert write_picks(path, found, 1.0, {"a b.mrc": None, "c.mrc": 2.0}) == 2
    assert list(read_star(path)) == ["particles"]
    write_candidates(tmp_path / "c.star", found, {"a b.mrc": 1.5, "c.mrc": 2.0}, ["Vitreous x", "y; threshold 3", ALL])
    again = read_candidates(tmp_path / "c.star")
    assert list(again) == ["a b.mrc", "c.mrc"]
    assert again["c.mrc"].reason.tolist() == ["strong"]
    np.testing.assert_allclose(again["a b.mrc"].xy, found["a b.mrc"].xy)
    assert save_chosen(tmp_path / "c.star", path, 4.0) == 1
    assert path.read_text().splitlines()[1:3] == ["# Vitreous x", "# y; threshold 4.00 sigmas, as chosen"]
    assert read_star(path)["optics"]["rlnMicrographPixelSize"].astype(float).tolist() == [1.5, 2.0]
    with pytest.raises(InputError, match="holds no candidates"):
        read_candidates(path)
