"""The last finished run of a job, shown again in its tab when the window opens."""

from __future__ import annotations

from app.tabs.job_tab import JobTab
from core.errors import AppError
from core.jobs import rundir
from workers.task import run_task


def show_last_run(tab: JobTab) -> None:
    """Look for the newest finished run of the tab's job in a task; `tab.last_run_found` gets it, if there is one."""
    job, root = tab.job, tab.session.runs_root

    def look() -> rundir.RunInfo | None:
        return next((info for info in rundir.list_runs(root) if info.job == job and info.state == "done"), None)

    def found(info: rundir.RunInfo | None) -> None:
        if info is not None and tab.worker is None and not tab.touched:
            tab.session.attach(info)

    def failed(_: AppError) -> None:
        """Without the list there is nothing to show again."""

    run_task(look, found, failed, tab)
