"""One job at a time in an output folder: two of them would overwrite each other's files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import ParamError, ResourceError
from core.jobs import rundir

LOCK = ".vitreous-lock"


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the output folder (made if needed) for this process; refuse when a living process holds it."""
    lock = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _take(lock, folder)
    except (FileExistsError, NotADirectoryError, FileNotFoundError):
        raise ParamError(
            f"--output {folder} is not a folder and cannot become one.", "Choose another folder.", fields=("output",)
        ) from None
    except OSError as err:
        raise ResourceError(f"{folder} cannot be written ({err.strerror or err}).", "Choose another folder.") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _take(lock: Path, folder: Path) -> None:
    mark = rundir.process_mark(os.getpid())
    try:
        held = json.loads(lock.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        held = None
    if isinstance(held, dict) and held.get("pid") != mark["pid"] and rundir.is_alive(held):
        raise ParamError(
            f"Another job is writing to {folder}.",
            f"Wait for it, stop it, or choose another folder. If none runs, delete {lock.name} in it.",
            fields=("output",),
        )
    lock.unlink(missing_ok=True)  # of a job that was killed
    with lock.open("x", encoding="utf-8") as handle:
        json.dump(mark, handle)
