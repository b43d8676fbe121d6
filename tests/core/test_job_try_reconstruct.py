"""try-reconstruct: four methods on the same statistics, numbers that can be recomputed, words that stay true."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_prior import save_tiny_prior

from core.errors import InputError, JobStopped, ParamError
from core.io.mrc import open_mrc
from core.jobs import reconstruct
from core.jobs.base import EventWriter, JobContext
from core.jobs.try_reconstruct import METHODS, TryReconstructParams, run, structure
from core.metrics.fsc import auto_mask
from core.physics.structures import parse_structure
from core.reconstruction import leakage, shells
from core.reconstruction import prior as priors
from core.reconstruction.results import DATA_ONLY, HALF, LEARNED, read_outcome
from core.volumes.reading import read_map

VIEWS = 60


def context(folder: Path, events: list[dict[str, Any]], stop=lambda: False) -> JobContext:
    folder.mkdir(parents=True, exist_ok=True)
    return JobContext(folder, EventWriter(folder, events.append), stop)


@pytest.fixture(scope="module")
def tried(tmp_path_factory) -> tuple[dict[str, Any], Path, list[dict[str, Any]]]:
    """Result, folder and events of one run with a prior that knows nothing."""
    folder = tmp_path_factory.mktemp("try")
    events: list[dict[str, Any]] = []
    prior = save_tiny_prior(folder / "prior.safetensors")
    values = {"output": folder / "out", "views": VIEWS, "snr": 0.5, "prior": prior, "chains": 2, "levels": 4}
    result = run(TryReconstructParams.parse(values), context(folder / "run", events))
    return result, folder / "out", events


def test_all_four_methods_stand_in_the_table(tried) -> None:
    result, out, _ = tried
    assert [row["method"] for row in result["table"]] == list(METHODS)
    by = {row["method"]: row for row in result["table"]}
    assert by["positive"]["cc_masked"] > 0.9
    assert by["positive"]["cc_masked"] > by["backproject"]["cc_masked"]
    assert json.loads((out / "comparison.json").read_text())["table"] == result["table"]


def test_numbers_are_those_of_the_files(tried) -> None:
    result, _, _ = tried
    truth = np.asarray(open_mrc(Path(result["truth"])), np.float32)
    mask = auto_mask(truth, 3.0)
    for row in result["table"]:
        found = np.asarray(open_mrc(Path(row["map"])), np.float32)
        weights = mask.ravel().astype(float)
        covariance = np.cov(found.ravel(), truth.ravel(), aweights=weights, ddof=0)
        pearson = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        assert row["cc_masked"] == pytest.approx(pearson, abs=2e-4)
        cosine = (found * truth).sum() / np.linalg.norm(found) / np.linalg.norm(truth)
        assert row["cc_uncentred"] == pytest.approx(cosine, abs=2e-4)
        fsc = shells.correlation(found * mask, truth * mask)
        assert row["resolution_a"] == pytest.approx(shells.resolution_a(fsc, 32, 3.0, 0.5), abs=0.01)


def test_methods_share_their_statistics_and_half_maps(tried) -> None:
    _, out, _ = tried
    first = (out / "backproject" / "statistics.npz").read_bytes()
    half = np.asarray(open_mrc(out / "backproject" / "half1.mrc"))
    for method in METHODS[1:]:
        assert (out / method / "statistics.npz").read_bytes() == first
        np.testing.assert_array_equal(np.asarray(open_mrc(out / method / "half1.mrc")), half)


def test_everything_says_that_it_is_simulated_and_what_the_prior_knew(tried) -> None:
    result, _, _ = tried
    assert result["simulated"] is True
    assert f"Simulated: {VIEWS} views of lysozyme" in result["summary"]
    assert "No relative of the specimen" in result["prior"]


def test_sections_and_curves_come_as_they_are_made(tried) -> None:
    _, _, events = tried
    shown = [e for e in events if e["kind"] == "preview" and e["name"] == "sections"]
    assert [len(e["labels"]) for e in shown] == [1, 2, 3, 4, 5]
    assert np.load(shown[-1]["path"]).shape == (5, 32, 32)
    views = next(e for e in events if e["kind"] == "preview" and e["name"] == "views")
    assert np.load(views["path"]).sum() == VIEWS
    levels = [e["value"] for e in events if e["kind"] == "metric" and e["name"] == "noise level"]
    assert len(levels) == 4
    assert levels == sorted(levels, reverse=True)
    done = [e["done"] for e in events if e["kind"] == "progress"]
    assert done == sorted(done)


def test_a_map_with_the_prior_carries_its_label(tried) -> None:
    _, out, _ = tried
    outcome = read_outcome(out / "dps")
    assert outcome.volumes.main.provenance == LEARNED
    assert DATA_ONLY in outcome.volumes.main.notes
    kinds = {volume.kind: volume.provenance for volume in outcome.volumes.volumes}
    assert set(kinds) == {"map", "half1", "half2", "std"}
    assert kinds["half1"] == HALF
    assert "LEARNED PRIOR" in read_map(out / "dps" / "map.mrc").provenance  # wherever the file is opened
    assert "prior" in read_map(out / "dps" / "samples" / "01.mrc").provenance
    assert read_map(out / "dps" / "half1.mrc").provenance == ""
    plain = read_outcome(out / "positive")
    assert plain.volumes.main.provenance == ""
    assert {v.kind for v in plain.volumes.volumes} == {"map", "half1", "half2"}
    assert plain.pixel_size_a == pytest.approx(3.0, rel=1e-4)
    assert plain.weight is not None
    assert plain.weight.shape == (3, 32, 32)
    assert 0 <= plain.weight.min() <= plain.weight.max() <= 1
    assert plain.weight[:, 16, 16].min() > 0.99  # the images know the coarsest best


def test_results_that_are_gone_or_damaged_are_one_sentence(tried, tmp_path) -> None:
    _, out, _ = tried
    with pytest.raises(InputError, match="any more"):
        read_outcome(tmp_path)
    for name in ("map.mrc", "result.json"):
        (tmp_path / name).write_bytes((out / "positive" / name).read_bytes())
    with pytest.raises(InputError, match=r"fsc\.json"):
        read_outcome(tmp_path)
    (tmp_path / "fsc.json").write_text('{"frequency": [0, 1], "corrected": [1]}')
    with pytest.raises(InputError, match=r"fsc\.json"):
        read_outcome(tmp_path)


def test_without_a_prior_three_methods_are_left(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(priors, "BUNDLED_PATH", tmp_path / "absent.safetensors")
    events: list[dict[str, Any]] = []
    params = TryReconstructParams.parse({"output": tmp_path / "out", "views": 20, "snr": 1})
    result = run(params, context(tmp_path / "run", events))
    assert [row["method"] for row in result["table"]] == list(METHODS[:3])
    assert any("not in this installation" in e["message"] for e in events if e["kind"] == "warning")
    star = {"particles": result["star"], "contrast": "light"}
    automatic = reconstruct.ReconstructParams.parse(star | {"output": tmp_path / "auto"})
    made = reconstruct.run(automatic, context(tmp_path / "run2", events))
    assert made["method"] == "positive"
    learned = reconstruct.ReconstructParams.parse(star | {"output": tmp_path / "dps", "method": "dps"})
    with pytest.raises(InputError, match="not in this installation"):
        reconstruct.run(learned, context(tmp_path / "run3", events))


def test_a_prior_that_has_seen_the_specimen_is_told(tmp_path) -> None:
    sequence = leakage.sequences(parse_structure(structure("ubiquitin")))[0]
    prior = save_tiny_prior(tmp_path / "prior.safetensors", sequence)
    values = {"output": tmp_path / "out", "specimen": "ubiquitin", "views": 20, "snr": 1, "prior": prior}
    events: list[dict[str, Any]] = []
    result = run(TryReconstructParams.parse(values | {"chains": 1, "levels": 4}), context(tmp_path / "run", events))
    assert "trained on a relative" in result["prior"]
    assert any("trained on a relative" in e["message"] for e in events if e["kind"] == "warning")


def test_other_peoples_folders_are_left_alone_and_stop_is_heard(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    params = TryReconstructParams.parse({"output": tmp_path / "out"})
    with pytest.raises(ParamError, match="holds other files"):
        run(params, context(tmp_path / "run", []))
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
    with pytest.raises(JobStopped):
        run(TryReconstructParams.parse({"output": tmp_path / "new"}), context(tmp_path / "run", [], lambda: True))
