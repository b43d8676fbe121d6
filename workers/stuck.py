"""Threads that hang in a read which never returns, such as one of a network disk that is gone.

No system call of theirs can be ended from here: they are kept apart, so that nobody waits for them and Qt does not
abort because a running thread was destroyed.
"""

from __future__ import annotations

from PySide6.QtCore import QThread

WAIT_MS = 2000  # for a thread that was told to end
SHORT_MS = 200  # when others hang already: probably for the same reason

_left: list[QThread] = []


def end(thread: QThread) -> bool:
    """Wait a while for a thread that was told to end; one that does not is left alone. Whether it ended."""
    if thread.wait(SHORT_MS if any_left() else WAIT_MS):
        return True
    leave(thread)
    return False


def leave(thread: QThread) -> None:
    """Keep a thread that hangs, for as long as it does."""
    _left[:] = [*(known for known in _left if known.isRunning()), thread]


def any_left() -> bool:
    """Whether threads hang: the process must then end without waiting for them."""
    return any(thread.isRunning() for thread in _left)
