"""The run folder: the protocol between window, command line and cluster.

    job.toml  events.jsonl  log.txt  result.json  previews/  launch.json  STOP

State is derived from the events and from "is the process alive?"; it is never stored. One writer per file.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import re
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from core.errors import InputError, LaunchError, ResourceError
from core.params import Params, read_toml, write_toml

STATES = ("queued", "running", "done", "failed", "stopped", "lost")
TERMINAL = {"finished": "done", "failed": "failed", "stopped": "stopped"}
JOB_FILE_VERSION = 1
SILENCE_S = 120.0  # a process of another machine that has written nothing for so long is taken for dead
LAUNCHED = "VITREOUS_LAUNCHED"  # set for a child process to the run folder it was started for


def runs_root() -> Path:
    """Where run folders are kept: $VITREOUS_RUNS, otherwise ~/Vitreous/runs."""
    given = os.environ.get("VITREOUS_RUNS")
    return Path(given).expanduser().absolute() if given else Path.home() / "Vitreous" / "runs"


def create(job: str, params: Params, root: Path | None = None) -> Path:
    """Make the next numbered run folder of a job (train-0007) and write its job.toml."""
    root = root or runs_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        numbers = [re.fullmatch(rf"{re.escape(job)}-(\d{{4,9}})", p.name) for p in root.glob(f"{job}-*")]
        number = max((int(n[1]) for n in numbers if n), default=0) + 1
        while True:
            run_dir = root / f"{job}-{number:04d}"
            try:
                run_dir.mkdir()
                break
            except FileExistsError:  # another process took the number
                number += 1
        created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        write_toml(
            run_dir / "job.toml",
            {"version": JOB_FILE_VERSION, "job": job, "created": created, "params": params.to_toml_dict()},
        )
    except OSError as err:
        raise ResourceError(
            f"No run folder can be made in {root}: {err.strerror or err}.",
            "Choose another place with --runs or $VITREOUS_RUNS.",
        ) from None
    return run_dir


def for_rank(run_dir: Path, number: int) -> Path:
    """The folder in which process `number` of a torchrun launch runs a run folder: its own for 0, else rank-N in it."""
    if not number:
        return run_dir
    job, params = read_job(run_dir)
    own = run_dir / f"rank-{number}"
    try:
        own.mkdir(exist_ok=True)
        created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        if not (own / "job.toml").exists():
            write_toml(
                own / "job.toml", {"version": JOB_FILE_VERSION, "job": job, "created": created, "params": params}
            )
    except OSError as err:
        raise ResourceError(f"{own} cannot be made: {err.strerror or err}.", "Use a run folder of yours.") from None
    return own


def read_job(run_dir: Path) -> tuple[str, dict[str, Any]]:
    """Job name and raw parameters of a run folder."""
    if not run_dir.is_dir():
        raise InputError(f"{run_dir} is not a folder.", "Give the run folder that a job printed.", run_dir)
    data = read_toml(run_dir / "job.toml")
    if data.get("version") != JOB_FILE_VERSION or not isinstance(data.get("params"), dict):
        raise InputError(
            f"{run_dir / 'job.toml'} is not a job file of this program.",
            "It may come from a newer version.",
            run_dir,
        )
    return str(data.get("job", "")), data["params"]


class EventReader:
    """Reads events.jsonl from where it left off; a half-written last line is left for the next call."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "events.jsonl"
        self._offset = 0

    def read_new(self) -> list[dict[str, Any]]:
        """All complete events since the last call."""
        try:
            with self._path.open("rb") as handle:
                handle.seek(self._offset)
                data = handle.read()
        except OSError:
            return []
        end = data.rfind(b"\n") + 1
        self._offset += end
        events = []
        for line in data[:end].splitlines():
            try:
                event = json.loads(line)
            except ValueError:  # a line cut by a crash
                continue
            if isinstance(event, dict) and isinstance(event.get("kind"), str):
                events.append(event)
        return events


@dataclass
class RunInfo:
    """What a run folder says about itself now."""

    path: Path
    job: str
    state: str
    created: str = ""
    alive: bool = False  # a process works on it, or is about to
    host: str = ""  # the other machine it works on; empty for this one
    done: float = 0
    total: float = 0
    message: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)


def process_mark(pid: int) -> dict[str, Any]:
    """What identifies a process beyond its recycled number."""
    try:
        born = psutil.Process(pid).create_time()
    except psutil.Error:
        born = 0.0
    return {"pid": pid, "born": born, "host": socket.gethostname()}


def is_alive(mark: Mapping[str, Any]) -> bool:
    """Is the marked process still running? On another host this cannot be seen: assume yes (see `inspect`)."""
    if mark.get("host") != socket.gethostname():
        return True
    try:
        process = psutil.Process(int(mark["pid"]))
        same = abs(process.create_time() - float(mark["born"])) < 2.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, KeyError, ValueError, TypeError):
        return False


def read_mark(run_dir: Path) -> dict[str, Any] | None:
    """The process a launcher started for this folder, or None."""
    try:
        mark = json.loads((run_dir / "launch.json").read_text())
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None


def inspect(run_dir: Path) -> RunInfo:
    """Derive the state of a run folder from its events, its launch mark and the processes of this machine.

    A launch that is newer than the last event is a run that begins (again): queued, whatever happened before.
    A process of another machine counts as running while its files change.
    """
    mark = read_mark(run_dir)
    silent = _silent(run_dir)
    launched_alive = mark is not None and _works(mark, silent)
    data = read_toml(run_dir / "job.toml")
    info = RunInfo(run_dir, str(data.get("job", "")), "queued", str(data.get("created", "")))
    params = data.get("params", {})
    info.params = params if isinstance(params, dict) else {}
    reader = EventReader(run_dir)
    events = reader.read_new()
    started = _fold(info, events)
    works = launched_alive or (started is not None and _works(started, silent))
    if info.state == "running" and not works:  # it may have finished between the reading and the question
        events += reader.read_new()
        _fold(info, events)
    newest = _number(events[-1].get("t")) if events else 0.0
    if mark is not None and newest < _number(mark.get("t")):
        info.state = "queued" if launched_alive else "lost"
    elif info.state == "running" and not works:
        info.state = "lost"
    info.alive = works and info.state in ("queued", "running")
    last = started or mark or {}
    if info.alive and last.get("host") != socket.gethostname():
        info.host = str(last.get("host"))
    return info


def refuse_alive(run_dir: Path) -> None:
    """LaunchError when a process works on this folder already."""
    info = inspect(run_dir)
    if info.alive and info.host:
        raise LaunchError(
            f"{run_dir} is already running on {info.host}.",
            f"Stop it first; if {info.host} is gone, wait {SILENCE_S / 60:.0f} minutes and try again.",
        )
    if info.alive:
        raise LaunchError(f"{run_dir} is already running.", "Stop it first, or start a new run.")


def _silent(run_dir: Path) -> bool:
    """Has nothing been written here for SILENCE_S? A working job touches events.jsonl more often."""
    newest = 0.0
    for name in ("events.jsonl", "launch.json"):
        with suppress(OSError):
            newest = max(newest, (run_dir / name).stat().st_mtime)
    return time.time() - newest > SILENCE_S


def _works(mark: Mapping[str, Any], silent: bool) -> bool:
    return is_alive(mark) and not (silent and mark.get("host") != socket.gethostname())


def _number(value: Any) -> float:
    """A number of a file that anything may have been written to; 0 for what is none."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def _fold(info: RunInfo, events: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Take events into `info`; return the last `started` event."""
    started = None
    for event in events:
        kind = event["kind"]
        if kind == "started":
            started = event
            info.state, info.done, info.total, info.message, info.result = "running", 0, 0, "", {}
        elif kind == "progress":
            info.done, info.total = _number(event.get("done")), _number(event.get("total"))
            info.message = str(event.get("message", ""))
        elif kind in TERMINAL:
            info.state, info.message = TERMINAL[kind], str(event.get("message", ""))
            result = event.get("result", {})
            info.result = result if isinstance(result, dict) else {}
    return started


def list_runs(root: Path | None = None, newest: int = 100) -> list[RunInfo]:
    """The newest run folders below the root; folders that cannot be read are left out."""
    root = root or runs_root()
    dated = []
    for path in root.glob("*/job.toml"):
        with suppress(OSError):  # removed meanwhile
            dated.append((path.stat().st_mtime, path))
    infos = []
    for _, path in sorted(dated, reverse=True)[:newest]:
        with suppress(InputError, OSError):
            infos.append(inspect(path.parent))
    return infos
