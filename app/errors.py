"""Errors on the screen: what a user can act on is a message with a hint, anything else is a bug report.

`install` puts the hook in place; tabs call `show_error` for what they catch themselves.
"""

from __future__ import annotations

import logging
import platform
import sys
import traceback
from types import TracebackType

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMessageBox, QPushButton, QWidget

import core
from core.errors import AppError

logger = logging.getLogger(__name__)


def versions() -> str:
    """Versions of the program and of what it stands on, one line each; imports nothing heavy."""
    from importlib.metadata import PackageNotFoundError, version

    lines = [f"Vitreous {core.__version__}", f"Python {platform.python_version()}", platform.platform()]
    for name in ("PySide6-Essentials", "torch", "numpy", "scipy", "pyqtgraph", "mrcfile", "starfile"):
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name}: missing")
    app = QApplication.instance()
    if isinstance(app, QApplication):
        lines.append(f"window system: {app.platformName()}")
    return "\n".join(lines)


def show_error(parent: QWidget | None, err: BaseException) -> None:
    """Show an AppError as message + hint, anything else as a bug. Does not block the caller."""
    if isinstance(err, AppError):
        box = QMessageBox(QMessageBox.Icon.Warning, "Vitreous", err.message, parent=parent)
        box.setInformativeText(err.hint)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()
        return
    show_bug(parent, f"{type(err).__name__}: {err}", "".join(traceback.format_exception(err)))


def show_bug(parent: QWidget | None, summary: str, trace: str) -> None:
    """Show a bug with its details and a button that copies the report."""
    report = f"{summary}\n\n{versions()}\n\n{trace}"
    box = QMessageBox(QMessageBox.Icon.Critical, "Vitreous", "Something went wrong inside Vitreous.", parent=parent)
    box.setInformativeText(f"{summary}\n\nYour files are as they were. The copied report tells what happened.")
    box.setDetailedText(report)
    box.addButton(QMessageBox.StandardButton.Close)
    copy = QPushButton("Copy report", box)
    box.addButton(copy, QMessageBox.ButtonRole.ActionRole)
    copy.clicked.disconnect()  # copying does not close the box
    copy.clicked.connect(lambda: QApplication.clipboard().setText(report))
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.open()


def install() -> None:
    """Send uncaught exceptions of the GUI thread to a dialog instead of a silent traceback."""
    shown = {"now": False}

    def hook(kind: type[BaseException], err: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, err, trace)
            return
        if not isinstance(err, AppError):
            logger.error("uncaught", exc_info=(kind, err, trace))
        if shown["now"] or QApplication.instance() is None:
            return  # an error while showing an error
        shown["now"] = True
        try:
            show_error(QApplication.activeWindow(), err)
        finally:
            shown["now"] = False

    sys.excepthook = hook
