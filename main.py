"""Vitreous: one door.

No arguments open the window; `<job> --flags` and `run DIR` work without it; `demo` and `doctor` are for new machines.
"""

from __future__ import annotations

import sys


def main(argv: list[str]) -> int:
    """Choose between the window and the command line."""
    if not argv or argv[0] == "window" or argv[0].startswith("--window"):
        from app.window import main as window_main

        return window_main(argv[1:])
    from core.cli import main as cli_main

    code = cli_main(argv)
    if argv[0] == "demo" and code == 0 and "--no-window" not in argv:
        from app.window import open_after_demo

        return open_after_demo()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
