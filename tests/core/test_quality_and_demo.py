"""The numbers of the demo's table on cases with a known answer, and the demo itself on its bundled real data."""

import numpy as np
import pytest
import scipy.ndimage as ndi

from core.denoising import quality, report
from core.denoising.demo_report import png
from core.jobs import demo
from core.jobs.base import EventWriter, JobContext


def scene(seed=0, side=600, diameter=40):
    """White noise with dark rings on a grid, and the places of rings and of empty boxes."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:side, :side]
    grid = np.arange(60, side - 40, 90)
    particles = np.array([(x, y) for y in grid for x in grid], float)
    image = rng.standard_normal((side, side))
    for x, y in particles:
        image -= 1.5 * np.exp(-((np.hypot(xx - x, yy - y) - diameter / 2 + 4) ** 2) / 8)
    noise = particles[:-7] + 45
    return image.astype(np.float32), particles, noise[(noise < side - 30).all(axis=1)]


def test_average_precision_of_perfect_useless_and_mixed_rankings():
    scores = np.arange(10, 0, -1.0)
    assert quality.average_precision(np.array([True] * 5 + [False] * 5), scores, 5) == 1
    assert quality.average_precision(np.zeros(10, bool), scores, 5) == 0
    assert quality.average_precision(np.array([True, False, True] + [False] * 7), scores, 2) == pytest.approx(5 / 6)


def test_peaks_keep_their_distance_and_match_each_particle_once():
    scores = np.zeros((100, 100))
    scores[50, 50], scores[50, 58], scores[20, 80], scores[2, 2] = 3, 2, 1, 9
    xy, score = quality.peaks(ndi.gaussian_filter(scores, 1), apart=12, margin=10)
    assert [tuple(p) for p in xy[:2]] == [(50, 50), (80, 20)]
    assert (np.diff(score) <= 0).all()
    hits = quality.match_peaks(np.array([[50, 50], [51, 50], [80, 20]]), np.array([[49.0, 50.0], [10, 10]]), 5)
    assert list(hits) == [True, False, False]


def test_the_template_score_is_highest_at_the_particle_to_the_pixel():
    image, particles, _ = scene(seed=3)
    template = quality.ring_template(quality.crops_at(image, particles, 60), 40)
    scores = quality.template_scores(image, template)
    xy, _ = quality.peaks(scores, 20, 25)
    inner = particles[(particles > 25).all(axis=1) & (particles < 575).all(axis=1)]
    nearest = [np.hypot(*(xy - p).T).min() for p in inner]
    assert np.median(nearest) <= 1.0
    assert np.mean(np.array(nearest) < 4) > 0.95


def test_judging_raw_a_low_pass_and_nothing_at_all():
    image, particles, noise = scene()
    sample = report.Sample("m", image, particles, noise)  # type: ignore[arg-type]
    raw = report.judge("raw", lambda s, im: im, [sample], 40, 30)
    smooth = report.judge("smooth", lambda s, im: ndi.gaussian_filter(im, 2.0), [sample], 40, 30)
    assert raw.ring_ap > 0.9
    assert 0.7 < raw.noise_over_particle < 1
    assert raw.blank_over_particle == pytest.approx(raw.noise_over_particle, rel=0.15)
    assert smooth.noise_over_particle < 0.6 * raw.noise_over_particle
    rows = report.with_suppression([raw, smooth])
    assert rows[0].suppression_db == 0
    assert rows[1].suppression_db > 4


def test_png_is_readable(tmp_path):
    from PySide6.QtGui import QImage

    image = np.arange(200, dtype=np.uint8).reshape(10, 20)
    shown = QImage.fromData(png(image))
    assert (shown.width(), shown.height()) == (20, 10)
    assert shown.pixelColor(3, 2).red() == image[2, 3]


def test_the_demo_trains_from_the_generic_model_where_it_is_there(generic, tmp_path, monkeypatch):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    ctx = JobContext(run_dir, EventWriter(run_dir), lambda: False)
    monkeypatch.setattr("core.denoising.model.GENERIC_PATH", generic)
    assert demo._mode(ctx) == "quality"
    assert not (run_dir / "events.jsonl").exists() or "missing" not in (run_dir / "events.jsonl").read_text()
    monkeypatch.setattr("core.denoising.model.GENERIC_PATH", tmp_path / "none.safetensors")
    assert demo._mode(ctx) == "scratch"
    assert "generic model is missing" in (run_dir / "events.jsonl").read_text()


def test_the_demo_runs_on_its_real_data_and_writes_its_report(run_job, tmp_path, generic, monkeypatch):
    """A few seconds of training: enough for every step to do its work, not for good pictures."""
    monkeypatch.setattr("core.denoising.model.GENERIC_PATH", generic)
    done = run_job("demo", minutes=0.05, output=tmp_path / "demo", window=False)
    assert done["exit_code"] == 0, done
    page = (tmp_path / "demo/report.html").read_text()
    assert "EMPIAR-10146" in page
    assert "from the generic model" in page
    assert page.count("data:image/png") == 6
    methods = [row["method"] for row in done["result"]["table"]]
    assert methods[0] == "raw"
    assert any(m.startswith("Gaussian") for m in methods)
    assert {"Wiener", "network alone", "Vitreous network"} <= set(methods)
    assert all(np.isfinite(list(row.values())[1:5]).all() for row in done["result"]["table"])
    assert len(list((tmp_path / "demo/denoised").glob("*.mrc"))) == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/precious.txt").write_text("keep")
    refused = run_job("demo", minutes=0.05, output=tmp_path / "mine")
    assert refused["exit_code"] == 2
    assert (tmp_path / "mine/precious.txt").exists()
