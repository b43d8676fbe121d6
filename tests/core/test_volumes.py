"""Maps in memory: values, statistics, sections and projections as images."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from volumes import ball, volume

from core.errors import InputError
from core.images.pyramid import Cancelled
from core.volumes.slices import PLANES, SliceSource, grey_range, project, pyramid_of
from core.volumes.volume import Volume, VolumeSet, kind_of_name, statistics


def odd_box(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 2.0, (10, 12, 14)).astype(np.float32)


def test_positions_are_x_y_z_from_voxel_half_the_size() -> None:
    found = Volume(odd_box(), 2.0)
    assert found.centre == (5, 6, 7)
    assert found.position_a(5, 6, 7) == (0.0, 0.0, 0.0)
    assert found.position_a(6, 6, 9) == (4.0, 0.0, 2.0)
    assert math.isnan(found.value(0, 0, 14))
    assert found.value(1, 2, 3) == found.values[1, 2, 3]


def test_statistics_are_those_of_all_voxels() -> None:
    values = odd_box() + 1e4  # far from zero: a test of precision
    found = statistics(values)
    wide = values.astype(np.float64)
    assert found.mean == pytest.approx(wide.mean(), rel=1e-9)
    assert found.std == pytest.approx(wide.std(), rel=1e-6)
    assert (found.low, found.high) == (values.min(), values.max())
    for level in np.percentile(wide, (5, 50, 97)):
        assert found.share_above(level) == pytest.approx((wide >= level).mean(), abs=2e-3)


@given(st.floats(0.005, 0.9))
def test_level_and_share_undo_each_other(share: float) -> None:
    found = statistics(odd_box())
    assert found.share_above(found.level_of_share(share)) == pytest.approx(share, abs=2e-3)
    assert found.level(found.sigma(4.5)) == pytest.approx(4.5)


def test_a_map_of_one_value_has_statistics_too() -> None:
    found = statistics(np.full((4, 4, 4), 7.0, np.float32))
    assert (found.mean, found.std, found.sigma(9.0)) == (7.0, 0.0, 0.0)
    assert found.share_above(6.0) == 1.0
    assert found.share_above(8.0) == 0.0
    assert found.first_level() == pytest.approx(7.0)


def test_the_first_level_lies_between_particle_and_ground() -> None:
    noise = np.random.default_rng(1).normal(0, 0.05, (48,) * 3)
    found = statistics((ball(48, 8) + noise).astype(np.float32))
    assert 0.25 < found.first_level() < 0.75
    alone = statistics(noise.astype(np.float32))
    assert alone.share_above(alone.first_level()) == pytest.approx(0.01, abs=2e-3)


def test_statistics_can_be_given_up() -> None:
    with pytest.raises(Cancelled):
        statistics(odd_box(), lambda: True)


def test_sections_have_the_axes_that_they_claim() -> None:
    found = Volume(odd_box(), 2.0, "m.mrc")
    z, y, x = 3, 5, 7
    for name, index in (("z", z), ("y", y), ("x", x)):
        plane = PLANES[name]
        source = SliceSource(found, plane)
        image = source.read(index)
        assert source.n == found.shape[plane.axis]
        assert source.shape == image.shape == (found.shape[plane.down], found.shape[plane.right])
        place = {0: z, 1: y, 2: x}
        assert image[place[plane.down], place[plane.right]] == found.values[z, y, x]
        image[:] = 0  # its own memory
        assert found.values.any()
    with pytest.raises(ValueError, match="no number 10"):
        SliceSource(found, PLANES["z"]).read(10)


def test_the_key_of_a_section_changes_with_the_array() -> None:
    first, second = Volume(odd_box(), title="m"), Volume(odd_box(1), title="m")
    keys = {SliceSource(v, PLANES[n]).key(i) for v in (first, second) for n in PLANES for i in (0, 1)}
    assert len(keys) == 12


@pytest.mark.parametrize("how", ["sum", "max"])
@pytest.mark.parametrize("name", PLANES)
def test_projections_are_those_of_numpy(name: str, how: str) -> None:
    values, plane = odd_box(), PLANES[name]
    wanted = getattr(values.astype(np.float64), how)(axis=plane.axis)
    wanted = wanted.T if name == "x" else wanted  # z right, y down
    np.testing.assert_allclose(project(values, plane, how), wanted, rtol=1e-5)
    with pytest.raises(Cancelled):
        project(values, plane, how, lambda: True)


def test_one_contrast_holds_particle_and_ground() -> None:
    found = volume(48)
    black, white = grey_range(found)
    assert black <= 0.01
    assert white >= 0.99
    picture = pyramid_of(np.zeros((600, 500), np.float32), found, (black, white))
    assert len(picture.levels) > 1
    assert {picture.grey_range(zoom) for zoom in (0.1, 0.4, 1.0, 8.0)} == {(black, white)}


def test_companions_must_have_the_same_box() -> None:
    main, half = volume(32), volume(32, kind="half1", title="half1.mrc")
    both = VolumeSet((main,)).with_volume(half)
    assert [v.kind for v in both.volumes] == ["map", "half1"]
    newer = volume(32, kind="half1", title="newer.mrc")
    assert both.with_volume(newer).volumes == (main, newer)
    with pytest.raises(InputError, match="32 × 32 × 32"):
        both.with_volume(volume(24, kind="std", title="std.mrc"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("run_half1_class001_unfil.mrc", "half1"),
        ("cryosparc_P1_J5_volume_map_half_B.mrc", "half2"),
        ("map_std.mrc", "std"),
        ("data_weight.mrc", "weight"),
        ("betaGal.mrc", "map"),
        ("std.mrc", "std"),
        ("weight.mrc", "weight"),
        ("mask.mrc", "mask"),
        ("half1.mrc", "half1"),
        ("half2.mrc.gz", "half2"),
        ("postprocess_masked.mrc", "map"),
    ],
)
def test_kinds_are_guessed_from_names(name: str, kind: str) -> None:
    assert kind_of_name(name) == kind
