"""Reads mutated files of one format until its time is over: `python fuzz_child.py FORMAT FOLDER FIRST SECONDS`.

A process of its own, because its readers may hang, crash or fill the memory: more than 2 s of CPU for one file end it,
and memory beyond 300 MB above the beginning is not given. The input being read lies in FOLDER; each new fault is a line
of FOLDER/faults.jsonl and a file beside it. tests/core/test_fuzz.py starts it and judges.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "fakes")]

from fuzz_formats import FORMATS, TRAPS, Format  # noqa: E402
from mutations import mutate  # noqa: E402

from core.errors import AppError  # noqa: E402

CPU_S = 2.0  # for one file
MEMORY = 300 << 20


def fault_of(error: BaseException) -> str:
    """What is wrong with an exception: "" for an honest refusal, else its type and where in the program it arose."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    memory = next((e for e in chain if isinstance(e, MemoryError) or "allocate memory" in str(e)), None)
    if isinstance(error, AppError) and memory is None:
        return ""
    frames = [
        f for f in traceback.extract_tb((memory or error).__traceback__) if f"{ROOT}{os.sep}core{os.sep}" in f.filename
    ]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "nowhere"
    return f"{type(error).__name__ if memory is None else 'MemoryError'} in {where}"


def read(form: Format, path: Path) -> list[tuple[str, str]]:
    """Faults of all readers on one file, with their words."""
    found = []
    for reader in form.readers:
        try:
            reader(path)
        except Exception as error:
            fault = fault_of(error)
            if fault and fault not in form.known:
                found.append((fault, f"{type(error).__name__}: {str(error)[:200]}"))
    return found


def case(form: Format, name: str, number: int, seeds: list[bytes]) -> bytes:
    """The file of this number: always the same one."""
    rng = random.Random(f"{name}-{number}")
    seed = rng.choice(seeds)
    if form.inside is not None and rng.random() < 0.6:
        return form.inside(seed, lambda data: mutate(data, rng), rng)
    return mutate(seed, rng)


def main(name: str, folder: Path, first: int, seconds: float) -> None:
    """Read case after case, beginning with number `first`."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    form = (FORMATS | TRAPS)[name]
    seeds = form.seeds(folder)
    path = folder / f"input{form.suffix}"
    for suffix, content in form.beside(folder).items():
        (folder / f"input{suffix}").write_bytes(content)
    for seed in seeds:  # the imports and buffers that honest files need are not counted
        path.write_bytes(seed)
        for reader in form.readers:
            reader(path)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    seen: set[str] = set()
    end = time.monotonic() + seconds
    number = first
    while time.monotonic() < end:
        path.write_bytes(case(form, name, number, seeds))
        (folder / "number").write_text(str(number))
        signal.setitimer(signal.ITIMER_PROF, CPU_S)
        for fault, words in read(form, path):
            if fault not in seen:
                seen.add(fault)
                kept = folder / f"{name}-{number}{form.suffix}"
                kept.write_bytes(path.read_bytes())
                with (folder / "faults.jsonl").open("a") as lines:
                    lines.write(json.dumps({"fault": fault, "words": words, "file": str(kept)}) + "\n")
        number += 1
    signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
