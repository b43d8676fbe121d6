"""build-library: what it writes can be read, repeats, stops cleanly, and bad values are one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError, JobStopped, ParamError
from core.jobs.base import EventWriter, JobContext
from core.jobs.build_library import BuildLibraryParams, run
from core.physics.library_file import open_library
from core.physics.phantom import build_library


def build(output: Path, stop=lambda: False, **values) -> dict:
    run_dir = output.parent / f"run-{output.name}"
    run_dir.mkdir(parents=True, exist_ok=True)
    params = BuildLibraryParams.parse({"output": output, "phantoms": 20, "views": 2} | values)
    return run(params, JobContext(run_dir, EventWriter(run_dir), stop))


def test_the_file_holds_what_build_library_gives(tmp_path):
    result = build(tmp_path / "lib", seed=6)
    library = open_library(Path(result["library"]))
    same = build_library(6, 20, 2)
    np.testing.assert_array_equal(library.projections, same.projections)
    assert library.names == same.names
    listed = json.loads((tmp_path / "lib/library.json").read_text(encoding="utf-8"))
    assert listed["seed"] == 6
    assert [s["kind"] for s in listed["specimens"]] == list(library.kinds)
    assert {s["licence"] for s in listed["sources"] if s["name"] == "1ubi"} == {"CC0 1.0 (Protein Data Bank)"}
    assert (tmp_path / "lib/contact.png").read_bytes().startswith(b"\x89PNG")
    sheet = np.load(tmp_path / "run-lib/previews/library.npy")
    assert sheet.shape == (64, 64 * 25)
    assert all(sheet[:, 64 * i : 64 * i + 64].max() > 150 for i in range(25))


def test_kinds_and_exclude(tmp_path):
    build(tmp_path / "some", kinds="ring, shell", exclude="shell")
    assert set(open_library(tmp_path / "some").kinds) == {"ring"}
    build(tmp_path / "less", exclude="deposited nothing-of-this-name")
    assert "deposited" not in open_library(tmp_path / "less").kinds
    events = (tmp_path / "run-less/events.jsonl").read_text(encoding="utf-8")
    assert "nothing-of-this-name" in events
    with pytest.raises(ParamError, match="no such kind"):
        build(tmp_path / "bad", kinds="spaghetti")
    with pytest.raises(ParamError, match="Nothing is left"):
        build(tmp_path / "bad", kinds="ring", exclude="ring")
    with pytest.raises(ParamError, match="MiB"):
        build(tmp_path / "bad", phantoms=20000, views=1000)


def test_structures_of_a_folder_enter_with_an_unknown_licence(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    bundled = Path(__file__).resolve().parents[2] / "resources/library/1ubi.pdb.gz"
    (folder / "mine.pdb.gz").write_bytes(bundled.read_bytes())
    build(tmp_path / "lib", structures=folder, kinds="deposited")
    library = open_library(tmp_path / "lib")
    assert "mine" in library.names
    listed = json.loads((tmp_path / "lib/library.json").read_text(encoding="utf-8"))
    assert "not known" in next(s["licence"] for s in listed["sources"] if s["name"] == "mine")
    (folder / "bad.pdb").write_text("nothing")
    with pytest.raises(InputError, match=r"bad\.pdb"):
        build(tmp_path / "lib2", structures=folder)


def test_a_stop_leaves_nothing_half_done(tmp_path):
    calls = iter(range(100))
    with pytest.raises(JobStopped):
        build(tmp_path / "lib", stop=lambda: next(calls) > 5)
    assert list((tmp_path / "lib").iterdir()) == []
