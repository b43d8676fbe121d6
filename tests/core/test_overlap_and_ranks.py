"""Reading, computing and writing side by side; several processes of one torchrun launch in one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from core.compute.devices import choose_device
from core.compute.overlap import overlapped
from core.compute.ranks import Rank, this_rank
from core.errors import InputError, JobStopped, ParamError, ResourceError
from core.io.mrc import open_mrc, write_mrc
from core.jobs import rundir
from core.jobs.lock import exclusive
from core.jobs.predict_steps import existing
from core.jobs.team import together

MAIN = Path(__file__).resolve().parents[2] / "main.py"
TORCHRUN = {
    "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "x", "MASTER_PORT": "1",
}  # fmt: skip


# ---- overlapping ---------------------------------------------------------------------------------------


class Work:
    """Counts what is in memory: read, and not yet written."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.held, self.most, self.written = pause, 0, 0, []
        self._lock = threading.Lock()

    def _hold(self, change: int) -> None:
        with self._lock:
            self.held += change
            self.most = max(self.most, self.held)

    def read(self, item: int) -> int:
        self._hold(1)
        time.sleep(self.pause)
        return 10 * item

    def compute(self, item: int, value: int) -> int:
        time.sleep(self.pause)
        return value + item

    def write(self, item: int, value: int) -> int:
        time.sleep(self.pause)
        self.written.append((item, value))
        self._hold(-1)
        return value


def test_outcomes_come_in_order_and_three_items_are_held_at_most():
    work = Work(0.01)
    found = [(o.item, o.value, o.error) for o in overlapped(range(12), work.read, work.compute, work.write)]
    assert found == [(i, 11 * i, None) for i in range(12)]
    assert work.written == [(i, 11 * i) for i in range(12)]
    assert work.most <= 3


def test_the_three_steps_really_run_at_once():
    work = Work(0.05)
    began = time.monotonic()
    assert len(list(overlapped(range(10), work.read, work.compute, work.write))) == 10
    assert time.monotonic() - began < 0.75 * 10 * 0.15  # one after the other: 1.5 s


@pytest.mark.parametrize("step", ["read", "compute", "write"])
def test_an_exception_belongs_to_its_item_and_spares_the_others(step):
    work = Work()
    steps = {"read": work.read, "compute": work.compute, "write": work.write}
    plain = steps[step]

    def breaks(item: int, *more: int) -> int:
        if item in (0, 3, 7):
            raise InputError(f"item {item} is bad")
        return plain(item, *more)

    steps[step] = breaks
    found = list(overlapped(range(8), steps["read"], steps["compute"], steps["write"]))
    assert [o.item for o in found] == list(range(8))
    assert [str(o.error) for o in found if o.error] == ["item 0 is bad", "item 3 is bad", "item 7 is bad"]
    assert [i for i, _ in work.written] == [1, 2, 4, 5, 6]


def test_a_stop_does_not_wait_for_a_slow_disk():
    began = time.monotonic()
    release = threading.Event()

    def tick() -> None:
        if time.monotonic() - began > 0.2:
            raise JobStopped

    def slow(item: int) -> int:
        release.wait(10)
        return item

    with pytest.raises(JobStopped):
        list(overlapped(range(3), slow, lambda i, v: v, lambda i, v: v, tick))
    assert time.monotonic() - began < 1
    release.set()


def test_what_is_being_written_when_it_ends_is_completed():
    work = Work(0.1)

    def compute(item: int, value: int) -> int:
        if item == 2:
            raise KeyboardInterrupt
        return value

    with pytest.raises(KeyboardInterrupt):
        list(overlapped(range(5), work.read, compute, work.write))
    assert [i for i, _ in work.written] == [0, 1]


def test_nothing_to_do():
    assert list(overlapped([], int, lambda i, v: v, lambda i, v: v)) == []


# ---- ranks ---------------------------------------------------------------------------------------------


def test_a_rank_is_read_from_the_environment():
    assert this_rank({}) == Rank()
    assert this_rank({"RANK": "0", "WORLD_SIZE": "1"}).alone
    rank = this_rank(TORCHRUN)
    assert (rank.number, rank.size, rank.local) == (1, 2, 1)
    assert rank.launch == this_rank({**TORCHRUN, "RANK": "0"}).launch
    assert rank.launch != this_rank({**TORCHRUN, "TORCHELASTIC_RUN_ID": "y"}).launch
    with pytest.raises(ParamError):
        this_rank({**TORCHRUN, "RANK": "2"})
    shares = [Rank(i, 3).share(range(10)) for i in range(3)]
    assert sorted(item for share in shares for item in share) == list(range(10))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_each_rank_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert choose_device("auto") == torch.device("cuda:0")
    for key, value in {**TORCHRUN, "RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(key, value)
    assert choose_device("auto") == torch.device("cuda:3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")


def nothing() -> None:
    """A tick that stops nobody."""


def test_a_launch_shares_a_folder_and_excludes_other_jobs(tmp_path):
    one, two = (Rank(i, 2, i, "launch") for i in range(2))
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with together(tmp_path, one, nothing) as first:
            first.ready()
            with together(tmp_path, two, nothing) as second:
                second.wait_until_ready()
                mark = json.loads(first.path(0).read_text())
                first.path(0).write_text(json.dumps(mark | rundir.process_mark(other.pid)))
                with pytest.raises(ParamError, match="Another job"), exclusive(tmp_path):
                    pass
                with pytest.raises(ParamError, match="Another job"), together(tmp_path, Rank(0, 2, 0, "b"), nothing):
                    pass
                assert second.settle({"x": 2}) == [{"x": 2}]
            assert first.settle({"x": 1}) == [{"x": 1}, {"x": 2}]
        assert not list(tmp_path.glob(".vitreous-lock*"))
        with exclusive(tmp_path):  # and a single job excludes a launch
            (tmp_path / ".vitreous-lock").write_text(json.dumps(rundir.process_mark(other.pid)))
            with pytest.raises(ParamError, match="Another job"), together(tmp_path, one, nothing):
                pass
    finally:
        other.kill()
        other.wait()


def test_a_process_that_is_gone_is_not_waited_for(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mark = {"launch": "launch", "pid": gone.pid, "born": 1.0, "host": rundir.process_mark(os.getpid())["host"]}
    with together(tmp_path, Rank(0, 2, 0, "launch"), nothing) as team:
        team.path(1).write_text(json.dumps(mark))
        with pytest.raises(ResourceError, match="Process 1"):
            team.settle({})
    (tmp_path / ".vitreous-lock-3").write_text(json.dumps(mark))
    with exclusive(tmp_path):  # what it has left gives way
        assert not (tmp_path / ".vitreous-lock-3").exists()


def test_waiting_for_others_can_be_stopped(tmp_path):
    def stop() -> None:
        raise JobStopped

    with pytest.raises(JobStopped), together(tmp_path, Rank(1, 2, 1, "launch"), stop) as team:
        team.wait_until_ready()
    assert not list(tmp_path.glob(".vitreous-lock*"))


def test_only_jobs_that_share_their_work_run_under_torchrun(tmp_path):
    done = subprocess.run(
        [sys.executable, str(MAIN), "demo", "--no-window", "--output", str(tmp_path / "d")],
        env={**os.environ, **TORCHRUN}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "does not share its work" in done.stderr


def torchrun(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(MAIN)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=180, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun is at home on Linux")
def test_two_processes_share_the_micrographs_and_one_tells_of_a_bad_file(data, run_job, tmp_path):
    image = np.asarray(open_mrc(data.files[0]))
    for i in range(2, 7):
        write_mrc(data.folder / f"mic_{i}.mrc", image + i, 2.5)
    whole = run_job("predict", micrographs=[data.folder], model="gaussian:30", output=tmp_path / "whole")
    assert whole["exit_code"] == 0, whole
    (data.folder / "mic_5.mrc").write_bytes(b"not an image")  # one of rank 1's
    flags = ["--model", "gaussian:30", "--output", str(tmp_path / "out"), "--runs", str(tmp_path / "two")]
    done = torchrun("predict", "--micrographs", str(data.folder), *flags)
    assert done.returncode != 0
    assert "1 of 7 micrographs could not be denoised (mic_5.mrc)" in done.stderr
    good = [i for i in range(7) if i != 5]
    assert sorted(p.name for p in (tmp_path / "out").glob("*.mrc")) == [f"mic_{i}.mrc" for i in good]
    for i in good:
        a, b = (np.asarray(open_mrc(tmp_path / d / f"mic_{i}.mrc")) for d in ("whole", "out"))
        np.testing.assert_array_equal(a, b)
    assert not list((tmp_path / "out").glob(".vitreous-lock*"))
    runs = {p.name: rundir.inspect(p) for p in (tmp_path / "two").iterdir()}
    assert sorted(r.state for r in runs.values()) == ["done", "failed"]

    write_mrc(data.folder / "mic_5.mrc", image + 5, 2.5)
    (tmp_path / "out/mic_2.mrc").unlink()
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.mrc")}
    main_run = next(p for p, r in runs.items() if r.state == "failed")
    done = torchrun("run", str(tmp_path / "two" / main_run))
    assert "denoised with" not in done.stderr
    assert done.returncode == 0, done.stderr[-2000:]
    assert "2 micrographs denoised" in done.stdout
    assert "5 were there already" in done.stdout
    assert {n: (tmp_path / "out" / n).stat().st_mtime_ns for n in kept} == kept
    np.testing.assert_array_equal(open_mrc(tmp_path / "out/mic_5.mrc"), open_mrc(tmp_path / "whole/mic_5.mrc"))
    assert (tmp_path / "two" / main_run / "rank-1" / "result.json").is_file()
    result = json.loads((tmp_path / "two" / main_run / "result.json").read_text())
    assert len(result["files"]) == 7


# ---- thousands -----------------------------------------------------------------------------------------


def test_five_thousand_finished_micrographs_are_passed_over_within_a_second(run_job, tmp_path):
    folder, out = tmp_path / "mics", tmp_path / "out"
    folder.mkdir()
    write_mrc(folder / "mic_0000.mrc", np.random.default_rng(0).normal(10, 2, (64, 64)).astype(np.float32), 2.0)
    for i in range(1, 5000):
        (folder / f"mic_{i:04d}.mrc").hardlink_to(folder / "mic_0000.mrc")
    first = run_job("predict", micrographs=[folder / "mic_0000.mrc"], model="gaussian:30", output=out)
    assert first["exit_code"] == 0
    for i in range(1, 5000):
        (out / f"mic_{i:04d}.mrc").hardlink_to(out / "mic_0000.mrc")
    settings = json.loads((out / "denoised.json").read_text())
    stat = (folder / "mic_0000.mrc").stat()
    settings["sources"] = {
        f"mic_{i:04d}.mrc": [str(folder / f"mic_{i:04d}.mrc"), stat.st_size, stat.st_mtime_ns] for i in range(5000)
    }
    (out / "denoised.json").write_text(json.dumps(settings))
    began = time.process_time()
    done = run_job("predict", micrographs=[folder], model="gaussian:30", output=out)
    seconds = time.process_time() - began
    assert done["exit_code"] == 0, done
    assert done["result"]["skipped"] == 5000
    assert seconds < 1
    assert len(run_job.events) < 20


def test_existing_lists_each_folder_once(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/x.mrc").touch()
    wanted = [tmp_path / "a/x.mrc", tmp_path / "a/y.mrc", tmp_path / "no/z.mrc"]
    assert existing(wanted) == {wanted[0]}
