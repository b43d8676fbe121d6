"""Flags of micrographs and the file they are saved to, a second after the last change. Reading happens in tasks."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from core.errors import AppError
from core.io.flags import Flags, read_flags, write_flags
from workers.task import run_task

AUTOSAVE_MS = 1000


class FlagFile(QObject):
    """`flags` is always the same object; `open` fills it. A file that cannot be read is never written over."""

    opened = Signal(object)  # Path
    saved = Signal(object)  # Path
    failed = Signal(object)  # AppError

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.flags = Flags()
        self.path: Path | None = None
        self._saving = False
        self._ticket = 0
        self._timer = QTimer(self, interval=AUTOSAVE_MS, singleShot=True)
        self._timer.timeout.connect(self._save)
        self.flags.subscribe(lambda _: self._timer.start() if self.flags.dirty else None)

    def open(self, path: Path) -> None:
        """Save what waits, then show the flags of another file; `opened` follows."""
        self.flush()
        self._ticket += 1
        ticket, self.path = self._ticket, None
        self.flags.load({})

        def show(flags: dict[str, str]) -> None:
            if ticket == self._ticket:
                since = self.flags.as_dict()  # given while the file was being read
                self.path = path
                self.flags.load(flags)
                for key, flag in since.items():
                    self.flags.set([key], flag)
                self.opened.emit(path)

        def fail(err: AppError) -> None:
            if ticket == self._ticket:
                self.failed.emit(err)
                self.path = _free_name(path)
                self._timer.start()

        run_task(lambda: read_flags(path), show, fail, self)

    def _save(self) -> None:
        if self._saving:
            self._timer.start()
            return
        if self.path is None or not self.flags.dirty:
            return
        path, flags = self.path, self.flags.as_dict()
        self.flags.dirty, self._saving = False, True
        run_task(lambda: write_flags(path, flags), self._on_saved, self._on_failed, self)

    def _on_saved(self, path: Path) -> None:
        self._saving = False
        self.saved.emit(path)

    def _on_failed(self, err: AppError) -> None:
        self._saving, self.flags.dirty = False, True
        self.failed.emit(err)

    def flush(self) -> None:
        """Write now what waits to be written (a small file: at the end, or before another is opened)."""
        self._timer.stop()
        if self.path is None or not self.flags.dirty:
            return
        self.flags.dirty = False
        try:
            write_flags(self.path, self.flags.as_dict())
        except AppError as err:
            self.failed.emit(err)
        else:
            self.saved.emit(self.path)


def _free_name(path: Path) -> Path:
    """The first of name-2, name-3, ... that is free."""
    return next(n for i in range(2, 10000) if not (n := path.with_stem(f"{path.stem}-{i}")).exists())
