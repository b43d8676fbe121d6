"""Colour tables: ordered by lightness, symmetric where a difference is shown, and the same ends everywhere."""

import numpy as np
import pytest

from core.images.colour import DIVERGING, LUTS, colours, table

SEQUENTIAL = [lut for lut in LUTS if lut not in DIVERGING]


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIELAB L* of (n, 3) uint8 sRGB colours."""
    part = rgb / 255.0
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126729, 0.7151522, 0.0721750]
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


def rgb(packed: np.ndarray) -> np.ndarray:
    return np.stack([(packed >> shift) & 255 for shift in (16, 8, 0)], axis=1).astype(np.uint8)


@pytest.mark.parametrize("lut", LUTS)
def test_256_opaque_colours_that_cannot_be_spoilt(lut: str) -> None:
    packed = colours(lut)
    assert (packed.shape, packed.dtype) == ((256,), np.uint32)
    assert np.all(packed >> 24 == 255)
    np.testing.assert_array_equal(rgb(packed), table(lut))
    with pytest.raises(ValueError):
        packed[0] = 0


@pytest.mark.parametrize("lut", SEQUENTIAL)
def test_sequential_tables_grow_lighter_all_the_way(lut: str) -> None:
    steps = np.diff(lightness(table(lut)))
    assert steps.min() > -0.5, "a step darker: rounding to 8 bits moves L* by less than this"
    assert lightness(table(lut))[-1] - lightness(table(lut))[0] > 55
    # Perceptual: no part of the range takes more than its share of the lightness.
    assert np.diff(lightness(table(lut))[::16]).min() > 0


@pytest.mark.parametrize(
    ("lut", "first", "last"),
    [
        ("grey", 0x000000, 0xFFFFFF),
        ("viridis", 0x440154, 0xFDE725),
        ("magma", 0x000004, 0xFCFDBF),
        ("inferno", 0x000004, 0xFCFFA4),
        ("cividis", 0x00204D, 0xFFEA46),
    ],
)
def test_ends_are_the_published_ones(lut: str, first: int, last: int) -> None:
    ends = rgb(colours(lut)[[0, -1]]).astype(int)
    wanted = rgb(np.array([first, last])).astype(int)
    assert np.abs(ends - wanted).max() <= 1  # published as decimals: one step of rounding


def test_the_diverging_table_treats_both_signs_alike() -> None:
    light = lightness(table("diverging"))
    np.testing.assert_allclose(light, light[::-1], atol=1.0)
    assert np.diff(light[:128]).min() > 0  # white in the middle, darker outwards
    assert light[127] > 95
    blue, white, red = table("diverging")[[0, 127, 255]].astype(int)
    assert blue[2] - blue[0] > 90
    assert red[0] - red[2] > 90
    assert white.min() > 240


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_gamma_never_moves_the_zero_of_a_difference(gamma: float) -> None:
    light = lightness(rgb(colours("diverging", gamma)))
    np.testing.assert_allclose(light, light[::-1], atol=1.0)
    assert light.argmax() in (127, 128)
    np.testing.assert_array_equal(colours("diverging", gamma)[[0, -1]], colours("diverging")[[0, -1]])


@pytest.mark.parametrize("lut", LUTS)
@pytest.mark.parametrize("gamma", [0.6, 1.0, 1.7])
def test_inversion_turns_the_table_over(lut: str, gamma: float) -> None:
    np.testing.assert_array_equal(colours(lut, gamma, True), colours(lut, gamma)[::-1])


def test_gamma_brightens_the_middle_and_keeps_the_ends() -> None:
    for lut in SEQUENTIAL:
        plain, bent = lightness(rgb(colours(lut))), lightness(rgb(colours(lut, 2.0)))
        assert bent[100] > plain[100]
        np.testing.assert_array_equal(colours(lut, 2.0)[[0, -1]], colours(lut)[[0, -1]])


def test_grey_is_the_8_bit_conversion() -> None:
    from core.images.contrast import lookup_table

    for gamma, invert in [(1.0, False), (1.8, True)]:
        np.testing.assert_array_equal(rgb(colours("grey", gamma, invert))[:, 0], lookup_table(gamma, invert))


def test_unknown_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="rainbow"):
        colours("rainbow")
