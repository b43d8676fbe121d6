"""Colouring and writing whole images: what other programs read back is what the painters show."""

import errno
import struct
import zlib
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ResourceError
from core.images.colour import LUTS, Look, colours
from core.images.contrast import to_8bit
from core.images.pyramid import Cancelled
from core.images.render import block_rows, is_grey, render, row_blocks
from core.io import png
from core.io.png import write_png
from core.io.tiff_write import write_tiff


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(10, 3, shape).astype(np.float32)


def read_png(path):
    """A small PNG reader of its own: header, texts, pixels."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, chunks = 8, []
    while place < len(data):
        length, kind = struct.unpack(">I4s", data[place : place + 8])
        body = data[place + 8 : place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length : place + 12 + length])[0] == zlib.crc32(kind + body)
        chunks.append((kind, body))
        place += 12 + length
    width, height, bits, kind, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    assert (bits, rest, chunks[-1][0]) == (8, [0, 0, 0], b"IEND")
    step = {0: 1, 2: 3}[kind]
    raw = zlib.decompress(b"".join(body for name, body in chunks if name == b"IDAT"))
    lines = np.frombuffer(raw, np.uint8).reshape(height, 1 + width * step)
    pixels, above = [], np.zeros((width, step), np.uint8)
    for line in lines:
        row = line[1:].reshape(width, step)
        if line[0] == 1:
            row = np.cumsum(row, axis=0, dtype=np.uint8)
        elif line[0] == 2:
            row = row + above
        pixels.append(row)
        above = row
    texts = {}
    for name, body in chunks:
        if name in (b"tEXt", b"iTXt"):
            key, text = body.split(b"\0", 1)
            texts[key.decode()] = text.decode("latin-1") if name == b"tEXt" else text[4:].decode("utf-8")
    picture = np.stack(pixels)
    return (picture[..., 0] if step == 1 else picture), texts


@pytest.mark.parametrize("lut", LUTS)
@pytest.mark.parametrize(("gamma", "invert"), [(1.0, False), (2.0, True)])
def test_colours_are_those_of_the_painters(lut, gamma, invert):
    look = Look(4, 16, gamma, invert, lut)
    values = noise((20, 30))
    expected = colours(lut, gamma, invert)[to_8bit(values, 4, 16)]
    picture = render(values, look)
    assert is_grey(look) == (lut == "grey") == (picture.ndim == 2)
    rgb = render(values, look, grey=False).astype(np.uint32)
    np.testing.assert_array_equal(rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2], expected & 0xFFFFFF)
    if lut == "grey":
        np.testing.assert_array_equal(picture, rgb[..., 0])


@pytest.mark.parametrize("shape", [(1, 1), (7, 5_000_000), (8184, 11520), (4096, 3)])
def test_blocks_cover_an_image_and_stay_small(shape):
    blocks = list(row_blocks(shape))
    assert blocks[0][0] == 0
    assert blocks[-1][1] == shape[0]
    assert all(bottom == top for (_, bottom), (top, _) in pairwise(blocks))
    assert all(bottom - top == block_rows(shape) for top, bottom in blocks[:-1])
    assert block_rows(shape) == 1 or block_rows(shape) * shape[1] <= 1 << 20


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    colour=st.booleans(),
    step=st.integers(1, 40),
    seed=st.integers(0, 99),
)
def test_png_round_trip(tmp_path_factory, height, width, colour, step, seed):
    shape = (height, width, 3) if colour else (height, width)
    rng = np.random.default_rng(seed)
    # smooth one way, the other way, or not at all: each of the three filters is met
    ramp = np.cumsum(rng.integers(0, 3, shape), axis=seed % 2) if seed % 3 else rng.integers(0, 256, shape)
    picture = ramp.astype(np.uint8)
    path = tmp_path_factory.mktemp("png") / "a.png"
    texts = {"Title": "m_1.mrc", "Description": "low-pass 20 Å, Übung", "Comment": "σ 2"}
    write_png(path, shape, (picture[top : top + step] for top in range(0, height, step)), texts)
    again, said = read_png(path)
    np.testing.assert_array_equal(again, picture)
    assert said == texts


def test_qt_reads_the_png_and_its_texts(tmp_path, qapp):
    from PySide6.QtGui import QImage

    picture = np.random.default_rng(1).integers(0, 256, (60, 47, 3)).astype(np.uint8)
    write_png(tmp_path / "a.png", picture.shape, [picture[:50], picture[50:]], {"Description": "whole image"})
    image = QImage(str(tmp_path / "a.png"))
    assert image.text("Description") == "whole image"
    assert (image.width(), image.height()) == (47, 60)
    for y, x in ((0, 0), (49, 46), (50, 0), (59, 46)):
        colour = image.pixelColor(x, y)
        assert (colour.red(), colour.green(), colour.blue()) == tuple(picture[y, x])


def test_a_smooth_picture_is_written_smaller_than_its_pixels(tmp_path):
    y, x = np.mgrid[:512, :512]
    smooth = (127 + 60 * np.sin(x / 40) + 60 * np.cos(y / 50)).astype(np.uint8)
    write_png(tmp_path / "a.png", smooth.shape, [smooth])
    assert (tmp_path / "a.png").stat().st_size < smooth.size / 3


@pytest.mark.parametrize(("dtype", "colour"), [("uint8", False), ("uint8", True), ("float32", False)])
@pytest.mark.parametrize("rows", [1, 16, 100])
def test_tiff_round_trip(tmp_path, dtype, colour, rows):
    shape = (50, 33, 3) if colour else (50, 33)
    picture = (noise(shape) * 5).astype(dtype)
    step = min(rows, 50)
    blocks = (picture[top : top + step] for top in range(0, 50, step))
    write_tiff(tmp_path / "a.tif", shape, dtype, blocks, step, 1.5, {"Title": "ä.mrc", "Description": "a\nb C:\\new"})
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        page = tif.pages[0]
        np.testing.assert_array_equal(page.asarray(), picture)
        top, bottom = page.tags["XResolution"].value
        assert top / bottom == pytest.approx(10 / 1.5, rel=1e-6)  # pixels per nm
        assert page.tags["ResolutionUnit"].value == 1
        said = tif.imagej_metadata
        assert said["unit"] == "nm"
        assert said["Title"] == "ä.mrc"
        assert said["Description"] == "a | b C:/new"
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), picture)


def test_our_own_reader_reads_the_values_back(tmp_path):
    from core.images.source import open_source

    values = noise((40, 30))
    write_tiff(tmp_path / "v.tif", values.shape, "float32", [values], 40)
    np.testing.assert_array_equal(open_source(tmp_path / "v.tif").read(), values)
    with tifffile.TiffFile(tmp_path / "v.tif") as tif:
        assert "unit" not in (tif.imagej_metadata or {})


def writers(tmp_path):
    yield tmp_path / "a.png", lambda path, blocks: write_png(path, (20, 30), blocks)
    yield tmp_path / "a.tif", lambda path, blocks: write_tiff(path, (20, 30), "uint8", blocks, 10)


@pytest.mark.parametrize("which", [0, 1])
def test_giving_up_leaves_nothing_and_the_old_file_as_it_was(tmp_path, which):
    path, write = list(writers(tmp_path))[which]
    path.write_bytes(b"old")

    def blocks():
        yield np.zeros((10, 30), np.uint8)
        raise Cancelled

    with pytest.raises(Cancelled):
        write(path, blocks())
    assert path.read_bytes() == b"old"
    assert [f.name for f in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("which", [0, 1])
def test_too_few_rows_are_no_picture(tmp_path, which):
    path, write = list(writers(tmp_path))[which]
    with pytest.raises(ValueError, match="rows"):
        write(path, iter([np.zeros((10, 30), np.uint8)]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", [0, 1])
def test_a_full_disk_is_a_sentence(tmp_path, which):
    resource = pytest.importorskip("resource", reason="file size limits are a matter of POSIX systems")
    path, write = list(writers(tmp_path))[which]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    rng = np.random.default_rng(0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        with pytest.raises(ResourceError, match="disk is full") as caught:
            write(path, (rng.integers(0, 256, (10, 30)).astype(np.uint8) for _ in range(2)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.name in caught.value.message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("which", [0, 1])
def test_a_forbidden_folder_is_a_sentence(tmp_path, which, monkeypatch):
    path, write = list(writers(tmp_path))[which]
    real = type(path).open

    def refuse(self, mode="r", *args, **kwargs):
        if "w" in mode:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(type(path), "open", refuse)
    monkeypatch.setattr(tifffile, "TiffWriter", lambda name, **_: refuse(name, "w"))
    with pytest.raises(ResourceError, match="read-only"):
        write(path, [np.zeros((20, 30), np.uint8)])


def test_filters_are_chosen_by_what_varies_least():
    columns = np.broadcast_to(np.random.default_rng(0).integers(0, 256, 64).astype(np.uint8), (32, 64))
    assert bytes(png._filtered(columns, columns[0], 1))[0] == png._UP
    assert bytes(png._filtered(np.ascontiguousarray(columns.T), np.zeros(32, np.uint8), 1))[0] == png._SUB
