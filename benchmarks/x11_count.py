"""Counts the bytes that programs send to an X server: what `ssh -X` would have to carry.

A thread stands between the programs and the server's unix socket and passes everything on.
"""

from __future__ import annotations

import contextlib
import mmap
import socket
import struct
import threading
from pathlib import Path

SOCKETS = Path("/tmp/.X11-unix")
_CHUNK = 1 << 18
_FIRST_NUMBER = 400


class ByteCounter:
    """A display `number` of its own that leads to another; `total` lies in `file` as one 8-byte integer."""

    def __init__(self, server: int, file: Path) -> None:
        self._server = str(SOCKETS / f"X{server}")
        self._listener, self.number = _free_socket()
        file.write_bytes(bytes(8))
        with file.open("r+b") as handle:
            self._shared = mmap.mmap(handle.fileno(), 8)
        self._total = 0
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                for source, target, counts in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass_on, args=(source, target, counts), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if counts:  # before it is passed on: whoever hears the server's answer reads the right number
                    with self._lock:
                        self._total += len(data)
                        self._shared[:] = struct.pack("<q", self._total)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """No more programs; those that are connected go on until they end."""
        self._listener.close()
        (SOCKETS / f"X{self.number}").unlink(missing_ok=True)


def _free_socket() -> tuple[socket.socket, int]:
    """A listening socket under the first display number nobody uses."""
    for number in range(_FIRST_NUMBER, _FIRST_NUMBER + 200):
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(SOCKETS / f"X{number}"))
        except OSError:
            listener.close()
            continue
        listener.listen(8)
        return listener, number
    raise RuntimeError("no free display number for the byte counter")


def read_total(file: Path) -> int:
    """Bytes so far, for a program that runs through the counter."""
    return struct.unpack("<q", file.read_bytes())[0]
