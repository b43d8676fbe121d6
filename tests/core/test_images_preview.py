"""Reading straight into levels, previews, thumbnails and galleries: the same pixels as the slow and simple way."""

import gzip
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.images.gallery import montage_frames
from core.images.preview import less_noise, preview_pyramid, row_means, thumbnail
from core.images.pyramid import Cancelled, build_pyramid
from core.images.resample import sample_window
from core.images.source import open_source
from core.images.streamed import load_pyramid
from core.io import rows
from core.io.mrc import read_image

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
real_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real data are not on this machine")
DTYPES = ("<f4", ">f4", "<f2", ">f2", "<i2", ">i2", "<u2", "i1")


def make(path, data):
    with mrcfile.new(path, overwrite=True) as out:
        out.set_data(data)
        if data.ndim == 3:
            out.set_image_stack()
        out.voxel_size = 1.5
    return path


def field(ny, nx, seed=0, noise=8.0):
    """Dark discs, an ice gradient and white noise much stronger than the discs."""
    rng = np.random.default_rng(seed)
    image = noise * rng.standard_normal((ny, nx), dtype=np.float32) + 0.004 * np.arange(nx, dtype=np.float32)
    yy, xx = np.mgrid[:80, :80]
    disc = 5.0 * (np.hypot(yy - 40, xx - 40) < 40)
    for y, x in zip(rng.integers(0, ny - 80, 40), rng.integers(0, nx - 80, 40), strict=True):
        image[y : y + 80, x : x + 80] -= disc
    return image


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(257, 1030), (640, 333), (1, 700), (700, 1), (3, 3)])
def test_levels_made_while_reading_are_those_made_afterwards(tmp_path, monkeypatch, dtype, shape):
    monkeypatch.setattr(rows, "BLOCK_BYTES", 4 * 1030 * 8)  # many blocks, the last one not full
    data = (20 * np.random.default_rng(0).standard_normal(shape)).astype(np.dtype(dtype))
    source = open_source(make(tmp_path / "a.mrc", data))
    pyramid = load_pyramid(source)
    expected = build_pyramid(data.astype(np.float32))
    assert (pyramid.name, pyramid.n, pyramid.index, pyramid.shape) == ("a.mrc", 1, 0, shape)
    assert len(pyramid.levels) == len(expected.levels)
    for got, wanted in zip(pyramid.levels, expected.levels, strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert pyramid.grey_ranges == expected.grey_ranges
    np.testing.assert_array_equal(source.read(), pyramid.levels[0])


def test_every_float16_is_converted_exactly():
    values = np.arange(65536, dtype=np.uint16).view(np.float16)
    for order in "<>":
        for some in (values, values[np.isfinite(values)]):
            out = np.empty(some.size, np.float32)
            rows.to_float32(some.astype(np.dtype(np.float16).newbyteorder(order)), out)
            wanted = some.astype(np.float32)
            np.testing.assert_array_equal(out, wanted)
            np.testing.assert_array_equal(np.signbit(out), np.signbit(wanted))


@pytest.mark.parametrize("dtype", ["f4", "f2"])
def test_not_finite_pixels_leave_no_trace_in_any_level(tmp_path, dtype):
    data = field(600, 500, noise=1.0).astype(dtype)
    data[5, 7], data[300, 0], data[599, 499] = np.nan, np.inf, -np.inf
    path = make(tmp_path / "a.mrc", data)
    pyramid = load_pyramid(open_source(path))
    for got, wanted in zip(pyramid.levels, build_pyramid(read_image(path)).levels, strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_array_equal(got, wanted)


def test_packed_files_and_tiff_give_the_same_levels(tmp_path):
    data = field(700, 600).astype(np.int16)
    plain = make(tmp_path / "a.mrc", data)
    packed = tmp_path / "a.mrc.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    tifffile.imwrite(tmp_path / "plain.tif", data)
    tifffile.imwrite(tmp_path / "big.tif", data, byteorder=">")
    tifffile.imwrite(tmp_path / "strips.tif", data, compression="zlib", rowsperstrip=33)
    tifffile.imwrite(tmp_path / "tiles.tif", data, compression="zlib", tile=(128, 256), predictor=True)
    tifffile.imwrite(tmp_path / "plain_tiles.tif", data, tile=(128, 256))
    wanted = build_pyramid(data.astype(np.float32))
    layouts = {}
    for name in ("a.mrc", "a.mrc.gz", "plain.tif", "big.tif", "strips.tif", "tiles.tif", "plain_tiles.tif"):
        source = open_source(tmp_path / name)
        layouts[name] = source.rows()
        for level, expected in zip(load_pyramid(source).levels, wanted.levels, strict=True):
            np.testing.assert_array_equal(level, expected, err_msg=name)
    in_part = [name for name, layout in layouts.items() if layout is not None and layout.seekable]
    assert in_part == ["a.mrc", "plain.tif", "big.tif"]


def test_pages_and_frames_by_index(tmp_path):
    stack = np.stack([np.full((300, 280), k, np.float32) for k in range(5)])
    make(tmp_path / "s.mrcs", stack)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    packed = tmp_path / "s.mrcs.gz"
    packed.write_bytes(gzip.compress((tmp_path / "s.mrcs").read_bytes()))
    for name in ("s.mrcs", "s.tif", "s.mrcs.gz"):
        pyramid = load_pyramid(open_source(tmp_path / name), 3)
        assert (pyramid.index, pyramid.n) == (3, 5)
        assert all((level == 3).all() for level in pyramid.levels), name
        with pytest.raises(InputError):
            load_pyramid(open_source(tmp_path / name), 5)


@pytest.mark.parametrize("name", ["a.mrc", "a.mrc.gz", "a.tif", "packed.tif"])
def test_loading_stops_within_a_block(tmp_path, monkeypatch, name):
    monkeypatch.setattr(rows, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr("core.io.tiff.BLOCK_BYTES", 1 << 14)
    data = np.zeros((512, 512), np.float32)
    plain = make(tmp_path / "a.mrc", data)
    (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(plain.read_bytes()))
    tifffile.imwrite(tmp_path / "a.tif", data)
    tifffile.imwrite(tmp_path / "packed.tif", data, compression="zlib", rowsperstrip=8)
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 3

    with pytest.raises(Cancelled):
        load_pyramid(open_source(tmp_path / name), 0, cancelled)
    assert len(asked) <= 5


def test_a_file_that_shrinks_is_a_sentence(tmp_path):
    path = make(tmp_path / "a.mrc", np.zeros((512, 512), np.float32))
    source = open_source(path)
    layout = source.rows()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"a\.mrc is cut short"), rows.open_rows(layout) as reader:
        reader.read(0, np.empty((512, 512), np.float32))
    for function in (load_pyramid, preview_pyramid):
        with pytest.raises(InputError, match=r"a\.mrc is cut short"):
            function(source)


@given(st.integers(1, 70), st.sampled_from([1, 2, 4, 8, 16]))
def test_row_means_average_what_is_there(nx, side):
    data = np.random.default_rng(nx).standard_normal((3, nx)).astype(np.float32)
    wanted = [data[:, x : x + side].mean(axis=1) for x in range(0, nx, side)]
    np.testing.assert_allclose(row_means(data, side), np.stack(wanted, axis=1), atol=1e-6)


def preview_of(path, time_s=60.0, **options):
    pyramid = preview_pyramid(open_source(path), smallest=0, time_s=time_s, **options)
    assert pyramid is not None
    return pyramid


@settings(max_examples=25, deadline=None)
@given(st.integers(65, 700), st.integers(65, 700), st.sampled_from([0.0, 60.0]))
def test_previews_have_the_shape_of_the_levels_they_stand_for(tmp_path_factory, ny, nx, time_s):
    path = tmp_path_factory.mktemp("p") / "a.mrc"
    data = np.tile(np.linspace(0, 1, nx, dtype=np.float32), (ny, 1))
    preview = preview_of(make(path, data), time_s, longest=64)
    assert preview.finest > 0
    assert preview.shape == (ny, nx)
    for number, level in enumerate(preview.levels, preview.finest):
        assert level.shape == (-(-ny >> number), -(-nx >> number))
        assert np.isfinite(level).all()
        assert np.all(np.diff(level, axis=1) > 0)
        assert np.ptp(level, axis=0).max() < 1e-5
    if preview.levels[0].shape[1] > 1:
        assert 0.5 < preview.grey_ranges[0][1] <= 1.0


@pytest.mark.parametrize("noise", [0.5, 8.0])
def test_a_preview_looks_like_the_image_and_has_its_contrast(tmp_path, noise):
    data = field(2048, 2048, noise=noise)
    path = make(tmp_path / "a.mrc", data)
    whole, preview = build_pyramid(data), preview_of(path, longest=512)
    assert preview.finest == 2
    zoom = 150 / 2048
    views = [sample_window(pyramid, zoom, 0, 0, 150, 150).ravel() for pyramid in (whole, preview)]
    decimated = data[::13, ::13][:150, :150].ravel()
    correlation = np.corrcoef(*views)[0, 1]
    assert correlation > 0.8
    assert correlation > np.corrcoef(views[0], decimated)[0, 1] + (0.0 if noise < 1 else 0.3)
    for number in (2, 3):
        (black, white), (black2, white2) = whole.grey_ranges[number], preview.grey_ranges[number - 2]
        assert white2 - black2 == pytest.approx(white - black, rel=0.1)
        assert (white2 + black2) / 2 == pytest.approx((white + black) / 2, abs=0.06 * (white - black))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.floats(0.0, 9.0))
def test_taking_noise_away_keeps_shape_mean_and_plain_slopes(ny, nx, variance):
    rng = np.random.default_rng(ny * 91 + nx)
    noise = rng.standard_normal((ny, nx)).astype(np.float32)
    calm = less_noise(noise, variance)
    assert calm.shape == noise.shape
    assert calm.mean() == pytest.approx(noise.mean(), abs=0.1)
    assert calm.std() <= noise.std() * 1.001
    assert less_noise(noise, 0.0) is noise
    np.testing.assert_allclose(less_noise(np.full_like(noise, 7.0), variance), 7.0, rtol=1e-5)


@pytest.mark.parametrize("noise", [0.3, 1.0, 4.0])
def test_taking_noise_away_brings_the_picture_nearer_to_the_truth(noise):
    rng = np.random.default_rng(0)
    truth = field(512, 512, noise=0.3)
    noisy = truth + noise * rng.standard_normal(truth.shape, dtype=np.float32)
    calm = less_noise(noisy, noise**2)
    assert np.square(calm - truth).mean() < 0.95 * np.square(noisy - truth).mean()
    assert np.corrcoef(calm.ravel(), truth.ravel())[0, 1] > np.corrcoef(noisy.ravel(), truth.ravel())[0, 1]


def test_a_hasty_preview_is_coarser_but_has_the_right_contrast(tmp_path):
    data = np.random.default_rng(0).standard_normal((2048, 2048)).astype(np.float32)
    path = make(tmp_path / "a.mrc", data)
    hasty = preview_of(path, time_s=0.0, longest=1024)
    whole = build_pyramid(data)
    assert hasty.finest == 4
    black, white = hasty.grey_ranges[0]
    wanted = whole.levels[3].std() / 2 * 5.15
    assert hasty.levels[0].std() * 5.15 < 2 * wanted  # means of so few pixels spread over four times as much
    assert 0.5 * wanted < white - black < 2 * wanted


def test_not_finite_rows_do_not_spoil_a_preview(tmp_path):
    data = np.ones((1024, 1024), np.float32)
    data[100:110] = np.nan
    preview = preview_of(make(tmp_path / "a.mrc", data), longest=128)
    assert np.isfinite(preview.levels[0]).all()
    assert preview.levels[0][-1, -1] == 1


def test_what_has_no_preview(tmp_path):
    small = make(tmp_path / "small.mrc", np.zeros((512, 512), np.int8))
    assert preview_pyramid(open_source(small)) is None
    packed = tmp_path / "p.mrc.gz"
    packed.write_bytes(gzip.compress(small.read_bytes()))
    assert preview_pyramid(open_source(packed), smallest=0) is None
    tifffile.imwrite(tmp_path / "p.tif", np.zeros((512, 512), np.int8), compression="zlib")
    assert preview_pyramid(open_source(tmp_path / "p.tif"), smallest=0) is None


def test_a_preview_can_be_cancelled(tmp_path):
    path = make(tmp_path / "a.mrc", np.zeros((512, 512), np.float32))
    with pytest.raises(Cancelled):
        preview_pyramid(open_source(path), 0, lambda: True, smallest=0)


@real_data
def test_a_preview_of_a_real_micrograph():
    path = SHARED / "micrographs" / "epu2.9_example.mrc"
    whole, preview = load_pyramid(open_source(path)), preview_of(path)
    views = [sample_window(pyramid, 900 / 4096, 0, 0, 900, 900).ravel() for pyramid in (whole, preview)]
    assert np.corrcoef(*views)[0, 1] > 0.8
    (black, white), (black2, white2) = whole.grey_ranges[preview.finest], preview.grey_ranges[0]
    assert white2 - black2 == pytest.approx(white - black, rel=0.05)


def test_thumbnails_fit_keep_the_aspect_and_show_the_picture(tmp_path):
    data = field(1500, 1100, noise=1.0)
    plain = make(tmp_path / "a.mrc", data)
    packed = tmp_path / "a.mrc.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes(), 1))
    pictures = [thumbnail(path, 120)[0] for path in (plain, packed)]
    assert pictures[0].shape == pictures[1].shape == (120, 88)
    assert np.corrcoef(pictures[0].ravel(), pictures[1].ravel())[0, 1] > 0.95
    image, (black, white) = thumbnail(make(tmp_path / "tiny.mrc", data[:30, :40]), 120)
    assert image.shape == (30, 40)
    assert image.min() <= black < white <= image.max()
    with pytest.raises(Cancelled):
        thumbnail(packed, 120, lambda: True)
    with pytest.raises(InputError):
        thumbnail(tmp_path / "missing.mrc", 120)


@pytest.mark.parametrize("bin", [1, 2, 3, 64, 100])
def test_a_gallery_holds_binned_frames(tmp_path, monkeypatch, bin):
    monkeypatch.setattr("core.images.gallery.BLOCK_BYTES", 3 * 4 * 64 * 50)
    stack = np.random.default_rng(0).standard_normal((11, 64, 50)).astype(np.float32)
    make(tmp_path / "s.mrcs", stack)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack")
    (tmp_path / "s.mrcs.gz").write_bytes(gzip.compress((tmp_path / "s.mrcs").read_bytes()))
    wanted = np.stack(
        [
            [[f[y : y + bin, x : x + bin].mean() for x in range(0, 50, bin)] for y in range(0, 64, bin)]
            for f in stack[4:11]
        ]
    )
    for name in ("s.mrcs", "s.tif", "s.mrcs.gz"):
        frames = montage_frames(tmp_path / name, 4, 100, bin)
        assert frames.dtype == np.float32
        np.testing.assert_allclose(frames, wanted, atol=1e-5, err_msg=name)
    assert montage_frames(tmp_path / "s.mrcs", 2, 3, bin).shape[0] == 3


def test_a_gallery_mends_names_what_is_missing_and_stops(tmp_path):
    stack = np.ones((3, 8, 8), np.float32)
    stack[1, 0, 0] = np.nan
    path = make(tmp_path / "s.mrcs", stack)
    assert (montage_frames(path, 0, 3, 2) == 1).all()
    for first in (-1, 3):
        with pytest.raises(InputError, match=r"s\.mrcs has 3 image"):
            montage_frames(path, first, 1)
    with pytest.raises(Cancelled):
        montage_frames(path, cancelled=lambda: True)


@real_data
def test_a_gallery_of_real_particles():
    path = SHARED / "particles" / "empiar_10076_7.mrc"
    frames = montage_frames(path, 1, 50, 4)
    assert frames.shape == (6, 80, 80)
    np.testing.assert_allclose(frames[2], read_image(path, 3).reshape(80, 4, 80, 4).mean(axis=(1, 3)), atol=1e-4)
