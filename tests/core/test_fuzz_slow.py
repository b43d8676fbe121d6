"""Thousands of damaged files of every format: each is read or refused, quickly, in little memory, without a crash.

Seconds per format: VITREOUS_FUZZ_S (60). A fault is told with the file that shows it; `mutations.py`, `fuzz_formats.py`
and `fuzz_child.py` in tests/fakes do the work.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fuzz_formats import FORMATS, TRAPS

CHILD = Path(__file__).resolve().parents[1] / "fakes" / "fuzz_child.py"
SECONDS = float(os.environ.get("VITREOUS_FUZZ_S", "60"))
MOST_DEATHS = 5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of a process as Linux has them"),
]


def hunt(name: str, folder: Path, seconds: float) -> list[str]:
    """Faults of one format, each as its name, words and file; a child that dies is one, too, and is started again."""
    suffix = (FORMATS | TRAPS)[name].suffix
    faults: list[str] = []
    first, end = 0, time.monotonic() + seconds
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    while (left := end - time.monotonic()) > 0 and len(faults) < MOST_DEATHS:
        arguments = [sys.executable, str(CHILD), name, str(folder), str(first), f"{left:.1f}"]
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=4 * seconds + 120, env=environment)
        except subprocess.TimeoutExpired:
            died = "hang: it waited for ever"
        else:
            if done.returncode == 0:
                break
            hung = done.returncode == -signal.SIGPROF
            died = "hang: more than 2 s of CPU" if hung else f"exit code {done.returncode}: {done.stderr[-500:]}"
        assert (folder / "number").is_file(), died
        first = int((folder / "number").read_text())
        kept = folder / f"{name}-{first}{suffix}"
        shutil.copy(folder / f"input{suffix}", kept)
        faults.append(f"{died} | {kept}")
        first += 1
    noted = folder / "faults.jsonl"
    lines = [json.loads(line) for line in noted.read_text().splitlines()] if noted.is_file() else []
    return faults + [f"{one['fault']} | {one['words']} | {one['file']}" for one in lines]


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(tmp_path, name):
    faults = hunt(name, tmp_path, SECONDS)
    assert not faults, "\n".join(faults)
    assert int((tmp_path / "number").read_text()) >= SECONDS, "too few files were tried to say anything"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hang", "more than 2 s"),
        ("crash", f"exit code {-signal.SIGABRT}"),
        ("memory", "MemoryError in"),
        ("bug", "KeyError in"),
    ],
)
def test_the_fuzzer_notices(tmp_path, name, words):
    faults = hunt(name, tmp_path, 5)
    assert faults
    assert words in faults[0]
    path = Path(faults[0].rpartition(" | ")[2])
    assert path.read_bytes() != b"good", "the file that shows it is kept"
