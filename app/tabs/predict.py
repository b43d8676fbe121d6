"""Predict: denoises micrographs; lists inputs with their state and shows raw beside denoised.

The list and the pairs come from the folders, not from the run: an interrupted or older run shows as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QButtonGroup, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app import theme
from app.session import Session
from app.tabs.job_tab import JobTab
from app.tabs.predict_detail import DetailBar
from app.tabs.predict_folder import Made, list_pairs, list_pieces, made_by
from app.tabs.predict_live import LivePicture
from app.tabs.predict_share import RawShare
from app.tabs.predict_trust import TrustPage
from app.viewer.compare_view import CompareView
from app.viewer.pair_loader import PairLoader
from app.widgets.labels import ElidedLabel, button, column, label, row
from app.widgets.micrograph_list import MicrographList
from core.errors import AppError
from workers.task import run_task

PAGES = (
    ("pictures", "Pictures", "Raw beside denoised (Ctrl+T)"),
    ("trust", "Can I trust it?", "What this model keeps, loses and invents on your micrographs (Ctrl+T)"),
)
NOT_YET = "Not denoised yet. Press Denoise."
ADVICE = "Denoised: for seeing and picking. Extract particles from the raw micrographs."
METHODS = {"model": "", "gaussian": "gaussian:30", "wiener": "wiener"}
FOLDERS = {"model": "denoised", "gaussian": "denoised-gaussian", "wiener": "denoised-wiener"}
TIPS = {
    "model": "The network that Train made",
    "gaussian": "Gaussian low-pass, full width 30 Å: a baseline to compare with",
    "wiener": "Wiener filter from the noise of each micrograph: a baseline to compare with",
}


class PredictTab(RawShare, JobTab):
    """Job `predict`."""

    job = "predict"
    title = "Predict"
    sentence = "Denoise whole micrographs with your model, and compare with the raw ones."
    run_text = "Denoise"
    output_name = FOLDERS["model"]
    warnings_first = True  # a model of another noise matters more than how many files were written

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        self.outputs: dict[Path, Path] = {}
        self._listed = ""  # the output folder that `outputs` is about
        self._model = ""
        self._method = "model"
        self._made = Made()
        self._pieces: dict[Path, Path] = {}  # of the micrographs that have them
        self._asked: tuple[Any, ...] = ()  # micrograph, its output, the output's time
        super().__init__(session, parent)
        self.form.hide_row("keep_raw")  # the slider stands for it
        self.live = LivePicture(self)
        self.live.came.connect(self._on_live)
        self.live.failed.connect(self._on_live_failed)
        self.pair = PairLoader(session.cache, self)
        self.pair.changed.connect(self._show_pair)
        self.pair.failed.connect(lambda _side, _err: self._show_pair())
        self._refresh_timer = QTimer(self, interval=400, singleShot=True)
        self._refresh_timer.timeout.connect(self.refresh)
        self._refresh_timer.start()

    def form_header(self) -> QWidget:
        self.methods = QButtonGroup(self)
        buttons = []
        for name, text in (("model", "Model"), ("gaussian", "Gaussian"), ("wiener", "Wiener")):
            choice = button(text, tip=TIPS[name])
            choice.setCheckable(True)
            choice.clicked.connect(lambda _=False, n=name: self.choose_method(n))
            self.methods.addButton(choice)
            self.methods.setId(choice, list(METHODS).index(name))
            buttons.append(choice)
        buttons[0].setChecked(True)
        whole = QWidget()
        inside = column(label("Method"), spacing=4)
        inside.addLayout(row(*buttons, None))
        whole.setLayout(inside)
        return whole

    def build_view(self) -> QWidget:
        """The switch with the traffic light, and below it one page or the other."""
        self.pages = QStackedWidget()
        self.trust = TrustPage(self.session, self._values_to_check)
        self.pages.addWidget(self._build_pictures())
        self.pages.addWidget(self.trust)
        self.switch = QButtonGroup(self)
        line = row(spacing=6)
        for place, (_, text, tip) in enumerate(PAGES):
            choice = button(text, tip=tip)
            choice.setCheckable(True)
            choice.clicked.connect(lambda _=False, i=place: self.show_page(i))
            self.switch.addButton(choice, place)
            line.addWidget(choice)
        self.light = ElidedLabel()
        self.light.setAccessibleName("Result of the check")
        stays = self.light.sizePolicy()
        stays.setRetainSizeWhenHidden(True)  # otherwise the switch would spread over its place
        self.light.setSizePolicy(stays)
        line.addSpacing(6)
        line.addWidget(self.light, 1)
        self.trust.light_changed.connect(self._show_light)
        self._show_light(*self.trust.light)
        other = QShortcut(QKeySequence("Ctrl+T"), self)
        other.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        other.activated.connect(lambda: self.show_page(1 - self.pages.currentIndex()))
        whole = QWidget()
        inside = column(spacing=8)
        inside.addLayout(line)
        inside.addWidget(self.pages, 1)
        whole.setLayout(inside)
        names = [name for name, _, _ in PAGES]
        last = self.session.field(self.job, "page")
        self.show_page(names.index(last) if last in names else 0)
        return whole

    def show_page(self, place: int) -> None:
        """0: the pictures; 1: the check. Remembered."""
        self.switch.button(place).setChecked(True)
        self.pages.setCurrentIndex(place)
        self.light.setVisible(place == 0)  # the other page says it at length
        self.session.remember_field(self.job, "page", PAGES[place][0])

    def _show_light(self, role: str, text: str) -> None:
        theme.set_state(self.light, "role", role)
        self.light.setText(text)

    def _values_to_check(self) -> Mapping[str, Any] | None:
        """What the check is to run with; None after marking what is missing."""
        params = self.form.params()
        if params is None:
            self.banner.show_text("failed", "Some settings are missing or wrong.", "They are marked on the left.")
            return None
        return params.to_toml_dict()

    def _build_pictures(self) -> QWidget:
        self.list = MicrographList([("State", self._state_of, "Is there a denoised micrograph in the output folder?")])
        self.list.selected.connect(self._show)
        self.compare = CompareView()
        self._set_label()
        self.detail = DetailBar()
        self.detail.keep_edited.connect(lambda percent: self.form.set_values({"keep_raw": percent / 100}))
        self.detail.gate_toggled.connect(lambda _on: self._update_live())
        self.detail.apply_clicked.connect(self._apply_to_all)
        self.compare.frame_chosen.connect(self._show_frame)
        self.compare.said.connect(lambda text: self.session.message.emit(text, 6000))
        self.compare.set_message("Choose micrographs on the left: each appears here, raw beside denoised.")
        self.count = label("", "muted")
        left = QWidget()
        left.setLayout(column(self.count, self.list, margins=(0, 0, 8, 0)))
        right = QWidget()
        inside = QVBoxLayout(right)
        inside.setContentsMargins(8, 0, 0, 0)
        inside.addWidget(self.compare, 1)
        inside.addWidget(self.detail)
        inside.addWidget(label(ADVICE, "muted", wrap=True))
        whole = QSplitter()
        whole.setChildrenCollapsible(False)
        self.rooms = QSplitter(Qt.Orientation.Vertical)  # what is said about the pictures goes below them
        self.rooms.setChildrenCollapsible(False)
        self.rooms.addWidget(right)
        whole.addWidget(left)
        whole.addWidget(self.rooms)
        whole.setStretchFactor(1, 1)
        unit = self.fontMetrics().averageCharWidth()
        whole.setSizes([unit * 46, unit * 104])
        for keys, by in ((("N", "PgDown"), 1), (("P", "PgUp"), -1)):
            for key in keys:
                shortcut = QShortcut(QKeySequence(key), whole)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(lambda by=by: self.list.step(by))
        gate = QShortcut(QKeySequence("O"), whole)
        gate.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        gate.activated.connect(self.detail.gate.click)
        return whole

    # ---- method ----------------------------------------------------------------------------------------

    def choose_method(self, name: str) -> None:
        """Model, gaussian or wiener in one click; each has its own output folder."""
        shown = str(self.form.raw("model"))
        if method_of(shown) == "model":
            self._model = shown
        self.form.set_values({"model": METHODS[name] or self._model})
        if name == "model" and not self._model:
            self.form.rows["model"].editor.setFocus()

    def on_edited(self, key: str) -> None:
        if key == "model":
            method = method_of(str(self.form.raw("model")))
            self.methods.button(list(METHODS).index(method)).setChecked(True)
            if method != self._method:
                self._method = method
                self._change_folder(method)
        if key in ("keep_raw", "model"):
            self.detail.set_percent(round(100 * float(self.form.raw("keep_raw") or 0.0)))
            self.trust.set_keep(self.form.raw("keep_raw"))
            self._update_live()
        if key == "output" and self._listed != self.form.values().get("output", ""):
            self._forget_denoised()
        if key in ("micrographs", "output", "model") and hasattr(self, "_refresh_timer"):
            self._refresh_timer.start()

    def _change_folder(self, method: str) -> None:
        """denoised -> denoised-gaussian ..., when the folder is one of the suggested ones."""
        output = Path(str(self.form.raw("output")))
        if output.name in FOLDERS.values():
            self.form.set_values({"output": str(output.with_name(FOLDERS[method]))})

    # ---- list ------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the input and output folders in a task and show what there is."""
        values = self.form.values()
        given = [Path(p) for p in values.get("micrographs", [])]
        output = Path(values["output"]) if values.get("output") else None
        if not given:
            self._on_listed([], {}, {}, "", Made())
            return

        def show(found: tuple[Any, ...]) -> None:
            if self.form.values().get("output") == values.get("output"):  # otherwise another listing follows
                (files, pairs), pieces, made = found
                self._on_listed(files, pairs, pieces, values.get("output", ""), made)

        def look() -> tuple[Any, ...]:
            files, pairs = list_pairs(given, output)
            return (files, pairs), list_pieces(pairs, output), made_by(output)

        run_task(look, show, self._on_list_failed, self)

    def _on_listed(
        self, files: list[Path], outputs: dict[Path, Path], pieces: dict[Path, Path], output: str, made: Made
    ) -> None:
        other = (output, made.keep) != (self._listed, self._made.keep)
        self.outputs, self._pieces, self._listed, self._made = outputs, pieces, output, made
        self._set_label()
        if other and made.keep is not None:  # the files first, as they are
            self.form.set_values({"keep_raw": made.keep})
        current = self.list.current()
        if files != self.list.files:
            select = files.index(current) if current in files else 0
            self.list.set_files(files, select)
        else:
            self.list.files_model.refresh()
            if current is not None:
                self._show(current)
        self.count.setText(f"{len(self.outputs)} of {len(files)} denoised" if files else "")
        if not files:
            self.compare.set_pair(None, None)
            self.compare.set_message("Choose micrographs on the left: each appears here, raw beside denoised.")
        self._update_live()
        self.trust.look(self.form.values(), files)

    def _on_list_failed(self, err: AppError) -> None:
        self._on_listed([], {}, {}, "", Made())
        self.compare.set_message(f"{err.message}\n{err.hint}")

    def _state_of(self, path: Path) -> str:
        if path in self.outputs:
            return "done"
        working = self.worker is not None and self.worker.active
        return "now" if working and path.name in (self.worker.message if self.worker else "") else "–"

    # ---- pair ------------------------------------------------------------------------------------------

    def _show(self, path: Path) -> None:
        denoised = self.outputs.get(path)
        stamp = denoised.stat().st_mtime_ns if denoised is not None and denoised.exists() else 0
        if (path, denoised, stamp) == self._asked:
            return
        before, self._asked = self._asked, (path, denoised, stamp)
        other_file = not before or before[0] != path
        self._refused = None
        if other_file:
            self._answer = None
            self.compare.scene.set_gate(None)
            self.compare.set_message(f"Loading {path.name} …")
            self.pair.request(0, path)
        index = 0 if other_file else self._index()
        if denoised is None:
            self.pair.drop(1)
        else:
            self.pair.request(1, denoised, index)
        if not other_file and before[1] != denoised:
            self._show_pair()
        neighbours = self.list.neighbours()
        self.pair.prefetch(0, neighbours)
        self.pair.prefetch(1, [self.outputs[n] for n in neighbours if n in self.outputs])

    def _index(self) -> int:
        """Which image of a stack is shown."""
        raw = self.pair.pictures[0]
        return raw.index if raw is not None else 0

    def _show_frame(self, index: int) -> None:
        """Another image of the stack, of both where both are stacks."""
        if not self._asked:
            return
        path, denoised = self._asked[:2]
        made = self.pair.pictures[1]
        self.pair.request(0, path, index)
        self.pair.prefetch_frames(0, path, (index + 1, index + 2, index - 1))
        if denoised is not None and made is not None and index < made.n:
            self.pair.request(1, denoised, index)
            self.pair.prefetch_frames(1, denoised, (index + 1, index + 2, index - 1))

    def _show_pair(self) -> None:
        raw, denoised = self.pair.pictures
        size = raw.pixel_size_a if raw is not None else None
        path, made = self._asked[:2]
        if self._answer is not None and self._answer.picture is not None and denoised is not None:
            denoised = self._answer.picture
        self.compare.set_pair(raw, denoised, path.name, size, (path, made))
        self._set_label()
        if self.pair.words():
            self.compare.set_message(self.pair.words())
        self._update_live()

    def _set_label(self) -> None:
        missing = not self._asked or self._asked[1] is None
        self.compare.set_labels(
            "raw", f"{self._made.label}: for seeing and picking", NOT_YET if missing else "Loading …"
        )

    def _forget_denoised(self) -> None:
        """The output folder is another one: what is shown on the right is not from there."""
        self.outputs, self._pieces, self._answer = {}, {}, None
        self.compare.scene.set_gate(None)
        if self._asked and self._asked[1] is not None:
            self._asked = (self._asked[0], None, 0)
            self.pair.drop(1)
            self._show_pair()
        self.list.files_model.refresh()

    # ---- run -------------------------------------------------------------------------------------------

    def on_progress(self, done: float, total: float, message: str, t: float) -> None:
        self.list.files_model.refresh()
        if not self._refresh_timer.isActive():
            self._refresh_timer.start()

    def on_result(self, result: dict[str, Any]) -> None:
        self.refresh()

    def summary(self, result: Mapping[str, Any]) -> str:
        if result.get("summary"):
            return str(result["summary"])
        skipped = result.get("skipped") or 0
        skipped = len(skipped) if isinstance(skipped, list) else skipped
        text = f"{len(result.get('files', []))} micrographs denoised"
        return text + (f", {skipped} were there already." if skipped else ".")

    def receive(self, values: Mapping[str, Any]) -> None:
        if values.get("model"):
            self.session.carried.setdefault("project", str(Path(str(values["model"])).parent.parent))
        super().receive(values)
        self.refresh()

    def show_folders(self, micrographs: list[Path], output: Path) -> None:
        """Show raw micrographs beside what an output folder holds (the result of the demo)."""
        self.form.set_values({"micrographs": [str(m) for m in micrographs], "output": str(output)})
        self.refresh()

    def close_tab(self) -> None:
        """End the threads."""
        self.trust.close_page()
        self.live.forget()
        self.pair.stop()


def method_of(model: str) -> str:
    """Which method a model text names: gaussian, wiener, or model."""
    word = model.strip().lower().split(":")[0]
    return word if word in ("gaussian", "wiener") else "model"
