"""A job that does on demand what jobs do: count, hang, fail in every way. Registered only by the tests."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from core import errors
from core.io.atomic import atomic_path
from core.jobs.table import JOBS
from core.params import Params, ui

ENTRIES = {
    "fake": ("fake_jobs", "FakeParams", "A job for tests."),
    "needy": ("fake_jobs", "NeedyParams", "Another."),
}
FAILURES = {
    "param": errors.ParamError("--number: is odd.", fields=("number",)),
    "input": errors.InputError("a.mrc is not an MRC file.", "Open it in another program.", path="a.mrc"),
    "resource": errors.ResourceError("There is no GPU 7.", "Use --device cpu."),
    "launch": errors.LaunchError("sbatch refused.", "See its message."),
    "bug": ZeroDivisionError("a bug"),
    "memory": MemoryError(),
    "disk": OSError(errno.ENOSPC, "No space left on device", "out.mrc"),
    "tofile": OSError("100 requested and 0 written"),
    "safetensors": type("SafetensorError", (Exception,), {})("IoError(Os { code: 28, kind: StorageFull })"),
    "below": NotADirectoryError(errno.ENOTDIR, "Not a directory", "file/out"),
    "exists": FileExistsError(errno.EEXIST, "File exists", "out"),
    "missing": FileNotFoundError(errno.ENOENT, "No such file", "out.mrc"),
    "long": OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300),
    "denied": PermissionError(errno.EACCES, "Permission denied", "out.mrc"),
}


class FakeParams(Params):
    """One field of every kind."""

    action: Literal["count", "sleep", "spin", "partial", "report", "fail"] = Field("count", description="What.")
    failure: str = Field("bug", description="Which failure.")
    seconds: float = Field(0.0, ge=0, le=600, description="How long.", json_schema_extra=ui(unit="s"))
    number: int = Field(3, ge=1, le=9, description="A number, 50 % of the time.")
    output: Path | None = Field(None, description="A file.", json_schema_extra=ui(dialog="save"))
    files: tuple[Path, ...] = Field((), description="Files.", json_schema_extra=ui(dialog="files"))
    levels: tuple[float, ...] = Field((1.0, 2.5), description="Numbers.")
    loud: bool = Field(False, description="A switch.")


class NeedyParams(Params):
    """Fields without defaults."""

    source: Path = Field(description="A file.")
    box: int = Field(gt=0, le=64, description="A side.")


def register() -> None:
    """Add the fake jobs to the table (of this process)."""
    JOBS.update(ENTRIES)


def run(params: FakeParams, ctx: Any) -> dict[str, Any]:
    """Do what the action says."""
    ctx.step(0, 1, "begun")
    if params.action == "fail":
        raise FAILURES[params.failure]
    if params.action == "report":
        return _report(ctx)
    if params.action == "partial":
        with atomic_path(params.output) as partial:
            partial.write_text("half")
            ctx.warn("half written")
            time.sleep(params.seconds)
    end = time.monotonic() + params.seconds
    if params.action == "sleep":
        time.sleep(params.seconds)
    while params.action == "spin" and time.monotonic() < end:
        pass
    while params.action == "count" and time.monotonic() < end:
        time.sleep(0.01)
        ctx.step(params.seconds - (end - time.monotonic()), params.seconds, "counting")
    return {"summary": f"Did {params.action}.", "number": params.number}


def _report(ctx: Any) -> dict[str, Any]:
    import numpy as np

    for step in range(1000):
        ctx.step(step + 1, 1000, f"step {step}")
    ctx.metric("loss", np.float32(0.5), 1)
    ctx.preview("crop", np.zeros((2, 3), np.float32), x=1)
    ctx.part(0.5, 1.0, "second half").step(1, 2, "inner")
    return {"summary": "Reported."}
