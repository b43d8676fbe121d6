"""The form: one row for each field of every job, read back as validated Params, wrong rows marked."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QCheckBox, QComboBox

from app.widgets.inputs import PathBox
from app.widgets.number_boxes import FloatBox, IntBox
from app.widgets.params_form import ParamsForm, reasons
from core.errors import ParamError
from core.fields import walk
from core.jobs.table import JOBS, job_params


@pytest.mark.parametrize("job", list(JOBS))
def test_form_has_every_field_and_its_defaults(qtbot, job: str) -> None:
    model = job_params(job)
    form = ParamsForm(model)
    qtbot.addWidget(form)
    specs = list(walk(model))
    assert list(form.rows) == [s.key for s in specs if not s.ui.get("advanced")] + [
        s.key for s in specs if s.ui.get("advanced")
    ]
    for spec in specs:
        row = form.rows[spec.key]
        assert row.editor.accessibleName() == spec.label
        assert spec.help[:20] in row.editor.toolTip()
        if not spec.required and spec.default is not None:
            assert str(form.raw(spec.key)) in (str(spec.default), "[]")
        if isinstance(row.editor, IntBox) and spec.high is not None:
            assert row.editor.high == spec.high
        if spec.unit and isinstance(row.editor, (IntBox, FloatBox)):
            assert row.editor.suffix().strip() == spec.unit


@pytest.mark.parametrize("job", list(JOBS))
def test_form_and_params_agree(qtbot, job: str, tmp_path: Path) -> None:
    file = tmp_path / "in" / "a.mrc"
    file.parent.mkdir()
    file.write_text("")
    model = job_params(job)
    form = ParamsForm(model)
    qtbot.addWidget(form)
    values = {}
    for spec in walk(model):
        if spec.required:
            values[spec.key] = {"paths": [str(file)], "path": str(file), "text": "wiener"}.get(spec.kind, spec.low)
    values["output"] = str(tmp_path / "out")
    form.set_values(values)
    assert form.params() == model.parse(values)


def test_missing_and_wrong_fields_are_marked_with_the_reason(qtbot) -> None:
    form = ParamsForm(job_params("train"))
    qtbot.addWidget(form)
    form.show()
    form.set_values({"minutes": 0.0})
    assert form.params() is None
    assert form.rows["input"].error.text() == "Is needed."
    assert form.rows["minutes"].error.isVisible()
    assert "greater than 0" in form.rows["minutes"].error.text()
    assert form.rows["batch_size"].error.text() == ""
    form.set_values({"minutes": 2.0})  # mending a row takes its mark away
    assert not form.rows["minutes"].error.isVisible()


def test_wrong_advanced_field_is_opened(qtbot) -> None:
    form = ParamsForm(job_params("train"))
    qtbot.addWidget(form)
    form.show()
    assert not form.rows["learning_rate"].editor.isVisible()
    form.mark({"learning_rate": "No."})
    assert form.rows["learning_rate"].editor.isVisible()


def test_typing_small_and_optional_numbers(qtbot) -> None:
    form = ParamsForm(job_params("train"))
    qtbot.addWidget(form)
    form.show()
    rate = form.rows["learning_rate"].editor
    assert rate.text() == "not set"
    assert form.rows["structural_weight"].editor.text() == "0.2"
    rate.selectAll()
    qtbot.keyClicks(rate, "5e-4")
    assert form.raw("learning_rate") == pytest.approx(5e-4)
    assert form.rows["learning_rate"].reset.isVisibleTo(form.rows["learning_rate"].reset.parentWidget())
    qtbot.mouseClick(form.rows["learning_rate"].reset, Qt.MouseButton.LeftButton)
    assert form.raw("learning_rate") is None
    assert form.raw("epochs") is None
    epochs = form.rows["epochs"].editor
    epochs.selectAll()
    qtbot.keyClicks(epochs, "12")
    assert form.raw("epochs") == 12


def test_a_number_outside_the_bounds_stays_and_is_told(qtbot) -> None:
    form = ParamsForm(job_params("forward"))
    qtbot.addWidget(form)
    form.show()
    row = form.rows["noise_box"]
    row.editor.setFocus()
    row.editor.selectAll()
    qtbot.keyClicks(row.editor, "5000")
    qtbot.keyClick(row.editor, Qt.Key.Key_Tab)
    assert row.editor.text() == "5000 px"
    assert row.error.text() == "16 to 2048 px."
    assert form.params() is None
    form.set_values({"noise_box": 64})
    assert row.error.text() == ""


def test_paths_by_drop_and_typing(qtbot, tmp_path: Path) -> None:
    form = ParamsForm(job_params("predict"))
    qtbot.addWidget(form)
    editor = form.rows["micrographs"].editor
    assert isinstance(editor, PathBox)
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / f"{i}.mrc")) for i in range(5)])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    editor.dropEvent(QDropEvent(QPointF(QPoint(4, 4)), Qt.DropAction.CopyAction, mime, buttons, keys))
    assert form.raw("micrographs") == [str(tmp_path / f"{i}.mrc") for i in range(5)]
    assert editor.line.text().startswith("5 files in")
    editor.line.clear()
    assert form.raw("micrographs") == []
    qtbot.keyClicks(editor.line, "/data/x y; /data/z")
    assert form.raw("micrographs") == ["/data/x y", "/data/z"]


def test_switches_and_choices(qtbot) -> None:
    form = ParamsForm(job_params("predict"))
    qtbot.addWidget(form)
    box, choice = form.rows["overwrite"].editor, form.rows["dtype"].editor
    assert isinstance(box, QCheckBox)
    assert isinstance(choice, QComboBox)
    with qtbot.waitSignal(form.edited):
        box.click()
    choice.setCurrentText("float16")
    assert form.values()["overwrite"] is True
    assert form.values()["dtype"] == "float16"


def test_reasons_split_a_message_by_flag() -> None:
    err = ParamError("--a: too small; --b-c is needed.", fields=("a", "b_c"))
    assert reasons(err) == {"a": "Too small.", "b_c": "Is needed."}
    assert reasons(ParamError("They clash.", fields=("a",))) == {"a": "They clash."}
