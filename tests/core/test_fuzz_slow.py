"""Thousands of damaged files of every format: each is read or refused, quickly, in little memory, without a crash.

Seconds per format: VITREOUS_FUZZ_S (60). A fault is told with the file that shows it; `mutations.py`, `fuzz_formats.py`
and `fuzz_child.py` beside the fakes do the work.
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
from fuzz_formats import FORMATS

CHILD = Path(__file__).resolve().parents[1] / "fakes" / "fuzz_child.py"
SECONDS = float(os.environ.get("VITREOUS_FUZZ_S", "60"))
FEWEST = 100  # cases, even on a slow machine
MOST_DEATHS = 5

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of a process as Linux has them")


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused(tmp_path, name):
    faults: list[dict[str, str]] = []
    first, end = 0, time.monotonic() + SECONDS
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    while (left := end - time.monotonic()) > 0 and len(faults) < MOST_DEATHS:
        arguments = [sys.executable, str(CHILD), name, str(tmp_path), str(first), f"{left:.1f}"]
        died = ""
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=4 * SECONDS + 120, env=environment)
            code = done.returncode
            if code == 0:
                break
            died = (
                "hang: more than 2 s of CPU" if code == -signal.SIGPROF else f"exit code {code}: {done.stderr[-500:]}"
            )
        except subprocess.TimeoutExpired:
            died = "hang: it waited for ever"
        assert (tmp_path / "number").is_file(), died
        first = int((tmp_path / "number").read_text())
        kept = tmp_path / f"{name}-{first}{FORMATS[name].suffix}"
        shutil.copy(tmp_path / f"input{FORMATS[name].suffix}", kept)
        faults.append({"fault": died, "words": "", "file": str(kept)})
        first += 1
    lines = (tmp_path / "faults.jsonl").read_text().splitlines() if (tmp_path / "faults.jsonl").is_file() else []
    faults += {json.loads(line)["fault"]: json.loads(line) for line in lines}.values()
    told = "\n".join(f"{f['fault']} | {f['words']} | {f['file']}" for f in faults)
    assert not faults, f"{name}: {told}"
    assert int((tmp_path / "number").read_text()) >= min(FEWEST, SECONDS)
