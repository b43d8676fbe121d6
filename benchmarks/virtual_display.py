"""A virtual X server for the time of a measurement. It finds a display number of its own."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from types import TracebackType

SCREEN = "1600x1200x24"
_START_SECONDS = 20.0


class VirtualDisplay:
    """`with VirtualDisplay() as display:` display.number and display.name (":7")."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.number = -1

    @property
    def name(self) -> str:
        """For the environment variable DISPLAY."""
        return f":{self.number}"

    def __enter__(self) -> VirtualDisplay:
        reading, writing = os.pipe()
        command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", SCREEN, "-noreset", *self._options]
        try:
            try:
                self._process = subprocess.Popen(
                    command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            finally:
                os.close(writing)
            answer = _line(reading)
        finally:
            os.close(reading)
        if not answer:
            self.__exit__(None, None, None)
            raise RuntimeError("Xvfb did not start")
        self.number = int(answer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _line(pipe: int) -> bytes:
    """What the server writes: number and line end come separately, and it dies when nobody reads the second."""
    answer, end = b"", time.monotonic() + _START_SECONDS
    while not answer.endswith(b"\n"):
        if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
            return b""
        part = os.read(pipe, 32)
        if not part:
            return b""
        answer += part
    return answer.strip()


def missing() -> str:
    """Why there can be no virtual display; "" when there can be one."""
    if sys.platform != "linux":
        return "the viewer is measured on Linux only"
    if not shutil.which("Xvfb"):
        return "Xvfb is missing (Debian and Ubuntu: apt-get install -y xvfb)"
    return ""
