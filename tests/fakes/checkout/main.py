"""main.py of a checkout that knows the fake jobs too: what tests start as a child process."""

import sys
from pathlib import Path

FAKES = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(FAKES.parents[1]), str(FAKES)]

if __name__ == "__main__":
    import fake_jobs

    from core.cli import main

    fake_jobs.register()
    sys.exit(main(sys.argv[1:]))
