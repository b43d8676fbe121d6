"""The second page of Predict: can the model be trusted here? Runs the job `trust` and says what its result is about.

The result lies in `trust` of the output folder and is found there again; the panel shows it (widgets/trust_panel.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.errors import show_bug, show_error
from app.session import Session
from app.widgets.form_check import in_words
from app.widgets.labels import Banner
from app.widgets.run_bar import RunBar
from app.widgets.trust_panel import TrustPanel
from app.widgets.trust_views import ROLES, SIGNS
from core.denoising.trust_files import LIGHT_WORDS, TRUST_FILE
from core.errors import AppError
from core.jobs.table import job_params
from workers.job_worker import JobWorker
from workers.task import Task, run_task

JOB = FOLDER = "trust"
NOT_YET = "Not checked yet"
NO_INPUTS = (
    "No picks and no noise boxes of these micrographs are known here: the check looks for empty places itself and "
    "leaves out what needs particles. Pick both on Home and press “Use in Forward”: then it can say more."
)
UNKNOWN = "The result does not say which model it is about."
MODEL_KEYS = ("micrographs", "model", "keep_raw", "noise", "pixel_size", "device")  # the same in both jobs


@dataclass(frozen=True)
class Found:
    """What the disk says: when the check of this folder was written (ns; 0: none), which method would be checked, and
    the picks and noise boxes that are known, with the words about them."""

    folder: Path
    stamp: int = 0
    method: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    words: str = NO_INPUTS


class TrustPage(QWidget):
    """`light_changed(role, text)` is the traffic light in one line; `look` is called when the form may have changed.

    `wanted()` gives the form's values to check with, or None after telling what is missing.
    """

    light_changed = Signal(str, str)

    def __init__(self, session: Session, wanted: Callable[[], Mapping[str, Any] | None]) -> None:
        super().__init__()
        self._session, self._wanted = session, wanted
        self.worker: JobWorker | None = None
        self.light = ("", "")
        self._task: Task | None = None
        self._found: Found | None = None
        self._keep: float | None = None
        self._values: Mapping[str, Any] = {}
        self._files: Sequence[Path] = ()
        self._warnings: list[str] = []
        self.panel = TrustPanel()
        self.panel.asked.connect(self.check)
        self.panel.shown.connect(lambda _: self._tell())
        self.banner = Banner()
        self.banner.detail.clicked.connect(self._show_detail)
        self.bar = RunBar()
        self.bar.run_button.setShortcut("")
        self.bar.run_button.hide()
        self.bar.hide()
        inside = QVBoxLayout(self)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(10)
        for part in (self.banner, self.bar, self.panel):
            inside.addWidget(part)
        inside.setStretch(2, 1)
        session.run_started.connect(self._on_run_started)
        for worker in reversed(session.active()):
            if worker.job == JOB:
                session.replay(worker)
                break

    # ---- what is known -----------------------------------------------------------------------------------

    def look(self, values: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Find the result of this output folder, and what a check would use: the form's values and its micrographs."""
        self._values, self._files = values, files
        self.set_keep(values.get("keep_raw"))
        if self._task is not None:
            self._task.drop()
            self._task = None
        output, model = values.get("output"), str(values.get("model") or "")
        if not output:
            self._on_found(None)
            return
        folder, sources = Path(output) / FOLDER, known_inputs(self._session)
        if self._found is not None and self._found.folder != folder:  # what is on show is another folder's
            self._found = None
            self.panel.show_folder(None)
            self._tell()

        def work() -> Found:
            return Found(folder, _stamp(folder / TRUST_FILE), method_facts(model), *usable(sources, files))

        self._task = run_task(work, self._on_found, lambda _: self._on_found(Found(folder)), self)

    def set_keep(self, keep: float | None) -> None:
        """Another share of raw detail is on show."""
        self._keep = keep
        self._tell()

    def _on_found(self, found: Found | None) -> None:
        self._task = None
        before, self._found = self._found, found
        if found is None or not found.stamp:
            self.panel.show_folder(None)
        elif before is None or before.stamp != found.stamp:
            self.panel.show_folder(found.folder)
        self.panel.set_inputs("" if self.active else (found.words if found is not None else NO_INPUTS))
        self._tell()

    @property
    def active(self) -> bool:
        """Does a check run?"""
        return self.worker is not None and self.worker.active

    def stale(self) -> str:
        """Why the result on show is not about what is on the left; empty when it is, or when there is none."""
        result, found = self.panel.result, self._found
        if result is None or found is None:
            return ""
        others = self._files and not {str(f) for f in self._files} & set(result.facts["micrographs"])
        if others:
            return "Other micrographs were checked."
        identity = result.facts.get("identity")
        return difference(identity if isinstance(identity, dict) else {}, found.method, self._keep)

    def _tell(self) -> None:
        """The light of this moment, here and for the tab."""
        stale = self.stale()
        self.panel.set_stale(stale)
        if self.active and self.worker is not None:
            light = ("muted", f"Checking … {self.worker.fraction:.0%}")
        elif self.panel.result is None:
            light = ("muted", f"{SIGNS['info']} {NOT_YET}")
        elif stale:
            light = ("warning", f"{SIGNS['info']} Out of date. {stale}")
        else:
            facts = self.panel.result.facts
            verdict = str(facts["verdict"])
            light = (ROLES[verdict], f"{SIGNS[verdict]} {LIGHT_WORDS[verdict]}: {facts['reason']}")
        if light != self.light:
            self.light = light
            self.light_changed.emit(*light)

    # ---- running -----------------------------------------------------------------------------------------

    def check(self) -> None:
        """Run the job with what the form says, and the picks and noise boxes that are known."""
        values = None if self.active else self._wanted()
        if values is None:
            return
        given = {key: values[key] for key in MODEL_KEYS if values.get(key) is not None}
        folder = Path(values["output"]) / FOLDER
        known = dict(self._found.inputs) if self._found is not None else {}
        if str(given["model"]).partition(":")[0].strip().lower() not in ("gaussian", "wiener"):
            known.pop("particle_diameter", None)  # a network knows its own
        try:
            self.release()
            self._session.start(JOB, job_params(JOB).parse(known | given | {"output": str(folder)}))
        except AppError as err:
            show_error(self, err)

    def _on_run_started(self, worker: JobWorker) -> None:
        same = self.worker is not None and self.worker.run_dir == worker.run_dir
        if worker.job == JOB and (same or not self.active):
            self.follow(worker)

    def follow(self, worker: JobWorker) -> None:
        """Show this run from now on."""
        self.release()
        self.worker, self._warnings = worker, []
        self.banner.hide()
        for signal, slot in self._connections(worker):
            signal.connect(slot)
        output = worker.params.get("output")
        self.bar.follow(worker, Path(output) if output else None)
        self.bar.show()
        self.panel.set_inputs("")
        self.panel.set_busy(True)
        self._tell()

    def release(self) -> None:
        """Show the present run no longer; it goes on."""
        if self.worker is not None:
            for signal, slot in self._connections(self.worker):
                signal.disconnect(slot)
            self.bar.unfollow()
            self.bar.hide()
            self.panel.set_busy(False)
        self.worker = None

    def _connections(self, worker: JobWorker) -> list[tuple[Any, Any]]:
        return [
            (worker.progress, self._on_progress),
            (worker.done, self._on_done),
            (worker.failed, self._on_failed),
            (worker.stopped, self._on_stopped),
            (worker.lost, self._on_lost),
            (worker.warning, self._on_warning),
        ]

    def _on_progress(self, _done: float, _total: float, _message: str, _t: float) -> None:
        self._tell()

    def _on_warning(self, text: str) -> None:
        text = in_words(text, job_params(JOB))
        if text not in self._warnings:
            self._warnings.append(text)
            self.banner.show_text("warning", text, "\n".join(self._warnings[:-1]))

    def _ended(self) -> None:
        self.panel.set_busy(False)
        if self._found is not None:
            self.panel.set_inputs(self._found.words)
        self._tell()

    def _on_done(self, result: dict[str, Any]) -> None:
        self.bar.hide()
        self._ended()
        folder = Path(str(result.get("output", "")))
        if self._found is not None and folder == self._found.folder:
            self._found = replace(self._found, stamp=0)  # read it again
            self.look(self._values, self._files)
        else:
            text = "A check of another output folder is done."
            self.banner.show_text("done", text, str(result.get("summary") or ""))

    def _on_failed(self, message: str, hint: str, _: list[str]) -> None:
        self._ended()
        bug = self.worker is not None and bool(self.worker.trace)
        model = job_params(JOB)
        text, hint = (message, hint) if bug else (in_words(message, model), in_words(hint, model))
        text = f"This is a bug: {text}" if bug else text
        self.banner.show_text("failed", text, hint, detail="Details" if bug else "Show log")

    def _on_stopped(self) -> None:
        self.bar.hide()
        self._ended()
        self.banner.show_text("stopped", "The check was stopped.", "Nothing of it is kept: it has to run to its end.")

    def _on_lost(self, tail: str) -> None:
        self._ended()
        self.banner.show_text("failed", "The check ended without saying why: its process is gone.", tail, "Show log")

    def _show_detail(self) -> None:
        if self.worker is not None and self.worker.trace:
            show_bug(self, self.worker.message, self.worker.trace)
        else:
            self.bar.log_button.setChecked(True)

    def close_page(self) -> None:
        """Wait for what is being read; nothing of it is shown any more."""
        if self._task is not None:
            self._task.drop()
            self._task.wait()
            self._task = None
        self.panel.close_tasks()


def difference(checked: Mapping[str, Any], wanted: Mapping[str, Any], keep: float | None) -> str:
    """Why a check of one method says nothing of another; empty when it does."""
    if not checked.get("method"):
        return UNKNOWN
    if not wanted:
        return "The model on the left cannot be read, so this may be about another."
    if checked["method"] != wanted.get("method"):
        return "Another method was checked."
    if checked["method"] != "network":
        return ""
    if checked.get("sha256") != wanted.get("sha256"):
        return "Another model was checked."
    then = checked.get("keep_raw")
    if isinstance(then, (int, float)) and keep is not None and abs(then - keep) > 0.005:
        return f"It was checked with {then * 100:.0f} % raw detail; here it is {keep * 100:.0f} %."
    return ""


def method_facts(model: str) -> dict[str, Any]:
    """What the job will note of this method; empty when it cannot be read."""
    from core.denoising.baselines import parse_baseline
    from core.denoising.model_files import model_digest

    try:
        baseline = parse_baseline(model)
        if baseline is not None:
            kind, resolution = baseline
            return {"method": f"gaussian:{resolution:g}" if kind == "gaussian" else "wiener"}
        digest = model_digest(Path(model)) if model else ""
    except (AppError, OSError):
        return {}
    return {"method": "network", "sha256": digest} if digest else {}


def known_inputs(session: Session) -> list[dict[str, Any]]:
    """Picks and noise boxes with their micrographs: what Home handed over, and what the last Forward used."""
    keys = ("micrographs", "particles", "noise", "particle_diameter")
    handed = {key: session.carried.get(key) for key in keys}
    return [handed, {key: session.field("forward", key) for key in keys[:3]}]


def usable(sources: Sequence[Mapping[str, Any]], files: Sequence[Path]) -> tuple[dict[str, Any], str]:
    """What of the first source that belongs to these micrographs exists, and a sentence about it."""
    here = {f.absolute() for f in files} | {f.parent.absolute() for f in files}
    for source in sources:
        given = source.get("micrographs") or ()
        paths = [given] if isinstance(given, (str, Path)) else given
        if not any(Path(p).absolute() in here for p in paths):
            continue
        names = {"particles": "the picks", "noise": "the noise boxes"}
        found = {key: str(source[key]) for key in names if source.get(key) and Path(str(source[key])).exists()}
        if found:
            listed = " and ".join(f"{names[key]} in {Path(path).name}" for key, path in found.items())
            lacks = "" if "particles" in found else " No picks are known: what needs particles is left out."
            size = {"particle_diameter": source["particle_diameter"]} if source.get("particle_diameter") else {}
            return found | size, f"The check uses {listed}.{lacks}"
    return {}, NO_INPUTS


def _stamp(path: Path) -> int:
    """When a file was written (ns); 0 when it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
