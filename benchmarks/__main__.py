"""Run all benchmarks, or those that are named, and print one JSON object: `python -m benchmarks [NAME ...]`.

Each runs in a process of its own, so that one's memory and caches do not colour the next.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import pkgutil
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
CODE = "import importlib, json, sys; print(json.dumps(importlib.import_module(sys.argv[1]).measure()))"


def names() -> list[str]:
    """Modules of this folder that measure something."""
    found = sorted(m.name for m in pkgutil.iter_modules([str(FOLDER)]) if not m.ispkg)
    return [n for n in found if "def measure(" in (FOLDER / f"{n}.py").read_text(encoding="utf-8")]


def run_one(name: str) -> dict[str, Any]:
    """The figures of one benchmark, or why there are none."""
    command = [sys.executable, "-c", CODE, f"benchmarks.{name}"]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, check=False)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        return {"error": (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    versions = {n: importlib.metadata.version(n) for n in ("numpy", "torch", "PySide6-Essentials")}
    return (
        {"python": platform.python_version(), "system": platform.platform(terse=True)}
        | versions
        | {
            "cores": os.cpu_count(),
            "load": [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        }
    )


def main(argv: list[str]) -> int:
    """Run and print; 1 when a benchmark failed or is not there."""
    unknown = set(argv) - set(names())
    if unknown:
        print(
            f"There is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}.",
            file=sys.stderr,
        )
        return 2
    figures: dict[str, Any] = {"machine": machine()}
    for name in argv or names():
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures[name] = run_one(name)
    print(json.dumps(figures, indent=2))
    return 1 if any("error" in value for value in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
