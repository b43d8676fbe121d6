"""Garbage is collected in the window's thread only, and it is collected."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import ClassVar

from workers import collector


class Ring:
    """Garbage that only the collector of cycles finds; remembers in which thread it went."""

    gone: ClassVar[list[int]] = []

    def __init__(self) -> None:
        self.me = self
        weakref.finalize(self, lambda: Ring.gone.append(threading.get_ident()))


def test_cycles_go_in_the_thread_of_the_window(qtbot, monkeypatch):
    monkeypatch.setattr(collector, "LOOK_MS", 10)
    Ring.gone.clear()
    kept = collector.Collector()
    assert not gc.isenabled()
    before = len(Ring.gone)

    def work() -> None:
        for _ in range(5000):
            Ring()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    qtbot.waitUntil(lambda: len(Ring.gone) >= before + 4000, timeout=10_000)
    assert set(Ring.gone) == {threading.get_ident()}
    kept.deleteLater()
