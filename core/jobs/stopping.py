"""Seeing that a job shall stop: the STOP file, signals, and signals that arrive while the program still starts.

Only the standard library here: `caught` must be in place before anything heavy is imported.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

STOP_POLL_S = 0.1
STOP_GRACE_S = 0.45  # a job that has not reached a step by then is ended from outside: stop acts within 1 s
HEARTBEAT_S = 20.0

_asked_early = threading.Event()


@contextmanager
def caught() -> Iterator[None]:
    """Keep SIGTERM and Ctrl+C of the start-up for the job that is about to run (main thread only)."""
    before = {}
    with suppress(ValueError):  # not the main thread: signals are somebody else's
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, lambda *_: _asked_early.set())
    try:
        yield
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        _asked_early.clear()


def asked_early() -> bool:
    """Did somebody ask to stop before the job began?"""
    return _asked_early.is_set()


class StopWatch(threading.Thread):
    """Sees STOP, SIGTERM and Ctrl+C. In a job's own process it also ends a job that does not answer.

    It also touches events.jsonl now and then: on another machine that is the only sign of life.
    """

    def __init__(self, run_dir: Path, on_overdue: Callable[[], None] | None) -> None:
        super().__init__(daemon=True, name="stop-watch")
        self._file = run_dir / "STOP"
        self._events = run_dir / "events.jsonl"
        self._on_overdue = on_overdue
        self._asked = threading.Event()
        self._finished = threading.Event()

    def requested(self) -> bool:
        """Has somebody asked to stop?"""
        return self._asked.is_set()

    def ask(self, *_: Any) -> None:
        """Ask from inside (a signal handler)."""
        self._asked.set()

    def finish(self) -> None:
        """The job is over: watch no longer."""
        self._finished.set()

    def run(self) -> None:
        """The thread's body."""
        beat = time.monotonic()
        while not self._finished.wait(STOP_POLL_S):
            if time.monotonic() - beat > HEARTBEAT_S:
                beat = time.monotonic()
                with suppress(OSError):
                    os.utime(self._events)
            if not self._asked.is_set() and self._file.exists():
                self._asked.set()
            if self._asked.is_set() and self._on_overdue is not None:
                if not self._finished.wait(STOP_GRACE_S):
                    self._on_overdue()
                return
