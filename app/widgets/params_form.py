"""A Params class becomes a form: one row for each field spec of core/fields.py, nothing written twice.

Reads back a validated Params, or marks the rows that are wrong and says why. What happens with the Params
is the tab's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app import theme
from app.widgets.form_check import absolute_text, in_words, problems
from app.widgets.inputs import PathBox
from app.widgets.number_boxes import FloatBox, IntBox
from core.errors import ParamError
from core.fields import FieldSpec, walk
from core.params import Params, flag_of


@dataclass
class Row:
    """The widgets of one field."""

    spec: FieldSpec
    label: QLabel
    editor: QWidget
    reset: QToolButton
    error: QLabel
    hidden: bool = False  # another control of the tab stands for it


class ParamsForm(QWidget):
    """Form of a job. `edited(key)` after every change by the user or by `set_values`."""

    edited = Signal(str)

    def __init__(self, model: type[Params], hidden: Iterable[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("formBody")
        self.model = model
        self.rows: dict[str, Row] = {}
        hidden = set(hidden)
        specs = [s for s in walk(model) if s.key not in hidden]
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(self._grid([s for s in specs if not s.ui.get("advanced")]))
        advanced = [s for s in specs if s.ui.get("advanced")]
        self.more = QPushButton("▸  More settings")
        self._more_box = QWidget(self)
        self._more_box.hide()
        if advanced:
            theme.set_state(self.more, "role", "flat")
            self.more.setCheckable(True)
            self.more.toggled.connect(self._show_more)
            column.addWidget(self.more)
            box = QVBoxLayout(self._more_box)
            box.setContentsMargins(0, 0, 0, 0)
            box.addLayout(self._grid(advanced))
            column.addWidget(self._more_box)
            self._more_box.hide()
        column.addStretch(1)

    def _show_more(self, shown: bool) -> None:
        self._more_box.setVisible(shown)
        self.more.setText("▾  More settings" if shown else "▸  More settings")

    def _grid(self, specs: list[FieldSpec]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(3)
        for index, spec in enumerate(specs):
            self._add_row(grid, index * 3, spec)
        grid.setColumnStretch(0, 1)
        return grid

    def _add_row(self, grid: QGridLayout, at: int, spec: FieldSpec) -> None:
        label = QLabel(f"{spec.label} *" if spec.required else spec.label)
        editor = make_editor(spec)
        label.setBuddy(editor)
        tip = spec.help + (f" [{spec.unit}]" if spec.unit else "") + (" Needed." if spec.required else "")
        for widget in (label, editor):
            widget.setToolTip(f"<qt>{tip}</qt>")
        editor.setAccessibleName(spec.label)
        editor.setAccessibleDescription(tip)
        reset = QToolButton()
        reset.setText("↺")
        reset.setToolTip("Back to the default")
        reset.setAccessibleName(f"Reset {spec.label}")
        reset.setVisible(False)
        keep = reset.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        reset.setSizePolicy(keep)
        reset.clicked.connect(lambda: self.set_values({spec.key: spec.default}))
        error = QLabel()
        error.setWordWrap(True)
        theme.set_state(error, "role", "error")
        error.hide()
        if isinstance(editor, QCheckBox):
            editor.setText(spec.label)
            label.hide()
            grid.addWidget(editor, at + 1, 0)
        else:
            grid.addWidget(label, at, 0, 1, 2)
            grid.addWidget(editor, at + 1, 0)
        grid.addWidget(reset, at + 1, 1)
        grid.addWidget(error, at + 2, 0, 1, 2)
        self.rows[spec.key] = Row(spec, label, editor, reset, error)
        connect_edited(editor, lambda: self._changed(spec.key))

    def hide_row(self, key: str) -> None:
        """Another control of the tab stands for this field; its value is read and set as before."""
        row = self.rows[key]
        row.hidden = True
        for part in (row.label, row.editor, row.reset):
            policy = part.sizePolicy()
            policy.setRetainSizeWhenHidden(False)
            part.setSizePolicy(policy)
            part.hide()

    def put_in_place(self, key: str, widget: QWidget, stops: Sequence[QWidget]) -> None:
        """Show `widget` below the label of a field instead of its editor, which goes on holding the value.

        `stops` are the parts of the widget that the Tab key visits, in their order.
        """
        row = self.rows[key]
        self.hide_row(key)
        row.label.show()
        row.label.setBuddy(stops[0])
        for grid in self.findChildren(QGridLayout):
            at = grid.indexOf(row.editor)
            if at >= 0:
                grid.addWidget(widget, grid.getItemPosition(at)[0], 0, 1, 2)  # type: ignore[index]
        before: QWidget = row.editor
        for stop in stops:
            self.setTabOrder(before, stop)
            before = stop

    def _changed(self, key: str) -> None:
        row = self.rows[key]
        changed = not row.hidden and not row.spec.required and not same(self.raw(key), row.spec.default)
        row.reset.setVisible(changed)
        self.mark({key: self._out_of_bounds(key)}, only=key, focus=False)
        self.edited.emit(key)

    def _out_of_bounds(self, key: str) -> str:
        editor = self.rows[key].editor
        return editor.problem() if isinstance(editor, (IntBox, FloatBox)) else ""

    def raw(self, key: str) -> Any:
        """What a row holds now; None or an empty text when it is not given."""
        return read_editor(self.rows[key].editor, self.rows[key].spec)

    def values(self) -> dict[str, Any]:
        """Everything that is given, as `Params.parse` takes it."""
        found = {key: self.raw(key) for key in self.rows}
        for key, row in self.rows.items():
            if isinstance(row.editor, PathBox):
                value = found[key]
                found[key] = [absolute_text(v) for v in value] if isinstance(value, list) else absolute_text(value)
        return {k: v for k, v in found.items() if v is not None and v != "" and v != []}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show values; keys that are no field of this form are passed over."""
        for key, value in values.items():
            if key in self.rows:
                write_editor(self.rows[key].editor, self.rows[key].spec, value)

    def params(self) -> Params | None:
        """The validated parameters, or None after marking the wrong rows."""
        wrong = {key: text for key in self.rows if (text := self._out_of_bounds(key))}
        values = self.values()
        found = None
        try:
            found = self.model.parse(values)
        except ParamError as err:
            wrong = {k: in_words(v, self.model) for k, v in reasons(err).items()} | wrong
        wrong = problems({k: r.spec for k, r in self.rows.items()}, values) | wrong
        self.mark(wrong)
        return None if wrong else found

    def mark(self, problems: Mapping[str, str], only: str = "", focus: bool = True) -> None:
        """Mark rows as wrong (key -> reason) and the others as right; `only` restricts it to one row."""
        first = None
        for key, row in self.rows.items():
            if only and key != only:
                continue
            reason = problems.get(key, "")
            row.error.setText(reason)
            row.error.setVisible(bool(reason))
            target = row.editor.line if isinstance(row.editor, PathBox) else row.editor
            theme.set_state(target, "state", "error" if reason else "")
            if reason and first is None:
                first = row
        if first is not None and focus:
            if first.spec.ui.get("advanced"):
                self.more.setChecked(True)
            first.editor.setFocus()


def reasons(err: ParamError) -> dict[str, str]:
    """Reason for each field of a ParamError: the part of the message with its flag, or all of it."""
    parts = err.message.rstrip(".").split("; ")
    found = {}
    for key in err.fields:
        own = [p for p in parts if p.split(" ")[0].rstrip(":") == flag_of(key)]
        text = " ".join(own).removeprefix(flag_of(key)).lstrip(": ") if own else err.message
        found[key] = text[:1].upper() + text[1:].rstrip(".") + "."
    return found


def make_editor(spec: FieldSpec) -> QWidget:
    """The input widget of a field."""
    unset = "" if not (spec.optional or spec.required) else ("not given" if spec.required else "not set")
    dialog = spec.ui.get("dialog", "")
    if spec.kind == "int":
        editor: QWidget = IntBox(spec.low, spec.high, spec.unit, unset)
    elif spec.kind == "float":
        editor = FloatBox(spec.low, spec.high, spec.unit, unset)
    elif spec.kind == "bool":
        editor = QCheckBox()
    elif spec.kind == "choice":
        editor = QComboBox()
        editor.addItems(spec.choices)
        editor.wheelEvent = lambda e: e.ignore()  # type: ignore[method-assign]
    elif spec.kind in ("path", "paths") or dialog:
        editor = PathBox(dialog, spec.ui.get("pattern", ""), spec.kind == "paths", _placeholder(spec))
    else:
        editor = QLineEdit()
        editor.setPlaceholderText("numbers, separated by spaces" if spec.kind == "numbers" else "")
    if spec.default is not None or not spec.required:
        write_editor(editor, spec, spec.default)
    elif isinstance(editor, (IntBox, FloatBox)):
        editor.set_value(None)
    return editor


def _placeholder(spec: FieldSpec) -> str:
    if spec.kind == "paths":
        return "Drop a folder or files here"
    words = {"folder": "Choose a folder", "save": "Choose a file name", "either": "Drop a folder or a file here"}
    return words.get(spec.ui.get("dialog", ""), "Drop a file here")


def connect_edited(editor: QWidget, slot: Any) -> None:
    """Call `slot()` after every change of an editor."""
    if isinstance(editor, (IntBox, FloatBox, PathBox)):
        editor.edited.connect(slot)
    elif isinstance(editor, QCheckBox):
        editor.toggled.connect(lambda _: slot())
    elif isinstance(editor, QComboBox):
        editor.currentTextChanged.connect(lambda _: slot())
    elif isinstance(editor, QLineEdit):
        editor.textChanged.connect(lambda _: slot())


def read_editor(editor: QWidget, spec: FieldSpec) -> Any:
    """Value of an editor, as raw as `Params.parse` takes it."""
    if isinstance(editor, (IntBox, FloatBox)):
        return editor.value_or_none()
    if isinstance(editor, PathBox):
        return editor.value()
    if isinstance(editor, QCheckBox):
        return editor.isChecked()
    if isinstance(editor, QComboBox):
        return editor.currentText()
    text = editor.text().strip() if isinstance(editor, QLineEdit) else ""
    return text.replace(",", " ").split() if spec.kind == "numbers" else text


def write_editor(editor: QWidget, spec: FieldSpec, value: Any) -> None:
    """Show a value in an editor."""
    if isinstance(editor, (IntBox, FloatBox, PathBox)):
        editor.set_value(value)
    elif isinstance(editor, QCheckBox):
        editor.setChecked(bool(value))
    elif isinstance(editor, QComboBox):
        editor.setCurrentText(str(value))
    elif isinstance(editor, QLineEdit):
        shown = " ".join(str(v) for v in value or ()) if spec.kind == "numbers" else value
        editor.setText("" if shown is None else str(shown))


def same(value: Any, default: Any) -> bool:
    """Is a raw value the default? Empty texts and lists count as not given."""
    if value in (None, "", []) and default in (None, "", ()):
        return True
    if isinstance(default, (int, float)) and not isinstance(default, bool) and isinstance(value, (int, float)):
        return abs(value - default) < 1e-9 * max(1.0, abs(default))
    return str(value) == str(default)
