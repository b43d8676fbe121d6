"""Flags of micrographs and the file they are saved to, a second after the last change. Reading happens in tasks."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from core.errors import AppError
from core.io.flags import Flags, FlagWriter, free_name, read_flags
from workers.task import run_task

AUTOSAVE_MS = 1000
FLUSH_WAIT_S = 3.0  # for a write that is going on


class FlagFile(QObject):
    """`flags` is always the same object; `open` fills it. A file that cannot be read is never written over."""

    opened = Signal(object)  # Path
    saved = Signal(object)  # Path
    failed = Signal(object)  # AppError

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.flags = Flags()
        self._writer: FlagWriter | None = None
        self._number = 0  # of writes
        self._saving = 0  # writes that are going on
        self._ticket = 0
        self._timer = QTimer(self, interval=AUTOSAVE_MS, singleShot=True)
        self._timer.timeout.connect(self._save)
        self.flags.subscribe(lambda _: self._timer.start() if self.flags.dirty else None)

    @property
    def path(self) -> Path | None:
        """Where the flags are saved; None while they are read."""
        return self._writer.path if self._writer is not None else None

    def open(self, path: Path) -> None:
        """Save what waits, then show the flags of another file; `opened` follows."""
        self.flush()
        self._ticket += 1
        ticket, self._writer = self._ticket, None
        self.flags.load({})

        def show(flags: dict[str, str]) -> None:
            if ticket == self._ticket:
                since = self.flags.as_dict()  # given while the file was being read
                self._writer = FlagWriter(path, flags)
                self.flags.load(flags)
                for key, flag in since.items():
                    self.flags.set([key], flag)
                self.opened.emit(path)

        def fail(err: AppError) -> None:
            if ticket == self._ticket:
                self.failed.emit(err)
                self._writer = FlagWriter(free_name(path), {})
                self._timer.start()

        run_task(lambda: read_flags(path), show, fail, self)

    def _save(self) -> None:
        writer = self._writer
        if self._saving:
            self._timer.start()
            return
        if writer is None or not self.flags.dirty:
            return
        sent, number = self._take()
        self._saving += 1

        def done(held: dict[str, str] | None) -> None:
            self._saving -= 1
            self._on_saved(writer, sent, held)

        def fail(err: AppError) -> None:
            self._saving -= 1
            if writer is self._writer and number == self._number:  # else a newer write knows more
                self.flags.dirty = True
            self.failed.emit(err)

        run_task(lambda: writer.write(sent, number), done, fail, self)

    def _take(self) -> tuple[dict[str, str], int]:
        """The flags to write now, and the number of this write."""
        self.flags.dirty = False
        self._number += 1
        return self.flags.as_dict(), self._number

    def _on_saved(self, writer: FlagWriter, sent: dict[str, str], held: dict[str, str] | None) -> None:
        if held is None:
            return
        if writer is self._writer:  # others may have given flags meanwhile
            changed = {key: held.get(key, "") for key in held.keys() | sent.keys()}
            self.flags.adopt(
                {k: f for k, f in changed.items() if f != sent.get(k, "") and self.flags.get(k) == sent.get(k, "")}
            )
        self.saved.emit(writer.path)

    def flush(self) -> None:
        """Write now what waits to be written (a small file: at the end, or before another is opened)."""
        self._timer.stop()
        writer = self._writer
        if writer is None or not (self.flags.dirty or self._saving):
            return
        sent, number = self._take()
        try:
            held = writer.write(sent, number, FLUSH_WAIT_S)
        except AppError as err:
            self.flags.dirty = True
            self.failed.emit(err)
        else:
            self._on_saved(writer, sent, held)
