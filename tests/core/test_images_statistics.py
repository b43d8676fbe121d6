"""What is said about an image: exact numbers, the header's own words, and the right refusals."""

from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.images.pyramid import Cancelled, build_pyramid
from core.images.source import open_source
from core.images.statistics import as_text, bytes_text, count_not_finite, describe, measure
from core.io.mrc import write_mrc

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def described(path: Path, index: int = 0) -> dict[str, str]:
    source = open_source(path)
    pyramid = build_pyramid(source.read(index), source.pixel_size_a, path.name, source.n, index)
    return {name: text for _, rows in describe(path, pyramid) for name, text in rows}


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_numbers_are_those_of_all_pixels(offset: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.images.statistics._BLOCK_VALUES", 3000)
    image = (np.random.default_rng(0).normal(offset, 3, (301, 407))).astype(np.float32)
    image[5, 5], image[300, 406], image[17, 3] = offset + 200, offset - 90, offset + 20
    numbers = measure(image)
    exact = image.astype(np.float64)
    assert numbers.count == image.size
    assert (numbers.minimum, numbers.maximum) == (image.min(), image.max())
    assert numbers.mean == pytest.approx(exact.mean(), rel=1e-12)
    assert numbers.sd == pytest.approx(exact.std(), rel=1e-9)
    assert numbers.hot == int((np.abs(exact - exact.mean()) > 10 * exact.std()).sum()) == 2


def test_constant_images_have_no_hot_pixels() -> None:
    numbers = measure(np.full((40, 50), 7.5, np.float32))
    assert (numbers.mean, numbers.sd, numbers.hot) == (7.5, 0.0, 0)


def test_a_file_and_its_picture(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(10, 2, (200, 300)).astype(np.float32)
    image[3, 4] = np.nan
    image[5, 6] = np.inf
    path = tmp_path / "m.mrc"
    write_mrc(path, image, pixel_size_a=1.25, label="made by a test")
    texts = described(path)
    assert texts["Name"] == "m.mrc"
    assert texts["Folder"] == str(tmp_path)
    assert texts["Image"] == "300 × 200 px"
    assert texts["Pixel size"] == "1.25 Å"
    assert texts["Values"].startswith("32-bit real")
    assert texts["Byte order"] == "little-endian"
    assert "made by a test" in " ".join(texts.values())
    assert texts["Not a number"].startswith("2 pixels")
    assert float(texts["Mean"]) == pytest.approx(10, abs=0.1)
    assert float(texts["Standard deviation"]) == pytest.approx(2, abs=0.1)
    assert count_not_finite(path) == 2


def test_stacks_say_which_image(tmp_path: Path) -> None:
    stack = np.zeros((3, 40, 50), np.float32)
    stack[1] = 5
    stack[1, 0, 0] = np.nan
    path = tmp_path / "s.mrcs"
    write_mrc(path, stack)
    source = open_source(path)
    groups = describe(path, build_pyramid(source.read(1), None, "s.mrcs", 3, 1))
    assert [title for title, _ in groups] == ["File", "Header", "Pixels"]
    pixels = dict(groups[2][1])
    assert (pixels["Image"], pixels["Mean"], pixels["Not a number"][:7]) == ("2 of 3", "5", "1 pixel")
    assert dict(groups[1][1])["Images"] == "3"
    assert dict(groups[1][1])["Pixel size"] == "not given"
    assert count_not_finite(path, 0) == count_not_finite(path, 2) == 0


def test_either_half_may_be_missing(tmp_path: Path) -> None:
    image = np.zeros((40, 50), np.float32)
    assert [title for title, _ in describe(None, build_pyramid(image))] == ["Pixels"]
    path = tmp_path / "m.mrc"
    write_mrc(path, image)
    assert [title for title, _ in describe(path, None)] == ["File", "Header"]
    assert describe(None, None) == []
    with pytest.raises(InputError, match=r"gone\.mrc does not exist"):
        describe(tmp_path / "gone.mrc", None)


def test_previews_say_that_they_are_means() -> None:
    from core.images.lowpass import low_pass

    coarse = low_pass(build_pyramid(np.ones((1024, 1024), np.float32), 1.0), 40.0)
    assert dict(describe(None, coarse)[0][1])["Of the picture"] == "means of 4 × 4 pixels"


def test_it_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        describe(None, build_pyramid(np.zeros((64, 64), np.float32)), lambda: True)


def test_the_clipboard_gets_lines_with_tabs() -> None:
    text = as_text([("File", [("Name", "m.mrc"), ("Size", "1 MB")]), ("Pixels", [("Mean", "5")])])
    assert text == "File\nName\tm.mrc\nSize\t1 MB\n\nPixels\nMean\t5"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (34464768, "34.5 MB"),
        (999_900, "1 MB"),
        (7 * 10**12, "7 TB"),
    ],
)
def test_sizes_are_short(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.skipif(not DATA.is_dir(), reason="the real micrographs are not beside the checkout")
def test_real_files() -> None:
    epu = described(DATA / "micrographs" / "epu2.9_example.mrc")
    assert epu["Extended header"] == "FEI2, 909 kB"
    assert (epu["Voltage"], epu["Dose"], epu["Defocus set"]) == ("300 kV", "41.17 e⁻/Å²", "-2.2 µm")
    assert epu["Software"] == "EPU 2.9.0.1519"
    assert epu["Magnification"] == "120000 ×"
    tiff = described(DATA / "micrographs" / "KLH.tif")
    assert (tiff["Format"], tiff["Values"]) == ("TIFF", "8-bit unsigned integers")
    big = described(DATA / "formats" / "mode2_float32_bigendian.mrc")
    assert big["Byte order"] == "big-endian"
    packed = described(DATA / "formats" / "mode0_int8.mrc.gz")
    assert packed["Format"] == "MRC, compressed"
    assert "Not a number" not in packed
