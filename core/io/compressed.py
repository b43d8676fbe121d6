"""gzip and bzip2 files as streams that are decompressed no further than they are read.

A file is recognised by its content, never by its name. Damage is told in a sentence; a small file that holds
gigabytes costs only what is asked of it.
"""

from __future__ import annotations

import bz2
import io
import zlib
from pathlib import Path
from typing import Any

from core.errors import InputError

PIECE_BYTES = 1 << 16  # of the file, decompressed at a time
SLACK_BYTES = 1 << 20  # read behind the image, to come upon the checksum where it is near
_GZIP, _BZIP2 = b"\x1f\x8b", b"BZh"
_GZIP_RATIO = 1032  # deflate makes no more than this of one byte


def kind_of(path: Path) -> str:
    """`gzip`, `bzip2`, or "" for a plain file."""
    with path.open("rb") as stream:
        magic = stream.read(3)
    if magic.startswith(_GZIP):
        return "gzip"
    return "bzip2" if magic == _BZIP2 else ""


def most_inside(kind: str, size: int) -> int | None:
    """The most bytes that a compressed file of `size` bytes can hold; None where the format sets no useful bound."""
    return _GZIP_RATIO * size + SLACK_BYTES if kind == "gzip" else None


class Unpacked(io.RawIOBase):
    """The decompressed bytes of a file, forwards only. `readinto` fills its buffer unless the data end.

    Several members in one file follow each other. `InputError` for damaged, cut or falsified data.
    """

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__()
        self._path, self._kind = path, kind
        self._file = path.open("rb", buffering=0)
        self._rest = b""  # read from the file, not decompressed
        self._decoder: Any = None
        self._members = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; returns how many bytes there were."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view):
            piece = self._piece(len(view) - done)
            if not piece:
                break
            view[done : done + len(piece)] = piece
            done += len(piece)
        return done

    def _piece(self, most: int) -> bytes:
        """The next bytes, at most `most`; b"" at the end."""
        while (decoder := self._decoder or self._next_member()) is not None:
            ended = False
            if not self._rest and getattr(decoder, "needs_input", True):
                self._rest = self._file.read(PIECE_BYTES)
                ended = not self._rest
            try:
                piece = decoder.decompress(self._rest, most)
            except (zlib.error, OSError, ValueError) as exc:
                how = "checksum" if "check" in str(exc) else "its data make no sense"
                raise self._damaged(how) from exc
            if decoder.eof:
                self._rest, self._decoder = decoder.unused_data, None
            else:
                self._rest = getattr(decoder, "unconsumed_tail", b"")
                if ended and not piece:
                    raise self._damaged("ended early")
            if piece:
                return piece
        return b""

    def _next_member(self) -> Any:
        """A decompressor for the next member; None where none follows. What programs append to files is no member."""
        magic = _GZIP if self._kind == "gzip" else _BZIP2
        self._rest = self._rest.lstrip(b"\0") if self._members else self._rest
        if len(self._rest) < len(magic):
            self._rest += self._file.read(PIECE_BYTES)
        if not self._rest.startswith(magic):
            return None
        self._members += 1
        self._decoder = zlib.decompressobj(31) if self._kind == "gzip" else bz2.BZ2Decompressor()
        return self._decoder

    def _damaged(self, how: str) -> InputError:
        return InputError(
            f"{self._path}: the compressed file is damaged ({how}).", "Copy it again from its source.", self._path
        )
