"""Vitreous: one door.

No arguments open the window; `<job> --flags` and `run DIR` work without it; `demo` and `doctor` are for new
machines. What is missing on a new machine is told here in a sentence, because nothing else can be imported yet.
"""

from __future__ import annotations

import gc
import sys
from contextlib import nullcontext

SET_UP = "Run `make setup` and use .venv/bin/python, or use the conda environment of environment.yaml."


def main(argv: list[str]) -> int:
    """Choose between the window and the command line."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever runs an older Python is told so
        return _missing(f"this is Python {sys.version.split()[0]}; 3.11 or newer is needed.", SET_UP)
    try:
        return _open(argv)
    except ModuleNotFoundError as err:
        if (err.name or "").split(".")[0] in ("", "app", "core", "workers"):
            raise
        return _missing(f"the Python package '{err.name}' is missing.", SET_UP)
    except ImportError as err:
        if "cannot open shared object file" not in str(err):
            raise
        return _missing(f"{err}.", "Run `python main.py doctor`: it prints the command that installs it.")


def _open(argv: list[str]) -> int:
    if not argv or argv[0] == "window" or argv[0].startswith(("--window", "--renderer")):
        gc.disable()  # a start makes many objects and no garbage; app.startup turns it on again
        from app.startup import main as window_main

        return window_main(argv[1:] if argv and not argv[0].startswith("--renderer") else argv)
    from core.jobs.stopping import caught

    with nullcontext() if argv[0].startswith("-") or argv[0] in ("doctor", "runs", "stop") else caught():
        from core.cli import main as cli_main

        code = cli_main(argv)
    if argv[0] == "demo" and code == 0 and "--no-window" not in argv:
        from app.startup import open_after_demo

        return open_after_demo()
    return code


def _missing(what: str, hint: str) -> int:
    print(f"error: {what} {hint}", file=sys.stderr)
    return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
