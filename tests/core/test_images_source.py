"""Sources and listings: what is found, in which order, and what is said when nothing is."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from core.errors import InputError
from core.images.source import list_micrographs, open_source
from core.io.mrc import write_mrc

KLH = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "micrographs" / "KLH.tif"


def names(paths):
    return [path.name for path in paths]


def test_listing_is_natural_and_ignores_what_is_no_micrograph(tmp_path):
    for name in ("m10.mrc", "m2.mrc", "M1.MRC", ".hidden.mrc", "m3.mrc.12-0.partial", "notes.txt", "a.tif"):
        (tmp_path / name).touch()
    (tmp_path / "folder.mrc").mkdir()
    assert names(list_micrographs(tmp_path)) == ["a.tif", "M1.MRC", "m2.mrc", "m10.mrc"]


def test_files_and_folders_mix_without_repeats(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.mrc", "sub/a.mrcs", "raw.dat"):
        (tmp_path / name).touch()
    found = list_micrographs([tmp_path / "b.mrc", tmp_path, tmp_path / "sub", tmp_path / "raw.dat"])
    assert names(found) == ["b.mrc", "raw.dat", "a.mrcs"]


def test_listing_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        list_micrographs(tmp_path / "nowhere")
    with pytest.raises(InputError, match="No micrograph"):
        list_micrographs(tmp_path)
    with pytest.raises(InputError):
        list_micrographs([])


def test_key_changes_with_the_file(tmp_path):
    path = tmp_path / "a.mrc"
    write_mrc(path, np.zeros((4, 4), np.float32), 1.0)
    first = open_source(path).key()
    write_mrc(path, np.zeros((5, 4), np.float32), 1.0)
    assert open_source(path).key() != first
    assert open_source(path).key(1) != open_source(path).key(0)


def test_mrc_source(tmp_path):
    write_mrc(tmp_path / "a.mrcs", np.arange(24, dtype=np.float32).reshape(2, 3, 4), 1.5)
    source = open_source(tmp_path / "a.mrcs")
    assert (source.n, source.shape, source.pixel_size_a) == (2, (3, 4), pytest.approx(1.5))
    assert source.read(1)[2, 3] == 23


def test_tiff_source_by_content_not_name(tmp_path):
    data = np.arange(12, dtype=np.uint16).reshape(3, 4)
    tifffile.imwrite(tmp_path / "really_a_tiff.mrc", data)
    source = open_source(tmp_path / "really_a_tiff.mrc")
    assert (source.n, source.shape, source.pixel_size_a) == (1, (3, 4), None)
    image = source.read()
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, data)


def test_unusable_tiffs(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    with pytest.raises(InputError, match=r"rgb\.tif"):
        open_source(tmp_path / "rgb.tif")
    (tmp_path / "cut.tif").write_bytes(b"II*\0" + b"\xff" * 20)
    with pytest.raises(InputError, match=r"cut\.tif"):
        open_source(tmp_path / "cut.tif")
    (tmp_path / "fake.tif").write_bytes(b"hello" * 500)
    with pytest.raises(InputError, match=r"fake\.tif"):
        open_source(tmp_path / "fake.tif")


def test_tiffs_that_are_odd_or_cut_anywhere_say_what_is_wrong(tmp_path):
    path = tmp_path / "t.tif"
    for values, words in ((np.ones((8, 8), bool), "black and white"), (np.ones((8, 8), complex), "complex")):
        tifffile.imwrite(path, values)
        with pytest.raises(InputError, match=rf"t\.tif .*{words}"):
            open_source(path)
    for raw in (b"", struct.pack("<H", 0), struct.pack("<HI", 0, 8)):  # no directory, an empty one, one in a circle
        path.write_bytes(b"II*\0" + struct.pack("<I", 8) + raw)
        with pytest.raises(InputError, match=r"t\.tif (holds no image|cannot be read as TIFF)"):
            open_source(path)
    tifffile.imwrite(path, np.arange(64, dtype=np.uint16).reshape(8, 8))
    whole = path.read_bytes()
    for length in range(4, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"t\.tif"):
            open_source(path).read()


def test_of_a_stack_that_is_cut_short_only_what_is_missing_is_refused(tmp_path):
    path = tmp_path / "s.mrcs"
    write_mrc(path, np.arange(6 * 20 * 30, dtype=np.float32).reshape(6, 20, 30))
    with path.open("r+b") as file:
        file.truncate(1024 + 4 * 20 * 30 * 4 - 1)
    source = open_source(path)
    assert source.n == 6
    assert source.read(2)[0, 0] == 2 * 600
    assert source.rows(0, 3).shape == (60, 30)
    with pytest.raises(InputError, match=r"Image 4 of .*s\.mrcs is missing: .* 3 of its 6"):
        source.rows(2, 4)
    with pytest.raises(InputError, match=r"Image 6 of .*s\.mrcs is missing"):
        source.read(5)


@pytest.mark.skipif(not KLH.exists(), reason="the shared real data are not on this machine")
def test_real_packbits_tiff():
    source = open_source(KLH)
    image = source.read()
    assert image.shape == source.shape
    assert image.std() > 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.mrc")
    with pytest.raises(InputError, match=r"pipe\.mrc is no file"):
        open_source(tmp_path / "pipe.mrc")
