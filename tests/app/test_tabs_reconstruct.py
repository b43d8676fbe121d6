"""The Reconstruct tab with real small reconstructions: form, live map, result, what is kept, the try-out."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from tiny_prior import save_tiny_prior

from app.tabs import reconstruct_particles
from app.tabs.reconstruct_result import METHOD_WORDS
from app.viewer import renderer
from app.window import TABS
from core.io.mrc import open_mrc
from core.io.star import read_star
from core.jobs import simulate
from core.jobs.base import EventWriter, JobContext
from core.jobs.try_reconstruct import LIBRARY
from core.reconstruction.results import DATA_ONLY, LEARNED

LEFT = Qt.MouseButton.LeftButton
WAIT = 60_000
VIEWS = 60


@pytest.fixture(scope="module")
def star(tmp_path_factory) -> Path:
    """60 simulated particles of 32 px of 3 Å."""
    folder = tmp_path_factory.mktemp("particles")
    values = {"model": LIBRARY / "1aki.pdb.gz", "output": folder / "sim", "box": 32, "pixel_size": 3.0}
    (folder / "run").mkdir()
    context = JobContext(folder / "run", EventWriter(folder / "run"))
    made = simulate.run(simulate.SimulateParams.parse(values | {"views": VIEWS, "snr": 0.5}), context)
    return Path(made["star"])


@pytest.fixture(scope="module")
def prior(tmp_path_factory) -> Path:
    return save_tiny_prior(tmp_path_factory.mktemp("prior") / "prior.safetensors")


@pytest.fixture(autouse=True)
def without_opengl(monkeypatch) -> None:
    monkeypatch.setattr(renderer, "_current", renderer.Choice("raster", "no OpenGL context"))


@pytest.fixture
def page(qtbot, session):
    from app.tabs.reconstruct import ReconstructTab

    page = ReconstructTab(session)
    qtbot.addWidget(page)
    page.resize(1280, 800)
    page.show()
    qtbot.waitExposed(page)
    yield page
    for worker in session.active():
        worker.request_stop()
        worker.wait(5000)
    page.close_tab()


@pytest.fixture
def tab(page):
    return page.particles


def run(qtbot, tab, star: Path, output: Path, **values) -> None:
    """Reconstruct with these values, and wait until the maps are on show."""
    tab.form.set_values({"particles": str(star), "output": str(output), "contrast": "light", **values})
    qtbot.mouseClick(tab.run_bar.run_button, LEFT)
    assert tab.worker is not None, tab.banner.text.text()
    qtbot.waitUntil(lambda: tab.worker.state in ("done", "failed"), timeout=WAIT)
    assert tab.worker.state == "done", tab.banner.text.text()
    qtbot.waitUntil(lambda: tab.map.outcome is not None, timeout=WAIT)


def card(tab, name: str):
    names = [choice.name for choice in reconstruct_particles.choices(True)]
    return tab.methods.cards[names.index(name)]


def test_cards_are_the_method_and_say_where_a_prior_comes_in(qtbot, tab, monkeypatch, tmp_path, prior) -> None:
    assert tab.methods.current() == "auto"
    qtbot.mouseClick(card(tab, "wiener"), LEFT)
    assert tab.form.raw("method") == "wiener"
    tab.form.set_values({"method": "positive"})
    assert tab.methods.current() == "positive"
    sides = {c.name: c.side for c in reconstruct_particles.choices(True)}
    assert [n for n, side in sides.items() if side == "images only"] == ["backproject", "wiener", "positive"]
    assert sides["dps"] == "with learned prior"
    monkeypatch.setattr(reconstruct_particles, "BUNDLED_PATH", tmp_path / "absent.safetensors")
    tab.form.set_values({"method": "wiener"})
    assert not card(tab, "dps").isEnabled()
    assert "not in this installation" in card(tab, "dps").text.text()
    tab.form.set_values({"prior": str(prior)})
    assert card(tab, "dps").isEnabled()


def test_a_map_from_images_with_its_numbers(qtbot, tab, star, tmp_path) -> None:
    lives = []
    tab.map.view.set_live, live = lambda *a, **k: (lives.append((a, k)), live(*a, **k)), tab.map.view.set_live
    run(qtbot, tab, star, tmp_path / "out", method="positive")
    result = tab.result
    assert {v.kind for v in tab.map.view.volumes.volumes} == {"map", "half1", "half2"}
    np.testing.assert_array_equal(
        tab.map.view.volumes.main.values, np.asarray(open_mrc(tmp_path / "out" / "map.mrc"), np.float32)
    )
    assert not tab.map.view.provenance.text()
    texts = [value.text() for value in tab.map.numbers.values]
    assert texts[0] == f"{result['resolution_a_0.143']:.3g} Å"
    assert texts[2:] == ["6 Å", f"{result['data_share_half_nyquist']:.0%}"]
    assert tab.map.numbers.method.text() == f"Positive density, {VIEWS} particles"
    assert tab.banner.text.text().startswith(f"Map of {VIEWS} particles: Positive density. Half maps from images alone")
    assert tab.evidence.views.counts.sum() == VIEWS
    csv = tab.evidence.fsc.csv_text()
    assert all(f"\n{name}," in csv for name in ("corrected", "unmasked", "masked", "randomised"))
    assert f"0.143 at {result['resolution_a_0.143']:.3g} Å" in tab.evidence.fsc.text.text()
    assert len(tab.evidence.weight.canvas.images) == 3
    residual = [value for _, value in tab.progress.residual.points("residual")]
    assert len(residual) > 5
    assert 0 < residual[-1] < 0.6  # an empty map has 1
    pictures, pixel = lives[-1][0][:2]
    assert {name: picture.shape for name, picture in pictures.items()} == dict.fromkeys("zyx", (32, 32))
    assert pixel == pytest.approx(3.0, abs=1e-3)
    main = tab.map.view.volumes.main.values
    np.testing.assert_allclose(pictures["x"], main[:, :, 16].T, atol=1e-6)  # z right, y down, as in the viewer
    assert tab.folder_button.isEnabled()
    share = tab.map.numbers.values[3]
    assert share.accessibleName() == "known to ½ Nyquist"
    assert "that the images know" in share.toolTip()
    assert tab.progress.expected.isHidden()


def test_a_map_with_a_prior_is_labelled_while_it_is_made_and_after(qtbot, tab, star, prior, tmp_path) -> None:
    seen = set()
    tab.map.view.slices.set_live, live = (
        lambda pictures, shown: (seen.add(shown.provenance), live(pictures, shown)),
        tab.map.view.slices.set_live,
    )
    run(qtbot, tab, star, tmp_path / "out", method="dps", prior=str(prior), levels=6, chains=2)
    assert LEARNED in seen
    assert tab.map.view.provenance.text() == LEARNED
    assert tab.map.view.provenance.isVisible()
    assert DATA_ONLY in tab.map.view.notes.text()
    by = {v.kind: v for v in tab.map.view.volumes.volumes}
    assert set(by) == {"map", "half1", "half2", "std"}
    assert by["half1"].provenance == "from images alone"
    levels = [value for _, value in tab.progress.noise.points("noise level")]
    assert len(levels) == 6
    assert "noise in the images is no longer fitted" in tab.progress.expected.text()
    assert not tab.progress.expected.isHidden()
    assert levels == sorted(levels, reverse=True)
    # another method on the same particles: the label goes, the half maps stay
    run_again = tab.map.outcome
    tab.map.outcome = None
    run(qtbot, tab, star, tmp_path / "out2", method="wiener")
    assert not tab.map.view.provenance.text()
    assert tab.progress.expected.isHidden()
    np.testing.assert_array_equal(tab.map.outcome.volumes.volumes[1].values, run_again.volumes.volumes[1].values)


def test_particles_without_poses_are_refused_in_a_sentence(qtbot, tab, star, tmp_path) -> None:
    lines = [line for line in star.read_text().splitlines() if not line.startswith("_rlnAngleTilt")]
    bad = tmp_path / "bad.star"
    bad.write_text("\n".join(lines).replace("_rlnAngleRot", "_rlnNothing"))
    tab.form.set_values({"particles": str(bad), "output": str(tmp_path / "out")})
    qtbot.mouseClick(tab.run_bar.run_button, LEFT)
    qtbot.waitUntil(lambda: tab.worker is not None and tab.worker.state == "failed", timeout=WAIT)
    assert tab.banner.isVisible()
    assert "bug" not in tab.banner.text.text()
    assert "bad.star" in tab.banner.text.text()
    assert tab.map.outcome is None


def words(tab) -> str:
    """What stands over the pictures."""
    return tab.map.view.slices.planes["z"].scene.message


def fail(qtbot, tab, **values) -> None:
    tab.form.set_values(values)
    before = tab.worker
    qtbot.mouseClick(tab.run_bar.run_button, LEFT)
    qtbot.waitUntil(lambda: tab.worker is not before and tab.worker.state == "failed", timeout=WAIT)
    qtbot.waitUntil(lambda: tab.banner.property("state") == "failed", timeout=WAIT)


def test_a_map_that_stays_after_a_failed_start_is_named_the_earlier_runs(qtbot, tab, star, prior, tmp_path) -> None:
    run(qtbot, tab, star, tmp_path / "first", method="backproject")
    assert not tab.earlier.isVisible()
    bad = tmp_path / "bad.star"
    bad.write_text(star.read_text().replace("_rlnAngleRot", "_rlnNothing"))
    fail(qtbot, tab, particles=str(bad), output=str(tmp_path / "second"))
    assert "bad.star" in tab.banner.text.text()
    assert tab.map.outcome is not None
    assert tab.earlier.isVisible()
    assert tab.earlier.text() == "Earlier run: first"
    run(qtbot, tab, star, tmp_path / "third", method="wiener", overwrite=True)
    qtbot.waitUntil(lambda: tab.map.outcome.folder.name == "third", timeout=WAIT)
    assert not tab.earlier.isVisible()


def test_nothing_is_said_to_be_read_after_a_failed_run(qtbot, tab, star, tmp_path, monkeypatch) -> None:
    run(qtbot, tab, star, tmp_path / "first", method="backproject")
    worker = tab.worker
    monkeypatch.setattr(type(worker), "active", property(lambda _: True))
    tab.clear_view()  # as when the first of the images were read
    assert "being read" in words(tab)
    tab._on_failed("Image 3 holds values that are not numbers.", "Extract again.", [])
    assert "being read" not in words(tab)
    assert "There is no map" in words(tab)


def test_a_result_with_warnings_fits_a_small_screen(qtbot, window, star, tmp_path) -> None:
    tab = window.show_tab("reconstruct").particles
    run(qtbot, tab, star, tmp_path / "out", method="positive")
    tab.banner.show_text("warning", "A map.", "One warning.\nAnother one.\nA third.", next_step="On")
    tab.earlier.show()
    window.resize(1280, 720)
    qtbot.wait(50)
    assert tab.map.numbers.isVisible()
    for at in range(tab.pages.count()):
        tab.pages.setCurrentIndex(at)
        qtbot.wait(20)
        least = window.minimumSizeHint()
        assert least.height() <= 720
        assert least.width() <= 1280
        assert window.height() == 720


def test_a_folder_with_a_map_is_not_overwritten_unasked(qtbot, tab, star, tmp_path) -> None:
    run(qtbot, tab, star, tmp_path / "out", method="backproject")
    before = (tmp_path / "out" / "map.mrc").read_bytes()
    tab.form.set_values({"method": "wiener"})
    qtbot.mouseClick(tab.run_bar.run_button, LEFT)
    assert "Overwrite" in tab.banner.hint.text()
    assert tab.banner.next.text() == "Use out-2"
    qtbot.mouseClick(tab.banner.next, LEFT)
    assert tab.form.raw("output") == str(tmp_path / "out-2")
    assert (tmp_path / "out" / "map.mrc").read_bytes() == before


def test_the_last_result_is_shown_again(qtbot, tab, session, star, tmp_path) -> None:
    from app.session import Session
    from app.tabs.reconstruct_particles import ParticlesTab

    run(qtbot, tab, star, tmp_path / "out", method="wiener")
    again = ParticlesTab(Session())  # the next start
    qtbot.addWidget(again)
    qtbot.waitUntil(lambda: again.map.outcome is not None, timeout=WAIT)
    assert again.map.numbers.method.text().startswith(METHOD_WORDS["wiener"])
    assert again.form.raw("particles") == str(star)
    assert again.evidence.views.counts.sum() == VIEWS
    again.close_tab()

    handed = ParticlesTab(Session())  # but not over particles that were handed over meanwhile
    qtbot.addWidget(handed)
    handed.receive({"particles": str(tmp_path / "other.star")})
    qtbot.wait(700)
    assert handed.worker is None
    assert handed.form.raw("particles") == str(tmp_path / "other.star")
    handed.close_tab()

    for path in (tmp_path / "out").glob("*.mrc"):
        path.unlink()
    gone = ParticlesTab(Session())
    qtbot.addWidget(gone)
    words = lambda: gone.map.view.slices.planes["z"].scene.message  # noqa: E731
    qtbot.waitUntil(lambda: "not in" in words() and "any more" in words(), timeout=WAIT)
    assert gone.map.outcome is None
    gone.close_tab()


def test_particles_are_handed_over_dropped_and_kept(qtbot, window, session, star) -> None:
    session.hand_over("reconstruct", {"particles": str(star)}, carry=False)
    assert TABS[window.rooms.currentIndex()] == "reconstruct"
    tab = window.page("reconstruct").particles
    assert tab.form.raw("particles") == str(star)
    assert Path(tab.form.raw("output")).name == "reconstruction"
    assert session.field("reconstruct", "particles") == str(star)
    tab.form.set_values({"particles": ""})
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(star))])
    keys = Qt.KeyboardModifier.NoModifier
    window.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, keys))
    assert tab.form.raw("particles") == str(star)
    assert TABS[window.rooms.currentIndex()] == "reconstruct"


def test_stop_keeps_what_was_counted_and_goes_on(qtbot, tab, star, prior, tmp_path) -> None:
    values = {"particles": str(star), "output": str(tmp_path / "out"), "contrast": "light", "method": "dps"}
    tab.form.set_values(values | {"prior": str(prior), "levels": 400, "chains": 4})
    qtbot.mouseClick(tab.run_bar.run_button, LEFT)
    qtbot.waitUntil(lambda: len(tab.progress.noise.points("noise level")) > 2, timeout=WAIT)
    qtbot.mouseClick(tab.run_bar.stop_button, LEFT)
    qtbot.waitUntil(lambda: tab.worker.state == "stopped", timeout=WAIT)
    assert (tmp_path / "out" / "statistics.npz").exists()
    assert not (tmp_path / "out" / "map.mrc").exists()
    assert tab.banner.detail.text() == "Continue this run"
    qtbot.mouseClick(tab.banner.detail, LEFT)
    qtbot.waitUntil(lambda: tab.worker.state == "running", timeout=WAIT)


def test_try_it_shows_all_methods_beside_the_truth(qtbot, window, prior) -> None:
    page = window.page("reconstruct")
    page.trial.form.set_values({"views": 30, "snr": 1, "prior": str(prior), "levels": 4, "chains": 2})
    action = next(
        a for m in window.menuBar().actions() for a in m.menu().actions() if a.text() == "Try a reconstruction"
    )
    began = time.monotonic()
    action.trigger()
    assert TABS[window.rooms.currentIndex()] == "reconstruct"
    trial = page.trial
    assert page.currentWidget() is trial
    qtbot.waitUntil(lambda: trial.table.rowCount() > 0, timeout=2 * WAIT)
    assert time.monotonic() - began < 120
    names = [trial.table.item(row, 0).text() for row in range(trial.table.rowCount())]
    assert names == [METHOD_WORDS[m] for m in ("backproject", "wiener", "positive", "dps")]
    assert trial.strip.canvas.labels[0] == "truth"
    assert len(trial.strip.canvas.images) == 5
    assert trial.banner.text.text().startswith("Simulated: 30 views of lysozyme")
    assert "simulated" in trial.strip.title.text()
    assert "learned prior (DPS)" in trial.truth.csv_text()
    assert len(read_star(Path(trial.result["star"]))["particles"]["rlnImageName"]) == 30
    trial.table.selectRow(3)
    qtbot.mouseClick(trial.show_button, LEFT)
    assert page.currentWidget() is page.particles
    tab = page.particles
    qtbot.waitUntil(lambda: tab.map.outcome is not None, timeout=WAIT)
    assert tab.map.view.provenance.text() == LEARNED
    assert tab.banner.text.text() == "Simulated lysozyme: learned prior (DPS)."
    worker = trial.worker
    trial.release()
    window.show_tab("home")
    window.show_run(worker)  # from the list of runs
    assert page.currentWidget() is trial
    qtbot.waitUntil(lambda: trial.worker is not None and trial.worker.state == "done", timeout=WAIT)
