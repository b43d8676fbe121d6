"""“Can I trust it?” of Predict: the right check is run, its result is found, and what it is not about is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.tabs.predict_trust import NO_INPUTS, difference, method_facts, usable
from core.denoising.trust_files import read_trust
from core.io.mrc import write_mrc
from workers import task

WAIT = 120_000
LEFT = Qt.MouseButton.LeftButton
NX = NY = 512


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two micrographs with dark discs in noise, their picks, and noise boxes."""
    rng = np.random.default_rng(5)
    yy, xx = np.mgrid[:NY, :NX]
    (tmp_path / "raw").mkdir()
    rows = []
    for name in ("a", "b"):
        image = rng.normal(100, 10, (NY, NX))
        for x in (80, 240, 400):
            for y in (80, 300):
                image -= 14 * (np.hypot(xx - x, yy - y) < 24)
                rows.append(f"{name}.mrc {x} {y}")
        write_mrc(tmp_path / f"raw/{name}.mrc", image.astype(np.float32), pixel_size_a=2.0)
    head = "data_particles\n\nloop_\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n"
    (tmp_path / "picks.star").write_text(head + "\n".join(rows) + "\n")
    boxes = [f"{name} {x} {y}" for name in ("a.mrc", "b.mrc") for x in (80, 160, 320, 400) for y in (190, 420)]
    (tmp_path / "noise.txt").write_text("# box_size 64\n" + "\n".join(boxes) + "\n")
    return tmp_path


@pytest.fixture
def make(qtbot, session, project: Path):
    """A Predict tab on the project with the Gaussian, as often as it is asked for."""
    from app.tabs.predict import PredictTab

    tabs = []

    def new(output: str = "denoised-gaussian") -> PredictTab:
        tab = PredictTab(session)
        qtbot.addWidget(tab)
        tab.resize(1200, 800)
        tab.show()
        qtbot.waitExposed(tab)
        values = {"micrographs": [str(project / "raw")], "model": "gaussian:30", "output": str(project / output)}
        tab.form.set_values(values)
        tab.form.set_values({"output": values["output"]})
        qtbot.waitUntil(lambda: len(tab.list.files) == 2 and tab.trust._found is not None, timeout=WAIT)
        tabs.append(tab)
        return tab

    yield new
    for worker in session.active():
        worker.request_stop()
        worker.wait(5000)
    for tab in tabs:
        tab.close_tab()


def hand_over(session, project: Path, micrographs: Path | None = None) -> None:
    values = {"micrographs": [str(micrographs or project / "raw")], "particles": str(project / "picks.star")}
    session.hand_over("", values | {"noise": str(project / "noise.txt"), "particle_diameter": 48.0})


def test_the_check_runs_with_the_forms_values_and_homes_picks_and_is_found_again(qtbot, session, make, project) -> None:
    hand_over(session, project)
    tab = make()
    assert "Not checked yet" in tab.light.text()
    qtbot.mouseClick(tab.switch.button(1), LEFT)
    assert tab.trust.panel.isVisible()
    assert not tab.compare.isVisible()
    assert tab.trust.panel.inputs.text() == "The check uses the picks in picks.star and the noise boxes in noise.txt."
    tab.form.set_values({"pixel_size": 2.0})
    qtbot.mouseClick(tab.trust.panel.ask_button, LEFT)
    params = tab.trust.worker.params
    assert tab.trust.worker.job == "trust"
    assert params["output"] == str(project / "denoised-gaussian" / "trust")
    assert params["micrographs"] == [str(project / "raw")]
    assert params["particles"] == str(project / "picks.star")
    assert params["noise"] == str(project / "noise.txt")
    assert (params["model"], params["keep_raw"], params["pixel_size"]) == ("gaussian:30", 0.5, 2.0)
    assert params["particle_diameter"] == 48.0
    assert not tab.trust.panel.ask_button.isEnabled()
    assert tab.trust.bar.isVisible()
    assert tab.trust.bar.stop_button.isEnabled()
    assert tab.worker is None  # not shown as a denoising
    qtbot.waitUntil(lambda: tab.trust.panel.result is not None, timeout=WAIT)
    result = tab.trust.panel.result
    assert result is not None
    assert result.facts["identity"]["method"] == "gaussian:30"
    assert tab.trust.panel.reason.text() == result.facts["reason"]
    assert result.facts["reason"] in tab.light.text()
    assert not tab.trust.bar.isVisible()
    again = make()
    assert again.pages.currentIndex() == 1  # the page is remembered
    qtbot.waitUntil(lambda: again.trust.panel.result is not None, timeout=WAIT)
    assert again.light.text() == tab.light.text()
    again.form.set_values({"model": "gaussian:60"})
    qtbot.waitUntil(lambda: "Out of date" in again.light.text(), timeout=WAIT)
    assert again.trust.panel.reason.text().startswith("Another method was checked.")
    again.form.set_values({"model": "gaussian:30", "output": str(project / "elsewhere")})
    qtbot.waitUntil(lambda: "Not checked yet" in again.light.text(), timeout=WAIT)


def test_without_picks_the_check_says_that_it_can_say_less(qtbot, session, make, project) -> None:
    hand_over(session, project, project / "other")  # picks of other micrographs are not taken
    tab = make()
    tab.show_page(1)
    assert tab.trust.panel.inputs.text() == NO_INPUTS
    qtbot.mouseClick(tab.trust.panel.ask_button, LEFT)
    assert "particles" not in tab.trust.worker.params
    assert "noise" not in tab.trust.worker.params
    qtbot.waitUntil(lambda: tab.trust.worker.state == "running", timeout=WAIT)
    qtbot.mouseClick(tab.trust.bar.stop_button, LEFT)
    qtbot.waitUntil(lambda: tab.trust.banner.isVisible(), timeout=WAIT)
    assert "stopped" in tab.trust.banner.text.text()
    assert tab.trust.panel.ask_button.isEnabled()
    assert "Not checked yet" in tab.light.text()


def test_an_incomplete_form_starts_nothing_and_is_marked(qtbot, session, make) -> None:
    tab = make()
    tab.show_page(1)
    tab.form.set_values({"model": ""})
    qtbot.mouseClick(tab.trust.panel.ask_button, LEFT)
    assert tab.trust.worker is None
    assert tab.form.rows["model"].error.isVisible()
    assert tab.banner.isVisible()


def test_ctrl_t_and_tab_reach_the_switch(qtbot, make) -> None:
    tab = make()
    tab.list.setFocus()
    assert tab.switch.button(0).focusPolicy() & Qt.FocusPolicy.TabFocus
    qtbot.keyClick(tab.list, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert tab.pages.currentIndex() == 1
    assert tab.switch.button(1).isChecked()
    qtbot.keyClick(tab, Qt.Key.Key_T, Qt.KeyboardModifier.ControlModifier)
    assert tab.pages.currentIndex() == 0


def fake_result(folder: Path, files: list[Path], identity: dict | None) -> None:
    """A trust folder with no more than the light."""
    facts = {
        "format": 1, "verdict": "green", "reason": "Nothing was found.", "method": "m", "advice": "x", "unit": "Å",
        "micrographs": [str(f) for f in files], "checks": [], "curves": [], "pictures": [], "missing": [],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trust.json").write_text(json.dumps(facts | ({"identity": identity} if identity else {})))
    assert read_trust(folder).facts["verdict"] == "green"


def test_another_model_share_or_micrograph_makes_the_light_out_of_date(qtbot, make, project) -> None:
    model = project / "model.safetensors"
    model.write_bytes(b"weights")
    files = [project / "raw/a.mrc"]
    checked = method_facts(str(model)) | {"keep_raw": 0.5}
    fake_result(project / "out/trust", files, checked)
    tab = make("out")
    tab.form.set_values({"model": str(model), "output": str(project / "out")})
    qtbot.waitUntil(lambda: tab.light.text() == "● Nothing found against it: Nothing was found.", timeout=WAIT)
    tab.detail.slider.setValue(80)
    assert "checked with 50 % raw detail; here it is 80 %" in tab.light.text()
    assert tab.trust.panel.light.text() == "○ Out of date"
    tab.detail.slider.setValue(50)
    assert "Out of date" not in tab.light.text()
    model.write_bytes(b"other weights")
    tab.refresh()
    qtbot.waitUntil(lambda: "Another model was checked." in tab.light.text(), timeout=WAIT)
    model.write_bytes(b"weights")
    fake_result(project / "out/trust", [project / "elsewhere.mrc"], checked)
    tab.refresh()
    qtbot.waitUntil(lambda: "Other micrographs were checked." in tab.light.text(), timeout=WAIT)


def test_what_makes_a_check_say_nothing_of_a_method() -> None:
    network = {"method": "network", "sha256": "1", "keep_raw": 0.5}
    assert difference(network, {"method": "network", "sha256": "1"}, 0.5) == ""
    assert "Another model" in difference(network, {"method": "network", "sha256": "2"}, 0.5)
    assert "50 %" in difference(network, {"method": "network", "sha256": "1"}, 1.0)
    assert "Another method" in difference({"method": "wiener"}, {"method": "gaussian:30"}, 0.5)
    assert difference({"method": "wiener"}, {"method": "wiener"}, 0.9) == ""  # a filter keeps no raw detail
    assert "does not say" in difference({}, network, 0.5)
    assert "cannot be read" in difference(network, {}, 0.5)


def test_only_picks_of_these_micrographs_that_exist_are_used(project: Path) -> None:
    files = [project / "raw/a.mrc"]
    given = {"micrographs": [str(project / "raw")], "particles": str(project / "picks.star"), "noise": "/no/such.txt"}
    found, words = usable([{"micrographs": ["/elsewhere"]}, given], files)
    assert found == {"particles": str(project / "picks.star")}
    assert words == "The check uses the picks in picks.star."
    assert usable([given | {"particles": None}], files) == ({}, NO_INPUTS)


def test_closing_waits_for_what_is_being_read(qtbot, make, project, monkeypatch) -> None:
    import time

    from app.tabs import predict_trust

    tab = make()
    began = []

    def slow(_: str) -> dict:
        began.append(time.monotonic())
        time.sleep(0.5)
        return {}

    monkeypatch.setattr(predict_trust, "method_facts", slow)
    tab.trust.look(tab.form.values(), tab.list.files)
    qtbot.waitUntil(lambda: bool(began), timeout=WAIT)
    tab.close_tab()
    assert time.monotonic() - began[0] >= 0.5
    assert tab.trust._task is None
    qtbot.waitUntil(lambda: not task._running, timeout=WAIT)


def test_a_check_that_runs_is_shown_by_its_tab(qtbot, window, project, monkeypatch) -> None:
    from core.jobs.table import job_params

    values = {"micrographs": [project / "raw"], "model": "gaussian:30", "output": project / "out/trust"}
    worker = window.session.start("trust", job_params("trust").parse(values))
    window.show_run(worker)
    page = window.page("predict").trust
    assert window.rooms.currentWidget().isAncestorOf(page)
    assert page.worker.run_dir == worker.run_dir
    qtbot.waitUntil(lambda: page.worker.state == "running", timeout=WAIT)
    assert "Checking" in window.page("predict").light.text()
    page.worker.request_stop()
    qtbot.waitUntil(lambda: not page.active, timeout=WAIT)


def test_a_warning_of_another_noise_stands_above_what_was_done(make) -> None:
    tab = make()
    words = "a.mrc: this model has learnt another noise. Train it on these micrographs."
    tab._on_warning(words)
    assert tab.banner.text.text() == words
    tab._on_done({"summary": "2 micrographs denoised", "files": []})
    assert tab.banner.text.text() == words
    assert tab.banner.hint.text() == "2 micrographs denoised"
    assert tab.banner.property("state") == "warning"


def test_picks_of_earlier_micrographs_are_not_carried_on(session, project: Path) -> None:
    hand_over(session, project)
    session.hand_over("", {"input": "set"})
    assert session.carried["particles"] == str(project / "picks.star")
    session.hand_over("", {"micrographs": ["/other"], "particles": "", "noise": ""})
    assert "particles" not in session.carried
    assert "noise" not in session.carried
