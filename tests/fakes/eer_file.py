"""A small writer of EER movies for the tests: the published bit layout in a BigTIFF container, a page each frame."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

BITS = {65000: (8, 2, 2), 65001: (7, 2, 2), 65002: (6, 3, 3)}  # of skipped pixels, of the place within a pixel


def encode(frame: np.ndarray, bits: tuple[int, int, int]) -> bytes:
    """Events of a boolean (ny, nx): pixels skipped, then the place within the pixel, least significant bits first.

    The largest number of skipped pixels stands for so many without an event, and no place follows it.
    """
    stream: list[int] = []
    most = (1 << bits[0]) - 1

    def put(value: int, count: int) -> None:
        stream.extend(value >> bit & 1 for bit in range(count))

    def skip(count: int) -> None:
        for _ in range(count // most):
            put(most, bits[0])
        put(count % most, bits[0])

    place = 0
    for number, pixel in enumerate(np.flatnonzero(frame)):
        skip(int(pixel) - place)
        put(number % (1 << bits[1]), bits[1])
        put(number % (1 << bits[2]), bits[2])
        place = int(pixel) + 1
    skip(frame.size - place)
    stream += [0] * (-len(stream) % 16 + 16)  # whole words, and one to spare
    return np.packbits(np.array(stream, np.uint8), bitorder="little").tobytes()


def write_eer(path: Path, frames: np.ndarray, scheme: int = 65001) -> Path:
    """Boolean frames (n, ny, nx) as an EER movie."""
    n, ny, nx = frames.shape
    metadata = b"<metadata><item name='numberOfFrames'>%d</item></metadata>" % n
    content = bytearray(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
    offset_at = 8
    about = len(content)
    content += metadata
    for number, frame in enumerate(frames):
        strip_at, strip = len(content), encode(frame, BITS[scheme])
        content += strip
        tags = [(256, 4, nx), (257, 4, ny), (258, 3, 1), (259, 3, scheme), (262, 3, 1), (273, 16, strip_at)]
        tags += [(277, 3, 1), (278, 4, ny), (279, 16, len(strip))]
        entries = [struct.pack("<HHQQ", tag, kind, 1, value) for tag, kind, value in tags]
        if number == 0:
            entries.append(struct.pack("<HHQQ", 65001, 7, len(metadata), about))
        if scheme == 65002:
            entries += [struct.pack("<HHQQ", 65007 + k, 3, 1, bits) for k, bits in enumerate(BITS[scheme])]
        content[offset_at : offset_at + 8] = struct.pack("<Q", len(content))
        content += struct.pack("<Q", len(entries)) + b"".join(entries)
        offset_at = len(content)
        content += bytes(8)
    path.write_bytes(content)
    return path
