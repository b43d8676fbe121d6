"""The processes of one torchrun launch in one output folder: held together, settled together.

Each leaves a file `.vitreous-lock-N` there. Rank 0 checks the folder before the others begin, and waits for them at the
end, because torchrun ends all processes when one fails: the others hand their failures to rank 0, which tells them all.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.compute.ranks import Rank
from core.errors import ResourceError
from core.io.atomic import write_json
from core.jobs import rundir
from core.jobs.lock import LOCK, exclusive, refuse_others

POLL_S = 0.1
SILENCE_S = 600.0  # how long the others may take to appear


class Team:
    """This process among those of its launch. Alone it is always ready, and its report is the only one."""

    def __init__(self, folder: Path, rank: Rank, tick: Callable[[], None]) -> None:
        self.folder, self.rank, self._tick = folder, rank, tick
        self._mark = {"launch": rank.launch, **rundir.process_mark(os.getpid())}

    def ready(self) -> None:
        """Rank 0 has checked the folder: the others may begin."""
        if not self.rank.alone and self.rank.number == 0:
            self._note(ready=True)

    def wait_until_ready(self) -> None:
        """Wait for rank 0's `ready`."""
        self._wait(lambda: bool((self._read(0) or {}).get("ready")), [0])

    def settle(self, report: dict[str, Any]) -> list[dict[str, Any]]:
        """Hand in this process's report. Rank 0 waits for all and gets them, in order; another gets its own."""
        if self.rank.alone or self.rank.number:
            if not self.rank.alone:
                self._note(report=report)
            return [report]
        others = range(1, self.rank.size)
        found: dict[int, dict[str, Any]] = {}

        def all_there() -> bool:
            for number in others:
                mark = self._read(number)
                if mark is not None and "report" in mark:
                    found[number] = mark["report"]
            return len(found) == len(others)

        self._wait(all_there, list(others))
        return [report, *(found[n] for n in others)]

    def path(self, number: int) -> Path:
        """The file of a rank."""
        return self.folder / f"{LOCK}-{number}"

    def _note(self, **values: Any) -> None:
        write_json(self.path(self.rank.number), self._mark | values)

    def _read(self, number: int) -> dict[str, Any] | None:
        """The file of a rank of this launch, or None."""
        try:
            mark = json.loads(self.path(number).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return mark if isinstance(mark, dict) and mark.get("launch") == self.rank.launch else None

    def _wait(self, done: Callable[[], bool], numbers: list[int]) -> None:
        began = time.monotonic()
        while not done():
            self._tick()
            marks = {n: self._read(n) for n in numbers}
            gone = [n for n, m in marks.items() if m is not None and "report" not in m and not rundir.is_alive(m)]
            if not gone and None in marks.values() and time.monotonic() - began > SILENCE_S:
                gone = [n for n, m in marks.items() if m is None]
            if gone and not done():
                raise ResourceError(
                    f"Process {gone[0]} of the {self.rank.size} that torchrun started is gone.",
                    "Its log says why. Run the same command again: finished files are kept.",
                )
            time.sleep(POLL_S)


@contextmanager
def together(folder: Path, rank: Rank, tick: Callable[[], None]) -> Iterator[Team]:
    """Hold the output folder for the processes of this launch, and for no other job."""
    team = Team(folder, rank, tick)
    if rank.alone:
        with exclusive(folder):
            yield team
        return
    with refuse_others(folder, rank.launch):
        team._note()
    finished = False
    try:
        yield team
        finished = True
    finally:
        if rank.number == 0:  # it has waited for the others, or the launch has failed
            for number in range(rank.size):
                team.path(number).unlink(missing_ok=True)
        elif not finished:
            team.path(rank.number).unlink(missing_ok=True)
