"""The menus of the window: what they are called, their keys, and which method they call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from PySide6.QtCore import QUrl
from PySide6.QtGui import QAction, QDesktopServices, QKeySequence
from PySide6.QtWidgets import QMenu

from app import theme

if TYPE_CHECKING:
    from app.window import MainWindow


def _add(menu: QMenu, text: str, slot: Callable[[], object], *keys: str) -> QAction:
    action = menu.addAction(text)
    action.setShortcuts([QKeySequence(k) for k in keys])
    action.triggered.connect(lambda _=False: slot())
    return action


def _dialogs() -> ModuleType:
    """The dialogs, imported when the first one is asked for."""
    from app import dialogs

    return dialogs


def _preferences(window: MainWindow) -> None:
    from app.preferences import PreferencesDialog

    PreferencesDialog(window).open()


def _compare(window: MainWindow) -> None:
    from app.compare_window import open_for

    open_for(window)


def _open_map(window: MainWindow) -> None:
    from app.volume_window import open_for

    open_for(window)


def build_menus(window: MainWindow) -> None:
    """Fill the menu bar."""
    bar = window.menuBar()
    home = window.home

    def at_home(slot: Callable[[], object]) -> Callable[[], object]:
        def go() -> None:
            window.show_tab("home")
            slot()

        return go

    file_menu = bar.addMenu("&File")
    _add(file_menu, "Open micrographs…", at_home(home.open_files), "Ctrl+O")
    _add(file_menu, "Open folder…", at_home(home.open_folder), "Ctrl+Shift+O")
    recent = file_menu.addMenu("Recent")
    recent.aboutToShow.connect(lambda: _fill_recent(window, recent))
    file_menu.addSeparator()
    _add(file_menu, "Save noise boxes to…", at_home(home.export_noise), "Ctrl+Shift+S")
    file_menu.addSeparator()
    _add(file_menu, "Quit", window.close, "Ctrl+Q")

    edit_menu = bar.addMenu("&Edit")
    _add(edit_menu, "Preferences…", lambda: _preferences(window), "Ctrl+,")

    from app.window import TABS, TITLES

    view_menu = bar.addMenu("&View")
    for number, (name, title) in enumerate(zip(TABS, TITLES, strict=True), 1):
        _add(view_menu, title, lambda n=name: window.show_tab(n), f"Ctrl+{number}")
    view_menu.addSeparator()
    _add(view_menu, "Pixel size…", at_home(home.view.ask_pixel_size))
    _add(view_menu, "Compare two images…", lambda: _compare(window), "Ctrl+K")
    _add(view_menu, "Open a map…", lambda: _open_map(window), "Ctrl+M")
    themes = view_menu.addMenu("Theme")
    for name in theme.THEMES:
        _add(themes, name.capitalize(), lambda n=name: window.set_theme(n))
    themes.addSeparator()
    _add(themes, "Switch", window.toggle_theme, "Ctrl+Shift+T")

    jobs_menu = bar.addMenu("&Jobs")
    _add(
        jobs_menu,
        "Runs…",
        lambda: _dialogs().RunsDialog(window, window.session.runs_root, window.show_run).open(),
    )
    _add(jobs_menu, "Open the folder of runs", lambda: _open_runs(window))

    help_menu = bar.addMenu("&Help")
    _add(help_menu, "Keys and gestures", lambda: _dialogs().show_keys(window), "F1", "?")
    _add(help_menu, "Try the demo", at_home(home.jobs.demo))
    _add(help_menu, "Check this machine", lambda: _dialogs().show_doctor(window))
    _add(help_menu, "About Vitreous", lambda: _dialogs().show_about(window))


def _fill_recent(window: MainWindow, menu: QMenu) -> None:
    menu.clear()
    for path in window.session.settings.recent:
        _add(menu, path, lambda p=path: window.show_tab("home").open_paths([Path(p)]))
    if menu.isEmpty():
        menu.addAction("Nothing yet").setEnabled(False)


def _open_runs(window: MainWindow) -> None:
    root = window.session.runs_root
    root.mkdir(parents=True, exist_ok=True)
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(root)))
