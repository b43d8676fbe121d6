"""Jobs in real processes: exit codes, stopping, killing, continuing, and life without the parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from core.errors import LaunchError, ResourceError
from core.jobs import base, launch, rundir, stopping

MAIN = Path(__file__).resolve().parents[1] / "fakes" / "checkout" / "main.py"
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX systems")


@pytest.fixture
def make_run(fake_jobs: Any, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Make run folders of the fake job; whatever still runs at the end is ended."""
    made: list[Path] = []

    def make(**values: Any) -> Path:
        made.append(rundir.create("fake", fake_jobs.FakeParams.parse(values), tmp_path / "runs"))
        return made[-1]

    yield make
    for run_dir in made:
        launch.kill(run_dir)


def events_of(run_dir: Path) -> list[dict[str, Any]]:
    return rundir.EventReader(run_dir).read_new()


def wait_for(run_dir: Path, condition: Callable[[rundir.RunInfo], bool], seconds: float = 20) -> rundir.RunInfo:
    """Poll as the window does."""
    deadline = time.monotonic() + seconds
    while not condition(info := rundir.inspect(run_dir)):
        assert time.monotonic() < deadline, f"still {info.state} after {seconds} s"
        time.sleep(0.02)
    return info


def began(info: rundir.RunInfo) -> bool:
    return info.state == "running" and (info.message != "" or info.total > 0)


def command_line(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(MAIN), *words], capture_output=True, text=True, timeout=60, check=False)


# --- exit codes of real processes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "code", "sentence"),
    [
        ("param", 2, "error: --number: is odd."),
        ("input", 3, "error: a.mrc is not an MRC file. Open it in another program."),
        ("resource", 4, "error: There is no GPU 7. Use --device cpu."),
        ("memory", 4, "error: The machine ran out of memory."),
        ("disk", 4, "error: The disk is full (out.mrc)."),
        ("denied", 4, "error: Writing or reading is not permitted (out.mrc)."),
        ("launch", 5, "error: sbatch refused."),
    ],
)
def test_each_family_of_errors_has_its_exit_code_and_one_sentence(
    failure: str, code: int, sentence: str, tmp_path: Path
) -> None:
    done = command_line("fake", "--action", "fail", "--failure", failure, "--runs", str(tmp_path))
    assert done.returncode == code
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1
    run_dir = tmp_path / "fake-0001"
    assert done.stdout.splitlines()[-1] == f"run folder: {run_dir}"
    last = events_of(run_dir)[-1]
    assert (last["kind"], last["exit_code"]) == ("failed", code)
    assert "trace" not in last
    assert rundir.inspect(run_dir).state == "failed"
    assert "Traceback" not in (run_dir / "log.txt").read_text()


def test_a_bug_shows_its_traceback_and_ends_with_one(tmp_path: Path) -> None:
    done = command_line("fake", "--action", "fail", "--failure", "bug", "--runs", str(tmp_path))
    assert done.returncode == 1
    assert "ZeroDivisionError: a bug" in done.stderr
    assert "Traceback" in done.stderr
    assert "Traceback" in (tmp_path / "fake-0001" / "log.txt").read_text()
    assert "Traceback" in events_of(tmp_path / "fake-0001")[-1]["trace"]


def test_a_good_run_ends_with_its_folder_and_a_result(tmp_path: Path) -> None:
    done = command_line("fake", "--number", "7", "--runs", str(tmp_path))
    run_dir = tmp_path / "fake-0001"
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-2:] == ["Did count.", f"run folder: {run_dir}"]
    result = json.loads((run_dir / "result.json").read_text())
    assert (result["job"], result["number"], result["params"]["number"]) == ("fake", 7, 7)
    assert result["seconds"] >= 0
    assert [e["kind"] for e in events_of(run_dir)] == ["started", "progress", "finished"]


def test_quiet_prints_only_the_folder(tmp_path: Path) -> None:
    done = command_line("fake", "--quiet", "--runs", str(tmp_path))
    assert done.stdout.splitlines() == [f"run folder: {tmp_path / 'fake-0001'}"]


@pytest.mark.parametrize(
    ("failure", "code", "words"),
    [
        ("tofile", 4, "disk is full"),
        ("safetensors", 4, "disk is full"),
        ("below", 4, "file/out cannot be made"),
        ("exists", 4, "out exists already"),
        ("missing", 3, "out.mrc does not exist"),
        ("long", 4, "xxx is too long"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(
    failure: str, code: int, words: str, make_run: Callable[..., Path]
) -> None:
    run_dir = make_run(action="fail", failure=failure)
    assert base.execute(run_dir) == code
    last = events_of(run_dir)[-1]
    assert words in last["message"]
    assert last["hint"]
    assert "trace" not in last
    assert len(last["message"]) < 250


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's always-full device")
def test_events_that_cannot_be_written_end_the_job_in_one_sentence(make_run: Callable[..., Path]) -> None:
    run_dir = make_run()
    for name in ("events.jsonl", "log.txt"):
        (run_dir / name).symlink_to("/dev/full")
    heard: list[dict[str, Any]] = []
    monkey = pytest.MonkeyPatch()
    monkey.setattr(rundir.EventReader, "read_new", lambda self: [])
    monkey.setattr(Path, "read_bytes", lambda self: b"")
    try:
        assert base.execute(run_dir, heard.append) == 4
    finally:
        monkey.undo()
        for name in ("events.jsonl", "log.txt"):  # reading them never ends
            (run_dir / name).unlink()
    assert "disk is full" in heard[-1]["message"]


# --- reporting ----------------------------------------------------------------------------------------------


def test_reports_reach_the_listener_and_the_file_alike(make_run: Callable[..., Path]) -> None:
    heard: list[dict[str, Any]] = []
    run_dir = make_run(action="report")
    assert base.execute(run_dir, heard.append) == 0
    events = events_of(run_dir)
    assert events == json.loads(json.dumps(heard))
    progress = [e for e in events if e["kind"] == "progress"]
    assert len(progress) < 50, "a thousand quick steps must not write a thousand lines"
    assert progress[-2]["done"] == progress[-2]["total"] == 1000
    assert (progress[-1]["done"], progress[-1]["total"], progress[-1]["message"]) == (
        0.75,
        1.0,
        "second half: inner",
    )
    metric = next(e for e in events if e["kind"] == "metric")
    assert (metric["name"], metric["value"], metric["step"]) == ("loss", 0.5, 1)
    preview = next(e for e in events if e["kind"] == "preview")
    assert Path(preview["path"]) == run_dir / "previews" / "crop.npy"
    assert Path(preview["path"]).exists()


def test_a_folder_that_cannot_be_written_is_a_resource_error(make_run: Callable[..., Path]) -> None:
    run_dir = make_run()
    (run_dir / "events.jsonl").mkdir()
    with pytest.raises(ResourceError, match="cannot be written"):
        base.execute(run_dir)


def test_numbers_of_numpy_stay_numbers_in_events(tmp_path: Path) -> None:
    import numpy as np

    writer = base.EventWriter(tmp_path)
    writer.write("metric", value=np.float32(0.25), count=np.int64(3), path=tmp_path)
    writer.close()
    event = events_of(tmp_path)[0]
    assert (event["value"], event["count"], event["path"]) == (0.25, 3, str(tmp_path))


# --- stopping -----------------------------------------------------------------------------------------------

WAYS = {
    "STOP": launch.request_stop,
    "SIGTERM": lambda run_dir: os.kill(rundir.read_mark(run_dir)["pid"], signal.SIGTERM),
    "SIGINT": lambda run_dir: os.kill(rundir.read_mark(run_dir)["pid"], signal.SIGINT),
}


@pytest.mark.parametrize("action", ["count", "sleep", "spin"])
@pytest.mark.parametrize("way", [pytest.param(w, marks=posix if w != "STOP" else ()) for w in WAYS])
def test_stop_acts_within_a_second_even_on_a_job_that_never_reports(
    action: str, way: str, make_run: Callable[..., Path]
) -> None:
    run_dir = make_run(action=action, seconds=60)
    process = launch.start(run_dir)
    wait_for(run_dir, began)
    asked = time.time()
    WAYS[way](run_dir)
    assert process.wait(10) == 130
    last = events_of(run_dir)[-1]
    assert last["kind"] == "stopped"
    assert last["t"] - asked < 1.0
    assert rundir.inspect(run_dir).state == "stopped"
    assert not (run_dir / "result.json").exists()


def test_a_forced_stop_leaves_no_half_file(make_run: Callable[..., Path], tmp_path: Path) -> None:
    output = tmp_path / "out" / "image.mrc"
    run_dir = make_run(action="partial", seconds=60, output=str(output))
    process = launch.start(run_dir)
    wait_for(run_dir, lambda _: any(e["kind"] == "warning" for e in events_of(run_dir)))
    assert len(list(output.parent.iterdir())) == 1
    launch.request_stop(run_dir)
    assert process.wait(10) == 130
    assert list(output.parent.iterdir()) == []


def test_a_stop_asked_while_the_process_is_still_starting_is_honoured(make_run: Callable[..., Path]) -> None:
    run_dir = make_run(action="count", seconds=60)
    process = launch.start(run_dir)
    launch.request_stop(run_dir)
    assert process.wait(20) == 130
    assert rundir.inspect(run_dir).state == "stopped"


def test_a_stopped_run_can_be_started_again_by_the_window_and_by_hand(make_run: Callable[..., Path]) -> None:
    run_dir = make_run(action="count", seconds=0.3)
    launch.request_stop(run_dir)
    (run_dir / "events.jsonl").write_text('{"kind": "started", "t": 1}\n{"kind": "stopped", "t": 2}\n')
    assert rundir.inspect(run_dir).state == "stopped"
    process = launch.start(run_dir)
    seen = {rundir.inspect(run_dir).state}
    while process.poll() is None:
        seen.add(rundir.inspect(run_dir).state)
        time.sleep(0.02)
    assert seen <= {"queued", "running", "done"}
    assert rundir.inspect(run_dir).state == "done"
    launch.request_stop(run_dir)  # a STOP that nobody answered must not end the next run
    assert command_line("run", str(run_dir)).returncode == 0


def test_the_stop_verb_asks_a_running_job(make_run: Callable[..., Path]) -> None:
    run_dir = make_run(action="count", seconds=60)
    process = launch.start(run_dir)
    wait_for(run_dir, began)
    assert command_line("stop", str(run_dir)).returncode == 0
    assert process.wait(10) == 130


def test_inside_another_program_a_job_stops_at_its_next_step(make_run: Callable[..., Path]) -> None:
    run_dir = make_run(action="count", seconds=60)

    def stop_at_progress(event: dict[str, Any]) -> None:
        if event["kind"] == "progress":
            launch.request_stop(run_dir)

    before = signal.getsignal(signal.SIGINT)
    assert base.execute(run_dir, stop_at_progress) == 130
    assert signal.getsignal(signal.SIGINT) is before  # the other program keeps its own handlers


@posix
def test_a_signal_during_the_start_up_stops_the_job(make_run: Callable[..., Path]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_dir = make_run(action="count", seconds=60)
    with stopping.caught():
        os.kill(os.getpid(), signal.SIGTERM)
        assert base.execute(run_dir, own_process=True) == 130
    assert rundir.inspect(run_dir).state == "stopped"
    assert signal.getsignal(signal.SIGTERM) is before
    assert base.execute(make_run(), own_process=True) == 0


@posix
def test_main_keeps_a_signal_that_comes_before_the_imports(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "import main, core.jobs.stopping as s\n"
        "class Kill:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'core.cli': os.kill(os.getpid(), signal.SIGTERM)\n"
        "sys.meta_path.insert(0, Kill())\n"
        "sys.exit(main.main(['train', '--data', 'nowhere', '--output', 'x', '--runs', sys.argv[1]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=MAIN.parents[3], capture_output=True, text=True, check=False
    )
    assert done.returncode > 0, done.stderr  # ended by a signal it would be negative


@posix
def test_a_forced_stop_still_names_the_run_folder(tmp_path: Path) -> None:
    words = [sys.executable, str(MAIN), "fake", "--action", "sleep", "--seconds", "60", "--runs", str(tmp_path)]
    run_dir = tmp_path / "fake-0001"
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    wait_for_file(run_dir / "job.toml")
    wait_for(run_dir, began)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 130
    assert process.stdout is not None
    assert process.stdout.read().splitlines()[-2:] == ["Stopped.", f"run folder: {run_dir}"]


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() or not path.stat().st_size:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@posix
def test_a_job_goes_on_when_nobody_reads_its_output(tmp_path: Path) -> None:
    words = [sys.executable, str(MAIN), "fake", "--action", "report", "--runs", str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert rundir.inspect(tmp_path / "fake-0001").state == "done"


def test_stopping_what_does_not_run_is_told(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run_dir = make_run()
    done = command_line("stop", str(run_dir))
    assert (done.returncode, done.stderr) == (0, "")
    assert "is not running (it is queued)" in done.stdout
    assert not (run_dir / "STOP").exists()
    done = command_line("runs", "--runs", str(tmp_path / "nope"))
    assert done.returncode == 3
    assert "nope is not a folder" in done.stderr


def test_signal_handlers_are_put_back(make_run: Callable[..., Path]) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert base.execute(make_run(), own_process=True) == 0
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


# --- dying and continuing -----------------------------------------------------------------------------------


def test_a_killed_run_is_lost_and_runs_again_after_a_cut_line(make_run: Callable[..., Path]) -> None:
    run_dir = make_run(action="count", seconds=1)
    process = launch.start(run_dir)
    wait_for(run_dir, began)
    process.kill()
    process.wait()
    assert rundir.inspect(run_dir).state == "lost"
    with (run_dir / "events.jsonl").open("a") as handle:
        handle.write('{"kind": "progr')  # killed in the middle of a write
    process = launch.start(run_dir)
    wait_for(run_dir, lambda info: info.state == "running")
    assert process.wait(20) == 0
    assert rundir.inspect(run_dir).state == "done"
    assert [e["kind"] for e in events_of(run_dir)].count("started") == 2


def test_kill_ends_a_job_that_ignores_everything(make_run: Callable[..., Path]) -> None:
    run_dir = make_run(action="spin", seconds=60)
    process = launch.start(run_dir)
    wait_for(run_dir, began)
    launch.kill(run_dir)
    assert process.wait(5) != 0
    assert rundir.inspect(run_dir).state == "lost"


def test_one_folder_is_worked_on_by_one_process(make_run: Callable[..., Path]) -> None:
    run_dir = make_run(action="count", seconds=60)
    launch.start(run_dir)
    with pytest.raises(LaunchError, match="already running"):
        launch.start(run_dir)
    done = command_line("run", str(run_dir))
    assert done.returncode == 5
    assert "already running" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_that_cannot_start_is_a_launch_error(
    make_run: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(LaunchError, match="could not be started"):
        launch.start(make_run())


@posix
def test_a_job_outlives_the_window_that_started_it(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run_dir = make_run(action="count", seconds=60)
    window = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, pathlib\n"
            f"sys.path[:0] = [{str(MAIN.parents[3])!r}]\n"
            "from core.jobs import launch\n"
            f"launch.ROOT = pathlib.Path({str(MAIN.parent)!r})\n"
            f"launch.start(pathlib.Path({str(run_dir)!r}))\n"
            "print('started', flush=True)\n"
            "input()\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert window.stdout is not None
    assert window.stdout.readline().strip() == b"started"
    wait_for(run_dir, began)
    os.killpg(window.pid, signal.SIGKILL)  # the whole group, as a terminal or a desktop does
    window.wait()
    mark = rundir.read_mark(run_dir)
    assert mark is not None
    assert psutil.Process(mark["pid"]).is_running()
    first = rundir.inspect(run_dir)
    wait_for(run_dir, lambda info: info.done > first.done)  # it goes on working
    launch.request_stop(run_dir)
    wait_for(run_dir, lambda info: info.state == "stopped")


def test_a_job_gets_the_threads_it_is_given(make_run: Callable[..., Path]) -> None:
    run_dir = make_run(action="count", seconds=60)
    process = launch.start(run_dir, threads=1)
    wait_for(run_dir, began)
    assert psutil.Process(process.pid).environ()["OMP_NUM_THREADS"] == "1"
