"""Positions outside of their micrographs, and an inverted Y that only the pictures tell."""

from pathlib import Path

import numpy as np
import pytest

from core.images.position_check import invert_y, outside, position_doubts
from core.images.source import open_source
from core.io.coordinates import match_names, read_particles
from core.io.mrc_write import write_mrc

DEMO = Path(__file__).resolve().parents[2] / "resources/demo"
SHARED = Path(__file__).resolve().parents[2] / "../shared/data/apoferritin_10146"
A, B = Path("a.mrc"), Path("b.mrc")
SHAPES = {A: (400, 300), B: (200, 300)}
RNG = np.random.default_rng(5)


def spread(shape: tuple[int, int], count: int = 100) -> np.ndarray:
    return RNG.uniform(0, 1, (count, 2)) * shape[::-1]


def demo(invert: bool) -> dict[Path, np.ndarray]:
    files = sorted(DEMO.glob("*.mrc.gz"))
    matched = match_names(read_particles(DEMO / "particles.star"), files)
    return {f: invert_y(xy, open_source(f).shape[0]) if invert else xy for f, xy in matched.items()}


def test_right_picks_of_the_demo_raise_no_doubt():
    assert position_doubts(demo(invert=False), "p.star").sentences == ()


def test_inverted_picks_of_the_demo_are_seen():
    doubts = position_doubts(demo(invert=True), "p.star")
    assert doubts.inverted
    assert doubts.sentences == (
        "The positions of p.star fit the micrographs better when Y is inverted: is Y inverted?",
    )


def test_places_that_are_on_nothing_say_nothing():
    random = {f: spread(open_source(f).shape, 150) for f in demo(invert=False)}
    assert not position_doubts(random, "p.star").sentences


def test_inverting_twice_changes_nothing():
    xy = spread((400, 300))
    np.testing.assert_allclose(invert_y(invert_y(xy, 400), 400), xy)


@pytest.mark.skipif(not SHARED.exists(), reason="the shared apoferritin micrographs are not here")
@pytest.mark.parametrize("star", sorted(SHARED.glob("*.star")), ids=lambda p: p.name)
def test_every_single_apoferritin_micrograph_tells_its_y(star):
    file = star.with_name(star.name.replace(".coords.star", ".bin_avg.mrc"))
    xy = next(iter(read_particles(star).values()))
    assert not position_doubts({file: xy}, "p.star").inverted
    assert position_doubts({file: invert_y(xy, open_source(file).shape[0])}, "p.star").inverted


@pytest.mark.parametrize(
    ("change", "question"),
    [
        (lambda xy: xy * [1, -1], "Y is negative: is Y inverted?"),
        (lambda xy: xy * [0.5, 1] + [0, 150], "was Y inverted with the height of other micrographs?"),
        (lambda xy: xy * 4, "Are they in pixels of these micrographs?"),
    ],
)
def test_positions_outside_are_counted_and_explained(change, question):
    matched = {path: change(spread(shape)) for path, shape in SHAPES.items()}
    (sentence,) = outside(matched, SHAPES, "p.star")
    assert sentence.endswith(question)
    assert "of 200 positions of p.star (" in sentence


def test_exchanged_columns_are_seen_on_micrographs_that_are_no_squares():
    (sentence,) = outside({A: spread((400, 300))[:, ::-1]}, {A: (400, 300)}, "p.star")
    assert sentence.endswith("Are X and Y exchanged?")


def test_a_few_positions_outside_are_no_doubt():
    xy = spread((400, 300))
    xy[:5] = -1
    assert outside({A: xy}, SHAPES, "p.star") == ()
    xy[:6] = -1
    assert outside({A: xy}, SHAPES, "p.star")[0].startswith("6 of 100 positions of p.star (6 %) lie outside")


def test_micrographs_that_cannot_be_read_are_left_out(tmp_path):
    (tmp_path / "broken.mrc").write_bytes(b"no image")
    write_mrc(tmp_path / "flat.mrc", np.ones((64, 64), np.float32), 1.0)
    matched = {tmp_path / "broken.mrc": spread((64, 64)), tmp_path / "flat.mrc": spread((64, 64))}
    assert position_doubts(matched, "p.star").sentences == ()
    assert position_doubts({}, "p.star").sentences == ()
