"""What the tests of the window share: a themed application, a session, small micrographs, a window."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

NX, NY = 320, 240


@pytest.fixture
def session(qapp):
    """A fresh session with the settings of nobody."""
    from app import theme
    from app.session import Session

    theme.apply(qapp, "dark")
    session = Session()
    yield session
    session.close()


@pytest.fixture
def micrographs(tmp_path: Path) -> Path:
    """A folder of three 320 x 240 micrographs and a STAR file with two particles on each."""
    from core.io.mrc import write_mrc

    folder = tmp_path / "micrographs"
    folder.mkdir()
    rng = np.random.default_rng(1)
    rows = []
    for name in ("a", "b", "c"):
        write_mrc(folder / f"{name}.mrc", rng.normal(10, 2, (NY, NX)).astype(np.float32), pixel_size_a=2.0)
        rows += [f"{name}.mrc 60.0 60.0", f"{name}.mrc 250.0 180.0"]
    head = "data_particles\n\nloop_\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\n"
    (folder / "particles.star").write_text(head + "\n".join(rows) + "\n")
    return folder


@pytest.fixture
def window(qtbot, session) -> Iterator:
    """The window, shown, with its threads ended afterwards."""
    from app.window import MainWindow

    window = MainWindow(session)
    window.resize(1200, 800)
    window.show()
    qtbot.waitExposed(window)
    yield window
    for worker in session.active():
        worker.request_stop()
        worker.wait(5000)
    window.close()
    window.deleteLater()


@pytest.fixture
def fake_tab(fake_jobs):
    """The class of a job tab around the fake job of the tests."""
    from PySide6.QtWidgets import QLabel, QWidget

    from app.tabs.job_tab import JobTab

    class FakeTab(JobTab):
        """The common room around the fake job of the tests."""

        job = "fake"
        title = "Fake"
        next_text = "Use it →"

        def build_view(self) -> QWidget:
            self.points: list = []
            self.went = 0
            return QLabel("view")

        def on_metrics(self, points) -> None:
            self.points += points

        def go_next(self) -> None:
            self.went += 1

    return FakeTab
