"""JobWorker follows real child processes: finish, failure, stop, death, and a run somebody else started."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from core.jobs import launch, rundir
from core.jobs.table import job_params
from workers.job_worker import JobWorker

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))
WAIT = 30_000


@pytest.fixture
def make(qapp, fake_jobs):
    """make(**params) -> JobWorker that starts a fake job; threads and processes are ended afterwards."""
    workers: list[JobWorker] = []

    def make(**params) -> JobWorker:
        parsed = job_params("fake").parse(params)
        run_dir = rundir.create("fake", parsed)
        worker = JobWorker(run_dir, "fake", parsed.to_toml_dict(), start=True)
        workers.append(worker)
        return worker

    yield make
    for worker in workers:
        worker.leave()
        launch.kill(worker.run_dir)


def test_events_become_signals(qtbot, make) -> None:
    worker = make(action="report")
    metrics, previews, progress = [], [], []
    worker.metrics.connect(metrics.extend)
    worker.preview.connect(lambda *a: previews.append(a))
    worker.progress.connect(lambda *a: progress.append(a))
    with qtbot.waitSignal(worker.done, timeout=WAIT) as caught:
        worker.start()
    assert caught.args[0]["summary"] == "Reported."
    assert metrics == [("loss", 0.5, 1.0)]
    name, array, info = previews[-1]
    assert name == "crop"
    assert array.shape == (2, 3)
    assert info["x"] == 1
    assert progress[-1][:2] == (0.75, 1.0)
    assert worker.state == "done"
    assert worker.fraction == 1.0


def test_failure_brings_message_hint_and_fields(qtbot, make) -> None:
    worker = make(action="fail", failure="param")
    with qtbot.waitSignal(worker.failed, timeout=WAIT) as caught:
        worker.start()
    assert caught.args == ["--number: is odd.", "", ["number"]]
    assert worker.trace == ""


def test_a_bug_brings_its_trace(qtbot, make) -> None:
    worker = make(action="fail", failure="bug")
    with qtbot.waitSignal(worker.failed, timeout=WAIT):
        worker.start()
    assert "ZeroDivisionError" in worker.trace


def test_stop(qtbot, make) -> None:
    worker = make(action="count", seconds=60)
    with qtbot.waitSignal(worker.progress, timeout=WAIT):
        worker.start()
    with qtbot.waitSignal(worker.stopped, timeout=3000):
        worker.request_stop()
    assert not worker.active


def test_second_stop_ends_a_job_that_does_not_answer(qtbot, make) -> None:
    worker = make(action="spin", seconds=60)
    with qtbot.waitSignal(worker.progress, timeout=WAIT):
        worker.start()
    worker.request_stop()
    with qtbot.waitSignal(worker.stopped, timeout=5000):
        worker.request_stop()


def test_killed_process_is_lost_and_its_log_is_told(qtbot, make) -> None:
    worker = make(action="count", seconds=60)
    with qtbot.waitSignal(worker.progress, timeout=WAIT):
        worker.start()
    mark = rundir.read_mark(worker.run_dir)
    with (worker.run_dir / "log.txt").open("a") as log:
        log.write("last words\n")
    with qtbot.waitSignal(worker.lost, timeout=5000) as caught:
        psutil.Process(mark["pid"]).kill()
    assert "last words" in caught.args[0]
    assert worker.state == "lost"


def test_leaving_lets_the_run_live_and_another_worker_finds_it(qtbot, make) -> None:
    first = make(action="count", seconds=4, number=7)
    with qtbot.waitSignal(first.progress, timeout=WAIT):
        first.start()
    first.leave()
    assert rundir.inspect(first.run_dir).alive
    second = JobWorker(first.run_dir, "fake")
    with qtbot.waitSignals([second.progress, second.done], timeout=WAIT):
        second.start()
    assert second.result["number"] == 7
    second.leave()


def test_a_finished_run_replays_from_its_files_alone(qtbot, tmp_path: Path) -> None:
    run_dir = tmp_path / "moved" / "train-0001"
    (run_dir / "previews").mkdir(parents=True)
    np.save(run_dir / "previews" / "validation.npy", np.ones((3, 4, 4), np.float32))
    (run_dir / "job.toml").write_text('version = 1\njob = "train"\n[params]\n')
    lines = ['{"kind": "started", "t": 1, "pid": 1, "born": 0, "host": "elsewhere"}']
    lines += [f'{{"kind": "metric", "t": 2, "name": "loss", "value": {i}, "step": {i}}}' for i in range(5000)]
    lines += ['{"kind": "preview", "t": 3, "name": "validation", "path": "/gone/validation.npy", "step": 7}']
    lines += ['{"kind": "finished", "t": 9, "message": "Done.", "result": {"steps": 5000}}']
    (run_dir / "events.jsonl").write_text("\n".join(lines) + "\n")
    worker = JobWorker(run_dir, "train")
    points, previews = [], []
    worker.metrics.connect(points.extend)
    worker.preview.connect(lambda *a: previews.append(a))
    with qtbot.waitSignal(worker.done, timeout=5000):
        worker.start()
    assert len(points) == 5000
    assert previews[0][1].shape == (3, 4, 4)
    assert (worker.began, worker.ended) == (1.0, 9.0)
    worker.leave()


def test_a_stopped_run_goes_on_in_the_same_folder(qtbot, make) -> None:
    worker = make(action="count", seconds=60)
    with qtbot.waitSignal(worker.progress, timeout=WAIT):
        worker.start()
    with qtbot.waitSignal(worker.stopped, timeout=3000):
        worker.request_stop()
    again = JobWorker(worker.run_dir, "fake", start=True)
    with qtbot.waitSignal(again.progress, timeout=WAIT, check_params_cb=lambda *a: again.state == "running"):
        again.start()
    with qtbot.waitSignal(again.stopped, timeout=3000):
        again.request_stop()
    again.leave()
