"""The slider and the gate of Predict: what they show of the present micrograph, and what they say. Part of PredictTab.

The bar itself is predict_detail.py, the computation predict_live.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.tabs.predict_detail import DetailBar
from app.tabs.predict_folder import DENOISED, Made
from app.tabs.predict_live import Answer, LivePicture, Wish
from app.viewer.compare_view import CompareView
from app.viewer.gate_overlay import GateOverlay
from app.viewer.pair_loader import PairLoader
from app.widgets.params_form import ParamsForm
from core.errors import AppError
from workers.job_worker import JobWorker

NO_PIECES = "Denoised without its pieces (by an older run, or a filter): denoise it again to move this."
FILTER = "Gaussian and Wiener are filters of the raw data: there is no network to mix with."


class RawShare:
    """Part of PredictTab, which has the pictures, the listing, the form and the run."""

    compare: CompareView
    detail: DetailBar
    form: ParamsForm
    live: LivePicture
    pair: PairLoader
    worker: JobWorker | None
    _method: str
    _made: Made
    _pieces: dict[Path, Path]  # of the micrographs that have them
    _asked: tuple[Any, ...]  # micrograph, its output, the output's time
    _answer: Answer | None = None  # what is shown instead of the file
    _gate_of: tuple[object, GateOverlay] | None = None
    _wished: tuple[Any, ...] = ()
    _refused: tuple[Path, str] | None = None  # a micrograph whose pieces cannot be used, and why

    if TYPE_CHECKING:

        def start(self) -> JobWorker | None: ...

        def _show_pair(self) -> None: ...

    def _update_live(self) -> None:
        """Show the micrograph with the slider's share of raw detail, and the gate, as far as its pieces allow."""
        if not hasattr(self, "live"):  # still being built
            return
        path, made = self._asked[:2] if self._asked else (None, None)
        keep, pieces = self.detail.percent() / 100, self._pieces.get(path) if path and made else None
        reason = self._why_fixed(path, made, pieces)
        on_disk = None if made is None or made.name in self._made.unfinished else self._made.keep
        as_file = on_disk is not None and abs(on_disk - keep) < 0.005 and not self.pair.loading(1)
        raw, denoised = self.pair.pictures
        whole = raw is not None and denoised is not None and not raw.preview and not denoised.preview
        wanted = None if as_file or reason or pieces is None else keep
        gate = self.detail.gate.isChecked() and pieces is not None and not reason
        if wanted is None:
            self._show_live(None)
        if not gate:
            self.compare.scene.set_gate(None)
        if wanted is None and not gate:
            self.live.drop()
            self._wished = ()
        elif whole and raw is not None and denoised is not None and path is not None and pieces is not None:
            wish = (path, pieces, id(raw), id(denoised), wanted)
            if wish != self._wished:
                self._wished = wish
                self.live.ask(Wish(path, pieces, raw, denoised, wanted))
        self.detail.show_state(self._words(keep, made, on_disk, as_file), reason, *self._able(as_file, made, pieces))

    def _able(self, as_file: bool, made: Path | None, pieces: Path | None) -> tuple[bool, bool]:
        """Can the share be applied to all files, and is there a gate to show?"""
        idle = self.worker is None or not self.worker.active
        has_gate = pieces is not None and self._refused is None
        return made is not None and not as_file and idle, has_gate

    def _why_fixed(self, path: Path | None, made: Path | None, pieces: Path | None) -> str:
        """Why the slider cannot be moved; "" when it can. Before the first run it says what that one will do."""
        if self._method != "model" or self._made.label != DENOISED:
            return FILTER
        if made is not None and pieces is None:
            return NO_PIECES
        return self._refused[1] if self._refused is not None and self._refused[0] == path else ""

    def _words(self, keep: float, made: Path | None, on_disk: float | None, as_file: bool) -> str:
        if made is None:
            return "Denoise uses this share."
        if as_file:
            return "As in the files on disk."
        shown = self._answer.wish.keep if self._answer is not None else None
        text = f"Shown at {keep * 100:.0f} %." if shown == keep else f"{keep * 100:.0f} % comes …"
        if on_disk is None:
            return f"{text} The files on disk are not all finished."
        return f"{text} The files on disk are at {on_disk * 100:.0f} %."

    def _on_live(self, answer: Answer) -> None:
        source = answer.wish.source
        if not self._asked or self._asked[0] != source or self._pieces.get(source) != answer.wish.pieces:
            return
        if self.detail.gate.isChecked():
            if self._gate_of is None or self._gate_of[0] is not answer.gate:
                self._gate_of = (answer.gate, GateOverlay(answer.gate))
            self.compare.scene.set_gate(self._gate_of[1])
        if answer.picture is not None and self._wished and self._wished[-1] is not None:
            self._show_live(answer)
            self._show_pair()

    def _show_live(self, answer: Answer | None) -> None:
        """Show this instead of the file; None: the file."""
        before, self._answer = self._answer, answer
        if answer is None and before is not None and self._asked and self.pair.pictures[1] is not None:
            self._show_pair()

    def _on_live_failed(self, wish: Wish, err: AppError) -> None:
        self._refused = (wish.source, f"{err.message} {err.hint}".strip())
        self._wished = ()
        self._update_live()

    def _apply_to_all(self) -> None:
        """The same job again: it sees that only the share of raw detail is another one, and recomposes."""
        self.form.set_values({"overwrite": False, "parts": True})
        self.start()
        self._update_live()
