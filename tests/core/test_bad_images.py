"""Image files as laboratories have them: each is opened, or refused in one sentence that says what to do next."""

import bz2
import errno
import gzip
import os
import re
import struct
import time
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from eer_file import BITS, write_eer

from core.errors import AppError, InputError, ResourceError
from core.images.single import Notes, open_single, read_single
from core.images.source import list_micrographs, open_source
from core.images.statistics import describe
from core.images.streamed import load_pyramid
from core.io.mrc import open_mrc, read_header, read_image, write_mrc
from core.io.rows import read_rows
from core.io.tiff_write import write_tiff

NX, NY = 96, 64
NSYMBT, MODE, MAP = 92, 12, 208
LIMIT_S = 2.0


def picture(ny=NY, nx=NX):
    return np.random.default_rng(4).normal(10, 2, (ny, nx)).astype(np.float32)


def whole() -> bytes:
    """A good MRC file of 96 x 64 float32 pixels, without our label."""
    header = np.zeros((), mrcfile.dtypes.HEADER_DTYPE)
    header["nx"], header["ny"], header["nz"], header["mode"] = NX, NY, 1, 2
    header["mx"], header["my"], header["mz"] = NX, NY, 1
    header["cella"]["x"] = header["cella"]["y"] = 1.5 * NX
    header["map"], header["machst"] = b"MAP ", [0x44, 0x44, 0, 0]
    return header.tobytes() + picture().tobytes()


def with_ints(at: int, *values: int, content: bytes | None = None) -> bytes:
    content = whole() if content is None else content
    raw = np.array(values, "<i4").tobytes()
    return content[:at] + raw + content[at + len(raw) :]


def tiff_bytes(tmp: Path, **options) -> bytes:
    tifffile.imwrite(tmp / "made.tif", picture(), **options)
    return (tmp / "made.tif").read_bytes()


def broken_crc() -> bytes:
    packed = bytearray(gzip.compress(whole()))
    packed[-8] ^= 0xFF
    return bytes(packed)


def promised_terabytes() -> bytes:
    return gzip.compress(with_ints(0, 1 << 20, 1 << 19, 1)[:1024] + bytes(1000))


def lying_tiff(tmp: Path, compression: str) -> bytes:
    """The tags of a small compressed picture claim sides of 900 000 px."""
    content = bytearray(tiff_bytes(tmp, compression=compression, bigtiff=True))
    with tifffile.TiffFile(tmp / "made.tif") as tif:
        for code in (256, 257, 278):
            at = tif.pages[0].tags[code].offset
            content[at : at + 20] = struct.pack("<HHQQ", code, 4, 1, 900_000)
    return bytes(content)


# name of the file, how it is made, words of the sentence
REFUSED = [
    ("empty.mrc", lambda tmp: b"", r"is empty \(0 bytes\)"),
    ("short.mrc", lambda tmp: whole()[:500], r"cut short \(500 of 1024 header bytes\)"),
    ("page.mrc", lambda tmp: b"\n<!DOCTYPE html><html>" + b"Login please " * 200, "looks like a web page"),
    ("text.mrc", lambda tmp: "Größe: not an image\n".encode() * 90, "looks like a text file"),
    ("short_text.mrc", lambda tmp: b"Error 404: there is no such file", "looks like a text file"),
    ("noise.mrc", lambda tmp: np.random.default_rng(1).bytes(5000), "is not an MRC file"),
    ("tiff.tif.gz", lambda tmp: gzip.compress(tiff_bytes(tmp)), "holds a TIFF inside the compressed file"),
    ("cut.mrc", lambda tmp: whole()[:13312], "cut short: its header promises 25600 bytes and only 13312 are there"),
    ("overflow.mrc", lambda tmp: with_ints(0, *[2_000_000_000] * 3), "claims 2000000000 x 2000000000 x 2000000000"),
    ("large.mrc", lambda tmp: with_ints(0, 1 << 20, 1 << 20, 2), "claims 1048576 x 1048576 x 2 pixels: damaged"),
    ("negative.mrc", lambda tmp: with_ints(0, -96), r"damaged header \(nx = -96\)"),
    ("zero.mrc", lambda tmp: with_ints(4, 0), r"damaged header \(ny = 0\)"),
    ("zeros.mrc", lambda tmp: bytes(4096), r"damaged header \(nx = 0\)"),
    ("nsymbt.mrc", lambda tmp: with_ints(NSYMBT, -5), r"damaged header \(nsymbt = -5\)"),
    ("extended.mrc", lambda tmp: with_ints(NSYMBT, 2**31 - 1), "extended header of 2147483647 bytes"),
    ("extended.mrc.gz", lambda tmp: gzip.compress(with_ints(NSYMBT, 2**31 - 1)), "extended header of 2147483647"),
    ("mode.mrc", lambda tmp: with_ints(MODE, 154285104), r"unsupported or damaged \(mode 154285104\)"),
    ("complex.mrc", lambda tmp: with_ints(MODE, 4), r"mode 4\), a Fourier transform"),
    ("complex_int.mrc", lambda tmp: with_ints(MODE, 3), r"mode 3\), a Fourier transform"),
    ("colour.mrc", lambda tmp: with_ints(MODE, 16), r"an RGB colour image \(mode 16\)"),
    ("cut.mrc.gz", lambda tmp: gzip.compress(whole())[:9000], r"compressed file is damaged \(ended early\)"),
    ("cut.mrc.bz2", lambda tmp: bz2.compress(whole())[:9000], r"compressed file is damaged \(ended early\)"),
    ("tail.mrc.gz", lambda tmp: gzip.compress(whole())[:-6], r"compressed file is damaged \(ended early\)"),
    ("crc.mrc.gz", lambda tmp: broken_crc(), r"compressed file is damaged \(checksum\)"),
    ("terabytes.mrc.gz", lambda tmp: promised_terabytes(), "claims 2199023256576 bytes, more than a compressed file"),
    ("deflate.tif", lambda tmp: lying_tiff(tmp, "deflate"), "tags claim 900000 x 900000 pixels"),
    ("lzw.tif", lambda tmp: lying_tiff(tmp, "lzw"), "tags claim 900000 x 900000 pixels"),
    ("movie.eer", lambda tmp: whole(), "is not an EER movie"),
]


@pytest.mark.parametrize(("name", "make", "words"), REFUSED, ids=[name for name, *_ in REFUSED])
def test_refused_in_one_sentence(tmp_path, name, make, words):
    path = tmp_path / name
    path.write_bytes(make(tmp_path))
    began = time.perf_counter()
    with pytest.raises(InputError, match=words) as caught:
        open_source(path).read()
    assert time.perf_counter() - began < LIMIT_S
    assert name in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("name", ["f.mrc", "f.mrc.gz", "f.mrc.bz2", "f.tif", "lzw.tif", "zstd.tif", "f.eer"])
def test_flipped_bytes_and_cuts_end_in_a_picture_or_a_sentence(tmp_path, name):
    """Damage at random, more of it in the header: nothing but an AppError ever comes out."""
    write_eer(tmp_path / "made.eer", np.random.default_rng(0).random((2, 16, 32)) < 0.05)
    good = {
        "f.mrc": whole(),
        "f.mrc.gz": gzip.compress(whole()),
        "f.mrc.bz2": bz2.compress(whole()),
        "f.tif": tiff_bytes(tmp_path),
        "lzw.tif": tiff_bytes(tmp_path, compression="lzw"),
        "zstd.tif": tiff_bytes(tmp_path, compression="zstd", tile=(32, 48)),
        "f.eer": (tmp_path / "made.eer").read_bytes(),
    }[name]
    rng = np.random.default_rng(len(name))
    refused: list[AppError] = []
    for _ in range(120):
        content = bytearray(good)
        for _ in range(int(rng.integers(1, 5))):
            content[rng.integers(min(len(good), rng.choice([64, 256, len(good)])))] = rng.integers(256)
        (tmp_path / name).write_bytes(content[: rng.integers(len(good))] if rng.random() < 0.2 else content)
        try:
            pyramid = load_pyramid(open_source(tmp_path / name))
        except AppError as err:
            refused.append(err)
        else:
            assert np.isfinite(pyramid.levels[0]).all()
    assert len(refused) > 10
    assert all(err.hint and "\n" not in err.message for err in refused)


def test_memory_is_asked_for_before_it_is_taken(tmp_path):
    path = tmp_path / "many.mrc.bz2"
    path.write_bytes(bz2.compress(with_ints(0, 1 << 20, 1 << 19, 1)))
    with pytest.raises(ResourceError, match=r"many\.mrc\.bz2 needs .* GiB of memory"):
        open_source(path).read()


# name of the file, how it is made, what the user is told ("" when nothing)
OPENED = [
    ("plain.mrc", lambda tmp: whole(), ""),
    ("trailing.mrc", lambda tmp: whole() + b"more" * 100, ""),
    ("stamp.mrc", lambda tmp: whole()[:MAP] + bytes(8) + whole()[216:], "no MAP stamp"),
    ("machine.mrc", lambda tmp: whole()[: MAP + 4] + bytes(4) + whole()[216:], r"machine stamp \(00 00\) is unknown"),
    ("wrong.mrc", lambda tmp: whole()[: MAP + 4] + b"\x11\x11\0\0" + whole()[216:], "machine stamp is wrong"),
    ("packed.mrc", lambda tmp: gzip.compress(whole()), r"compressed \(gzip\), whatever its name says"),
    ("plain.mrc.gz", lambda tmp: whole(), "not compressed, whatever its name says"),
    ("good.mrc.gz", lambda tmp: gzip.compress(whole()), ""),
    ("good.mrc.bz2", lambda tmp: bz2.compress(whole()), ""),
    ("members.mrc.gz", lambda tmp: gzip.compress(whole()[:9999]) + gzip.compress(whole()[9999:]), ""),
    ("members.mrc.bz2", lambda tmp: bz2.compress(whole()[:9999]) + bz2.compress(whole()[9999:]), ""),
    ("padded.mrc.gz", lambda tmp: gzip.compress(whole()) + bytes(512) + b"tape", ""),
    ("tiff.mrc", tiff_bytes, "it is a TIFF file, whatever its name says"),
    ("mrc.tif", lambda tmp: whole(), "it is an MRC file, whatever its name says"),
    ("deflate.tif", lambda tmp: tiff_bytes(tmp, compression="deflate", predictor=True), ""),
    ("lzw.tif", lambda tmp: tiff_bytes(tmp, compression="lzw"), ""),
    ("zstd.tif", lambda tmp: tiff_bytes(tmp, compression="zstd", tile=(32, 48)), ""),
    ("tiles.tif", lambda tmp: tiff_bytes(tmp, tile=(16, 16)), ""),
    ("two words.mrc", lambda tmp: whole(), ""),
    ("Größe_測.mrc", lambda tmp: whole(), ""),
]


@pytest.mark.parametrize(("name", "make", "words"), OPENED, ids=[name for name, *_ in OPENED])
def test_opened_and_told_once(tmp_path, name, make, words):
    path = tmp_path / name
    path.write_bytes(make(tmp_path))
    told: list[str] = []
    notes = Notes(told.append)
    for _ in range(2):
        np.testing.assert_array_equal(read_single(path, notes).image, picture())
    assert len(told) == (1 if words else 0), told
    pyramid = load_pyramid(open_source(path))
    np.testing.assert_array_equal(pyramid.levels[0], picture())
    shown = [text for _, rows in describe(path, pyramid) for title, text in rows if title == "Note"]
    assert len(shown) == len(told)
    if words:
        assert name in told[0]
        assert told[0] == f"{name}: {shown[0]}."
        assert re.search(words, told[0])


def test_a_bomb_is_read_no_further_than_its_image(tmp_path):
    path = tmp_path / "bomb.mrc.gz"
    packer = gzip.GzipFile(path, "wb", compresslevel=1)
    packer.write(whole())
    for _ in range(64):
        packer.write(bytes(1 << 20))
    packer.close()
    read: list[int] = []
    source = open_source(path)
    layout = source.rows()
    assert layout is not None
    assert layout.opener is not None

    class Counting:
        def __init__(self):
            self.stream = layout.opener()

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def readinto(self, view):
            read.append(self.stream.readinto(view))
            return read[-1]

        def read(self, size):
            read.append(size)
            return self.stream.read(size)

    np.testing.assert_array_equal(read_rows(replace(layout, opener=Counting)), picture())
    assert sum(read) <= len(whole()) + (1 << 20)


# -- what pixels may be ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nx", [1, 2, 7, 96])
@pytest.mark.parametrize("name", ["n.mrc", "n.mrcs.gz"])
def test_four_bits(tmp_path, name, nx):
    """Mode 101: the low half of a byte is the first pixel, and every row begins a byte."""
    values = np.random.default_rng(2).integers(0, 16, (3, 5, nx), np.uint8)
    even = np.zeros((3, 5, nx + nx % 2), np.uint8)
    even[..., :nx] = values
    content = with_ints(0, nx, 5, 3, 101)[:1024] + (even[..., 0::2] | even[..., 1::2] << 4).tobytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    info = read_header(path)
    assert (info.shape, info.image_bytes) == ((3, 5, nx), 5 * ((nx + 1) // 2))
    np.testing.assert_array_equal(open_mrc(path), values)
    for number in range(3):
        np.testing.assert_array_equal(read_image(path, number), values[number])
        np.testing.assert_array_equal(load_pyramid(open_source(path), number).levels[0], values[number])
    texts = {title: text for _, rows in describe(path, None) for title, text in rows}
    assert texts["Values"] == "4-bit unsigned integers (mode 101)"
    write_mrc(tmp_path / "out.mrc", values[0].astype(np.float32), like=path)
    np.testing.assert_array_equal(read_image(tmp_path / "out.mrc"), values[0])


def test_a_large_four_bit_file_has_a_preview(tmp_path):
    from core.images.preview import preview_pyramid

    values = np.random.default_rng(3).integers(0, 16, (1600, 1601), np.uint8)
    even = np.pad(values, ((0, 0), (0, 1)))
    (tmp_path / "m.mrc").write_bytes(
        with_ints(0, 1601, 1600, 1, 101)[:1024] + (even[:, 0::2] | even[:, 1::2] << 4).tobytes()
    )
    seen = preview_pyramid(open_source(tmp_path / "m.mrc"), smallest=1)
    assert seen is not None
    assert float(seen.levels[0].mean()) == pytest.approx(values.mean(), rel=0.02)


def test_bytes_and_half_bytes_as_the_flags_of_imod_say(tmp_path):
    stored = np.array([[0x21, 0xF3], [0x80, 0x7F]], np.uint8)
    base = with_ints(0, 2, 2, 1, 0)[:1024]
    for flags, expected, words in (
        (0, stored, "unsigned, as the flag of IMOD"),
        (1, stored.view(np.int8), "signed, as the flag of IMOD"),
        (16, np.array([[1, 2, 3, 15], [0, 8, 15, 7]]), "4-bit pixels"),
    ):
        path = tmp_path / f"{flags}.mrc"
        path.write_bytes(with_ints(152, 1146047817, flags, content=base) + stored.tobytes())
        np.testing.assert_array_equal(read_image(path), expected)
        assert any(words in remark for remark in read_header(path).remarks)
        read = [text for _, rows in describe(path, None) for title, text in rows if title == "Read"]
        assert words in read[0]


@pytest.mark.parametrize(("low", "high", "signed"), [(-3, 200, True), (0, 255, False), (0, 0, True)])
def test_bytes_without_a_flag_are_told_by_the_header(tmp_path, low, high, signed):
    raw = np.array([0, 200, 255, 3], np.uint8)
    content = with_ints(0, 4, 1, 1, 0)[:1024]
    content = content[:76] + np.array([low, high], "<f4").tobytes() + content[84:]
    (tmp_path / "b.mrc").write_bytes(content + raw.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "b.mrc")[0], raw.view(np.int8) if signed else raw)
    assert (" signed" in read_header(tmp_path / "b.mrc").remarks[0]) == signed


@pytest.mark.parametrize("suffix", [".mrc", ".mrc.gz", ".tif"])
def test_what_is_not_finite_is_counted_and_told(tmp_path, suffix):
    image = picture()
    image[0, :3], image[9, 9] = np.nan, np.inf
    path = tmp_path / f"holes{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, image, compression="lzw")
    else:
        content = whole()[:1024] + image.tobytes()
        path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    told: list[str] = []
    read = read_single(path, told.append).image
    assert np.isfinite(read).all()
    median = np.median(image[np.isfinite(image)].astype(np.float64))
    assert told == [
        f"holes{suffix}: 4 of {NX * NY} pixels are not finite; replaced by the median {np.float32(median):g}."
    ]
    texts = {title: text for _, rows in describe(path, load_pyramid(open_source(path))) for title, text in rows}
    assert texts["Not a number"] == f"4 pixels of {NX * NY}, shown as the median"


@pytest.mark.parametrize(
    ("value", "words"), [(np.nan, "has no finite pixel: all 6144"), (5.0, r"has no contrast \(all pixels = 5\)")]
)
def test_pixels_that_say_nothing_are_for_looking_only(tmp_path, value, words):
    path = tmp_path / "flat.mrc"
    path.write_bytes(whole()[:1024] + np.full((NY, NX), value, np.float32).tobytes())
    with pytest.raises(InputError, match=rf"flat\.mrc {words}") as caught:
        read_single(path)
    assert caught.value.hint
    assert np.ptp(load_pyramid(open_source(path)).levels[0]) == 0


@pytest.mark.parametrize(("ny", "nx"), [(1, 1), (1, 33), (33, 1), (3, 5), (257, 1)])
def test_small_and_odd_sizes(tmp_path, ny, nx):
    image = picture(ny, nx)
    write_mrc(tmp_path / "s.mrc", image)
    write_tiff(tmp_path / "s.tif", image.shape, "float32", [image], ny)
    for name in ("s.mrc", "s.tif"):
        source = open_source(tmp_path / name)
        np.testing.assert_array_equal(source.read(), image)
        assert load_pyramid(source).shape == (ny, nx)


# -- pixel size -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixel", [0.0, np.nan, np.inf, -1.5, 1e30, 1.0])
def test_a_pixel_size_that_means_nothing_is_unknown_and_not_handed_on(tmp_path, pixel):
    content = whole()
    cell = np.array([pixel * NX, pixel * NY, 1], "<f4").tobytes()
    path = tmp_path / "p.mrc"
    path.write_bytes(content[:40] + cell + content[52:])
    assert open_source(path).pixel_size_a is None
    write_mrc(tmp_path / "out.mrc", picture(), like=path)
    with mrcfile.open(tmp_path / "out.mrc") as out:
        assert float(out.voxel_size.x) == 0.0
    assert bool(read_header(path).remarks) == (pixel == 1.0)


def test_one_angstrom_counts_where_it_was_stated(tmp_path):
    write_mrc(tmp_path / "stated.mrc", picture(), 1.0)
    assert open_source(tmp_path / "stated.mrc").pixel_size_a == 1.0


# -- stacks and movies ----------------------------------------------------------------------------------------


def test_stacks_are_seen_but_no_micrographs(tmp_path):
    write_mrc(tmp_path / "s.mrc", np.stack([picture()] * 3), 1.5)
    tifffile.imwrite(tmp_path / "s.tif", np.stack([picture()] * 3), compression="lzw", photometric="minisblack")
    for name in ("s.mrc", "s.tif"):
        source = open_source(tmp_path / name)
        assert source.n == 3
        np.testing.assert_array_equal(source.read(2), picture())
        with pytest.raises(InputError, match=rf"{name} holds 3 images: a movie or a stack") as caught:
            open_single(tmp_path / name)
        assert "Motion-correct" in caught.value.hint


@pytest.mark.parametrize("scheme", BITS)
def test_eer_is_the_sum_of_its_frames(tmp_path, scheme):
    frames = np.random.default_rng(scheme).random((9, 48, 80)) < 0.03
    frames[4] = False  # a frame without events
    path = write_eer(tmp_path / "m.eer", frames, scheme)
    with tifffile.TiffFile(path, superres=0) as tif:  # the decoder we rely on
        np.testing.assert_array_equal(np.stack([page.asarray() for page in tif.pages]), frames)
    source = open_source(path)
    assert (source.n, source.frames, source.shape, source.pixel_size_a) == (1, 9, (48, 80), None)
    np.testing.assert_array_equal(source.read(), frames.sum(axis=0))
    pyramid = load_pyramid(source)
    label = "sum of 9 of 9 raw frames, no motion or gain correction: motion-correct first"
    assert (pyramid.name, pyramid.label) == ("m.eer", label)
    texts = {title: text for _, rows in describe(path, pyramid) for title, text in rows}
    assert (texts["Format"], texts["Frames"], texts["Note"]) == ("EER, raw movie", "9", label)
    with pytest.raises(InputError, match=r"m\.eer is a raw movie of 9 frames") as caught:
        open_single(path)
    assert caught.value.hint == "Motion-correct it first."


def test_a_long_eer_movie_is_sampled_and_can_be_cancelled(tmp_path):
    from core.io.eer import chosen_frames, sum_frames

    frames = np.random.default_rng(0).random((30, 16, 32)) < 0.1
    path = write_eer(tmp_path / "m.eer", frames)
    chosen = chosen_frames(30, 7)
    assert (len(set(chosen)), chosen[0], chosen[-1]) == (7, 0, 29)
    np.testing.assert_array_equal(sum_frames(path, 7), frames[chosen].sum(axis=0))
    asked: list[int] = []
    sum_frames(path, 30, lambda: len(asked) >= 3, lambda done, total: asked.append(done))
    assert asked == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"m\.eer"):
        open_source(path).read()


def test_movies_beside_micrographs_are_not_collected(tmp_path):
    write_eer(tmp_path / "a.eer", np.ones((1, 8, 16), bool))
    assert [p.name for p in list_micrographs(tmp_path)] == ["a.eer"]
    write_mrc(tmp_path / "a.mrc", picture())
    assert [p.name for p in list_micrographs(tmp_path)] == ["a.mrc"]


# -- jobs -----------------------------------------------------------------------------------------------------


def jobs_of(data, picked: Path) -> dict[str, dict]:
    """A run of every job that reads micrographs, on one file."""
    return {
        "predict": {"micrographs": [picked], "model": "wiener", "output": data.folder.parent / "denoised"},
        "trust": {"micrographs": [picked], "model": "wiener", "output": data.folder.parent / "trust"},
        "pick-particles": {"micrographs": [picked], "diameter": 24, "output": data.folder.parent / "picks.star"},
        "extract": {
            "micrographs": [picked], "particles": data.star, "box": 32, "output": data.folder.parent / "particles",
        },
        "pick-noise": {"micrographs": [picked], "particles": data.star, "box_size": 24, "output": data.noise},
        "forward": {
            "micrographs": [picked], "particles": data.star, "noise": data.noise, "particle_diameter": 24,
            "output": data.folder.parent / "set",
        },
    }  # fmt: skip


@pytest.mark.parametrize("job", ["predict", "trust", "pick-particles", "extract", "pick-noise", "forward"])
def test_every_job_refuses_movies_and_mends_pixels_in_the_same_words(job, data, run_job, monkeypatch):
    boxes = run_job("pick-noise", micrographs=[data.folder], particles=data.star, box_size=24, output=data.noise)
    assert boxes["exit_code"] == 0
    first = data.files[0]
    image = read_image(first)
    movie = write_eer(first.with_suffix(".eer"), np.ones((2, 16, 32), bool))
    done = run_job(job, **jobs_of(data, movie)[job])
    assert done["exit_code"] == 3
    assert "mic_0.eer is a raw movie of 2 frames, not a micrograph." in done["message"]
    assert "Motion-correct" in done["hint"]

    def enough(*_args, **_values):
        raise InputError("Enough.", "All was read.")

    # What follows the reading takes long, and has its own tests.
    monkeypatch.setattr("core.denoising.forward.Chain", enough)
    monkeypatch.setattr("core.denoising.trust.examine", enough)
    image[3, 4] = image[100, 200] = np.nan
    content = whole()
    header = with_ints(0, image.shape[1], image.shape[0], content=content)[:MAP] + bytes(8) + content[216:1024]
    first.write_bytes(header + image.tobytes())
    done = run_job(job, **jobs_of(data, first)[job])
    assert done["exit_code"] == (3 if job in ("trust", "forward") else 0), done
    assert done["exit_code"] == 0 or done["message"] == "Enough."
    said = [e["message"] for e in run_job.of("warning")]
    assert sum("mic_0.mrc: its header has no MAP stamp" in text for text in said) == 1
    assert sum(f"mic_0.mrc: 2 of {image.size} pixels are not finite" in text for text in said) == 1


def test_four_bit_micrographs_go_through_a_job(data, run_job):
    image = read_image(data.files[0])
    nibbles = np.clip((image - image.mean()) / image.std() * 2.5 + 8, 0, 15).astype(np.uint8)
    ny, nx = nibbles.shape
    even = np.pad(nibbles, ((0, 0), (0, nx % 2)))
    path = data.folder.parent / "four.mrc"
    path.write_bytes(with_ints(0, nx, ny, 1, 101)[:1024] + (even[:, 0::2] | even[:, 1::2] << 4).tobytes())
    output = data.folder.parent / "denoised"
    done = run_job("predict", micrographs=[path], model="wiener", output=output)
    assert done["exit_code"] == 0, done
    assert read_image(output / "four.mrc").shape == (ny, nx)
    assert mrcfile.validate(output / "four.mrc")


def test_a_filter_in_angstrom_asks_for_the_pixel_size(tmp_path, run_job):
    path = tmp_path / "one.mrc"
    content = whole()
    path.write_bytes(content[:40] + np.array([NX, NY, 1], "<f4").tobytes() + content[52:])
    values = {"micrographs": [path], "model": "gaussian:20", "output": tmp_path / "out"}
    done = run_job("predict", **values)
    assert (done["exit_code"], "one.mrc does not tell its pixel size" in done["message"]) == (3, True)
    assert "--pixel-size" in done["hint"]
    done = run_job("predict", **values, pixel_size=1.0)
    assert done["exit_code"] == 0, done
    assert open_source(tmp_path / "out/one.mrc").pixel_size_a == 1.0


# -- places ---------------------------------------------------------------------------------------------------


def test_places_that_hold_no_file(tmp_path):
    (tmp_path / "folder.mrc").mkdir()
    with pytest.raises(InputError, match=r"folder\.mrc is a folder"):
        open_source(tmp_path / "folder.mrc")
    with pytest.raises(InputError, match=r"gone\.mrc does not exist"):
        open_source(tmp_path / "gone.mrc")


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="links need rights on this system")
def test_a_link_to_itself(tmp_path):
    (tmp_path / "loop.mrc").symlink_to(tmp_path / "loop.mrc")
    with pytest.raises(InputError, match=r"loop\.mrc is a link that leads back to itself"):
        open_source(tmp_path / "loop.mrc")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = tmp_path / "mine.mrc"
    path.write_bytes(whole())
    path.chmod(0)
    with pytest.raises(InputError, match=r"mine\.mrc may not be read"):
        open_source(path)


def test_a_file_that_changes_while_it_is_open(tmp_path):
    path = tmp_path / "m.mrc"
    path.write_bytes(whole())
    source = open_source(path)
    path.write_bytes(whole()[:5000])
    with pytest.raises(AppError, match=r"m\.mrc is cut short"):
        load_pyramid(source)
    path.unlink()
    with pytest.raises(AppError, match=r"m\.mrc does not exist"):
        load_pyramid(source)


def test_the_log_takes_what_many_files_have(caplog):
    told: list[str] = []
    notes = Notes(told.append)
    for number in range(80):
        notes(f"file {number}: odd.")
        notes(f"file {number}: odd.")
    assert len(told) == 51
    assert "log names them all" in told[-1]
    assert "file 79" in caplog.text


def test_a_disk_that_goes_away_is_a_sentence(tmp_path, monkeypatch):
    path = tmp_path / "m.mrc"
    path.write_bytes(whole())
    source = open_source(path)

    def gone(*_args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("core.io.rows.RowReader._fill", gone)
    with pytest.raises(InputError, match=r"m\.mrc could not be read: Input/output error") as caught:
        source.read()
    assert "disk" in caught.value.hint


# -- writing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"FEI1", b"FEI2", b"SERI", b"CCP4"])
@pytest.mark.parametrize("name", ["e.mrc", "e.mrc.gz", "e.tif"])
def test_extended_headers_are_kept_whatever_the_file_is_called(tmp_path, run_job, kind, name):
    extended = np.random.default_rng(6).bytes(2048)
    content = with_ints(NSYMBT, len(extended))
    content = content[:104] + kind + content[108:1024] + extended + content[1024:]
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    done = run_job("predict", micrographs=[path], model="gaussian:20", output=tmp_path / "out")
    assert done["exit_code"] == 0, done
    with mrcfile.open(tmp_path / "out/e.mrc") as got:
        assert (bytes(got.header.exttyp), got.extended_header.tobytes()) == (kind, extended)
        assert float(got.voxel_size.x) == pytest.approx(1.5)
        assert "for seeing and picking" in str(got.get_labels()[-1])


def test_two_names_that_would_give_one_output_are_refused(tmp_path, run_job):
    write_mrc(tmp_path / "a.mrc", picture(), 1.5)
    tifffile.imwrite(tmp_path / "a.tif", picture())
    done = run_job("predict", micrographs=[tmp_path], model="wiener", output=tmp_path / "out")
    assert (done["exit_code"], "would both be written to a.mrc" in done["message"]) == (2, True)
