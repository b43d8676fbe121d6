"""Starting, stopping and ending the process of a run folder.

A job runs in its own process group: closing or losing the window does not end it. The window and a later
window find it again by the run folder.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from core.errors import LaunchError
from core.io.atomic import write_json
from core.jobs import rundir

ROOT = Path(__file__).resolve().parents[2]


def start(run_dir: Path, threads: int | None = None) -> subprocess.Popen:
    """Start `main.py run RUN_DIR` as a child in its own process group and note it in launch.json."""
    run_dir = run_dir.absolute()
    rundir.refuse_alive(run_dir)
    command = [sys.executable, str(ROOT / "main.py"), "run", str(run_dir), "--quiet"]
    environment = dict(os.environ) | {rundir.LAUNCHED: str(run_dir)}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    launched = round(time.time(), 3)
    try:
        (run_dir / "STOP").unlink(missing_ok=True)
        with (run_dir / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=str(run_dir),
                env=environment,
                **_own_group(),
            )
    except OSError as err:
        raise LaunchError(f"The job could not be started: {err}.", f"Command: {' '.join(command)}") from None
    _yield_to_the_window(process.pid)
    mark = rundir.process_mark(process.pid)
    write_json(run_dir / "launch.json", mark | {"t": launched, "command": command})
    return process


def _yield_to_the_window(pid: int) -> None:
    """Give a job less priority than what the user works with: on a full machine the window must not stutter."""
    try:
        psutil.Process(pid).nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 10)
    except (psutil.Error, OSError):  # it has ended already, or this system does not let us
        return


def _own_group() -> dict:
    if sys.platform == "win32":
        # a hidden console of its own: it neither flashes up nor dies with the window's console
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def request_stop(run_dir: Path) -> None:
    """Ask a run to stop at its next step; it answers within a second."""
    (run_dir / "STOP").touch()


def kill(run_dir: Path) -> None:
    """End the process of a run and its children now. What was finished stays; the rest resumes."""
    marks = [rundir.read_mark(run_dir)]
    marks += [e for e in rundir.EventReader(run_dir).read_new() if e["kind"] == "started"][-1:]
    for mark in marks:
        # the number of a process on another machine means a stranger here
        if not mark or mark.get("host") != socket.gethostname() or not rundir.is_alive(mark):
            continue
        if mark["pid"] == os.getpid():  # a job inside this process ends at its next step
            continue
        try:
            process = psutil.Process(int(mark["pid"]))
            family = [*process.children(recursive=True), process]
        except psutil.Error:
            continue
        for member in family:
            try:
                member.kill()
            except psutil.Error:
                continue
