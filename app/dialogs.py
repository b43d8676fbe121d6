"""The window's own dialogs: keyboard sheet, About, machine check, run list, and the question at closing."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QFontDatabase
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QMessageBox,
    QPlainTextEdit,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.errors import versions
from app.key_sheet import KeySheet, Section, as_text
from app.widgets.labels import label
from core.errors import AppError
from core.jobs import rundir
from workers.job_worker import JobWorker
from workers.task import run_task

EVERYWHERE = (
    ("Ctrl+O, Ctrl+Shift+O", "open micrographs, open a folder"),
    ("drop files", "open them"),
    ("Ctrl+1 ... Ctrl+6", "the six tabs"),
    ("Ctrl+Return", "run the job of this tab"),
    ("Ctrl+K", "compare any two images"),
    ("Ctrl+M", "open a map"),
    ("Ctrl+Shift+S", "save noise boxes to another file"),
    ("Ctrl+Shift+T", "dark or light"),
    ("F1, ?", "this sheet"),
    ("Ctrl+,", "preferences"),
    ("Ctrl+Q", "quit"),
)
MICROGRAPH = (
    ("wheel, + -", "zoom (the wheel at the cursor)"),
    ("Space + drag", "pan; so do the arrows when no box is selected"),
    ("F, double click (hand)", "fit"),
    ("1", "one screen pixel per image pixel"),
    ("A", "automatic contrast"),
    ("Alt+wheel{commas}", "less or more contrast"),
    ("I, V, L", "invert, next colours, view filter on or off"),
    ("M, T, H", "measure, power spectrum, header and statistics"),
    ("[ ], Ctrl+Left, Ctrl+Right", "previous, next image of a stack"),
    ("Ctrl+E, Ctrl+C", "save the picture, copy it"),
    ("N or PgDn, P or PgUp", "next, previous micrograph"),
    ("Home, End", "first, last micrograph"),
)
BOXES = (
    ("Ctrl+wheel{sizes}", "box size"),
    ("arrows, Shift+arrows", "move the selected boxes by 1 px, 10 px"),
    ("Del, Backspace", "delete the selected boxes"),
    ("Ctrl+A, Esc", "select all boxes, none"),
    ("Ctrl+Z, Ctrl+Shift+Z", "undo, redo (also Ctrl+Y)"),
    ("X", "hide or show the marks"),
    ("Menu key", "menu of what is under the pointer"),
)
TOOLS = (
    ("Q, Esc", "pick: the buttons as above"),
    ("S", "select: drag a frame; Shift or Ctrl adds to what is selected"),
    ("E", "exclude: click corners; Enter, double click or the first one closes"),
    ("Backspace, Esc", "while drawing: take the last corner away, all of them"),
    ("G", "hand: drag pans, a double click fits"),
    ("M", "measure: drag from one place to another, a click forgets the line"),
)
COMPARISON = (
    ("S, W, D", "side by side, swipe, difference"),
    ("B", "blink; hold it to see the first picture"),
    ("G", "agreement of the two pictures (FRC)"),
    ("O", "gate: colour where the network sees particles (Predict)"),
    ("Ctrl+T", "pictures, or “Can I trust it?” (Predict)"),
    ("X", "exchange A and B (window of two images)"),
)
MAP = (
    ("click, drag", "move the cross-hair"),
    ("wheel, PgUp, PgDn, [ ]", "go through the sections"),
    ("Ctrl+wheel, Shift+drag", "zoom, pan; double click fits"),
    ("X", "hide or show the cross-hair"),
    ("S", "the surface alone, or beside the sections"),
    ("drag, Shift+drag, wheel", "on the surface: turn, move, zoom"),
    ("arrows, F", "on the surface: turn by 5°, from the front"),
)
OTHER_BUTTONS = "Home, Mouse: other programs' buttons (Default, RELION, EMAN2, cellpose)."


def key_sections(scheme_name: str = "") -> list[Section]:
    """All keys and gestures, the mouse buttons as the scheme in use has them."""
    from app.viewer.schemes import scheme, sheet

    chosen = scheme(scheme_name)
    contrast = chosen.comma == "contrast"
    words = {"commas": " , ." if contrast else "", "sizes": "" if contrast else " , ."}
    parts = (
        ("Everywhere", EVERYWHERE),
        ("Micrograph", MICROGRAPH),
        (f"Noise boxes (Home): mouse buttons of {chosen.name}", sheet(chosen)),
        ("Noise boxes (Home): keys", BOXES),
        ("Tools of the left button (Home)", TOOLS),
        ("Comparison (Predict, two images)", COMPARISON),
        ("Map", MAP),
    )
    return [(title, [(how.format(**words), what) for how, what in rows]) for title, rows in parts]


def key_sheet(scheme_name: str = "") -> str:
    """The sheet as text."""
    return as_text(key_sections(scheme_name)) + f"\n{OTHER_BUTTONS}"


def text_dialog(parent: QWidget, title: str, text: str) -> QPlainTextEdit:
    """A window with fixed-width text and a Copy button; returns its text box."""
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle(title)
    box = QPlainTextEdit(text, readOnly=True)
    box.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
    box.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    box.setAccessibleName(title)
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    copy = buttons.addButton("Copy", QDialogButtonBox.ButtonRole.ActionRole)
    copy.clicked.connect(lambda: QApplication.clipboard().setText(box.toPlainText()))
    buttons.rejected.connect(dialog.reject)
    layout = QVBoxLayout(dialog)
    layout.addWidget(box)
    layout.addWidget(buttons)
    metrics = box.fontMetrics()
    dialog.resize(metrics.averageCharWidth() * 116, metrics.height() * 30)
    dialog.open()
    return box


def show_keys(parent: QWidget) -> None:
    """The key sheet, with the mouse buttons of the scheme in use."""
    session = getattr(parent, "session", None)
    name = str(session.settings.home.get("scheme", "")) if session is not None else ""
    KeySheet(key_sections(name), OTHER_BUTTONS, parent).open()


def show_about(parent: QWidget) -> None:
    """What this is, under which licence, with which versions."""
    about = "Vitreous: a studio for cryo-EM micrographs.\nBSD 3-Clause licence.\n\n"
    text_dialog(parent, "About Vitreous", about + versions())


def show_doctor(parent: QWidget) -> None:
    """Check this machine, in a task."""
    box = text_dialog(parent, "This machine", "Checking…")

    def check() -> str:
        from core import doctor

        lines = []
        for item in doctor.report():
            lines.append(f"{item.status:5} {item.name:16} {item.detail}")
            if item.fix:
                lines.append(f"{'':22} -> {item.fix}")
        return "\n".join(lines)

    def fail(err: AppError) -> None:
        box.setPlainText(str(err))

    run_task(check, box.setPlainText, fail, box)


def ask_close(parent: QWidget, running: list[JobWorker]) -> str:
    """Jobs run while the window closes: "let", "stop" or "cancel"."""
    names = ", ".join(w.run_dir.name for w in running)
    one = len(running) == 1
    box = QMessageBox(QMessageBox.Icon.Question, "Vitreous", "", parent=parent)
    box.setText(f"{names} {'is' if one else 'are'} still running.")
    box.setInformativeText("Jobs run on without the window. The next time it opens, it shows them again.")
    let = box.addButton("Let it run" if one else "Let them run", QMessageBox.ButtonRole.AcceptRole)
    stop = box.addButton("Stop it" if one else "Stop them", QMessageBox.ButtonRole.DestructiveRole)
    cancel = box.addButton(QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(let)
    box.setEscapeButton(cancel)
    box.exec()
    clicked = box.clickedButton()
    return "let" if clicked is let else "stop" if clicked is stop else "cancel"


class RunsDialog(QDialog):
    """All runs with their state; a double click opens the run in its tab (`chosen`)."""

    def __init__(self, parent: QWidget, root: Path, show_run) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Runs")
        self._show_run = show_run
        self._infos: list[rundir.RunInfo] = []
        self.table = QTableWidget(0, 4)
        self.table.setHorizontalHeaderLabels(["Run", "State", "Started", "Message"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        self.table.cellDoubleClicked.connect(lambda *_: self._show())
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        show = buttons.addButton("Show in its tab", QDialogButtonBox.ButtonRole.ActionRole)
        folder = buttons.addButton("Open folder", QDialogButtonBox.ButtonRole.ActionRole)
        show.clicked.connect(self._show)
        folder.clicked.connect(self._open_folder)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        self._where = label(f"Run folders in {root}", "muted")
        layout.addWidget(self._where)
        layout.addWidget(self.table)
        layout.addWidget(buttons)
        metrics = self.fontMetrics()
        self.resize(metrics.averageCharWidth() * 150, metrics.height() * 28)
        run_task(lambda: rundir.list_runs(root), self._fill, lambda e: self._where.setText(str(e)), self)

    def _fill(self, infos: list[rundir.RunInfo]) -> None:
        self._infos = infos
        self.table.setRowCount(len(infos))
        for row, info in enumerate(infos):
            created = info.created.replace("T", "  ")[:17]
            for column, text in enumerate((info.path.name, info.state, created, info.message)):
                self.table.setItem(row, column, QTableWidgetItem(text))
        if infos:
            self.table.selectRow(0)
        else:
            self._where.setText(f"{self._where.text()}: there is none yet")

    def _current(self) -> rundir.RunInfo | None:
        row = self.table.currentRow()
        return self._infos[row] if 0 <= row < len(self._infos) else None

    def _show(self) -> None:
        info = self._current()
        if info is not None:
            self._show_run(info)
            self.accept()

    def _open_folder(self) -> None:
        info = self._current()
        if info is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(info.path)))
