"""Job tabs with real child processes: run, stop, failure marks, loss, next step, plots, list of pairs."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import psutil
import pytest
from PySide6.QtCore import Qt

from app.widgets.image_strip import ImageStrip
from app.widgets.metric_plot import MetricPlot, library
from app.widgets.run_bar import Eta, clock, planned_left
from core.io.mrc import write_mrc
from core.jobs import rundir

LEFT = Qt.MouseButton.LeftButton
WAIT = 30_000


@pytest.fixture
def tab(qtbot, session, fake_tab):
    tab = fake_tab(session)
    qtbot.addWidget(tab)
    tab.resize(1000, 700)
    tab.show()
    qtbot.waitExposed(tab)
    yield tab
    for worker in session.active():
        worker.request_stop()
        worker.wait(5000)


def run(qtbot, tab, **values) -> None:
    tab.form.set_values(values)
    qtbot.mouseClick(tab.run_bar.run_button, LEFT)


def test_run_to_the_end_and_next_step(qtbot, tab) -> None:
    run(qtbot, tab, action="report")
    assert not tab.run_bar.run_button.isEnabled()
    qtbot.waitUntil(lambda: tab.banner.isVisible(), timeout=WAIT)
    assert tab.banner.text.text() == "Reported."
    assert tab.points == [("loss", 0.5, 1.0)]
    assert tab.run_bar.state_label.text() == "Done"
    assert tab.run_bar.bar.value() == 1000
    assert tab.run_bar.run_button.isEnabled()
    qtbot.mouseClick(tab.banner.next, LEFT)
    assert tab.went == 1


def test_stop_answers_within_a_second_and_the_run_can_go_on(qtbot, tab) -> None:
    run(qtbot, tab, action="count", seconds=60)
    qtbot.waitUntil(lambda: tab.run_bar.message.text() == "counting", timeout=WAIT)
    qtbot.mouseClick(tab.run_bar.stop_button, LEFT)
    qtbot.waitUntil(lambda: tab.worker.state == "stopped", timeout=1500)
    assert tab.banner.text.text() == "Stopped."
    run_dir = tab.worker.run_dir
    qtbot.mouseClick(tab.banner.detail, LEFT)
    qtbot.waitUntil(lambda: tab.worker.state == "running", timeout=WAIT)
    assert tab.worker.run_dir == run_dir
    assert not tab.banner.isVisible()


def test_failure_shows_message_and_marks_the_field(qtbot, tab) -> None:
    run(qtbot, tab, action="fail", failure="param")
    qtbot.waitUntil(lambda: tab.banner.isVisible(), timeout=WAIT)
    assert tab.banner.text.text() == "“Number”: is odd."
    assert tab.form.rows["number"].error.isVisible()
    assert tab.banner.detail.text() == "Show log"
    qtbot.mouseClick(tab.banner.detail, LEFT)
    assert tab.run_bar.log.isVisible()


def test_input_failure_shows_the_hint(qtbot, tab) -> None:
    run(qtbot, tab, action="fail", failure="input")
    qtbot.waitUntil(lambda: tab.banner.isVisible(), timeout=WAIT)
    assert tab.banner.text.text() == "a.mrc is not an MRC file."
    assert tab.banner.hint.text() == "Open it in another program."


def test_bug_says_so(qtbot, tab) -> None:
    run(qtbot, tab, action="fail", failure="bug")
    qtbot.waitUntil(lambda: tab.banner.isVisible(), timeout=WAIT)
    assert tab.banner.text.text().startswith("This is a bug")
    assert tab.banner.detail.text() == "Details"


def test_lost_run(qtbot, tab) -> None:
    run(qtbot, tab, action="count", seconds=60)
    qtbot.waitUntil(lambda: tab.worker is not None and tab.worker.state == "running", timeout=WAIT)
    psutil.Process(rundir.read_mark(tab.worker.run_dir)["pid"]).kill()
    qtbot.waitUntil(lambda: tab.banner.isVisible(), timeout=5000)
    assert "process is gone" in tab.banner.text.text()


def test_bad_form_starts_nothing(qtbot, session) -> None:
    from app.tabs.train import TrainTab

    train = TrainTab(session)
    qtbot.addWidget(train)
    train.show()
    qtbot.mouseClick(train.run_bar.run_button, LEFT)
    assert train.banner.isVisible()
    assert train.form.rows["input"].error.isVisible()
    assert session.workers == {}
    assert not rundir.runs_root().exists()


def test_run_folder_that_cannot_be_made_is_told(qtbot, tab, monkeypatch, tmp_path: Path) -> None:
    shown = []
    monkeypatch.setattr("app.tabs.job_tab.show_error", lambda _, err: shown.append(err))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VITREOUS_RUNS", str(tmp_path / "file" / "runs"))
    run(qtbot, tab, action="count")
    assert "run folder" in shown[0].message


def test_paths_are_remembered(qtbot, session, fake_tab, tab, tmp_path: Path) -> None:
    run(qtbot, tab, action="count", output=str(tmp_path / "out.mrc"))
    qtbot.waitUntil(lambda: tab.banner.isVisible(), timeout=WAIT)
    again = fake_tab(session)
    qtbot.addWidget(again)
    assert again.form.raw("output") == str(tmp_path / "out.mrc")


def test_train_tab_shows_curves_and_the_same_crop(qtbot, session) -> None:
    from app.tabs.train import TrainTab

    train = TrainTab(session)
    qtbot.addWidget(train)
    train.resize(1000, 700)
    train.show()
    train.on_metrics([("loss", 1 / (i + 1), i) for i in range(100)] + [("val_loss", 0.5, 50)])
    assert len(train.curves.points("loss")) == 100
    crop = np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32)
    train.on_preview("validation_before", crop, {"step": 0})
    train.on_preview("validation", crop * 2, {"step": 99})
    assert train.strip.canvas.labels == ["input", "before training", "now (step 99)", "target"]
    assert len(train.strip.canvas.cells()) == 4
    assert train.curves.csv_text().splitlines()[1:3] == ["loss,0,1", "loss,1,0.5"]


def test_forward_tab_shows_bound_strip_and_spectra(qtbot, session) -> None:
    from app.tabs.forward import ForwardTab

    forward = ForwardTab(session)
    qtbot.addWidget(forward)
    forward.show()
    forward.on_metrics([("rsilb", 30.0 / 2**i, i) for i in range(6)])
    forward.form.set_values({"rsilb": 2.5})
    assert forward.rsilb._line == (2.5, "lower bound 2.5")
    forward.on_preview("strip", np.zeros((4, 8, 8), np.float32), {"labels": ["clean", "1", "2", "3"]})
    assert forward.strip.canvas.labels[0] == "clean"
    forward.on_preview("spectra", np.ones((2, 9)), {"frequency_a": np.linspace(0, 0.3, 9).tolist()})
    assert len(forward.spectra.points("noise")) == len(forward.spectra.points("signal")) == 9
    forward.form.set_values({"preset": "custom"})
    assert forward.form.rows["beta"].editor.isEnabled()


def test_forward_tab_shows_the_spread_of_the_noise_and_the_boxes_left_out(qtbot, session) -> None:
    from app.tabs.forward import ForwardTab

    forward = ForwardTab(session)
    qtbot.addWidget(forward)
    forward.resize(1280, 800)
    forward.show()
    qtbot.waitUntil(lambda: library().loaded, timeout=WAIT)
    frequency = np.linspace(0, 0.3, 9)
    rows = np.stack([np.full(9, 1.0), np.full(9, 2.0), np.full(9, 0.8), np.full(9, 1.3)])
    forward.on_preview("spectra", rows, {"frequency_a": frequency.tolist()})
    path = forward.spectra._band_items["noise"][0].curve.getPath().boundingRect()
    assert path.top() == pytest.approx(np.log10(0.8))  # it is drawn, on the log scale of the curves
    assert "noise low,0,0.8" in forward.spectra.csv_text()
    place = {"micrograph": "m.mrc", "x": 5, "y": 7, "code": "blob", "reason": "A dark spot."}
    result = {"noise_boxes": 9, "noise_boxes_left_out": 1, "left_out": [place], "noise_disagreement": 0.31}
    forward.on_result(result)
    assert forward.left_out.title.text() == "Noise boxes: 8 used, 1 left out"
    assert "31%" in forward.left_out.text.text()
    assert "not alike" in forward.judge(result)
    assert forward.judge({**result, "noise_disagreement": 0.0}) == ""
    assert forward.left_out.list.item(0).text() == "A dark spot. m.mrc at 5, 7"
    forward.clear_view()
    assert not forward.spectra._band_items
    assert forward.left_out.list.count() == 0


def test_predict_tab_pairs_and_methods(qtbot, session, micrographs: Path, tmp_path: Path) -> None:
    from app.tabs.predict import PredictTab, list_pairs, method_of

    out = tmp_path / "project" / "denoised"
    out.mkdir(parents=True)
    write_mrc(out / "b.mrc", np.zeros((240, 320), np.float32), pixel_size_a=2.0)
    files, pairs = list_pairs([micrographs], out)
    assert [f.name for f in files] == ["a.mrc", "b.mrc", "c.mrc"]
    assert {f.name: p.name for f, p in pairs.items()} == {"b.mrc": "b.mrc"}
    assert list_pairs([micrographs], micrographs)[1] == {}  # an input is not its own result
    assert [method_of(m) for m in ("gaussian:20", "Wiener", "/x/model.safetensors", "")] == [
        "gaussian", "wiener", "model", "model",
    ]  # fmt: skip
    predict = PredictTab(session)
    qtbot.addWidget(predict)
    predict.show()
    predict.receive({"micrographs": [str(micrographs)], "model": str(out.parent / "model" / "model.safetensors")})
    assert predict.form.raw("output") == str(out)
    qtbot.waitUntil(lambda: len(predict.list.files) == 3, timeout=10_000)
    assert predict.list.files_model.index(1, 1).data() == "done"
    predict.list.selectRow(1)
    qtbot.waitUntil(lambda: all(predict.compare.pair), timeout=10_000)
    qtbot.mouseClick(predict.methods.button(1), LEFT)
    assert predict.form.raw("model") == "gaussian:30"
    assert predict.form.raw("output") == str(out.with_name("denoised-gaussian"))
    qtbot.waitUntil(lambda: predict.outputs == {}, timeout=10_000)
    qtbot.mouseClick(predict.methods.button(0), LEFT)
    assert predict.form.raw("model").endswith("model.safetensors")
    assert predict.form.raw("output") == str(out)
    predict.close_tab()


def test_predict_never_shows_the_picture_of_another_method(qtbot, session, micrographs: Path, tmp_path: Path) -> None:
    from app.tabs.predict import NOT_YET, PredictTab

    out = tmp_path / "project" / "denoised-gaussian"
    out.mkdir(parents=True)
    write_mrc(out / "a.mrc", np.zeros((240, 320), np.float32), pixel_size_a=2.0)
    (out / "denoised.json").write_text('{"method": "gaussian:30"}')
    predict = PredictTab(session)
    qtbot.addWidget(predict)
    predict.show()
    predict.form.set_values({"micrographs": [str(micrographs)], "output": str(out), "model": "gaussian:30"})
    predict.form.set_values({"output": str(out)})
    qtbot.waitUntil(lambda: all(predict.compare.pair), timeout=10_000)
    canvas = predict.compare.scene
    assert canvas.names() == ("raw", "Gaussian 30 Å")
    qtbot.mouseClick(predict.methods.button(2), LEFT)
    assert predict.form.raw("output") == str(out.with_name("denoised-wiener"))
    assert canvas.pyramids[1] is None  # at once
    qtbot.waitUntil(lambda: predict._listed.endswith("denoised-wiener"), timeout=10_000)
    assert canvas.pyramids[1] is None
    assert canvas.nothing == NOT_YET
    qtbot.mouseClick(predict.methods.button(1), LEFT)
    qtbot.waitUntil(lambda: canvas.pyramids[1] is not None, timeout=10_000)
    assert canvas.names() == ("raw", "Gaussian 30 Å")
    predict.close_tab()


def test_long_names_keep_what_differs() -> None:
    from app.widgets.micrograph_list import MicrographModel

    model = MicrographModel([])
    model.set_files([Path(f"FoilHole_2401_Data_{n}_fractions_patch_aligned.mrc") for n in (1012, 1013, 1137)])
    assert model.shorter(1)[-1] == "…1013…"
    model.set_files([Path("a.mrc"), Path("b.mrc")])
    assert model.shorter(0)[-1] == "a…"
    model.set_files([Path("alone.mrc")])
    assert set(model.shorter(0)) == {"alone.mrc"}


def test_a_column_without_texts_leaves_its_room(qtbot) -> None:
    from app.widgets.micrograph_list import MicrographList

    counts: dict[str, str] = {}
    table = MicrographList([("Noise", lambda file: counts.get(file.name, ""), "boxes")])
    qtbot.addWidget(table)
    table.set_files([Path("a.mrc"), Path("b.mrc")])
    assert table.isColumnHidden(1)
    counts["b.mrc"] = "3"
    table.files_model.refresh()
    assert not table.isColumnHidden(1)
    counts.clear()
    table.files_model.refresh()
    assert not table.isColumnHidden(1), "it does not come and go while boxes are picked"
    table.set_files([Path("c.mrc")])
    assert table.isColumnHidden(1)


def test_a_refused_run_leaves_the_earlier_result(qtbot, session, micrographs: Path, tmp_path: Path) -> None:
    """What can be seen to be wrong is marked before anything starts; a taken folder offers a free one."""
    from app.tabs.train import TrainTab

    train = TrainTab(session)
    qtbot.addWidget(train)
    train.show()
    train.on_metrics([("loss", 0.5, 1)])
    train.form.set_values({"input": str(tmp_path / "nowhere"), "output": str(tmp_path / "model")})
    qtbot.mouseClick(train.run_bar.run_button, LEFT)
    assert "does not exist" in train.form.rows["input"].error.text()
    train.form.set_values({"input": str(micrographs), "output": str(micrographs)})
    qtbot.mouseClick(train.run_bar.run_button, LEFT)
    assert "holds the input" in train.form.rows["output"].error.text()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "checkpoint.safetensors").write_bytes(b"")
    train.form.set_values({"output": str(tmp_path / "model")})
    qtbot.mouseClick(train.run_bar.run_button, LEFT)
    assert train.banner.next.text() == "Use model-2"
    qtbot.mouseClick(train.banner.next, LEFT)
    assert train.form.raw("output") == str(tmp_path / "model-2")
    assert session.workers == {}
    qtbot.mouseClick(train.run_bar.run_button, LEFT)  # this one starts, and fails: it is no training set
    qtbot.waitUntil(lambda: train.banner.isVisible() and train.worker.state == "failed", timeout=WAIT)
    assert train.curves.points("loss") == [(1.0, 0.5)]
    assert session.field("train", "input") is None  # only what went well is remembered


def test_the_model_is_a_file_or_a_filter(qtbot, session, micrographs: Path, tmp_path: Path) -> None:
    from app.tabs.predict import PredictTab

    predict = PredictTab(session)
    qtbot.addWidget(predict)
    predict.show()
    predict.form.set_values({"micrographs": [str(micrographs)], "output": "made/denoised"})
    for text, good in (("no.safetensors", False), ("gaussian:", False), ("gaussian:30", True), ("wiener", True)):
        predict.form.set_values({"model": text})
        assert (predict.form.params() is not None) is good
        assert bool(predict.form.rows["model"].error.text()) is not good
    assert predict.form.params().output == Path.home() / "made" / "denoised-wiener"
    predict.close_tab()


def test_the_schedule_is_the_presets_until_it_is_custom(qtbot, session) -> None:
    from app.tabs.forward import ForwardTab

    forward = ForwardTab(session)
    qtbot.addWidget(forward)
    forward.show()
    rows = [forward.form.rows[k] for k in ("beta", "steps", "start")]
    assert not any(r.editor.isEnabled() or r.reset.isVisible() for r in rows)
    assert [r.editor.value() for r in rows] == [0.1288, 5, 2]
    choice = forward.form.rows["preset"].editor
    choice.setFocus()
    qtbot.keyClick(choice, Qt.Key.Key_Down)
    assert [r.editor.value() for r in rows] == [0.1, 6, 2]
    qtbot.keyClick(choice, Qt.Key.Key_Down)
    assert all(r.editor.isEnabled() for r in rows)


def test_a_model_that_removes_particles_is_a_warning(qtbot, session, tab) -> None:
    from app.tabs.train import TrainTab

    train = TrainTab(session)
    qtbot.addWidget(train)
    assert train.judge({"tslm": 0.05}) == ""
    train._warnings = []
    train._on_done({"tslm": 0.23, "summary": "Trained."})
    assert train.banner.property("state") == "warning"
    assert "23 %" in train.banner.hint.text()


def test_time_asked_for_is_counted_down() -> None:
    train, demo = ({"minutes": 2.0}, "train"), ({"minutes": 4.0}, "demo")
    assert planned_left(train[1], train[0], 0.0) is None  # setting up
    assert planned_left(train[1], train[0], 0.25) == pytest.approx(90)
    assert planned_left(train[1], {"minutes": 2.0, "epochs": 3}, 0.25) is None
    assert planned_left(demo[1], demo[0], 0.05) is None
    assert planned_left(demo[1], demo[0], 0.45) == pytest.approx(120)
    assert planned_left("predict", {}, 0.5) is None


def test_eta_and_clock() -> None:
    eta = Eta()
    assert eta.left(0) is None
    for t in range(10):
        eta.add(float(t), t / 100)
    assert eta.left(9.0) == pytest.approx(91)
    assert eta.left(10.0) == pytest.approx(90)
    eta.add(20.0, 0.0)  # a new count: earlier speed says nothing
    assert eta.left(20.0) is None
    assert [clock(s) for s in (5, 65, 7389)] == ["0:05", "1:05", "2:03:09"]


def test_plot_switches_scale_and_theme(qtbot, qapp) -> None:
    from app import theme

    plot = MetricPlot("Loss", "step", "loss", {"a": "A", "b": "B"})
    qtbot.addWidget(plot)
    plot.show()
    plot.add_points([("a", 0.0, 0), ("a", 10.0, 1), ("b", 3.0, 1), ("unknown", 1, 1)])
    plot.set_line(2.0, "bound")
    qtbot.waitUntil(lambda: plot._plot is not None, timeout=10_000)  # the library comes in a task
    plot.log_y.setChecked(True)
    assert plot._items["a"].getOriginalDataset()[0].tolist() == [1.0]  # zero has no logarithm
    theme.apply(qapp, "light")
    assert plot._plot.backgroundBrush().color().name() == theme.tokens("light")["panel"]
    theme.apply(qapp, "dark")
    plot.clear()
    assert plot.points("a") == []


def test_strip_shows_constant_images_without_complaint(qtbot) -> None:
    strip = ImageStrip("S", "nothing")
    qtbot.addWidget(strip)
    strip.resize(500, 200)
    strip.show()
    strip.set_images(np.zeros((3, 8, 8)), ["x"])
    strip.common.setChecked(True)
    assert strip.canvas.labels == ["x", "", ""]
    cells = strip.canvas.cells()
    assert all(strip.canvas.rect().toRectF().contains(c) for c in cells)
    strip.clear()


@pytest.mark.parametrize("kind", ["curve", "bars"])
def test_another_theme_does_not_change_the_numbers_on_the_axes(qtbot, qapp, kind: str) -> None:
    """pyqtgraph would count in thousandths where the range lies below 1: 0.5 1/Å must not become 500."""
    from app import theme
    from app.widgets.count_plots import DefocusPlot

    with qtbot.waitSignal(library().ready, timeout=WAIT) if not library().loaded else nullcontext():
        library().ask()
    plot = MetricPlot("Spectrum", "spatial frequency (1/Å)", "power", {"a": "a"}) if kind == "curve" else DefocusPlot()
    qtbot.addWidget(plot)
    plot.resize(400, 300)
    plot.show()
    if isinstance(plot, MetricPlot):
        plot.set_curve("a", np.linspace(0, 0.5, 60), np.linspace(0, 0.01, 60))
    else:
        plot.set_counts(np.ones(60), np.linspace(0.2, 0.5, 61))
    qtbot.wait(50)
    for name in ("light", "dark"):
        theme.apply(qapp, name)
        qtbot.wait(20)
        assert [plot._plot.getAxis(side).autoSIPrefixScale for side in ("bottom", "left")] == [1.0, 1.0]
