"""Reading .mrc.gz: processor time against plain zlib on the same file, and the memory that a bomb can take.

The file is a 4092 x 5760 float32 micrograph of simulated noise; both sides are measured in turns, the least counts.
A bomb is a small image followed by 512 MiB of zeros in a gzip file of about 2 MB. Memory is that of a process of its
own, above what it has before it reads.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (4092, 5760)
ROUNDS = 5
PIECE = 1 << 20
BOMB_MIB = 512
PEAK = """
import json, sys, time
from pathlib import Path
import core.images.source
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
before, began = peak(), time.process_time()
image = core.images.source.open_source(sys.argv[1]).read()
print(json.dumps([peak() - before, time.process_time() - began, list(image.shape)]))
"""


def measure() -> dict[str, Any]:
    """Seconds of the processor, their ratio, and MiB."""
    from core.io.mrc import write_mrc

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "m.mrc"
        rng = np.random.default_rng(0)
        write_mrc(plain, rng.normal(10, 3, SHAPE).astype(np.float32), 1.05)
        packed = _compress(plain, Path(folder) / "m.mrc.gz")
        zlib_s, ours_s = [], []
        for _ in range(ROUNDS):
            zlib_s.append(_seconds(lambda: _inflate(packed)))
            ours_s.append(_seconds(lambda: _read(packed)))
        return {
            "file_mb": round(packed.stat().st_size / 1e6, 1),
            "zlib_s": round(min(zlib_s), 3),
            "ours_s": round(min(ours_s), 3),
            "ratio": round(min(ours_s) / min(zlib_s), 3),
            "bomb": _bomb(Path(folder)),
        }


def _compress(plain: Path, target: Path) -> Path:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    target.write_bytes(packer.compress(plain.read_bytes()) + packer.flush())
    return target


def _inflate(path: Path) -> int:
    """The yardstick: the whole file through zlib, nothing kept."""
    unpacker, done = zlib.decompressobj(31), 0
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            done += len(unpacker.decompress(piece))
    return done


def _read(path: Path) -> Any:
    from core.io.mrc import read_header, read_image

    read_header(path)
    return read_image(path)


def _seconds(action: Callable[[], Any]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def _bomb(folder: Path) -> dict[str, Any]:
    from core.io.mrc import write_mrc

    small = folder / "small.mrc"
    write_mrc(small, np.random.default_rng(1).normal(size=(64, 96)).astype(np.float32), 1.05)
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    bomb = folder / "bomb.mrc.gz"
    with bomb.open("wb") as stream:
        stream.write(packer.compress(small.read_bytes()))
        for _ in range(BOMB_MIB):
            stream.write(packer.compress(bytes(1 << 20)))
        stream.write(packer.flush())
    size = round(bomb.stat().st_size / 1e6, 2)
    if not Path("/proc/self/status").exists():
        return {"file_mb": size, "skipped": "peak memory is read from /proc"}
    done = subprocess.run([sys.executable, "-c", PEAK, str(bomb)], cwd=ROOT, capture_output=True, text=True, check=True)
    mib, seconds, shape = json.loads(done.stdout)
    return {"file_mb": size, "peak_above_base_mib": round(mib, 1), "seconds": round(seconds, 3), "image": shape}
