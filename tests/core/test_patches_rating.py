"""Rating of noise patches: clean ones pass, contaminated ones are refused with the right words, on both scales."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as ndi

from core.denoising.patch_rating import learn_background, rate_at, rate_patches
from core.denoising.patch_sets import rough_ones, roughness
from core.denoising.patch_words import CODES, counted, wrapped
from core.denoising.patches import pick_boxes

SIGMA = 100.0


def micrograph(size: int, seed: int) -> np.ndarray:
    """Coloured noise of sigma 100 on ice of uneven thickness, and an illumination gradient."""
    rng = np.random.default_rng(seed)
    noise = ndi.gaussian_filter(rng.standard_normal((size, size)), 0.6) + 0.3 * rng.standard_normal((size, size))
    noise *= SIGMA / noise.std()
    slow = ndi.zoom(rng.standard_normal((5, 5)), size / 5, order=3)
    yy, xx = np.mgrid[:size, :size] / size
    return (1000 + noise * (1 + 0.02 * slow) + 0.1 * SIGMA * slow + SIGMA * (0.8 * xx - 0.5 * yy)).astype(np.float32)


def grid(size: int, box: int) -> np.ndarray:
    places = np.arange(box // 2, size - box + box // 2 + 1, box)
    return np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2)


def disc(radius: float, soft: float = 1.5) -> np.ndarray:
    half = int(radius + 4 * soft)
    offset = np.arange(-half, half + 1)
    return 1 / (1 + np.exp((np.hypot(offset[:, None], offset[None]) - radius) / soft))


def put(image: np.ndarray, x: int, y: int, stamp: np.ndarray) -> None:
    half = len(stamp) // 2
    image[y - half : y - half + len(stamp), x - half : x - half + len(stamp)] += stamp.astype(np.float32)


@pytest.mark.parametrize("box", [64, 101, 128])
def test_clean_patches_pass_also_with_uneven_ice_and_light(box):
    refused = total = 0
    for seed in range(4):
        ratings, _ = rate_patches(micrograph(1100, seed), grid(1100, box), box, None, box)
        refused += sum(not r.accepted for r in ratings)
        total += len(ratings)
    assert refused <= max(3, 0.05 * total)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_few_patches_are_not_refused_for_being_few(count):
    image = micrograph(1100, 9)
    places = np.random.default_rng(0).permutation(grid(1100, 64))
    refused = [r.code for i in range(20) for r in rate_patches(image, places[i * count :][:count], 64)[0] if r.code]
    assert len(refused) <= 0.1 * 20 * count


def crystal(box: int) -> np.ndarray:
    y, x = np.mgrid[:box, :box]
    return 0.5 * SIGMA * (np.cos(2 * np.pi / 3.7 * x) + np.cos(2 * np.pi / 3.7 * (0.5 * x + 0.866 * y)))


def edge(box: int) -> np.ndarray:
    return np.broadcast_to(-0.6 * SIGMA / (1 + np.exp((np.arange(box) - box / 2) / 2)), (box, box))


def hot(box: int) -> np.ndarray:
    stamp = np.zeros((box, box))
    stamp[box // 3, box // 4] = 12 * SIGMA
    return stamp


CONTAMINANTS = {
    "crystal": (crystal, {"crystal", "texture"}, "Crystalline ice"),
    "carbon edge": (edge, {"edge", "uneven"}, "Brightness changes across"),
    "hot pixel": (hot, {"pixels"}, "Hot or dead pixels"),
    "gold": (lambda box: -4 * SIGMA * disc(0.1 * box), {"blob", "uneven"}, "dark spot"),
    "thick ice": (lambda box: np.full((box, box), -1.0 * SIGMA), {"brightness"}, "Darker than its surroundings"),
    "thin ice": (lambda box: np.full((box, box), 1.0 * SIGMA), {"brightness"}, "Brighter"),
    "particle": (lambda box: -0.9 * SIGMA * disc(0.4 * box), {"particle", "uneven", "blob"}, "particle"),
}


@pytest.mark.parametrize("what", CONTAMINANTS)
@pytest.mark.parametrize("box", [64, 128])
def test_contaminants_are_refused_by_their_name(what, box):
    stamp, codes, words = CONTAMINANTS[what]
    image, places = micrograph(1400, 3), grid(1400, box)
    inner = places[((places > box) & (places < 1400 - box)).all(axis=1)]
    bad = np.random.default_rng(1).permutation(inner)[:12]
    for x, y in bad:
        put(image, int(x), int(y), stamp(box))
    ratings, background = rate_patches(image, places, box, None, 0.8 * box if what == "particle" else None)
    marked = {tuple(b) for b in bad}
    found = [r for p, r in zip(places, ratings, strict=True) if tuple(p) in marked]
    assert sum(not r.accepted for r in found) >= 11
    told = Counter(r.code for r in found if r.code)
    assert told.most_common(1)[0][0] in codes, told
    assert any(words in r.text for r in found)
    assert all(r.text[-1] in ".?" and any(c.isdigit() for c in r.text) for r in found if not r.accepted)
    assert all(len(line) < 60 for r in found for line in wrapped(r.text).split("\n"))
    near = {tuple(p) for p in places if np.abs(bad - p).max(axis=1).min() <= 1.5 * box}
    others = [r for p, r in zip(places, ratings, strict=True) if tuple(p) not in near]
    assert sum(not r.accepted for r in others) <= 0.06 * len(others) + 1
    assert background is not None
    by_hand = rate_at(background, image, *bad[0])
    assert by_hand.code == ratings[[tuple(p) for p in places].index(tuple(bad[0]))].code


def test_carbon_on_most_of_a_micrograph_is_not_the_norm():
    ice, carbon = micrograph(1400, 5), micrograph(1400, 6)
    rng = np.random.default_rng(7)
    rough = ndi.gaussian_filter(rng.standard_normal((1400, 1400)), 3.0)
    carbon += (1.2 * SIGMA * rough / rough.std() - 0.8 * SIGMA).astype(np.float32)
    image = np.where(np.arange(1400)[None] < 900, carbon, ice)  # 64 % carbon
    places = grid(1400, 64)
    ratings, background = rate_patches(image, places, 64)
    accepted = places[[r.accepted for r in ratings]]
    assert (accepted[:, 0] > 900).mean() > 0.97
    assert len(accepted) > 0.8 * (places[:, 0] > 940).sum()
    assert background is not None
    assert background.mixed  # and the user is told


def test_a_micrograph_that_is_all_carbon_stands_out_among_the_others():
    found = {}
    for i in range(6):
        image = micrograph(600, 20 + i)
        if i == 4:
            rough = ndi.gaussian_filter(np.random.default_rng(1).standard_normal(image.shape), 3.0)
            image += (SIGMA * rough / rough.std()).astype(np.float32)
        background = learn_background(image * (1 + i), 64)  # grey scales differ
        assert background is not None
        found[f"m{i}"] = roughness(background)
    assert list(rough_ones(found)) == ["m4"]
    assert rough_ones(dict(list(found.items())[:3])) == {}  # too few to say what is usual


def test_a_masked_box_and_a_flat_image_are_told_and_do_not_fail():
    image = micrograph(600, 1)
    background = learn_background(image, 64)
    assert background is not None
    image[100:200, 100:200] = 7.0
    assert rate_at(background, image, 150, 150).code == "masked"
    assert "mask" in rate_at(background, image, 150, 150).text
    flat, _ = rate_patches(np.zeros((200, 200), np.float32), grid(200, 64), 64)
    assert {r.code for r in flat} == {"masked"}


def test_counts_of_few_electrons_are_noise():
    image = np.random.default_rng(0).poisson(0.4, (700, 700)).astype(np.float32)
    ratings, _ = rate_patches(image, grid(700, 64), 64)
    assert sum(not r.accepted for r in ratings) <= 5


def test_no_box_fits_and_no_candidate():
    assert learn_background(np.zeros((40, 40), np.float32), 64) is None
    assert rate_patches(np.zeros((40, 40), np.float32), np.empty((0, 2)), 16) == ([], None)


def test_a_rating_by_hand_does_not_depend_on_scale_and_offset():
    image = micrograph(700, 2)
    put(image, 300, 300, edge(64))
    one, two = learn_background(image, 64), learn_background(3 * image - 500, 64)
    assert one is not None
    assert two is not None
    a, b = rate_at(one, image, 300, 300), rate_at(two, 3 * image - 500, 300, 300)
    assert a.code == b.code != ""
    assert a.scores["edge"] == pytest.approx(b.scores["edge"], rel=0.02)


def test_boxes_keep_out_of_excluded_areas():
    image = micrograph(600, 4)
    area = np.array([[150.0, 100.0], [450.0, 180.0], [300.0, 480.0]])
    picked = pick_boxes(image, np.empty((0, 2)), 40, 40, 0, 500, np.random.default_rng(0), [area])
    everywhere = pick_boxes(image, np.empty((0, 2)), 40, 40, 0, 500, np.random.default_rng(0))
    assert 30 < len(picked.centres) < len(everywhere.centres)
    steps = np.linspace(0, 1, 200)[:, None]
    outline = np.concatenate([a + steps * (b - a) for a, b in zip(area, np.roll(area, -1, 0), strict=True)])
    for x, y in [*picked.centres, *picked.refused]:
        gap = np.abs(outline - (x - 0.5, y - 0.5)).max(axis=1).min()
        assert gap >= 20
    assert np.abs(picked.centres - area.mean(axis=0)).max(axis=1).min() > 20


def ring(radius: float) -> np.ndarray:
    """A hollow shell in projection: dark rim, paler middle, a faint bright fringe."""
    half = int(1.6 * radius)
    offset = np.arange(-half, half + 1)
    away = np.hypot(offset[:, None], offset[None])
    rim = np.exp(-0.5 * ((away - 0.75 * radius) / (0.18 * radius)) ** 2)
    return -rim - 0.3 * (away < 0.7 * radius) + 0.25 * np.exp(-0.5 * ((away - 1.25 * radius) / (0.12 * radius)) ** 2)


def put_beyond(image: np.ndarray, x: int, y: int, stamp: np.ndarray) -> None:
    """As put, also where a part of the stamp lies outside of the image."""
    wide = np.pad(image, len(stamp))
    put(wide, x + len(stamp), y + len(stamp), stamp)
    image[:] = wide[len(stamp) : -len(stamp), len(stamp) : -len(stamp)]


@pytest.mark.parametrize("contrast", [0.5, -0.5, 0.9])
def test_a_crowd_of_unlisted_rings_at_the_border_is_not_the_norm(contrast):
    """More candidates lie on unlisted particles than on ice, some centres beyond the border; either contrast."""
    size, radius, box = 1100, 40, 64
    image = micrograph(size, 8)
    rng = np.random.default_rng(4)
    places = np.stack(np.meshgrid(np.arange(-10, size + 20, 92), np.arange(-10, size + 20, 92)), axis=-1).reshape(-1, 2)
    places = places + rng.integers(-3, 4, places.shape)
    ice = (np.abs(places - (700, 700)) < 190).all(axis=1)
    for x, y in places[~ice]:
        put_beyond(image, int(x), int(y), contrast * SIGMA * ring(radius))
    inside = ((places > 45) & (places < size - 45)).all(axis=1)
    unlisted = ~ice & (~inside | (places.sum(axis=1) < 850))
    picked = pick_boxes(image, places[~ice & ~unlisted], box, 80, 0, 500, rng, diameter=80.0)
    on_particle = np.abs(picked.centres[:, None] - places[unlisted][None]).max(axis=2).min(axis=1) < box / 2 + 20
    assert not on_particle.any()
    on_ice = (np.abs(np.concatenate([picked.centres, picked.refused]) - (700, 700)) < 120).all(axis=1)
    assert len(picked.refused) > 2 * len(picked.centres)  # the crowd prevails
    assert on_ice.sum() >= 6
    assert len(picked.centres) >= 0.85 * on_ice.sum()
    assert np.mean([r.scores["particle"] > 1 for r in picked.ratings]) > 0.9  # whatever else they are told for


@pytest.mark.parametrize("contrast", [0.0, 0.15, 0.6])
def test_listed_particles_do_not_make_noise_suspect(contrast):
    """Also where the list is wrong (nothing is there) or the particles drown in the noise."""
    refused = total = 0
    for seed in range(2):
        image, rng = micrograph(1400, seed), np.random.default_rng(seed)
        inner = grid(1400, 140)
        inner = inner[((inner > 100) & (inner < 1300)).all(axis=1)]
        listed = rng.permutation(inner)[:40]
        for x, y in listed:
            put(image, int(x), int(y), contrast * SIGMA * ring(42))
        picked = pick_boxes(image, listed, 68, 84, 0, 10000, rng, diameter=84.0)
        refused += len(picked.refused)
        total += len(picked.refused) + len(picked.centres)
    assert total > 300
    assert refused <= 0.05 * total


def test_reasons_are_counted_in_good_english():
    assert counted("blob", 1) == "1 spot"
    assert counted("blob", 2) == "2 spots"
    assert counted("crystal", 1) == "1 crystalline ice"
    assert all(counted(code, 3) == f"3 {words}" for code, words in CODES.items())


REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "apoferritin_10146"


@pytest.mark.skipif(not REAL.is_dir(), reason="the development data set is not here")
def test_human_picks_that_are_left_out_are_found_on_real_micrographs():
    """Boxes in the middle of real particles are refused; most boxes between them are not."""
    from core.images.source import open_source
    from core.io.coordinates import read_particles

    hidden = missed = between = refused = 0
    for stem in ("May08_03.05.02", "May08_05.31.00", "May08_07.13.35"):
        image = open_source(REAL / f"{stem}.bin_avg.mrc").read(0)
        particles = next(iter(read_particles(REAL / f"{stem}.coords.star").values()))
        inside = ((particles > 80) & (particles < 1120)).all(axis=1)
        background = learn_background(image, 64, particles, 80.0, 1.5)
        assert background is not None
        unlisted = np.flatnonzero(inside)[::15]
        rest = np.delete(particles, unlisted, axis=0)
        picked = pick_boxes(image, rest, 64, 80, 0, 100, np.random.default_rng(0), diameter=80.0)
        for x, y in particles[unlisted]:
            hidden += 1
            missed += bool((np.hypot(*(picked.centres - (x, y)).T) < 32 + 20).any())
        between += len(picked.centres) + len(picked.refused)
        refused += len(picked.refused)
    assert hidden > 20
    assert missed <= 0.1 * hidden
    assert refused < 0.75 * between


CORNER = [(952, 34), (1024, 34), (1096, 34), (922, 106), (994, 106), (1066, 106), (1138, 106), (952, 178)]


@pytest.mark.skipif(not REAL.is_dir(), reason="the development data set is not here")
def test_a_corner_of_unlisted_rings_is_refused_on_a_real_micrograph():
    from core.images.source import open_source
    from core.io.coordinates import read_particles

    image = open_source(REAL / "May08_03.05.02.bin_avg.mrc").read(0)
    particles = next(iter(read_particles(REAL / "May08_03.05.02.coords.star").values()))
    picked = pick_boxes(image, particles, 68, 84, 0, 100, np.random.default_rng([0, 0]), diameter=84.0)
    assert not ((picked.centres[:, 0] > 850) & (picked.centres[:, 1] < 220)).any()
    told = {tuple(c): r.code for c, r in zip(picked.refused, picked.ratings, strict=True)}
    assert {told[place] for place in CORNER} == {"particle"}
    assert len(picked.centres) >= 10  # the ice between the particles
