"""Before the first widget: is there a display, are Qt's system libraries there; then the QApplication."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from PySide6.QtWidgets import QApplication

from app import errors, theme

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
