"""Raw detail in Predict: live from the pieces, levels and zoom kept, the gate in its place, reasons where it cannot."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PySide6.QtCore import QElapsedTimer, Qt, QTimer

from core.denoising.blend import SHELLS
from core.denoising.model import Facts, save_denoiser
from core.denoising.unet import UNet
from core.io.mrc import open_mrc, write_mrc
from core.jobs import rundir
from core.jobs.base import execute
from core.jobs.predict import PredictParams

WAIT = 30_000
LEFT = Qt.MouseButton.LeftButton
NX, NY = 640, 480


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two micrographs with dark discs in noise, a tiny model with random weights, and what predict made with it."""
    rng = np.random.default_rng(3)
    yy, xx = np.mgrid[:NY, :NX]
    folder = tmp_path / "project"
    (folder / "micrographs").mkdir(parents=True)
    for name in ("a", "b"):
        image = rng.normal(100, 10, (NY, NX))
        for x, y in ((150, 120), (420, 330)):
            image -= 12 * (np.hypot(xx - x, yy - y) < 40)
        write_mrc(folder / f"micrographs/{name}.mrc", image.astype(np.float32), pixel_size_a=2.0)
    torch.manual_seed(0)
    net = UNet((8, 8, 8, 8))
    torch.nn.init.normal_(net.head.weight, std=0.3)
    fall = np.exp(-np.arange(SHELLS) / 12)
    values = {
        "method": "noise-transfer", "widths": (8, 8, 8, 8), "particle_diameter_px": 80.0, "pixel_size_a": 2.0,
        "canonical_diameter": 32.0, "calibration": 1.0, "sign": 1.0, "snr": 0.5, "steps": 1, "val_loss": 1.0,
        "gate": (-0.3, 0.3), "blend": (tuple(0.5 * fall), tuple(0.5 + 0 * fall), tuple(fall)),
    }  # fmt: skip
    (folder / "model").mkdir()
    save_denoiser(folder / "model/model.safetensors", net.state_dict(), Facts(**values))
    predict(folder)
    return folder


def predict(folder: Path, **values) -> None:
    params = {
        "micrographs": [folder / "micrographs"], "model": str(folder / "model/model.safetensors"),
        "output": folder / "denoised",
    }  # fmt: skip
    run_dir = rundir.create("predict", PredictParams.parse(params | values), folder / "runs")
    assert execute(run_dir) == 0


@pytest.fixture
def tab(qtbot, session, project: Path):
    from app.tabs.predict import PredictTab

    tab = PredictTab(session)
    qtbot.addWidget(tab)
    tab.resize(1300, 800)
    tab.show()
    qtbot.waitExposed(tab)
    show(tab, project)
    qtbot.waitUntil(lambda: all(p is not None and not p.preview for p in tab.compare.pair), timeout=WAIT)
    yield tab
    for worker in session.active():
        worker.request_stop()
        worker.wait(5000)
    tab.close_tab()


def show(tab, project: Path) -> None:
    model = str(project / "model/model.safetensors")
    tab.form.set_values(
        {"micrographs": [str(project / "micrographs")], "model": model, "output": str(project / "denoised")}
    )
    tab.form.set_values({"output": str(project / "denoised")})


def denoised(tab) -> np.ndarray:
    return tab.compare.pair[1].levels[0]


def live_at(tab, keep: float):
    return lambda: tab._answer is not None and tab._answer.wish.keep == keep and not tab.live.busy


def test_the_slider_shows_what_the_job_would_write(qtbot, tab, project: Path) -> None:
    on_disk = np.array(open_mrc(project / "denoised/a.mrc"))
    assert tab.detail.percent() == 50  # as the files are
    assert tab.detail.words.text() == "As in the files on disk."
    assert not tab.detail.apply.isVisible()
    np.testing.assert_array_equal(denoised(tab), on_disk)
    ranges = tab.compare.pair[1].grey_ranges
    tab.compare.model.set_zoom(2.0)
    tab.compare.model.centre_on(150, 120)
    look = tab.compare.scene.look_of(1)
    tab.detail.slider.setValue(90)
    qtbot.waitUntil(live_at(tab, 0.9), timeout=WAIT)
    assert tab.detail.words.text() == "Shown at 90 %. The files on disk are at 50 %."
    assert tab.compare.scene.labels[1] == "denoised: for seeing and picking"
    assert tab.compare.pair[1].grey_ranges == ranges
    assert (tab.compare.model.zoom, tab.compare.model.centre) == (2.0, (150.0, 120.0))
    assert tab.compare.scene.look_of(1) == look
    predict(project, output=project / "other", keep_raw=0.9)
    written = np.array(open_mrc(project / "other/a.mrc"))
    assert np.abs(denoised(tab) - written).max() < 0.02 * written.std()
    assert np.abs(denoised(tab) - on_disk).max() > 0.1 * on_disk.std()
    np.testing.assert_array_equal(open_mrc(project / "denoised/a.mrc"), on_disk)  # nothing is written by looking
    tab.detail.box.setValue(50)  # back: the file itself again
    np.testing.assert_array_equal(denoised(tab), on_disk)
    assert tab.form.raw("keep_raw") == 0.5


def test_the_newest_place_of_the_slider_wins_and_goes_with_the_next_micrograph(qtbot, tab) -> None:
    for percent in (10, 20, 30, 80):
        tab.detail.slider.setValue(percent)
    qtbot.waitUntil(live_at(tab, 0.8), timeout=WAIT)
    first = denoised(tab)
    tab.list.step(1)
    qtbot.waitUntil(lambda: tab._asked[0].name == "b.mrc" and live_at(tab, 0.8)(), timeout=WAIT)
    assert tab._answer.wish.source.name == "b.mrc"
    assert np.abs(denoised(tab) - first).max() > 0
    tab.list.step(-1)
    tab.list.step(1)
    tab.list.step(-1)
    qtbot.waitUntil(
        lambda: tab._answer is not None and tab._answer.wish.source.name == "a.mrc" and not tab.live.busy, timeout=WAIT
    )
    np.testing.assert_array_equal(denoised(tab), first)


def test_apply_to_all_recomposes_the_files(qtbot, tab, project: Path) -> None:
    before = np.array(open_mrc(project / "denoised/b.mrc"))
    tab.detail.slider.setValue(100)
    qtbot.waitUntil(live_at(tab, 1.0), timeout=WAIT)
    qtbot.mouseClick(tab.detail.apply, LEFT)
    qtbot.waitUntil(lambda: tab.banner.isVisible() and tab.worker.state == "done", timeout=120_000)
    assert "2 of them recomposed" in tab.banner.text.text()
    assert np.abs(np.array(open_mrc(project / "denoised/b.mrc")) - before).max() > 0
    qtbot.waitUntil(lambda: tab.detail.words.text() == "As in the files on disk.", timeout=WAIT)
    np.testing.assert_array_equal(denoised(tab), open_mrc(project / "denoised/a.mrc"))
    assert not tab.detail.apply.isVisible()
    assert tab.detail.percent() == 100


def test_the_gate_colours_the_second_picture_only_where_it_is_open(qtbot, tab, project: Path) -> None:
    from dataclasses import replace

    from core.denoising.parts import load_parts, save_parts

    path = project / "denoised/parts/a.safetensors"
    parts, sigma, made_by = load_parts(path)
    yy, xx = np.mgrid[: parts.gate.shape[0], : parts.gate.shape[1]]
    disc = np.hypot(xx - 420 * 0.4, yy - 330 * 0.4) < 12  # 32 px of 80: the canonical scale is 0.4
    save_parts(path, replace(parts, gate=disc.astype(np.float32)), sigma, made_by)
    plain = tab.compare.canvas.grab_sharp()
    tab.list.setFocus()
    qtbot.keyClick(tab.list, Qt.Key.Key_O)
    assert tab.detail.gate.isChecked()
    qtbot.waitUntil(lambda: tab.compare.scene.gate is not None, timeout=WAIT)
    coloured = tab.compare.canvas.grab_sharp()
    model, (left, right) = tab.compare.model, tab.compare.scene.panels(tab.compare.canvas.device_rect())

    def change(panel, x: float, y: float) -> int:
        at_x, at_y = model.to_screen(x, y)
        one, two = (picture.pixelColor(round(at_x) + panel.left(), round(at_y)) for picture in (plain, coloured))
        return (two.red() - two.blue()) - (one.red() - one.blue())

    assert change(right, 420, 330) > 40
    assert change(right, 420 + 24, 330) > 40
    assert change(right, 420 + 38, 330) == change(right, 150, 120) == change(left, 420, 330) == 0
    qtbot.mouseClick(tab.detail.gate, LEFT)
    assert tab.compare.scene.gate is None
    assert tab.compare.canvas.grab_sharp() == plain


def test_reasons_where_nothing_can_be_moved(qtbot, tab, project: Path) -> None:
    qtbot.mouseClick(tab.methods.button(1), LEFT)
    assert not tab.detail.slider.isEnabled()
    assert "filters of the raw data" in tab.detail.words.text()
    qtbot.mouseClick(tab.methods.button(0), LEFT)
    qtbot.waitUntil(lambda: tab.detail.slider.isEnabled() and bool(tab._pieces), timeout=WAIT)
    (project / "denoised/parts/a.safetensors").rename(project / "denoised/parts/c.safetensors")
    tab.refresh()
    qtbot.waitUntil(lambda: not tab.detail.slider.isEnabled(), timeout=WAIT)
    assert "without its pieces" in tab.detail.words.text()
    assert not tab.detail.gate.isEnabled()
    (project / "denoised/parts/a.safetensors").write_bytes(b"broken")
    tab.refresh()
    qtbot.waitUntil(lambda: tab.detail.slider.isEnabled(), timeout=WAIT)
    tab.detail.slider.setValue(70)
    qtbot.waitUntil(lambda: "is not readable" in tab.detail.words.text(), timeout=WAIT)
    assert not tab.detail.slider.isEnabled()
    np.testing.assert_array_equal(denoised(tab), open_mrc(project / "denoised/a.mrc"))


def test_before_the_first_run_the_slider_is_the_setting_of_that_run(qtbot, tab, project: Path) -> None:
    tab.form.set_values({"output": str(project / "new")})
    qtbot.waitUntil(lambda: tab._listed.endswith("new"), timeout=WAIT)
    assert tab.detail.slider.isEnabled()
    assert tab.detail.words.text() == "Denoise uses this share."
    tab.detail.slider.setValue(30)
    assert tab.form.raw("keep_raw") == 0.3
    assert not tab.detail.apply.isVisible()
    qtbot.wait(600)
    assert tab.detail.percent() == 30


def test_an_unfinished_recomposing_is_told(qtbot, tab, project: Path) -> None:
    settings = json.loads((project / "denoised/denoised.json").read_text())
    (project / "denoised/denoised.json").write_text(json.dumps(settings | {"remake": ["a.mrc"]}))
    tab.refresh()
    qtbot.waitUntil(lambda: "not all finished" in tab.detail.words.text(), timeout=WAIT)


def test_the_window_goes_on_while_a_large_picture_is_put_together(qtbot, tab, project: Path, monkeypatch) -> None:
    """The longest pause of the GUI thread while the slider is dragged; the sums are made slow, not the window."""
    from core.denoising import recompose

    real = recompose.finish

    def slow(*args):
        time.sleep(0.4)
        return real(*args)

    monkeypatch.setattr(recompose, "finish", slow)
    pauses, clock = [], QElapsedTimer()
    clock.start()
    beat = QTimer(tab, interval=5)
    beat.timeout.connect(lambda: pauses.append(clock.restart()))
    beat.start()
    for percent in (60, 70, 80):
        tab.detail.slider.setValue(percent)
        qtbot.wait(30)
    assert "comes …" in tab.detail.words.text()
    qtbot.waitUntil(live_at(tab, 0.8), timeout=WAIT)
    assert max(pauses) < 300
