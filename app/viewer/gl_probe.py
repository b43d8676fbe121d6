"""Is OpenGL usable here? Asked in a child process, because a broken driver can blank the window or crash.

`probe()` starts this file as a program and reads one line of JSON; nothing here opens a window.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

NEEDED = (3, 3)
_SOFTWARE = ("llvmpipe", "softpipe", "swrast", "software", "swr", "svga3d", "gdi generic", "basic render")


def _answer(ok: bool, reason: str, **more: Any) -> dict[str, Any]:
    empty = {"software": False, "vendor": "", "renderer": "", "version": ""}
    return {"ok": ok, **empty, **more, "reason": reason}


def start() -> subprocess.Popen[str] | None:
    """Start the probe; None when no process can be started."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "app.viewer.gl_probe"],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:
        return None


def finish(child: subprocess.Popen[str] | None, timeout_s: float = 10.0) -> dict[str, Any]:
    """{ok, software, vendor, renderer, version, reason} of a probe; `unanswered` when it said nothing. Never raises."""
    if child is None:
        return _answer(False, "the probe could not be started", unanswered=True)
    try:
        # The child may end by a signal: only its last line of JSON counts.
        output, _ = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return _answer(False, f"no answer within {timeout_s:g} s", unanswered=True)
    return parse(output, child.returncode)


def probe(timeout_s: float = 10.0) -> dict[str, Any]:
    """`start` and `finish`."""
    return finish(start(), timeout_s)


def parse(output: str, returncode: int) -> dict[str, Any]:
    """The answer in a child's output, or the reason why there is none."""
    for line in reversed(output.splitlines()):
        try:
            answer = json.loads(line)
        except ValueError:
            continue
        if isinstance(answer, dict) and isinstance(answer.get("ok"), bool):
            return _answer(answer.pop("ok"), str(answer.pop("reason", "")), **answer)
    return _answer(False, f"the probe ended without an answer (code {returncode})", unanswered=True)


def _look() -> dict[str, Any]:
    """Make an off-screen context in this process and ask it who it is."""
    from PySide6 import QtGui

    wanted = QtGui.QSurfaceFormat()
    wanted.setVersion(*NEEDED)
    wanted.setProfile(QtGui.QSurfaceFormat.OpenGLContextProfile.CoreProfile)
    QtGui.QSurfaceFormat.setDefaultFormat(wanted)
    application = QtGui.QGuiApplication(sys.argv[:1])
    context, surface = QtGui.QOpenGLContext(), QtGui.QOffscreenSurface()
    surface.setFormat(wanted)
    surface.create()
    platform = application.platformName()
    if not context.create() or not context.makeCurrent(surface):
        return _answer(False, f"no OpenGL context on the {platform} platform", platform=platform)
    got = context.format()
    found = (got.majorVersion(), got.minorVersion())
    return {**_describe(found), "platform": platform}


def _describe(found: tuple[int, int]) -> dict[str, Any]:
    try:
        from OpenGL import GL
    except ImportError as exc:
        return _answer(False, f"PyOpenGL is missing: {exc}")

    def text(name: Any) -> str:
        return (GL.glGetString(name) or b"").decode(errors="replace")

    about = {"vendor": text(GL.GL_VENDOR), "renderer": text(GL.GL_RENDERER), "version": text(GL.GL_VERSION)}
    software = any(word in about["renderer"].lower() for word in _SOFTWARE)
    if not about["version"]:
        return _answer(False, "the driver does not answer (indirect rendering)", software=software, **about)
    if found < NEEDED:
        return _answer(False, f"OpenGL {found[0]}.{found[1]} is too old", software=software, **about)
    limit = int(GL.glGetIntegerv(GL.GL_MAX_TEXTURE_SIZE))
    return _answer(True, "software OpenGL" if software else "", software=software, max_texture=limit, **about)


def main() -> None:
    """Print one JSON line and leave at once: destructors of broken drivers crash."""
    try:
        answer = _look()
    except Exception as exc:  # whatever a driver or a binding throws is the answer
        answer = _answer(False, f"{type(exc).__name__}: {exc}")
    print(json.dumps(answer), flush=True)
    os._exit(0 if answer["ok"] else 3)


if __name__ == "__main__":
    main()
