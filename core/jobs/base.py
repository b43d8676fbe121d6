"""How a job runs: the context it gets, and `execute`, which turns a run folder into a result.

A job is a module of core/jobs with a Params class and `run(params, ctx) -> dict`. The context is its only
door to the outside: it reports, and it raises JobStopped when the user asked to stop.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import core
from core.errors import AppError, InputError, JobStopped, ResourceError
from core.io.atomic import atomic_path, is_full, remove_partials, write_json
from core.jobs import rundir, stopping
from core.jobs.table import job_params, job_run

logger = logging.getLogger(__name__)

Event = dict[str, Any]
PROGRESS_EVERY_S, PROGRESS_AT_MOST_S = 0.1, 2.0  # apart; more and more the longer a job lasts: events stay few
PROGRESS_EVENTS = 1000  # about so many per factor e of a long job's time
FULL = "The disk is full."
LAST_WORDS_S = 0.3  # a forced stop waits no longer for a terminal that does not take its words


class EventWriter:
    """Appends events to events.jsonl, one JSON object a line, and hands each to a listener."""

    def __init__(self, run_dir: Path, listener: Callable[[Event], None] | None = None) -> None:
        path = run_dir / "events.jsonl"
        cut = path.exists() and not path.read_bytes().endswith(b"\n")
        self._handle = path.open("a", encoding="utf-8", newline="\n")
        if cut:  # a killed process left half a line: begin a new one, or the next event is lost with it
            self._handle.write("\n")
        self._lock = threading.Lock()
        self._listener = listener
        self._closed = False

    def write(self, kind: str, **values: Any) -> None:
        """Write one event; nothing follows a final one."""
        event = {"kind": kind, "t": round(time.time(), 3), **values}
        with self._lock:
            if self._closed:
                return
            self._closed = kind in rundir.TERMINAL
            try:
                self._handle.write(json.dumps(event, default=_plain) + "\n")
                self._handle.flush()
            except OSError:  # the disk is full: the end is still told to whoever listens
                if not self._closed:
                    raise
        if self._listener is not None:
            self._listener(event)

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # what the full disk did not take
            self._handle.close()


def _plain(value: Any) -> Any:
    """Numbers of numpy and torch as plain numbers, anything else as text."""
    return value.item() if getattr(value, "ndim", None) == 0 else str(value)


class JobContext:
    """What a job sees of the world. Parts of a larger job get a context of their own by `part`."""

    def __init__(
        self,
        run_dir: Path,
        events: EventWriter,
        stop_requested: Callable[[], bool] = lambda: False,
        span: tuple[float, float, str] | None = None,
        continued: bool = False,
    ) -> None:
        self.run_dir = run_dir
        self.continued = continued  # this run folder was started before: the job goes on where it was
        self._events = events
        self._stop_requested = stop_requested
        self._span = span
        self._last_progress = 0.0
        self._began = time.monotonic()

    def step(self, done: float, total: float, message: str = "") -> None:
        """Report progress, and raise JobStopped if the user asked to stop."""
        if self._stop_requested():
            raise JobStopped
        now = time.monotonic()
        apart = min(max(PROGRESS_EVERY_S, (now - self._began) / PROGRESS_EVENTS), PROGRESS_AT_MOST_S)
        if now - self._last_progress < apart and done < total:
            return
        self._last_progress = now
        if self._span is not None:
            first, last, label = self._span
            done, total = first + (last - first) * done / max(total, 1e-9), 1.0
            message = f"{label}: {message}" if message else label
        self._events.write("progress", done=round(float(done), 4), total=float(total), message=message)

    def metric(self, name: str, value: float, step: float) -> None:
        """Report one point of a curve."""
        self._events.write("metric", name=name, value=float(value), step=float(step))

    def preview(self, name: str, array: np.ndarray, **info: Any) -> None:
        """Keep a small array as previews/<name>.npy (the newest replaces the older) and announce it."""
        path = self.run_dir / "previews" / f"{name}.npy"
        with atomic_path(path) as partial, partial.open("wb") as handle:
            np.save(handle, array, allow_pickle=False)
        self._events.write("preview", name=name, path=str(path), **info)

    def warn(self, message: str) -> None:
        """Tell the user something that does not end the job."""
        logger.warning(message)
        self._events.write("warning", message=message)

    def part(self, first: float, last: float, label: str) -> JobContext:
        """Context of a job inside this job, whose progress fills [first, last] of the whole."""
        return JobContext(self.run_dir, self._events, self._stop_requested, (first, last, label), self.continued)


def execute(
    run_dir: Path,
    listener: Callable[[Event], None] | None = None,
    *,
    own_process: bool = False,
    last_words: Callable[[], None] | None = None,
) -> int:
    """Run the job of a run folder in this process and return its exit code.

    `own_process` says that nothing but this job runs here: signals are handled, and a stop that the job does
    not answer within STOP_GRACE_S ends the process (outputs are renamed into place, so nothing is half done)
    after calling `last_words`.
    """
    run_dir = run_dir.absolute()
    job, raw = rundir.read_job(run_dir)
    launched = os.environ.get(rundir.LAUNCHED) == str(run_dir)
    if not launched:
        rundir.refuse_alive(run_dir)
    try:
        if not launched:  # the launcher has removed an old STOP; one that is there now is meant for this run
            (run_dir / "STOP").unlink(missing_ok=True)
        handler = logging.FileHandler(run_dir / "log.txt", encoding="utf-8")
        handler.handleError = lambda record: None  # a full disk must not fill the terminal with tracebacks
        events = EventWriter(run_dir, listener)
    except OSError as err:
        raise ResourceError(
            f"The run folder {run_dir} cannot be written: {err.strerror or err}.",
            "Choose another with --runs.",
        ) from None

    def say_stopped() -> None:
        events.write("stopped", message="Stopped.")
        if last_words is not None:
            last_words()

    def overdue() -> None:
        try:
            remove_partials()
            saying = threading.Thread(target=say_stopped, daemon=True)
            saying.start()
            saying.join(LAST_WORDS_S)
        finally:
            remove_partials()  # the job went on while the words were said, and may have begun another file
            os._exit(JobStopped.exit_code)

    watch = stopping.StopWatch(run_dir, overdue if own_process else None)
    before = {}
    if own_process:
        before = {number: signal.signal(number, watch.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    if own_process and stopping.asked_early():
        watch.ask()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(min(root.level or logging.INFO, logging.INFO))
    watch.start()
    try:
        return _run(job, raw, run_dir, events, watch)
    finally:
        watch.finish()
        for number, action in before.items():  # the window may open in this process after a demo
            signal.signal(number, action)
        root.removeHandler(handler)
        with suppress(OSError):
            handler.close()
        events.close()


def _run(job: str, raw: Mapping[str, Any], run_dir: Path, events: EventWriter, watch: stopping.StopWatch) -> int:
    continued = any(e["kind"] == "started" for e in rundir.EventReader(run_dir).read_new())
    wall, cpu = time.monotonic(), time.process_time()
    try:
        events.write("started", job=job, version=core.__version__, **rundir.process_mark(os.getpid()))
        params = job_params(job).parse(raw)
        result = job_run(job)(params, JobContext(run_dir, events, watch.requested, continued=continued))
        result |= {
            "seconds": round(time.monotonic() - wall, 2),
            "cpu_seconds": round(time.process_time() - cpu, 2),
            "version": core.__version__,
        }
        write_json(run_dir / "result.json", {"job": job, "params": params.to_toml_dict(), **result})
        watch.finish()
        events.write("finished", message=str(result.get("summary", "Done.")), result=result)
        return 0
    except JobStopped:
        events.write("stopped", message="Stopped.")
        return JobStopped.exit_code
    except Exception as caught:
        err = as_app_error(caught)
        if err is None:
            logger.exception("job %s failed", job)
            events.write(
                "failed",
                message=f"{type(caught).__name__}: {caught}",
                exit_code=1,
                trace=traceback.format_exc(),
            )
            return 1
        logger.error("%s", err)
        events.write(
            "failed",
            message=err.message,
            hint=err.hint,
            exit_code=err.exit_code,
            fields=list(getattr(err, "fields", ())),
        )
        return err.exit_code


def as_app_error(err: BaseException) -> AppError | None:
    """The user's view of an exception: our own errors, memory, disk and permission; None for a bug."""
    if isinstance(err, AppError):
        return err
    if isinstance(err, MemoryError) or type(err).__name__ == "OutOfMemoryError":
        return ResourceError(
            "The machine ran out of memory.", "Use a smaller --batch-size, or --device cpu on a GPU run."
        )
    full = type(err).__name__ == "SafetensorError" and is_full(err)
    if not isinstance(err, OSError):
        return ResourceError(FULL, "Free some space, then run again: it resumes.") if full else None
    name = f" ({err.filename})" if err.filename else ""
    if is_full(err):
        return ResourceError(FULL.rstrip(".") + f"{name}.", "Free some space, then run again: it resumes.")
    if err.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ResourceError(f"Writing or reading is not permitted{name}.", "Choose another folder.")
    return _path_error(err) if err.filename else None


def _path_error(err: OSError) -> AppError | None:
    """A path that cannot be: its sentence names it. None for any other error of the system."""
    name = str(err.filename)
    shown = name if len(name) <= 200 else f"{name[:80]}...{name[-40:]}"
    if err.errno == errno.ENAMETOOLONG:
        return ResourceError(f"The name {shown} is too long for this disk.", "Choose a shorter one.")
    if isinstance(err, NotADirectoryError):
        return ResourceError(f"{shown} cannot be made: a part of it is a file, not a folder.", "Choose another folder.")
    if isinstance(err, FileExistsError):
        return ResourceError(f"{shown} exists already and is a file, not a folder.", "Choose another folder.")
    if isinstance(err, FileNotFoundError):
        return InputError(f"{shown} does not exist.", "Check the name and the folder.", name)
    if isinstance(err, IsADirectoryError):
        return InputError(f"{shown} is a folder, not a file.", "Choose a file.", name)
    return None
