"""Running jobs in the status bar: a button that names them, with a menu to go to each or stop it."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QMenu, QToolButton

from app.session import Session
from workers.job_worker import JobWorker


class JobsIndicator(QToolButton):
    """`show_run(worker)` when the user wants to see one."""

    show_run = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("jobs")
        self._session = session
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill)
        self.setMenu(self._menu)
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setToolTip("Running jobs: show or stop one")
        self.setAccessibleName("Running jobs")
        session.runs_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how many jobs run and how far they are."""
        active = self._session.active()
        texts = [f"{w.run_dir.name} {w.fraction:.0%}" for w in active]
        text = "No job runs" if not texts else "  ·  ".join(texts[:3])
        if len(texts) > 3:
            text += f"  ·  {len(texts) - 3} more"
        if text != self.text():
            self.setText(text)
        self.setEnabled(bool(texts))

    def _fill(self) -> None:
        self._menu.clear()
        for worker in self._session.active():
            sub = self._menu.addMenu(f"{worker.run_dir.name}   {worker.fraction:.0%}   {worker.message}")
            sub.addAction("Show", lambda w=worker: self.show_run.emit(w))
            sub.addAction("Stop", lambda w=worker: self._stop(w))

    def _stop(self, worker: JobWorker) -> None:
        worker.request_stop()
