"""Which painter the viewer uses on this display: asked for by the user, or found out by a probe and remembered.

The probe runs in a child process (gl_probe.py) before any OpenGL widget exists: one without working OpenGL
would blank the whole window.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.viewer import gl_probe

log = logging.getLogger(__name__)

ASKED = "asked for"  # why there is no OpenGL: the user wants none
SETTINGS = ("auto", "raster", "gl")
NAMES = {"raster": "raster", "gl": "OpenGL"}
MAX_AGE_S = 7 * 86400  # drivers get updates
MOST_BYTES = 1 << 20
_WATCHED = ("QT_QPA_PLATFORM", "QT_XCB_GL_INTEGRATION", "QT_OPENGL", "WAYLAND_DISPLAY", "XDG_SESSION_ID")
_WATCHED_PREFIXES = ("MESA_", "LIBGL_", "GALLIUM_", "__GL", "EGL_", "VGL_", "DRI_")


@dataclass(frozen=True)
class Choice:
    """`name`: raster or gl; `why`: the reason, for the status bar and Preferences; `about`: the driver.

    `works`: the probe made an OpenGL context here, so surfaces of maps can be drawn, though pictures may do without.
    """

    name: str = "raster"
    why: str = ""
    about: str = ""
    works: bool = False


_current = Choice()


def current() -> Choice:
    """The choice for this process."""
    return _current


def use(choice: Choice) -> None:
    """Canvases made from now on use this painter."""
    global _current
    _current = choice


def is_remote() -> bool:
    """A display behind a network connection (ssh -X): OpenGL there is slow or broken."""
    if sys.platform != "linux" or os.environ.get("WAYLAND_DISPLAY"):
        return False
    return bool(os.environ.get("DISPLAY", "").split(":")[0])


def display_key() -> str:
    """Names display and driver settings; changes when the X server starts anew."""
    display = os.environ.get("DISPLAY", "")
    parts = {"display": display, "platform": sys.platform}
    parts |= {name: os.environ.get(name, "") for name in _WATCHED}
    parts |= {name: value for name, value in os.environ.items() if name.startswith(_WATCHED_PREFIXES)}
    socket = Path("/tmp/.X11-unix") / f"X{display.split(':')[-1].split('.')[0]}"
    try:
        parts["server"] = str(socket.stat().st_mtime_ns)
    except OSError:
        parts["server"] = ""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Chooser:
    """Begin early (the probe is a process of its own), end just before the first canvas is made."""

    def __init__(self, setting: str, cache: Path) -> None:
        self._setting, self._cache = setting if setting in SETTINGS else "auto", cache
        self._key = display_key()
        self._child: subprocess.Popen[str] | None = None
        self._answer = self._remembered() if setting != "gl" else None  # who insists gets a fresh answer
        needed = self._setting == "gl" or (self._setting == "auto" and not is_remote())
        if needed and self._answer is None:
            self._child = gl_probe.start()

    def choose(self, timeout_s: float = 4.0) -> Choice:
        """The painter to use; waits for the probe if there is one."""
        if self._setting == "raster":
            return Choice("raster", ASKED)
        if self._setting == "auto" and is_remote():
            return Choice("raster", "remote display")
        if self._child is not None:
            self._answer = gl_probe.finish(self._child, timeout_s)
            if not self._answer.get("unanswered"):  # a busy machine is slow once, not for a week
                self._remember(self._answer)
        return decide(self._setting, self._answer or {})

    def _known(self) -> dict[str, Any]:
        """Everything that is remembered; a spoilt file holds nothing."""
        from core.errors import AppError
        from core.io.json_file import read_json

        try:
            known = read_json(self._cache, "answers of the OpenGL probe", "", MOST_BYTES)
        except (AppError, OSError):
            return {}
        return known if isinstance(known, dict) else {}

    def _remembered(self) -> dict[str, Any] | None:
        try:
            known = self._known()[self._key]
            fresh = 0 <= time.time() - float(known["time"]) < MAX_AGE_S
            return known["answer"] if fresh and isinstance(known["answer"]["ok"], bool) else None
        except (ValueError, KeyError, TypeError, ArithmeticError):
            return None

    def _remember(self, answer: dict[str, Any]) -> None:
        from core.errors import AppError
        from core.io.atomic import write_json

        newest = sorted(self._known().items(), key=lambda item: str(item[1]), reverse=True)[:15]
        try:
            write_json(self._cache, dict(newest) | {self._key: {"time": time.time(), "answer": answer}})
        except (AppError, OSError, ValueError) as err:  # ValueError: what was remembered is not JSON again
            log.warning("the answer of the OpenGL probe was not kept: %s", err)


def decide(setting: str, answer: dict[str, Any]) -> Choice:
    """From the probe's answer to the choice."""
    about = str(answer.get("renderer") or "")
    if not answer.get("ok"):
        why = str(answer.get("reason") or "no OpenGL")
        return Choice("raster", f"OpenGL was asked for, but: {why}" if setting == "gl" else why, about)
    if setting == "auto" and answer.get("software"):
        return Choice("raster", "OpenGL is done in software here, which is slower", about, works=True)
    return Choice("gl", about, about, works=True)
