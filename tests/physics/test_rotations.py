"""Euler angles, random and evenly spread views, and point groups as what they are: groups."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ParamError
from core.physics.rotations import (
    about,
    angles,
    cone_rotations,
    count_views,
    even_rotations,
    matrices,
    random_rotations,
    symmetry_matrices,
    tilt_rotations,
)

X, Y, Z = np.eye(3)


@given(rot=st.floats(-180, 180), tilt=st.floats(-180, 180), psi=st.floats(-180, 180))
def test_angles_bring_the_matrix_back(rot, tilt, psi):
    a = matrices(np.array([[rot, tilt, psi]]))
    by_steps = (about(Z, np.deg2rad(rot)) @ about(Y, np.deg2rad(tilt)) @ about(Z, np.deg2rad(psi))).T
    np.testing.assert_allclose(a[0], by_steps, atol=1e-12)
    back = angles(a)
    assert 0 <= back[0, 1] <= 180
    assert np.abs(back[0, [0, 2]]).max() <= 180
    np.testing.assert_allclose(matrices(back), a, atol=3e-9)


@pytest.mark.parametrize("tilt", [0, 180])
def test_where_rot_and_psi_cannot_be_told_apart_rot_is_zero(tilt):
    a = matrices(np.array([[30.0, tilt, 25.0], [0.0, tilt, 180.0]]))
    back = angles(a)
    assert (back[:, 0] == 0).all()
    np.testing.assert_allclose(matrices(back), a, atol=1e-12)


def test_random_rotations_are_proper_and_uniform():
    a = random_rotations(20000, np.random.default_rng(1))
    np.testing.assert_allclose(np.linalg.det(a), 1, atol=1e-12)
    np.testing.assert_allclose(a @ a.transpose(0, 2, 1), np.broadcast_to(np.eye(3), a.shape), atol=1e-12)
    # uniform: every entry has mean 0 and mean square 1/3, the angle theta has density (1 - cos theta) / pi
    assert np.abs(a.mean(0)).max() < 0.02
    np.testing.assert_allclose((a**2).mean(0), 1 / 3, atol=0.015)
    theta = np.arccos(np.clip((np.trace(a, axis1=1, axis2=2) - 1) / 2, -1, 1))
    edges = np.linspace(0, np.pi, 11)
    expected = np.diff(edges - np.sin(edges)) / np.pi
    found = np.histogram(theta, edges)[0] / len(a)
    assert np.abs(found - expected).max() < 0.012


@pytest.mark.parametrize(
    ("name", "order"),
    [("C1", 1), ("c3", 3), ("C7", 7), ("D1", 2), ("D2", 4), ("D5", 10), ("T", 12), ("O", 24), ("I", 60), ("I1", 60)],
)
def test_symmetries_are_groups_of_the_right_order(name, order):
    group = symmetry_matrices(name)
    assert group.shape == (order, 3, 3)
    np.testing.assert_array_equal(group[0], np.eye(3))
    np.testing.assert_allclose(np.linalg.det(group), 1, atol=1e-9)
    products = np.einsum("aij,bjk->abik", group, group).reshape(-1, 1, 3, 3)
    nearest = np.abs(products - group).max(axis=(2, 3))
    assert nearest.min(axis=1).max() < 1e-6  # closed
    assert ((nearest < 1e-3).sum(axis=1) == 1).all()  # and every element is there once


def has_axis(name: str, axis: tuple[float, float, float], fold: int) -> bool:
    turn = about(np.array(axis), 2 * np.pi / fold)
    return np.abs(symmetry_matrices(name) - turn).max(axis=(1, 2)).min() < 1e-6


def test_axes_are_set_as_in_relion():
    assert has_axis("C5", (0, 0, 1), 5)
    assert has_axis("D3", (0, 0, 1), 3)
    assert has_axis("D3", (1, 0, 0), 2)
    assert has_axis("T", (0, 0, 1), 3)
    assert has_axis("T", (0.0, 0.816496, 0.577350), 2)
    assert has_axis("O", (0, 0, 1), 4)
    assert has_axis("I", (0, 0, 1), 2)
    assert has_axis("I", (0.525731114, 0, 0.850650807), 5)
    assert has_axis("I", (0, 0.356822076, 0.934172364), 3)
    assert has_axis("I1", (1, 0, 0), 2)
    assert has_axis("I1", (0.850650807, 0, -0.525731114), 5)
    assert has_axis("I1", (0.934172364, 0.356822076, 0), 3)


@pytest.mark.parametrize("name", ["", "C0", "C61", "D", "X2", "C-1"])
def test_what_is_no_symmetry_is_one_sentence(name):
    with pytest.raises(ParamError, match="is no symmetry"):
        symmetry_matrices(name)


def test_cone_views_stay_in_the_cone_and_fill_it():
    a = cone_rotations(4000, 30, np.random.default_rng(2))
    off = np.degrees(np.arccos(a[:, 2, 2]))
    assert off.max() <= 30
    assert (off < 15).mean() == pytest.approx((1 - np.cos(np.pi / 12)) / (1 - np.cos(np.pi / 6)), abs=0.03)
    np.testing.assert_allclose(np.linalg.det(a), 1, atol=1e-9)


def test_a_tilt_series_turns_about_y_in_even_steps():
    a = tilt_rotations(5, -60, 60)
    np.testing.assert_allclose(a[:, 1], np.tile(Y, (5, 1)), atol=1e-12)
    np.testing.assert_allclose(np.degrees(np.arctan2(a[:, 2, 0], a[:, 2, 2])), [-60, -30, 0, 30, 60], atol=1e-9)


@pytest.mark.parametrize("n", [3, 10, 50])
def test_even_views_are_farther_apart_than_random_ones(n):
    def least(a: np.ndarray) -> float:
        cosines = np.abs(a[:, 2] @ a[:, 2].T) - 2 * np.eye(n)
        return float(np.degrees(np.arccos(np.clip(cosines.max(), -1, 1))))

    even = even_rotations(n, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.det(even), 1, atol=1e-9)
    assert least(even) > max(least(random_rotations(n, np.random.default_rng(s))) for s in range(5))


def test_views_are_counted_where_they_look():
    angles_deg = np.array([[10.0, 5.0, 80.0], [10.0, 5.0, -20.0], [-170.0, 175.0, 0.0]])
    counts = count_views(matrices(angles_deg), 18, 36)
    assert counts.sum() == 3
    assert counts[0, 19] == 2
    assert counts[17, 1] == 1
