"""MRC files: every mode, both byte orders, damage, and what a written file says to other programs."""

import bz2
import errno
import gzip
import logging
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile

from core.errors import AppError, InputError, ResourceError
from core.io.mrc import MrcStackWriter, open_mrc, read_header, read_image, write_mrc

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
real_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared real data are not on this machine")

TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


def coordinates(ny=5, nx=7, dtype="f4"):
    """Value 10 y + x: shows every swap, flip and shift."""
    return (10 * np.arange(ny)[:, None] + np.arange(nx)).astype(dtype)


def make(path, data, pixel=1.5):
    with mrcfile.new(path, overwrite=True) as out:
        out.set_data(data)
        if data.ndim == 3:
            out.set_image_stack()
        out.voxel_size = pixel
    return path


def patch(path, offset, raw):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(raw)] = raw
    path.write_bytes(content)


@pytest.mark.parametrize(("mode", "dtype"), TYPES.items())
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_mode_in_both_byte_orders(tmp_path, mode, dtype, order):
    data = coordinates(dtype=dtype).astype(np.dtype(dtype).newbyteorder(order))
    path = make(tmp_path / "a.mrc", data)
    info = read_header(path)
    assert (info.shape, info.mode, info.is_stack) == ((1, 5, 7), mode, False)
    assert info.pixel_size_a == pytest.approx(1.5)
    opened = open_mrc(path)
    assert isinstance(opened, np.memmap)
    np.testing.assert_array_equal(opened, data)
    image = read_image(path)
    assert image.dtype == np.float32
    assert image.dtype.isnative
    assert image.flags.c_contiguous
    assert image.flags.owndata
    assert image[3, 6] == 36  # row 3, column 6
    np.testing.assert_array_equal(image, coordinates())


def test_rows_are_read_in_blocks_without_seams(tmp_path, monkeypatch):
    monkeypatch.setattr("core.io.finite.BLOCK_BYTES", 64)
    for dtype in ("f4", "u2"):
        path = make(tmp_path / f"{dtype}.mrc", coordinates(33, 9, dtype))
        np.testing.assert_array_equal(read_image(path), coordinates(33, 9))


@pytest.mark.parametrize(("suffix", "opener"), [(".gz", gzip.open), (".bz2", bz2.open)])
def test_compressed_stacks(tmp_path, suffix, opener):
    stack = np.stack([coordinates(dtype="i2") + 100 * k for k in range(3)])
    plain = make(tmp_path / "a.mrcs", stack)
    packed = tmp_path / f"a.mrcs{suffix}"
    with opener(packed, "wb") as out:
        out.write(plain.read_bytes())
    assert read_header(packed).shape == (3, 5, 7)
    assert read_header(packed).compressed
    np.testing.assert_array_equal(open_mrc(packed), stack)
    np.testing.assert_array_equal(read_image(packed, 2), stack[2])


def test_stack_section_by_index(tmp_path):
    stack = np.stack([coordinates() + 100 * k for k in range(3)])
    path = make(tmp_path / "a.mrcs", stack)
    assert read_header(path).is_stack
    np.testing.assert_array_equal(read_image(path, 1), stack[1])
    with pytest.raises(InputError, match=r"a\.mrcs has 3 image"):
        read_image(path, 3)


@pytest.mark.parametrize("pixel", [0.0, float("nan"), -1.0])
def test_unknown_pixel_size_is_none(tmp_path, pixel):
    path = make(tmp_path / "a.mrc", coordinates(), 0)
    patch(path, 40, np.float32(pixel).tobytes())
    assert read_header(path).pixel_size_a is None


def test_missing_map_stamp_and_wrong_machine_stamp_are_tolerated(tmp_path):
    path = make(tmp_path / "a.mrc", coordinates())
    patch(path, 208, bytes(8))
    np.testing.assert_array_equal(read_image(path), coordinates())
    patch(path, 212, b"\x11\x11\0\0")  # says big-endian, is little-endian
    np.testing.assert_array_equal(read_image(path), coordinates())


def test_unsigned_bytes_by_imod_flag_or_by_statistics(tmp_path):
    values = np.array([[0, 100, 200, 255]], np.uint8)
    path = make(tmp_path / "imod.mrc", values.view(np.int8))
    patch(path, 152, np.array([1146047817, 0], "<i4").tobytes())
    np.testing.assert_array_equal(read_image(path), values)
    path = make(tmp_path / "old.mrc", values.view(np.int8))
    patch(path, 76, np.array([0, 255, 138], "<f4").tobytes())
    np.testing.assert_array_equal(read_image(path), values)
    path = make(tmp_path / "signed.mrc", values.view(np.int8))
    assert read_image(path).min() < 0


def test_nan_and_infinity_become_the_finite_median(tmp_path, caplog):
    data = coordinates()
    data[0, 0], data[1, 1], data[2, 2] = np.nan, np.inf, -np.inf
    path = make(tmp_path / "bad.mrc", data)
    with caplog.at_level(logging.WARNING):
        image = read_image(path)
    expected = np.median(data[np.isfinite(data)])
    assert image[0, 0] == image[1, 1] == image[2, 2] == pytest.approx(expected)
    assert "3 of 35 pixels are not finite" in caplog.text
    assert "bad.mrc" in caplog.text
    np.testing.assert_array_equal(image[3:], data[3:])


def broken_files(folder):
    good = make(folder / "good.mrc", coordinates())
    whole = good.read_bytes()
    packed = gzip.compress(whole)
    files = {
        "empty.mrc": b"",
        "short.mrc": whole[:500],
        "cut.mrc": whole[:-1],
        "text.mrc": b"not an image at all " * 100,
        "complex.mrc": whole[:12] + np.int32(4).tobytes() + whole[16:],
        "complex_int.mrc": whole[:12] + np.int32(3).tobytes() + whole[16:],
        "colour.mrc": whole[:12] + np.int32(16).tobytes() + whole[16:],
        "strange.mrc": whole[:12] + np.int32(77).tobytes() + whole[16:],
        "negative.mrc": np.int32(-7).tobytes() + whole[4:],
        "cut.mrc.gz": packed[: len(packed) // 2],
        "wrong.mrc.gz": gzip.compress(whole[:-1]),
        "corrupt.mrc.gz": packed[:20] + b"\xff" * 40 + packed[60:],
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [*files, "missing.mrc", "."]


def test_bad_files_are_refused_in_one_sentence(tmp_path):
    for name in broken_files(tmp_path):
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        assert Path(tmp_path / name).name in caught.value.message, name
        assert "\n" not in caught.value.message
        assert caught.value.hint, name


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_written_image_is_valid_and_says_what_it_is(tmp_path, dtype):
    data = coordinates(64, 48) - 100
    path = tmp_path / "out.mrc"
    write_mrc(path, data, 1.25, dtype=dtype, label="predict model.safetensors")
    if dtype == "float32":
        assert mrcfile.validate(path)
    with mrcfile.open(path) as got:
        np.testing.assert_array_equal(got.data, data)
        assert got.data.shape == (64, 48)
        assert float(got.voxel_size.x) == pytest.approx(1.25)
        assert float(got.header.dmean) == pytest.approx(data.mean())
        assert float(got.header.rms) == pytest.approx(data.std(), rel=1e-5)
        assert (float(got.header.dmin), float(got.header.dmax)) == (data.min(), data.max())
    assert read_header(path).labels == ("Vitreous predict model.safetensors",)
    np.testing.assert_array_equal(read_image(path), data)


def test_header_of_the_original_is_kept(tmp_path):
    source = tmp_path / "in.mrc"
    with mrcfile.new(source) as out:
        out.set_data(coordinates(dtype="u2"))
        out.voxel_size = 0.83
        out.header.origin.x = 12.5
        out.set_extended_header(np.frombuffer(b"EXTENDED" * 16, "V1"))
        out.header.exttyp = b"SERI"
        out.add_label("from the microscope")
    write_mrc(tmp_path / "out.mrc", coordinates(), like=source, label="predict")
    with mrcfile.open(tmp_path / "out.mrc") as got:
        assert float(got.voxel_size.x) == pytest.approx(0.83)
        assert float(got.header.origin.x) == 12.5
        assert got.extended_header.tobytes() == b"EXTENDED" * 16
        assert bytes(got.header.exttyp) == b"SERI"
        labels = [label for label in got.get_labels() if "microscope" in label or "Vitreous" in label]
        assert len(labels) == 2
        assert got.header.mode == 2
        np.testing.assert_array_equal(got.data, coordinates())


def test_labels_stay_within_ten_of_eighty_characters(tmp_path):
    path = tmp_path / "a.mrc"
    write_mrc(path, coordinates(), 1.0, label="0")
    for number in range(1, 13):
        write_mrc(path, coordinates(), like=path, label=f"{number} " + "x" * 200)
    labels = read_header(path).labels
    assert len(labels) == 10
    assert max(map(len, labels)) <= 80
    assert labels[-1].startswith("Vitreous 12 ")
    assert mrcfile.validate(path)


def test_big_endian_original_gives_a_little_endian_file(tmp_path):
    source = make(tmp_path / "big.mrc", coordinates(dtype=">f4"), 2.0)
    write_mrc(tmp_path / "out.mrc", coordinates(), like=source)
    assert mrcfile.validate(tmp_path / "out.mrc")
    assert read_header(tmp_path / "out.mrc").pixel_size_a == pytest.approx(2.0)


def test_a_tiff_original_lends_no_header(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", coordinates())
    write_mrc(tmp_path / "out.mrc", coordinates(), 1.1, like=tmp_path / "in.tif")
    assert mrcfile.validate(tmp_path / "out.mrc")
    assert read_header(tmp_path / "out.mrc").pixel_size_a == pytest.approx(1.1)


def test_float16_clips_instead_of_writing_infinities(tmp_path):
    write_mrc(tmp_path / "a.mrc", np.array([[1e6, -1e6, 3.0]], np.float32), 1.0, dtype="float16")
    assert read_image(tmp_path / "a.mrc").tolist() == [[65504.0, -65504.0, 3.0]]


def test_stack_writer_streams_and_counts(tmp_path):
    rng = np.random.default_rng(1)
    images = rng.normal(1e4, 1.0, (5, 8, 6)).astype(np.float32)
    path = tmp_path / "s.mrcs"
    with MrcStackWriter(path, 9, 8, 6, 1.5, label="forward s1") as writer:
        for image in images:
            writer.append(image)
        assert not path.exists()
    assert mrcfile.validate(path)
    with mrcfile.open(path) as got:
        assert got.is_image_stack()
        np.testing.assert_array_equal(got.data, images)
        assert float(got.voxel_size.x) == pytest.approx(1.5)
        assert float(got.header.rms) == pytest.approx(images.std(dtype=np.float64), rel=1e-4)


def test_stack_writer_leaves_nothing_after_an_exception_or_without_images(tmp_path):
    with pytest.raises(KeyError), MrcStackWriter(tmp_path / "a.mrcs", 2, 4, 4) as writer:  # noqa: PT012
        writer.append(np.zeros((4, 4), np.float32))
        raise KeyError
    with pytest.raises(InputError, match=r"b\.mrcs"), MrcStackWriter(tmp_path / "b.mrcs", 0, 4, 4):
        pass
    with pytest.raises(ValueError), MrcStackWriter(tmp_path / "c.mrcs", 1, 4, 4) as writer:
        writer.append(np.zeros((4, 5), np.float32))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_in_the_middle_of_a_stack_is_a_sentence(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    stack = MrcStackWriter(tmp_path / "s.mrcs", 2, 4, 4)
    with pytest.raises(ResourceError, match=r"s\.mrcs"), stack as writer:  # noqa: PT012
        writer.append(np.zeros((4, 4), np.float32))
        monkeypatch.setattr("core.io.mrc_write._write_section", full)
        writer.append(np.zeros((4, 4), np.float32))
    with pytest.raises(ResourceError, match=r"o\.mrc"):
        write_mrc(tmp_path / "o.mrc", coordinates(), 1.0)
    assert list(tmp_path.iterdir()) == []


@real_data
@pytest.mark.parametrize(
    ("name", "shape", "mode", "pixel"),
    [
        ("formats/mode0_int8.mrc", (1, 1200, 1240), 0, 1.5),
        ("formats/mode0_int8.mrc.gz", (1, 1200, 1240), 0, 1.5),
        ("formats/mode12_float16.mrc", (1, 1200, 1240), 12, 1.5),
        ("formats/mode1_int16_odd.mrc", (1, 1199, 1237), 1, 1.5),
        ("formats/mode2_float32_bigendian.mrc", (1, 600, 620), 2, 1.5),
        ("particles/relion31.mrcs", (5, 256, 256), 2, None),  # 1 A, and nothing vouches for it
        ("particles/empiar_10076_7.mrc", (7, 320, 320), 2, None),
        ("micrographs/epu2.9_example.mrc", (1, 4096, 4096), 6, 0.66655),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_real_files_agree_with_mrcfile(name, shape, mode, pixel):
    path = SHARED / name
    info = read_header(path)
    assert (info.shape, info.mode) == (shape, mode)
    assert info.pixel_size_a == (None if pixel is None else pytest.approx(pixel, rel=1e-4))
    with mrcfile.open(path, permissive=True) as other:
        np.testing.assert_array_equal(read_image(path), other.data.reshape(shape)[0].astype(np.float32))


@real_data
def test_real_extended_header_survives(tmp_path):
    source = SHARED / "micrographs/epu2.9_example.mrc"
    write_mrc(tmp_path / "o.mrc", np.zeros((4096, 4096), np.float32), like=source)
    with (
        mrcfile.open(tmp_path / "o.mrc", header_only=True) as got,
        mrcfile.open(source, header_only=True) as was,
    ):
        assert got.extended_header.tobytes() == was.extended_header.tobytes()
        assert bytes(got.header.exttyp) == bytes(was.header.exttyp)
    with pytest.raises(AppError):
        read_image(tmp_path / "o.mrc", 1)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"x" * 2000])
def test_a_bad_file_is_named_with_its_folder(tmp_path, content):
    path = tmp_path / "a.mrc"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_header(path)
    assert str(path) in caught.value.message
