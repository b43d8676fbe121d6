"""Train: live loss curves, and the same validation crop before training and now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QSplitter, QWidget

from app.session import Session
from app.tabs.job_tab import JobTab
from app.tabs.train_modes import NOTES, choices, fitting_mode, in_words
from app.widgets.choice_cards import ChoiceCards
from app.widgets.image_strip import ImageStrip
from app.widgets.labels import column, label
from app.widgets.metric_plot import MetricPlot, library
from core.denoising.set_kind import Kind, set_kind
from core.params import Params
from workers.task import run_task

MOST_TSLM = 0.1  # share of the particles' signal that a finished model may remove


class TrainTab(JobTab):
    """Job `train`."""

    job = "train"
    title = "Train"
    sentence = "Teach the network to take the noise of your micrographs away."
    run_text = "Train"
    next_text = "Use in Predict →"
    output_name = "model"
    fresh_folder = True

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        self._kind: Kind = ""
        super().__init__(session, parent)
        self.form.hide_row("mode")  # the cards stand for it
        self._look = QTimer(self, interval=300, singleShot=True)
        self._look.timeout.connect(self._look_at_set)
        self._look_at_set()
        self._show_modes()

    def form_header(self) -> QWidget:
        self.modes = ChoiceCards()
        self.modes.chosen.connect(lambda mode: self.form.set_values({"mode": mode}))
        self.note = label("", "muted", wrap=True)
        whole = QWidget()
        whole.setLayout(column(self.modes, self.note, spacing=8))
        return whole

    def on_edited(self, key: str) -> None:
        if key == "input" and hasattr(self, "_look"):
            self._look.start()  # not for every letter that is typed
        if key in ("mode", "minutes", "epochs", "start"):
            self._show_modes()

    def _look_at_set(self) -> None:
        """Find out in a task what the input folder is: it may be on a slow disk."""
        folder = str(self.form.values().get("input") or "")
        if not folder:
            self._on_kind("")
            return

        def show(kind: Kind) -> None:
            if self.form.values().get("input") == folder:
                self._on_kind(kind)

        run_task(lambda: set_kind(Path(folder)), show, lambda _err: self._on_kind(""), self)

    def _on_kind(self, kind: Kind) -> None:
        self._kind = kind
        self._show_modes()

    def _show_modes(self) -> None:
        """Offer what fits the training set; the form's mode follows when it is not among it."""
        minutes, epochs, start = (self.form.raw(key) for key in ("minutes", "epochs", "start"))
        offered = choices(self._kind, minutes, epochs, str(start or ""))
        self.modes.set_choices(offered)
        mode = fitting_mode(str(self.form.raw("mode")), offered)
        self.modes.set_current(mode)
        self.form.set_values({"mode": mode})
        self.note.setText(NOTES[self._kind])
        self.note.setVisible(bool(NOTES[self._kind]))

    def build_view(self) -> QWidget:
        self.curves = MetricPlot(
            "Loss",
            "training step",
            "loss",
            {"loss": "training", "val_loss": "validation", "tslm": "structural loss (TSLM)"},
            "Loss on training pairs, on held-out pairs, and the signal taken from raw particles (TSLM).",
            log_y=True,
        )
        self.strip = ImageStrip(
            "The same held-out crop", "Input, the network's output before training and now, and the target."
        )
        self._before: np.ndarray | None = None
        self._now: np.ndarray | None = None
        self._step = 0.0
        whole = QSplitter(Qt.Orientation.Vertical)
        whole.addWidget(self.curves)
        whole.addWidget(self.strip)
        whole.setChildrenCollapsible(False)
        whole.setHandleWidth(10)
        whole.setObjectName("cards")
        whole.setSizes([3000, 2200])
        library().ask()
        return whole

    def clear_view(self) -> None:
        self.curves.clear()
        self.strip.clear()
        self._before = self._now = None
        self._step = 0.0

    def on_metrics(self, points: list[tuple[str, float, float]]) -> None:
        self.curves.add_points(points)
        self._step = max(self._step, points[-1][2])

    def on_preview(self, name: str, array: np.ndarray, info: dict[str, Any]) -> None:
        if array.ndim != 3 or len(array) != 3:
            return
        if name == "validation_before":
            self._before = array
        elif name == "validation":
            self._now = array
            self._step = float(info.get("step", self._step))
        latest = self._now if self._now is not None else self._before
        if latest is None:
            return
        images, labels = [latest[0]], ["input"]
        if self._before is not None:
            images.append(self._before[1])
            labels.append("before training")
        if self._now is not None:
            images.append(self._now[1])
            labels.append(f"now (step {self._step:.0f})")
        self.strip.set_images(np.stack([*images, latest[2]]), [*labels, "target"])

    def summary(self, result: Mapping[str, Any]) -> str:
        return in_words(result) if result.get("steps") else str(result.get("summary") or "Done.")

    def judge(self, result: Mapping[str, Any]) -> str:
        tslm = result.get("tslm")
        if not isinstance(tslm, (int, float)) or tslm <= MOST_TSLM:
            return ""
        return f"This model removes {tslm * 100:.0f} % of the particles' signal: train longer."

    def taken(self, params: Params) -> str:
        values = params.model_dump()
        if values["resume"] or not (values["output"] / "checkpoint.safetensors").is_file():
            return ""
        return "This folder already holds a training: switch “Resume” on to continue it, or choose another folder."

    def receive(self, values: Mapping[str, Any]) -> None:
        if values.get("input"):
            self.session.carried["project"] = str(Path(values["input"]).parent)
        super().receive(values)

    def go_next(self) -> None:
        values = {"model": self.result.get("model"), "micrographs": self.session.carried.get("micrographs")}
        self.session.hand_over("predict", values)
