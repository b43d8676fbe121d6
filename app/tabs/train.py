"""Train: live loss curves, and the same validation crop before training and now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QWidget

from app.tabs.job_tab import JobTab
from app.widgets.image_strip import ImageStrip
from app.widgets.metric_plot import MetricPlot, library
from core.params import Params

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
        if result.get("summary"):
            return str(result["summary"])
        parts = [f"Trained for {result.get('steps', '?')} steps."]
        for key, text in (("val_loss", "Validation loss"), ("tslm", "structural loss (TSLM)")):
            if isinstance(result.get(key), (int, float)):
                parts.append(f"{text} {result[key]:.4g}.")
        return " ".join(parts)

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
