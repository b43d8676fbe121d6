"""The benchmark of cs2star: its dataset, the measurement of a process, the ratios, and a run with few rows."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import __main__ as bench
from benchmarks import cs2star, cs_data
from benchmarks.cs2star_table import ratios, text
from core.cryosparc.particles import read_particles

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a child's peak memory is not told here")


def test_the_dataset_has_the_layout_and_is_the_same_every_time() -> None:
    rows = cs_data.particles(1001)
    assert len(rows.dtype.names or ()) == 38
    assert 330 <= rows.dtype.itemsize <= 370
    assert len(np.unique(rows["uid"])) == 1001
    names, counts = np.unique(rows["blob/path"], return_counts=True)
    assert counts.tolist() == [250, 250, 250, 250, 1]
    assert all(len(name.decode().split("/")[-1].split("_")[0]) == 21 for name in names)
    assert np.array_equal(rows, cs_data.particles(1001))


def test_all_forms_hold_the_same_particles(tmp_path: Path) -> None:
    cs_data.write(tmp_path, 300)
    whole, packed = (read_particles(str(tmp_path / name)) for name in (cs_data.WHOLE, cs_data.PACKED))
    assert set(whole.numbers) == set(packed.numbers)
    for name, values in whole.numbers.items():
        assert np.array_equal(values, packed.numbers[name]), name
    assert [whole.texts["image"].values[i] for i in whole.texts["image"].which] == [
        packed.texts["image"].values[i] for i in packed.texts["image"].which
    ]
    other = np.load(tmp_path / cs_data.PASSTHROUGH)
    assert sorted(other["uid"].tolist()) == sorted(whole.numbers["uid"].tolist())
    assert other["uid"].tolist() != whole.numbers["uid"].tolist()


def test_a_process_is_measured_and_a_failing_one_is_told(tmp_path: Path) -> None:
    code = "import time; x = b'x' * 200_000_000; t = time.process_time()\n"
    code += "while time.process_time() < t + 0.3: pass\nprint('said')"
    found = cs2star._child([sys.executable, "-c", code], tmp_path)
    assert 0.3 <= found["cpu_s"] < 5
    assert found["peak_mb"] > 200
    assert found["said"] == "said"
    with pytest.raises(RuntimeError, match="no luck"):
        cs2star._child([sys.executable, "-c", "raise SystemExit('no luck')"], tmp_path)


def test_ratios_say_how_many_times_as_much_the_others_need() -> None:
    found = {
        "ours": {"cpu_s": 3.0, "work_cpu_s": 2.0, "peak_mb": 100.0},
        "pyem": {"cpu_s": 30.0, "work_cpu_s": 24.0, "peak_mb": 400.0},
        "starfile": {"cpu_s": 9.0, "write_cpu_s": 5.0, "peak_mb": 300.0},
    }
    assert ratios(found) == {
        "pyem_to_ours_cpu": 10.0,
        "pyem_to_ours_work_cpu": 12.0,
        "pyem_to_ours_peak": 4.0,
        "starfile_write_to_ours_work_cpu": 2.5,
        "starfile_to_ours_peak": 3.0,
    }
    assert ratios(found | {"pyem": {"error": "it failed"}}).keys() == {
        "starfile_write_to_ours_work_cpu",
        "starfile_to_ours_peak",
    }


def test_a_run_with_few_rows_fills_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "other.py"
    script.write_text("import sys; open(sys.argv[-1], 'w').write('data_'); print(len(sys.argv))")
    monkeypatch.setenv(cs2star.PYEM_PYTHON, sys.executable)
    monkeypatch.setenv(cs2star.PYEM_SCRIPT, str(script))
    monkeypatch.setattr(cs2star, "MOST_ROUNDS", 1)
    monkeypatch.setattr(cs2star, "STOP_AT", (0.0,))
    assert "cs2star" in bench.names()
    figures = cs2star.measure([400])
    one, two, packed = figures["datasets"]
    assert one["ours"]["files"] == 4
    assert one["ours"]["cpu_s"] > 0.05
    assert one["starfile"]["write_cpu_s"] > 0
    assert "pyem" in two
    assert "pyem" not in packed
    assert figures["stopping"]["asked"][0]["partial_files_left"] == 0
    table = text(figures)
    assert "two files" in table
    assert "pyem to ours cpu" in table
