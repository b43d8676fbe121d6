"""One job at a time in an output folder: two of them would overwrite each other's files. Demos own theirs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import core
from core.errors import ParamError, ResourceError
from core.io.atomic import write_json
from core.jobs import rundir

LOCK = ".vitreous-lock"  # of one process; LOCK-N of process N of a torchrun launch (core/jobs/team.py)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the output folder (made if needed) for this process; refuse when a living process holds it."""
    lock = folder / LOCK
    with refuse_others(folder):
        lock.unlink(missing_ok=True)  # of a job that was killed
        with lock.open("x", encoding="utf-8") as handle:
            json.dump(rundir.process_mark(os.getpid()), handle)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


@contextmanager
def refuse_others(folder: Path, launch: str = "") -> Iterator[None]:
    """Make the folder if needed, and refuse when a living process holds it, other than those of this launch.

    What the system refuses inside the block becomes an AppError about the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob(f"{LOCK}*"):
            _check(path, folder, launch)
        yield
    except (FileExistsError, NotADirectoryError, FileNotFoundError):
        raise ParamError(
            f"--output {folder} is not a folder and cannot become one.", "Choose another folder.", fields=("output",)
        ) from None
    except OSError as err:
        raise ResourceError(f"{folder} cannot be written ({err.strerror or err}).", "Choose another folder.") from None


def claim(folder: Path, demo: str) -> None:
    """Mark a folder as made by this demo; `ParamError` for one that holds anything else: a demo starts afresh."""
    mark = folder / f"vitreous-{demo}.json"
    if folder.exists() and not folder.is_dir():
        raise ParamError(f"{folder} is not a folder.", "Choose another folder.", fields=("output",))
    if folder.exists() and not mark.exists() and any(folder.iterdir()):
        raise ParamError(f"{folder} holds other files.", "Choose an empty or new folder.", fields=("output",))
    write_json(mark, {"program": f"Vitreous {core.__version__}", "what": f"made by {demo}; may be deleted"})


def _check(path: Path, folder: Path, launch: str) -> None:
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    if not isinstance(held, dict) or (launch and held.get("launch") == launch):
        return
    if held.get("pid") != os.getpid() and rundir.is_alive(held):
        raise ParamError(
            f"Another job is writing to {folder}.",
            f"Wait for it, stop it, or choose another folder. If none runs, delete {path.name} in it.",
            fields=("output",),
        )
    if path.name != LOCK:  # of a process that is gone
        path.unlink(missing_ok=True)
