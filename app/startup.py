"""Before the first widget: is there a display, are Qt's system libraries there; then the QApplication."""

from __future__ import annotations

import ctypes.util
import os
import signal
import sys

from PySide6.QtWidgets import QApplication

from app import errors, theme

NO_DISPLAY = (
    "There is no display here, so the window stays closed. The jobs run without it: python main.py --help"
)


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
        packages = " ".join(missing.values())
        return (
            f"Qt needs system libraries that are missing ({', '.join(missing)}). "
            f"Install them: sudo apt install {packages}"
        )
    return ""


def missing_libraries() -> dict[str, str]:
    """Shared libraries Qt's X11 plugin loads but does not bring: name -> Debian package."""
    needed = {
        "xcb-cursor": "libxcb-cursor0",
        "xkbcommon-x11": "libxkbcommon-x11-0",
        "xcb-icccm": "libxcb-icccm4",
        "xcb-keysyms": "libxcb-keysyms1",
    }
    return {name: package for name, package in needed.items() if not _found(name, package)}


def _found(name: str, package: str) -> bool:
    """Try to load by the usual file name first: find_library starts programs, which costs 100 ms each."""
    version = package[-1]
    try:
        ctypes.CDLL(f"lib{name}.so.{version}")
        return True
    except OSError:
        return ctypes.util.find_library(name) is not None


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
