"""Run a command in a process of its own and measure what it took: CPU seconds and peak memory.

A small launcher (this file as a script) stands between: Linux counts the memory of the process that starts another as
the other's own peak.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Took:
    """What one child needed; None where the system does not tell. `error` is its last line when it failed."""

    wall_s: float
    cpu_s: float | None
    peak_gb: float | None
    error: str = ""


def run(command: Sequence[object], log: Path, more: Mapping[str, str] | None = None) -> Took:
    """Start, wait, measure. Both output streams go to the file `log`. One thread per library."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | dict.fromkeys(THREADS, "1") | {"OMP_WAIT_POLICY": "PASSIVE"} | dict(more or {})
    launcher = [sys.executable, "-S", str(Path(__file__).resolve()), str(log), *map(str, command)]
    with subprocess.Popen(launcher, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            answer, _ = process.communicate()
        except BaseException:  # stopped from outside: the launcher takes its child with it
            process.terminate()
            raise
    code, wall, cpu, peak = json.loads(answer)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    error = "" if code == 0 else (lines or [f"ended with code {code}"])[-1]
    return Took(wall, cpu, peak, error)


def _launch(log: str, *command: str) -> None:
    """Print [exit code, wall seconds, CPU seconds, peak GB] of a command."""
    import signal

    began = time.monotonic()
    with Path(log).open("wb") as stream:
        try:
            child = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        except OSError as error:
            stream.write(f"could not be started: {error}".encode())
            print(json.dumps([1, 0.0, None, None]))
            return
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        code, cpu, peak = _wait(child)
    print(json.dumps([code, round(time.monotonic() - began, 2), cpu, peak]))


def _wait(child: subprocess.Popen[bytes]) -> tuple[int, float | None, float | None]:
    """Exit code, CPU seconds, peak resident memory in GB."""
    if not hasattr(os, "wait4"):  # Windows
        return child.wait(), None, None
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return child.returncode, round(usage.ru_utime + usage.ru_stime, 2), usage.ru_maxrss * unit / 1e9


if __name__ == "__main__":
    _launch(*sys.argv[1:])
