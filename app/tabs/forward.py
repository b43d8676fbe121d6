"""Forward: builds the training set; shows the information left at each step, a particle, the spectra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSplitter, QWidget

from app.session import Session
from app.tabs.job_tab import JobTab
from app.widgets.image_strip import ImageStrip
from app.widgets.left_out import LeftOutCard
from app.widgets.metric_plot import MetricPlot, library

PRESETS = {"config1": (0.1288, 5, 2), "config2": (0.1, 6, 2)}  # beta, steps, start
MOST_DISAGREEMENT = 0.2  # in power, between noise boxes; the job warns from here on
STRIP = {
    "noise-transfer": "A simulated field with your noise, step by step",
    "cryoddm": "One particle across the steps",
}


class ForwardTab(JobTab):
    """Job `forward`."""

    job = "forward"
    title = "Forward"
    sentence = "Mix clean signal with the noise of your own micrographs: the training set of the denoiser."
    run_text = "Build training set"
    next_text = "Use in Train →"
    output_name = "training-set"

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(session, parent)
        self._show_custom()

    def build_view(self) -> QWidget:
        self.rsilb = MetricPlot(
            "What each step leaves",
            "step of the chain",
            "bits, or ratio",
            {"rsilb": "information (RSILB), bits", "snr": "signal over noise", "alpha_bar": "signal's share ᾱ"},
            "What each step of the chain leaves: structural information (RSILB) beside the lower bound you set, "
            "signal over noise, and the signal's share of the variance.",
            log_y=True,
            falling=True,
        )
        self.spectra = MetricPlot(
            "Power spectra",
            "spatial frequency (1/Å)",
            "power",
            {"noise": "your noise; shaded: 10-90 % of the boxes", "signal": "signal"},
            "Noise and signal power by spatial frequency, and how far the noise boxes differ beyond chance.",
            log_y=True,
            falling=True,
        )
        self.strip = ImageStrip(STRIP["noise-transfer"], "Clean signal, and more and more noise.")
        top = QSplitter(Qt.Orientation.Horizontal)
        top.addWidget(self.rsilb)
        top.addWidget(self.spectra)
        self.left_out = LeftOutCard()
        bottom = QSplitter(Qt.Orientation.Horizontal)
        bottom.addWidget(self.strip)
        bottom.addWidget(self.left_out)
        bottom.setSizes([3000, 1600])
        whole = QSplitter(Qt.Orientation.Vertical)
        whole.addWidget(top)
        whole.addWidget(bottom)
        for splitter in (top, bottom, whole):
            splitter.setChildrenCollapsible(False)
            splitter.setHandleWidth(10)
            splitter.setObjectName("cards")
        whole.setSizes([3000, 2000])
        library().ask()
        return whole

    def clear_view(self) -> None:
        self.rsilb.clear()
        self.spectra.clear()
        self.strip.clear()
        self.left_out.clear()
        self._show_bound()

    def on_edited(self, key: str) -> None:
        if key == "rsilb":
            self._show_bound()
        if key in ("preset", "method", "beta", "steps", "start"):
            self._show_custom()

    def _show_bound(self) -> None:
        bound = self.form.raw("rsilb")
        self.rsilb.set_line(bound, f"lower bound {bound:g}" if bound is not None else "")

    def _show_custom(self) -> None:
        preset = str(self.form.raw("preset"))
        for key, value in zip(("beta", "steps", "start"), PRESETS.get(preset, (None,) * 3), strict=True):
            row = self.form.rows[key]
            if value is not None and self.form.raw(key) != value:
                self.form.set_values({key: value})
            for part in (row.editor, row.label, row.reset):
                part.setEnabled(preset not in PRESETS)
            row.reset.setVisible(not row.reset.isHidden() and preset not in PRESETS)
        self.strip.set_title(STRIP[str(self.form.raw("method"))])

    def on_metrics(self, points: list[tuple[str, float, float]]) -> None:
        self.rsilb.add_points(points)

    def on_preview(self, name: str, array: np.ndarray, info: dict[str, Any]) -> None:
        if name == "strip" and array.ndim == 3:
            self.strip.set_images(array, info.get("labels", ()))
        elif name == "spectra" and array.ndim == 2:
            frequency = np.asarray(info.get("frequency_a", range(array.shape[1])), dtype=float)
            for row, curve in zip(array, ("noise", "signal"), strict=False):
                self.spectra.set_curve(curve, frequency, row)
            if len(array) == 4:
                self.spectra.set_band("noise", frequency, array[2], array[3])

    def on_result(self, result: dict[str, Any]) -> None:
        self.left_out.show_result(result)

    def summary(self, result: Mapping[str, Any]) -> str:
        if result.get("summary"):
            return str(result["summary"])
        particles, boxes = result.get("particles", "?"), result.get("noise_boxes", "?")
        return f"{particles} particles and {boxes} noise boxes are ready."

    def judge(self, result: Mapping[str, Any]) -> str:
        differ = result.get("noise_disagreement")
        if not isinstance(differ, (int, float)) or differ <= MOST_DISAGREEMENT:
            return ""
        return "The noise boxes are not alike, and the denoiser will learn them as one noise."

    def receive(self, values: Mapping[str, Any]) -> None:
        super().receive(values)
        self._show_custom()

    def go_next(self) -> None:
        self.session.hand_over("train", {"input": self.result.get("output")})
