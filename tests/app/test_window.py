"""The shell: cheap start, lazy tabs, keys, closing while jobs run, finding runs again, errors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMessageBox

from app import dialogs, errors, startup
from app.session import Session
from app.startup import open_after_demo
from app.window import TABS, MainWindow
from core.errors import InputError
from core.jobs import launch, rundir
from core.jobs.table import job_params

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "pandas", "starfile", "scipy", "pyqtgraph", "OpenGL")
WAIT = 30_000


def test_importing_the_window_imports_nothing_heavy() -> None:
    code = "import sys, app.window; print(*[m for m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(HEAVY) & set(out.stdout.split()) == set()


def test_tabs_are_built_when_shown_and_by_keys(qtbot, window) -> None:
    assert set(window._pages) == {"home"}
    qtbot.keyClick(window, Qt.Key.Key_3, Qt.KeyboardModifier.ControlModifier)
    assert TABS[window.rooms.currentIndex()] == "train"
    assert set(window._pages) == {"home", "train"}
    for name in TABS:
        window.show_tab(name)


def start(seconds: float) -> Path:
    run_dir = rundir.create("fake", job_params("fake").parse({"action": "count", "seconds": seconds}))
    launch.start(run_dir)
    return run_dir


@pytest.mark.parametrize("answer", ["let", "stop", "cancel"])
def test_closing_while_a_job_runs(qtbot, window, fake_jobs, monkeypatch, answer: str) -> None:
    params = job_params("fake").parse({"action": "count", "seconds": 60})
    worker = window.session.start("fake", params)
    qtbot.waitUntil(lambda: worker.state == "running", timeout=WAIT)
    assert "fake-0001" in window.jobs_indicator.text()
    monkeypatch.setattr(dialogs, "ask_close", lambda *_: answer)
    closed = window.close()
    assert closed is (answer != "cancel")
    if answer == "stop":
        qtbot.waitUntil(lambda: rundir.inspect(worker.run_dir).state == "stopped", timeout=3000)
    else:
        assert rundir.inspect(worker.run_dir).alive
    launch.kill(worker.run_dir)


def test_the_question_at_closing_lets_them_run_by_default(qtbot, window, fake_jobs) -> None:
    worker = window.session.start("fake", job_params("fake").parse({"action": "count", "seconds": 60}))
    qtbot.waitUntil(lambda: worker.state == "running", timeout=WAIT)

    from PySide6.QtCore import QTimer

    def press_enter() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        qtbot.keyClick(box, Qt.Key.Key_Return)

    QTimer.singleShot(300, press_enter)
    assert dialogs.ask_close(window, [worker]) == "let"


def test_runs_of_an_earlier_window_are_found_and_replayed(qtbot, fake_tab, monkeypatch) -> None:
    """A run that began before this window (here: on the command line) shows in the list and in its tab."""
    run_dir = start(seconds=60)
    session = Session()
    window = MainWindow(session)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: run_dir in session.workers, timeout=WAIT)
    qtbot.waitUntil(lambda: session.workers[run_dir].state == "running", timeout=WAIT)
    assert "fake-0001" in window.jobs_indicator.text()
    monkeypatch.setattr(dialogs, "ask_close", lambda *_: "let")
    window.close()
    window.deleteLater()
    assert rundir.inspect(run_dir).alive
    again = Session()
    again.scan()
    qtbot.waitUntil(lambda: run_dir in again.workers, timeout=WAIT)
    tab = fake_tab(again)  # built after the run was found: it sees all of it
    qtbot.addWidget(tab)
    qtbot.waitUntil(lambda: tab.run_bar.message.text() == "counting", timeout=WAIT)
    assert tab.form.raw("seconds") == 60
    tab.worker.request_stop()
    qtbot.waitUntil(lambda: tab.worker.state == "stopped", timeout=3000)
    again.close()


def test_two_jobs_run_at_once(qtbot, window, fake_jobs) -> None:
    workers = [
        window.session.start("fake", job_params("fake").parse({"action": "count", "seconds": 30})) for _ in range(2)
    ]
    qtbot.waitUntil(lambda: all(w.state == "running" for w in workers), timeout=WAIT)
    assert window.jobs_indicator.text().count("fake-") == 2
    workers[0].request_stop()
    qtbot.waitUntil(lambda: workers[0].state == "stopped", timeout=3000)
    assert workers[1].active


def test_show_run_opens_its_tab_with_a_finished_run(qtbot, window, tmp_path: Path) -> None:
    run_dir = rundir.runs_root() / "train-0001"
    run_dir.mkdir(parents=True)
    params = job_params("train").parse({"input": tmp_path / "set", "output": tmp_path / "model", "minutes": 7})
    from core.params import write_toml

    data = {"version": 1, "job": "train", "created": "2026-01-01", "params": params.to_toml_dict()}
    write_toml(run_dir / "job.toml", data)
    (run_dir / "events.jsonl").write_text(
        '{"kind": "started", "t": 1, "pid": 1, "born": 0, "host": "x"}\n'
        '{"kind": "metric", "t": 2, "name": "loss", "value": 0.5, "step": 3}\n'
        '{"kind": "finished", "t": 5, "message": "Done.", "result": {"summary": "All good."}}\n'
    )
    window.show_run(rundir.inspect(run_dir))
    tab = window.page("train")
    qtbot.waitUntil(lambda: tab.banner.isVisible(), timeout=5000)
    assert tab.banner.text.text() == "All good."
    assert tab.curves.points("loss") == [(3.0, 0.5)]
    assert tab.form.raw("minutes") == 7
    qtbot.mouseClick(tab.banner.next, Qt.MouseButton.LeftButton)
    assert TABS[window.rooms.currentIndex()] == "predict"


def test_errors_and_bugs_look_different(qtbot, window) -> None:
    errors.show_error(window, InputError("a.mrc is empty.", "Choose another file."))
    box = QApplication.activeModalWidget() or window.findChild(QMessageBox)
    assert isinstance(box, QMessageBox)
    assert (box.text(), box.informativeText()) == ("a.mrc is empty.", "Choose another file.")
    box.close()
    try:
        raise ZeroDivisionError("nought")
    except ZeroDivisionError as err:
        errors.show_error(window, err)
    bug = next(b for b in window.findChildren(QMessageBox) if b is not box)
    assert "test_window.py" in bug.detailedText()
    copy = next(b for b in bug.buttons() if b.text() == "Copy report")
    copy.click()
    assert "ZeroDivisionError: nought" in QApplication.clipboard().text()
    assert "PySide6" in QApplication.clipboard().text()
    bug.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can lack a display")
def test_without_a_display_there_is_one_line_and_no_failure(monkeypatch, capsys) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert open_after_demo() == 0
    assert capsys.readouterr().out.count("\n") == 1
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert startup.check_display() == ""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lacks such libraries")
def test_missing_qt_libraries_become_a_sentence(monkeypatch) -> None:
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(startup, "missing_libraries", lambda: ["libxcb-cursor.so.0"])
    assert "libxcb-cursor" in startup.check_display()
    assert "install" in startup.check_display()


def test_help_dialogs_open(qtbot, window) -> None:
    from PySide6.QtWidgets import QLabel, QPlainTextEdit

    dialogs.show_about(window)
    dialog = QApplication.activeModalWidget()
    assert "BSD 3-Clause" in dialog.findChild(QPlainTextEdit).toPlainText()
    dialog.close()
    dialogs.show_keys(window)
    dialog = QApplication.activeModalWidget()
    assert "Ctrl+Shift+Z" in dialog.text()
    assert any("Ctrl+Shift+Z" in part.text() for part in dialog.findChildren(QLabel) if part.isVisible())
    qtbot.keyClicks(dialog.search, "undo")
    assert "Ctrl+Shift+Z" in dialog.text()
    assert "quit" not in dialog.text()
    assert not any("quit" in part.text() for part in dialog.findChildren(QLabel) if part.isVisible())
    qtbot.keyClicks(dialog.search, " nonsense")
    assert dialog._nothing.isVisible()
    dialog.close()
    runs = dialogs.RunsDialog(window, rundir.runs_root(), window.show_run)
    runs.open()
    qtbot.waitUntil(lambda: "none yet" in runs._where.text(), timeout=5000)
    runs.close()


def test_demo_result_fills_home_and_predict(qtbot, window, micrographs: Path) -> None:
    import numpy as np

    from core.io.coordinates import write_noise_boxes
    from core.io.mrc import write_mrc

    out = micrographs.parent
    write_noise_boxes(out / "noise.star", {"a.mrc": np.array([[150.0, 100]])}, 48)
    write_mrc(out / "denoised" / "a.mrc", np.zeros((240, 320), np.float32), pixel_size_a=2.0)
    result = {
        "micrographs": str(micrographs),
        "particles": str(micrographs / "particles.star"),
        "noise": str(out / "noise.star"),
        "denoised": str(out / "denoised"),
        "model": str(out / "model" / "model.safetensors"),
        "output": str(out),
        "particle_diameter": 40,
    }
    window.show_demo(result)
    predict, home = window.page("predict"), window.home
    qtbot.waitUntil(lambda: home.noise.picks.total() == 1 and bool(home.files.particles), timeout=20_000)
    assert home.panel.box.value() == 48
    assert home.panel.diameter.value() == 40
    qtbot.waitUntil(lambda: all(predict.compare.pair), timeout=20_000)
    assert TABS[window.rooms.currentIndex()] == "predict"


def test_demo_button_starts_the_demo_job(window, monkeypatch) -> None:
    started = []
    monkeypatch.setattr(window.session, "start", lambda job, params: started.append((job, params)))
    window.home.empty.demo_button.click()
    (job, params), *_ = started
    assert job == "demo"
    assert params.output == window.session.work_root / "demo"


def test_no_tab_needs_torch():
    """In a process of its own: other tests of this one have imported it."""
    code = (
        "import sys; from app.startup import make_application; from app.window import TABS, MainWindow;"
        "make_application('dark'); window = MainWindow(); [window.show_tab(name) for name in TABS];"
        "window.close(); print('torch' in sys.modules)"
    )
    environment = dict(os.environ) | {"QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60, check=False
    )
    assert done.stdout.strip() == "False", done.stderr
