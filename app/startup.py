"""From the command line to the window: is there a display, which painter fits it, the QApplication, the window.

`main` and `open_after_demo` are the doors; main.py at the top calls them.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtWidgets import QApplication

from app import errors, theme
from app.session import Session
from app.viewer import renderer
from core.errors import ParamError
from core.jobs import rundir
from workers.collector import Collector

if TYPE_CHECKING:
    from app.window import MainWindow

NO_DISPLAY = "There is no display here, so the window stays closed. The jobs run without it: python main.py --help"


def check_display() -> str:
    """Why no window can open on this machine, with the next step; empty when it can."""
    if sys.platform != "linux" or os.environ.get("QT_QPA_PLATFORM", "").split(":")[0] not in ("", "xcb"):
        return ""
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        return NO_DISPLAY
    if os.environ.get("WAYLAND_DISPLAY") and not os.environ.get("DISPLAY"):
        return ""
    missing = missing_libraries()
    if missing:
        from core.doctor import install_command

        return (
            f"The window needs system libraries that are missing here: {', '.join(missing)}. "
            f"Install them with: {install_command(missing)}"
        )
    return ""


def missing_libraries() -> list[str]:
    """Libraries that Qt's X11 plug-in needs and that cannot be loaded here: Qt itself would only abort."""
    from core.doctor import LIBRARIES

    missing = []
    for name in LIBRARIES:
        if name.startswith(("libxcb", "libxkb")):
            try:
                ctypes.CDLL(name)
            except OSError:
                missing.append(name)
    return missing


def make_application(theme_name: str) -> QApplication:
    """The QApplication with name, icon, theme, exception hook; Ctrl+C in the terminal ends it."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(sys.argv[:1])
    app.setApplicationName("vitreous")
    app.setApplicationDisplayName("Vitreous")
    app.setDesktopFileName("vitreous")
    app.setWindowIcon(theme.icon())
    theme.apply(app, theme_name)
    errors.install()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return app


def main(argv: list[str]) -> int:
    """Open the window; arguments are micrographs, folders or STAR files to open, and --renderer NAME."""
    try:
        asked, paths = parse_arguments(argv)
    except ParamError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    return _run(paths, None, asked)


def open_after_demo() -> int:
    """Open the window on the newest finished demo; without a display say so and return 0."""
    problem = check_display()
    if problem:
        print(problem)
        return 0
    runs = [r for r in rundir.list_runs() if r.job == "demo" and r.state == "done"]
    return _run([], runs[0].result if runs else None, "")


def parse_arguments(argv: list[str]) -> tuple[str, list[Path]]:
    """(renderer that was asked for or "", paths to open)."""
    asked, paths = "", []
    rest = iter(argv)
    for word in rest:
        name, _, value = word.partition("=")
        if name == "--renderer":
            asked = value or next(rest, "")
            if asked not in renderer.SETTINGS:
                options = ", ".join(renderer.SETTINGS)
                raise ParamError(f"--renderer: '{asked}' is not one of {options}.", fields=("renderer",))
        elif word.startswith("-"):
            raise ParamError(f"The window knows no option {word}.", "It knows --renderer auto|raster|gl.")
        else:
            paths.append(Path(word))
    return asked, paths


def build(asked: str = "") -> tuple[QApplication, MainWindow]:
    """The application and its window, not yet shown; `asked`: a renderer, "" for the one of the settings."""
    session = Session()
    # The probe runs beside the start of Qt; it must have answered before the first canvas is made.
    chooser = renderer.Chooser(asked or session.settings.renderer, session.probe_file)
    from app.window import MainWindow

    app = make_application(session.settings.theme)
    renderer.use(chooser.choose())
    return app, MainWindow(session)


def _run(paths: list[Path], demo_result: dict[str, Any] | None, asked: str) -> int:
    problem = check_display()
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 4
    app, window = build(asked)
    window.show()
    Collector(window)  # main.py pauses Python's own while the window starts
    if demo_result:
        window.show_demo(demo_result)
    elif paths:
        window.open_paths(paths)
    return finish(app.exec())


def finish(code: int) -> int:
    """The exit code; ends the process here when a thread hangs in a read: Python and Qt would wait, or abort."""
    from workers import stuck, task

    if stuck.any_left() or task.any_running():
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(code)
    return code
