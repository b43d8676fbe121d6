"""Shared by all tests: no test touches the user's settings or runs, and tests without a display say so."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

FULL_AFTER = 30  # collections of the younger objects between two of all
ROOT = Path(__file__).resolve().parents[1]

# Must be set before any test module imports Qt or numpy.
if sys.platform == "linux" and not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked gl are skipped where no display can give them OpenGL."""
    if os.environ.get("QT_QPA_PLATFORM") not in ("offscreen", "minimal"):
        return
    skip = pytest.mark.skip(reason="needs a display with OpenGL: run `make gl` (xvfb-run)")
    for item in items:
        if "gl" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def _garbage_in_this_thread() -> Iterator[None]:
    """As in the window: widgets that are garbage must not be destroyed in a worker's thread (workers/collector.py)."""
    gc.disable()
    yield
    if "PySide6.QtWidgets" in sys.modules:
        gc.collect(1)
    if gc.get_count()[2] > FULL_AFTER:
        gc.collect()


@pytest.fixture(autouse=True)
def _private_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs and settings of this test, and of its child processes, live in a folder of its own."""
    home = tmp_path_factory.mktemp("home")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    for name in ("APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("VITREOUS_RUNS", str(home / "runs"))
    monkeypatch.setenv("VITREOUS_CONFIG_DIR", str(home / "config"))
    monkeypatch.delenv("VITREOUS_LAUNCHED", raising=False)


@pytest.fixture
def fake_jobs(monkeypatch: pytest.MonkeyPatch):
    """The module of fake jobs, registered in this process and in the processes that launch.start makes."""
    import fake_jobs as module

    from core.jobs import launch, table

    for name, entry in module.ENTRIES.items():
        monkeypatch.setitem(table.JOBS, name, entry)
    monkeypatch.setattr(launch, "ROOT", ROOT / "tests" / "fakes" / "checkout")
    return module
