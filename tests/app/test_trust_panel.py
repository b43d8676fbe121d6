"""The trust panel shows what a real job run wrote: light, checks, numbers, pictures, curves; or says why it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QApplication, QBoxLayout

from app import theme
from app.widgets.trust_panel import ADVICE, TrustPanel
from core.denoising.trust_files import read_trust
from core.jobs import rundir
from core.jobs.base import execute
from core.jobs.table import job_params
from workers import task

DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A trust folder of the job itself, on one real micrograph with its picks."""
    out = tmp_path_factory.mktemp("trust") / "out"
    values = {"micrographs": [DEMO / "May08_03.05.02.mrc.gz"], "model": "gaussian:30", "output": out, "draws": 2}
    values |= {"particles": DEMO / "particles.star", "particle_diameter": 80}
    run_dir = rundir.create("trust", job_params("trust").parse(values), out.parent / "runs")
    assert execute(run_dir) == 0
    return out


@pytest.fixture
def panel(qtbot, qapp):
    theme.apply(qapp, "dark")
    panel = TrustPanel()
    qtbot.addWidget(panel)
    panel.resize(1200, 800)
    panel.show()
    yield panel
    qtbot.waitUntil(lambda: not task._running, timeout=20_000)


def show(qtbot, panel: TrustPanel, folder: Path) -> None:
    with qtbot.waitSignal(panel.shown, timeout=20_000):
        panel.show_folder(folder)


def test_it_begins_with_words_and_a_button_that_asks(qtbot, panel):
    assert "Not checked" in panel.light.text()
    assert panel.about.text() == ADVICE
    assert not panel.body.isVisible()
    assert not panel.report_button.isEnabled()
    with qtbot.waitSignal(panel.asked):
        panel.ask_button.click()
    panel.set_busy(True, "2 of 3")
    assert not panel.ask_button.isEnabled()
    assert panel.about.text() == "2 of 3"
    panel.set_busy(False)
    assert panel.ask_button.isEnabled()


def test_a_folder_is_shown_as_the_job_wrote_it(qtbot, panel, folder, monkeypatch):
    show(qtbot, panel, folder)
    facts = read_trust(folder).facts
    assert facts["reason"] == panel.reason.text()
    assert "extract from raw" in panel.about.text()
    assert [r.key for r in panel.rows] == [c["key"] for c in facts["checks"]]
    for shown, check in zip(panel.rows, facts["checks"], strict=True):
        assert check["verdict"] in shown.light.text()
        assert shown.reason.text() == check["reason"]
        assert shown.value.text()
    shown = panel.rows[0]
    assert not shown.numbers.isVisible()
    shown.opener.click()
    assert shown.numbers.isVisible()
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", opened.append)
    panel.report_button.click()
    assert opened == [QUrl.fromLocalFile(str(folder / "report.html"))]


def test_every_group_of_pictures_and_curves_can_be_seen(qtbot, panel, folder):
    show(qtbot, panel, folder)
    seen = {}
    for i in range(panel.picture_choice.count()):
        panel.picture_choice.setCurrentIndex(i)
        seen[panel.picture_choice.currentData()] = len(panel.pictures.views)
    assert seen == {"micrograph": 3, "residual": 2, "particles": 3, "spread": 2, "blank": 2}
    panel.picture_choice.setCurrentIndex(panel.picture_choice.findData("particles"))
    raw, _, residual = (view.image for view in panel.pictures.views)
    contrast = [np.ptp([im.pixelColor(x, im.height() // 2).red() for x in range(im.width())]) for im in (raw, residual)]
    assert contrast[0] > contrast[1]  # one grey scale: what is left is fainter than what was there
    qtbot.waitUntil(lambda: panel.plot._plot is not None, timeout=20_000)
    assert "residual at particles" in panel.plot.csv_text()
    panel.curve_choice.setCurrentIndex(panel.curve_choice.findData("signal"))
    assert "SSNR" in panel.plot.csv_text()


@pytest.mark.parametrize("mode", ["dark", "light"])
def test_it_fits_wide_and_narrow_in_both_themes(qtbot, panel, folder, mode):
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, mode)
    show(qtbot, panel, folder)
    panel.resize(1400, 800)
    qtbot.waitUntil(lambda: panel._split.direction() == QBoxLayout.Direction.LeftToRight)
    panel.resize(620, 700)
    qtbot.waitUntil(lambda: panel._split.direction() == QBoxLayout.Direction.TopToBottom)
    qtbot.wait(50)
    assert panel.body.width() <= panel.area.viewport().width()
    assert panel.grab().width() >= 620


def test_a_folder_that_holds_no_result_says_so(qtbot, panel, tmp_path):
    panel.show_folder(tmp_path)
    qtbot.waitUntil(lambda: "does not exist" in panel.reason.text())
    assert not panel.body.isVisible()
    panel.show_folder(None)
    assert "Not checked" in panel.light.text()
