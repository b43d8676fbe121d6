"""Reading maps from files: whole or halved, damaged, odd; and the file for ChimeraX."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from volumes import write_map

from core.errors import InputError, ResourceError
from core.images.pyramid import Cancelled
from core.io.mrc import write_mrc
from core.volumes import chimerax
from core.volumes.reading import is_map, look_at, read_map


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def test_a_map_is_read_as_it_is(tmp_path: Path) -> None:
    values = noise(8, 8, 8)
    path = write_map(tmp_path / "run_half1.mrc", values, 1.25)
    steps = []
    found = read_map(path, progress=lambda done, total: steps.append((done, total)))
    np.testing.assert_array_equal(found.values, values)
    assert (found.pixel_size_a, found.title, found.kind, found.path) == (1.25, "run_half1.mrc", "half1", path)
    assert found.notes == ()
    assert steps[-1] == (8, 8)


def test_compressed_maps_are_read(tmp_path: Path) -> None:
    plain = write_map(tmp_path / "m.map", noise(6, 6, 6))
    packed = tmp_path / "m.map.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read_map(packed).values, read_map(plain).values)


def test_half_size_takes_means_and_doubles_the_pixel(tmp_path: Path) -> None:
    values = noise(8, 10, 12)
    found = read_map(write_map(tmp_path / "m.mrc", values, 1.5), halved=True)
    np.testing.assert_allclose(found.values, values.reshape(4, 2, 5, 2, 6, 2).mean(axis=(1, 3, 5)), atol=1e-6)
    assert found.pixel_size_a == 3.0
    assert any("half of the resolution" in note for note in found.notes)


def test_axes_in_another_order_are_put_right(tmp_path: Path) -> None:
    values = noise(6, 8, 10)  # z, y, x
    stored = values.transpose(2, 0, 1)  # sections x, rows z, columns y
    path = write_map(tmp_path / "m.map", np.ascontiguousarray(stored), axes=(2, 3, 1))
    assert look_at(path).shape == (6, 8, 10)
    found = read_map(path)
    np.testing.assert_array_equal(found.values, values)
    assert any("order" in note for note in found.notes)


@pytest.mark.filterwarnings("ignore:Data array contains NaN")
def test_what_is_unusual_is_said(tmp_path: Path) -> None:
    values = noise(6, 8, 10)
    values[2, 3, 4] = np.nan
    values[2, 3, 5] = np.inf
    found = read_map(write_map(tmp_path / "m.mrc", values, 0.0))
    assert np.isfinite(found.values).all()
    words = " ".join(found.notes)
    assert "2 of 480 voxels are not finite" in words
    assert "10 × 8 × 6" in words
    assert "pixel size is unknown" in words


def test_a_map_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = write_map(tmp_path / "m.mrc", noise(8, 8, 8))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match=r"m\.mrc is cut short: 6 of its 8 sections"):
        read_map(path)


def test_a_damaged_compressed_map_is_refused(tmp_path: Path) -> None:
    plain = write_map(tmp_path / "m.map", noise(16, 16, 16))
    packed = tmp_path / "m.map.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes())[:-2000])
    with pytest.raises(InputError):
        read_map(packed)


def test_a_header_may_not_ask_for_more_memory_than_there_is(tmp_path: Path, monkeypatch) -> None:
    import psutil

    path = write_map(tmp_path / "m.mrc", noise(16, 16, 16))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("M", (), {"available": 16_000})())
    with pytest.raises(ResourceError, match="half its size"):
        read_map(path)
    assert read_map(path, halved=True).shape == (8, 8, 8)


def test_reading_can_be_given_up(tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        read_map(write_map(tmp_path / "m.mrc", noise(4, 4, 4)), cancelled=lambda: True)


def test_maps_are_told_from_micrographs_and_stacks(tmp_path: Path) -> None:
    write_mrc(tmp_path / "micrograph.mrc", noise(20, 20))
    write_mrc(tmp_path / "stack.mrcs", noise(5, 20, 20))
    (tmp_path / "text.mrc").write_text("no map")
    assert is_map(write_map(tmp_path / "map.mrc", noise(5, 20, 20)))
    assert not any(is_map(tmp_path / name) for name in ("micrograph.mrc", "stack.mrcs", "text.mrc", "missing.mrc"))
    with pytest.raises(InputError, match="one image"):
        read_map(tmp_path / "micrograph.mrc")
    assert read_map(tmp_path / "stack.mrcs").shape == (5, 20, 20)  # who asks for it gets it


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mrc")
    with pytest.raises(InputError, match="pipe or a device"):
        read_map(tmp_path / "pipe.mrc")


def test_the_file_for_chimerax_opens_contours_and_colours(tmp_path: Path) -> None:
    maps = [
        chimerax.Shown(tmp_path / "my map.mrc", 0.0123),
        chimerax.Shown(tmp_path / 'half"1\n.mrc', 0.5, "#f0a35a", 55),
    ]
    script = chimerax.write_commands(tmp_path / "v.cxc", maps, tmp_path / "std.mrc", (0.1, 0.4), "title\nexit")
    lines = script.read_text(encoding="utf-8").splitlines()
    folder = tmp_path.as_posix()
    assert lines[0] == "# title exit"
    assert f'open "{folder}/my map.mrc"' in lines
    assert f'open "{folder}/half1 .mrc"' in lines
    assert "volume #1 style surface level 0.0123 step 1 color #8fb7d9" in lines
    assert "transparency #2 55" in lines
    assert "volume #3 hide" in lines
    (colour,) = [line for line in lines if line.startswith("color sample #1 map #3 palette ")]
    first, *_, last = colour.split()[-1].split(":")
    assert first.startswith("0.1,#440154")
    assert last.startswith("0.4,#fde7")


def test_chimerax_is_found_on_the_path(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chimerax, "_PLACES", {})
    assert chimerax.find_program() is None
    program = tmp_path / "chimerax"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert chimerax.find_program() == program


REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "maps"


@pytest.mark.parametrize("name", ["betaGal.mrc", "emd_1023.map.gz", "emd_2479.map.gz"])
def test_deposited_maps(name: str) -> None:
    path = REAL / name
    if not path.exists():
        pytest.skip("deposited maps are not on this machine")
    found = read_map(path)
    assert found.values.std() > 0
    assert 3 < (found.pixel_size_a or 0) < 8
