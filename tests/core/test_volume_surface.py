"""Surfaces: a ball has its radius and its place, coarse ones are coarse, colours are those of the companion."""

from __future__ import annotations

import numpy as np
import pytest
from volumes import ball, volume

from core.images.colour import table
from core.images.pyramid import Cancelled
from core.volumes.surface import (
    build_levels,
    coloured,
    expected_triangles,
    halve,
    interpolate,
    limits_of,
    reach,
    surface,
)
from core.volumes.volume import Volume

PIXEL = 1.7


def volume_inside(mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("binned", [0, 1])
def test_a_ball_has_its_radius_in_angstrom(binned: int) -> None:
    levels = build_levels(Volume(ball(64, 20), PIXEL))
    most = 10**7 if not binned else expected_triangles(levels.arrays[0], 0.5, 10**7) - 1
    mesh = surface(levels, 0.5, most)
    assert mesh.binning == 2**binned
    radii = np.linalg.norm(mesh.vertices, axis=1)
    assert np.abs(radii - 20 * PIXEL).max() < 0.3 * PIXEL
    assert reach(mesh) == pytest.approx(radii.max(), rel=0.01)
    outward = (mesh.normals * mesh.vertices).sum(axis=1) / radii
    assert outward.min() > 0.95
    # Seams of slabs leave no hole, and the triangles look outwards: the volume inside is the ball's, and positive.
    assert volume_inside(mesh) == pytest.approx(4 / 3 * np.pi * (20 * PIXEL) ** 3, rel=0.03)


def test_axes_are_x_y_z_from_the_middle_of_a_box_that_is_no_cube() -> None:
    values = np.zeros((30, 40, 50), np.float32)
    values[10:20, 20:30, 30:40] = ball(10, 3, at=(4.5, 4.5, 4.5))
    mesh = surface(build_levels(Volume(values, 2.0)), 0.5)
    middle = (mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)) / 2
    np.testing.assert_allclose(middle, [(34.5 - 25) * 2, (24.5 - 20) * 2, (14.5 - 15) * 2], atol=0.1)


def test_binned_maps_stay_in_place() -> None:
    levels = build_levels(Volume(ball(64, 12, at=(30, 36, 40)), 1.0))
    places = []
    for most in (10**7, 3000, 800):
        mesh = surface(levels, 0.5, most)
        places.append((mesh.binning, (mesh.vertices.max(axis=0) + mesh.vertices.min(axis=0)) / 2))
    assert [binning for binning, _ in places] == [1, 2, 4]
    for _, place in places:
        np.testing.assert_allclose(place, [8, 4, -2], atol=0.35)


def test_the_expected_number_of_triangles_is_near() -> None:
    noise = np.random.default_rng(0).normal(size=(40, 40, 40)).astype(np.float32)
    found = surface(build_levels(Volume(ball(64, 20))), 0.5, 10**7).triangles
    assert expected_triangles(ball(64, 20), 0.5, 10**7) == pytest.approx(found, rel=0.02)
    speckles = surface(build_levels(Volume(noise)), 1.0, 10**7).triangles
    assert speckles < expected_triangles(noise, 1.0, 10**7) < 1.5 * speckles
    assert expected_triangles(noise, 1.0, 500) < 20_000  # it stops early


def test_coarse_surfaces_keep_to_their_limit() -> None:
    noise = np.random.default_rng(0).normal(size=(64, 64, 64)).astype(np.float32)
    levels = build_levels(Volume(noise))
    assert surface(levels, 1.0, 60_000).triangles < 70_000
    assert surface(levels, 1.0, 10**7).triangles > 150_000


def test_nothing_above_the_level_is_an_empty_surface() -> None:
    levels = build_levels(volume(32))
    for level in (2.0, -1.0):
        mesh = surface(levels, level)
        assert (mesh.triangles, mesh.vertices.shape, reach(mesh)) == (0, (0, 3), 0.0)
    assert coloured(surface(levels, 2.0), volume(32)).triangles == 0


def test_a_surface_can_be_given_up() -> None:
    calls = iter([False] * 5 + [True] * 100)
    with pytest.raises(Cancelled):
        surface(build_levels(volume(32)), 0.5, cancelled=lambda: next(calls))


def test_no_call_of_the_library_is_long(monkeypatch) -> None:
    """It holds the interpreter lock meanwhile, and the window waits for it."""
    import skimage.measure

    sizes, real = [], skimage.measure.marching_cubes

    def counted(values, *args, **more):
        sizes.append(values.size)
        return real(values, *args, **more)

    monkeypatch.setattr(skimage.measure, "marching_cubes", counted)
    surface(build_levels(Volume(ball(96, 40))), 0.5)
    assert len(sizes) > 4
    assert max(sizes) < 1 << 18


def test_halving_takes_means_and_leaves_a_last_odd_section_out() -> None:
    values = np.random.default_rng(0).normal(size=(7, 8, 9)).astype(np.float32)
    wanted = values[:6, :8, :8].reshape(3, 2, 4, 2, 4, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(halve(values), wanted, rtol=1e-5, atol=1e-6)


def test_interpolation_is_linear_and_goes_on_outside() -> None:
    z, y, x = np.indices((6, 7, 8), dtype=np.float32)
    places = np.array([[1.5, 2.25, 3.0], [4, 5, 6], [-3, 2, 2]], np.float32)
    np.testing.assert_allclose(interpolate(z + 10 * y + 100 * x, places), [324.0, 654.0, 220.0], rtol=1e-6)


def test_colours_are_those_of_the_companion() -> None:
    main = volume(48)
    x = np.indices((48,) * 3, dtype=np.float32)[2]
    companion = Volume(x, main.pixel_size_a, kind="std")
    mesh = coloured(surface(build_levels(main), 0.5), companion, (16.0, 32.0))
    assert mesh.colours is not None
    assert mesh.colour_range == (16.0, 32.0)
    lut = table("viridis") / 255
    left, right = mesh.vertices[:, 0].argmin(), mesh.vertices[:, 0].argmax()
    np.testing.assert_allclose(mesh.colours[left, :3], lut[0], atol=0.02)
    np.testing.assert_allclose(mesh.colours[right, :3], lut[-1], atol=0.02)
    low, high = coloured(mesh, companion).colour_range or (0, 0)
    assert 16 < low < 18
    assert 30 < high < 32


def test_colours_of_one_value_have_a_range() -> None:
    low, high = limits_of(np.full(10, 3.0))
    assert low < 3.0 < high
    assert limits_of([]) == (0.0, 1.0)
