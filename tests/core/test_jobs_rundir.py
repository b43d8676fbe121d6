"""The run folder as a protocol: numbering, half-written lines, and the state that is derived from it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.errors import InputError, LaunchError, ResourceError
from core.jobs import launch, rundir


@pytest.fixture
def run_dir(fake_jobs: Any, tmp_path: Path) -> Path:
    return rundir.create("fake", fake_jobs.FakeParams(), tmp_path / "runs")


def write_events(run_dir: Path, *events: dict[str, Any]) -> None:
    with (run_dir / "events.jsonl").open("a") as handle:
        handle.writelines(json.dumps({"t": time.time(), **event}) + "\n" for event in events)


def write_mark(run_dir: Path, **values: Any) -> None:
    mark = rundir.process_mark(os.getpid()) | {"t": time.time()} | values
    (run_dir / "launch.json").write_text(json.dumps(mark))


def dead_mark() -> dict[str, Any]:
    """Mark of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = rundir.process_mark(process.pid)
    process.kill()
    process.wait()
    return mark


def test_folders_are_numbered_per_job(fake_jobs: Any, tmp_path: Path) -> None:
    params = fake_jobs.FakeParams()
    (tmp_path / "fake-0041").mkdir()
    for name in ("fake-abc1234", "fake-", "fake-7", "fake-notes-0099", "needy-0100"):
        (tmp_path / name).mkdir()
    assert rundir.create("fake", params, tmp_path).name == "fake-0042"
    assert rundir.create("needy", params, tmp_path).name == "needy-0101"
    (tmp_path / "fake-9999").mkdir()
    assert rundir.create("fake", params, tmp_path).name == "fake-10000"
    assert rundir.create("fake", params, tmp_path).name == "fake-10001"


def test_many_at_once_get_different_folders(fake_jobs: Any, tmp_path: Path) -> None:
    params = fake_jobs.FakeParams()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: rundir.create("fake", params, tmp_path), range(40)))
    assert sorted(p.name for p in made) == [f"fake-{n:04d}" for n in range(1, 41)]
    assert all(rundir.read_job(p)[0] == "fake" for p in made)


def test_a_place_that_cannot_be_written_is_a_resource_error(fake_jobs: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="No run folder can be made"):
        rundir.create("fake", fake_jobs.FakeParams(), tmp_path / "file" / "runs")


def test_the_reader_takes_up_where_it_left_off_and_waits_for_the_end_of_a_line(tmp_path: Path) -> None:
    path, reader = tmp_path / "events.jsonl", rundir.EventReader(tmp_path)
    assert reader.read_new() == []
    path.write_text('{"kind": "a"}\n{"kind": "b", "te')
    assert [e["kind"] for e in reader.read_new()] == ["a"]
    assert reader.read_new() == []
    with path.open("a") as handle:
        handle.write('xt": "é"}\nnot json\n[1]\n{"no": "kind"}\n{"kind": "c"}\n')
    assert reader.read_new() == [{"kind": "b", "text": "é"}, {"kind": "c"}]


def test_state_before_anything_happened_is_queued(run_dir: Path) -> None:
    info = rundir.inspect(run_dir)
    assert (info.state, info.alive, info.job) == ("queued", False, "fake")
    assert info.params["number"] == 3


def test_launched_but_not_begun_is_queued_while_the_process_lives_then_lost(run_dir: Path) -> None:
    write_mark(run_dir)
    assert (rundir.inspect(run_dir).state, rundir.inspect(run_dir).alive) == ("queued", True)
    write_mark(run_dir, **dead_mark())
    assert (rundir.inspect(run_dir).state, rundir.inspect(run_dir).alive) == ("lost", False)


def test_running_with_a_process_lost_without(run_dir: Path) -> None:
    write_events(run_dir, {"kind": "started", **rundir.process_mark(os.getpid())})
    write_events(run_dir, {"kind": "progress", "done": 3, "total": 9, "message": "third"})
    info = rundir.inspect(run_dir)
    assert (info.state, info.done, info.total, info.message, info.alive) == ("running", 3, 9, "third", True)
    write_events(run_dir, {"kind": "started", **dead_mark()})
    assert rundir.inspect(run_dir).state == "lost"


@pytest.mark.parametrize(("kind", "state"), rundir.TERMINAL.items())
def test_a_final_event_decides_whatever_the_process_does(run_dir: Path, kind: str, state: str) -> None:
    write_events(run_dir, {"kind": "started", **dead_mark()}, {"kind": kind, "message": "end", "result": {"a": 1}})
    info = rundir.inspect(run_dir)
    assert (info.state, info.message, info.result, info.alive) == (state, "end", {"a": 1}, False)


def test_a_new_launch_of_an_ended_run_is_queued_not_ended(run_dir: Path) -> None:
    write_events(run_dir, {"kind": "started", **dead_mark()}, {"kind": "stopped", "message": "Stopped."})
    write_mark(run_dir, t=time.time() + 1)
    assert rundir.inspect(run_dir).state == "queued"
    write_mark(run_dir, **dead_mark(), t=time.time() + 1)
    assert rundir.inspect(run_dir).state == "lost"


def test_a_second_start_forgets_what_the_first_said(run_dir: Path) -> None:
    me = rundir.process_mark(os.getpid())
    write_events(run_dir, {"kind": "started", **dead_mark()}, {"kind": "failed", "message": "bad", "result": {}})
    write_events(run_dir, {"kind": "started", **me})
    info = rundir.inspect(run_dir)
    assert (info.state, info.message) == ("running", "")


def test_a_recycled_process_number_is_not_our_process(run_dir: Path) -> None:
    mark = rundir.process_mark(os.getpid())
    assert rundir.is_alive(mark)
    assert not rundir.is_alive(mark | {"born": mark["born"] - 100})
    write_events(run_dir, {"kind": "started", **mark, "born": mark["born"] - 100})
    assert rundir.inspect(run_dir).state == "lost"


def test_a_process_of_another_machine_is_believed_and_never_killed(run_dir: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        mark = rundir.process_mark(stranger.pid) | {"host": socket.gethostname() + "-other"}
        write_mark(run_dir, **mark)
        write_events(run_dir, {"kind": "started", **mark})
        assert rundir.inspect(run_dir).state == "running"
        launch.kill(run_dir)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_silent_run_of_another_machine_may_be_continued(run_dir: Path) -> None:
    mark = rundir.process_mark(1) | {"host": "elsewhere"}
    write_events(run_dir, {"kind": "started", **mark})
    with pytest.raises(LaunchError, match="is already running on elsewhere"):
        rundir.refuse_alive(run_dir)
    long_ago = time.time() - 2 * rundir.SILENCE_S
    os.utime(run_dir / "events.jsonl", (long_ago, long_ago))
    assert rundir.inspect(run_dir).state == "lost"
    rundir.refuse_alive(run_dir)


def test_one_spoilt_folder_does_not_hide_the_others(fake_jobs: Any, tmp_path: Path) -> None:
    good, odd, folder = (rundir.create("fake", fake_jobs.FakeParams(), tmp_path) for _ in range(3))
    write_events(odd, {"kind": "started"}, {"kind": "progress", "done": "x", "total": None, "t": "noon"})
    write_events(odd, {"kind": ["odd"]}, {"kind": "finished", "result": 7, "t": [1]})
    write_mark(odd, t="soon")
    (folder / "job.toml").unlink()
    (folder / "job.toml").mkdir()
    assert {i.path for i in rundir.list_runs(tmp_path)} == {good, odd}
    assert rundir.inspect(odd).state == "done"
    with pytest.raises(InputError, match="cannot be read"):
        rundir.read_job(folder)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"pid": "no number"}'])
def test_a_spoilt_launch_mark_is_no_mark(run_dir: Path, text: str) -> None:
    (run_dir / "launch.json").write_text(text)
    assert rundir.inspect(run_dir).state in ("queued", "lost")


def test_the_list_holds_the_newest_first_and_leaves_out_what_it_cannot_read(fake_jobs: Any, tmp_path: Path) -> None:
    made = [rundir.create("fake", fake_jobs.FakeParams(), tmp_path) for _ in range(3)]
    for age, path in enumerate(made):
        os.utime(path / "job.toml", (1000 + age, 1000 + age))
    (tmp_path / "spoilt-0001").mkdir()
    (tmp_path / "spoilt-0001" / "job.toml").write_text("job = ")
    assert [i.path for i in rundir.list_runs(tmp_path)] == made[::-1]
    assert rundir.list_runs(tmp_path / "nowhere") == []


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"job\.toml does not exist"):
        rundir.read_job(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        rundir.read_job(tmp_path / "nothing")


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = rundir.process_mark(child.pid)
    assert rundir.is_alive(mark)
    child.kill()
    deadline = time.monotonic() + 5
    while rundir.is_alive(mark) and time.monotonic() < deadline:
        time.sleep(0.01)  # the system needs a moment; nobody has waited for the child yet
    assert not rundir.is_alive(mark)
    assert sys.platform == "win32" or psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    child.wait()
