"""The loader: the latest request wins, errors arrive as sentences, threads end, the cache is shared."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from core.errors import InputError
from core.images import streamed
from core.images.cache import ImageCache
from core.images.pyramid import Cancelled
from core.io.mrc import write_mrc
from workers import stuck
from workers.image_loader import ImageLoader

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def files(tmp_path):
    paths = []
    for number in range(6):
        path = tmp_path / f"m{number}.mrc"
        write_mrc(path, np.full((300, 400), number, np.float32), 1.5)
        paths.append(path)
    return paths


@pytest.fixture
def loader(qtbot):
    loader = ImageLoader(ImageCache(64 << 20))
    yield loader
    loader.stop()
    assert not loader._thread.isRunning()


def test_a_file_becomes_a_pyramid(qtbot, loader, files):
    with qtbot.waitSignal(loader.loaded) as got:
        ticket = loader.request(files[3])
    assert got.args[0] == ticket
    pyramid = got.args[1]
    assert pyramid.shape == (300, 400)
    assert pyramid.levels[1][10, 10] == 3
    assert (pyramid.name, pyramid.n) == ("m3.mrc", 1)
    assert pyramid.pixel_size_a == pytest.approx(1.5)


def test_the_second_time_it_comes_from_the_cache(qtbot, loader, files):
    pyramids = []
    for _ in range(2):
        with qtbot.waitSignal(loader.loaded) as got:
            loader.request(files[0])
        pyramids.append(got.args[1])
    assert pyramids[0] is pyramids[1]


def test_a_changed_file_is_read_again(qtbot, loader, files):
    with qtbot.waitSignal(loader.loaded):
        loader.request(files[0])
    write_mrc(files[0], np.full((301, 400), 9, np.float32), 1.5)
    with qtbot.waitSignal(loader.loaded) as got:
        loader.request(files[0])
    assert got.args[1].levels[0][0, 0] == 9


def test_an_image_of_a_stack_says_which_it_is(qtbot, loader, tmp_path):
    stack = np.stack([np.full((20, 30), k, np.float32) for k in range(4)])
    write_mrc(tmp_path / "s.mrcs", stack, 1.0)
    with qtbot.waitSignal(loader.loaded) as got:
        loader.request(tmp_path / "s.mrcs", 2)
    pyramid = got.args[1]
    assert (pyramid.index, pyramid.n, pyramid.levels[0][0, 0]) == (2, 4, 2)


def test_only_the_latest_of_500_requests_is_answered(qtbot, loader, files):
    answers = []
    loader.loaded.connect(lambda ticket, pyramid: answers.append((ticket, pyramid.name)))
    for number in range(500):
        ticket = loader.request(files[number % 5])
    ticket = loader.request(files[5])
    qtbot.waitUntil(lambda: (ticket, "m5.mrc") in answers)
    assert answers == [(ticket, "m5.mrc")]


def test_a_new_request_cancels_the_build_in_flight(qtbot, loader, files, monkeypatch):
    entered, release, outcomes = threading.Event(), threading.Event(), []
    load = streamed.load_pyramid

    def slow_load(source, index, cancelled):
        if source.path == files[1]:
            entered.set()
            assert release.wait(10)
        try:
            pyramid = load(source, index, cancelled)
        except Cancelled:
            outcomes.append("cancelled")
            raise
        outcomes.append("built")
        return pyramid

    monkeypatch.setattr(streamed, "load_pyramid", slow_load)
    loader.request(files[1])
    assert entered.wait(10)
    with qtbot.waitSignal(loader.loaded) as got:
        ticket = loader.request(files[2])
        release.set()
    assert got.args[0] == ticket
    assert outcomes == ["cancelled", "built"]


def test_a_wish_for_what_is_being_prefetched_does_not_start_it_anew(qtbot, loader, files, monkeypatch):
    entered, release, built = threading.Event(), threading.Event(), []
    load = streamed.load_pyramid

    def slow_load(source, index, cancelled):
        entered.set()
        assert release.wait(10)
        built.append(source.path)
        return load(source, index, cancelled)

    monkeypatch.setattr(streamed, "load_pyramid", slow_load)
    loader.prefetch([files[1], files[2]])
    assert entered.wait(10)
    with qtbot.waitSignal(loader.loaded) as got:
        ticket = loader.request(files[1])
        release.set()
    assert got.args[0] == ticket
    assert built == [files[1]]


def test_failures_are_sentences(qtbot, loader, tmp_path):
    (tmp_path / "bad.mrc").write_bytes(b"nonsense" * 200)
    for name in ("bad.mrc", "missing.mrc"):
        with qtbot.waitSignal(loader.failed) as got:
            ticket = loader.request(tmp_path / name)
        assert got.args[0] == ticket
        assert isinstance(got.args[1], InputError)
        assert name in got.args[1].message


def test_a_bug_is_reported_and_the_thread_lives_on(qtbot, loader, files, monkeypatch):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("bug")

    with monkeypatch.context() as patched:
        patched.setattr(streamed, "load_pyramid", broken)
        with qtbot.waitSignal(loader.failed):
            loader.request(files[0])
    with qtbot.waitSignal(loader.loaded):
        loader.request(files[0])


def test_neighbours_are_prefetched(qtbot, loader, files):
    with qtbot.waitSignal(loader.loaded):
        loader.request(files[2])
    loader.prefetch([files[1], files[3], "/nowhere/x.mrc"])
    qtbot.waitUntil(lambda: loader._thread._cache.stats().items == 3)


def test_stop_in_the_middle_and_twice(qtbot, files):
    loader = ImageLoader(ImageCache(64 << 20))
    for path in files:
        loader.request(path)
    loader.stop()
    loader.stop()
    assert not loader._thread.isRunning()
    loader.request(files[0])
    assert not loader._thread.isRunning()


def test_a_loader_that_was_never_used_can_be_stopped(qtbot):
    ImageLoader(ImageCache(1 << 20)).stop()


def large_file(path, side=2304, value=0.0):
    """Large enough for a preview, and quickly written."""
    import mrcfile

    with mrcfile.new(path, overwrite=True) as out:
        out.set_data(np.full((side, side - 100), value, np.int8))
        out.voxel_size = 1.25
    return path


def test_a_preview_comes_before_a_large_image_but_not_from_the_cache(qtbot, loader, tmp_path):
    path = large_file(tmp_path / "big.mrc", value=7)
    heard = []
    loader.previewed.connect(lambda ticket, pyramid: heard.append(("preview", ticket, pyramid)))
    loader.loaded.connect(lambda ticket, pyramid: heard.append(("whole", ticket, pyramid)))
    ticket = loader.request(path)
    qtbot.waitUntil(lambda: len(heard) == 2)
    assert [(kind, number) for kind, number, _ in heard] == [("preview", ticket), ("whole", ticket)]
    preview, whole = heard[0][2], heard[1][2]
    assert preview.finest > 0 == whole.finest
    assert preview.shape == whole.shape == (2304, 2204)
    assert (preview.name, preview.n, preview.index) == (whole.name, whole.n, whole.index) == ("big.mrc", 1, 0)
    assert preview.pixel_size_a == whole.pixel_size_a == pytest.approx(1.25)
    assert np.all(preview.levels[0] == 7)
    again = loader.request(path)
    qtbot.waitUntil(lambda: len(heard) == 3)
    assert heard[2][:2] == ("whole", again)


def browse(qtbot, folder, count, side, steps, budget):
    """Next and previous as fast as keys repeat, then rest; returns what was heard, the tickets and the cache."""
    paths = [large_file(folder / f"m{k:02d}.mrc", side, k) for k in range(count)]
    cache = ImageCache(budget)
    loader = ImageLoader(cache)
    heard, used, asked = [], [], []
    rng = np.random.default_rng(1)

    def listen(kind):
        def slot(ticket, pyramid):
            heard.append((kind, ticket, len(asked), pyramid.name, float(pyramid.levels[-1][0, 0])))
            used.append(cache.stats().used_bytes)

        return slot

    loader.previewed.connect(listen("preview"))
    loader.loaded.connect(listen("whole"))
    place = 0
    for number in range(steps):
        place = (place + (1 if rng.random() < 0.7 else -1)) % count
        asked.append((loader.request(paths[place]), paths[place].name, float(place)))
        if number % 5 == 4:
            loader.prefetch([paths[(place + 1) % count], paths[(place - 1) % count]])
        qtbot.wait(1) if number % 3 == 0 else None  # now and then something may be delivered
    last = asked[-1]
    qtbot.waitUntil(lambda: bool(heard) and heard[-1][:2] == ("whole", last[0]), timeout=20_000)
    qtbot.waitUntil(lambda: not loader._thread._neighbours and loader._thread._working_on is None, timeout=20_000)
    loader.stop()
    assert heard[-1][3:] == last[1:]
    for _, ticket, so_far, name, value in heard:
        assert so_far == ticket, "an answer for an older request was delivered"
        assert (ticket, name, value) == asked[ticket - 1]
    assert max(used) <= budget
    assert cache.stats().used_bytes <= budget


def test_500_fast_steps_over_60_files_end_on_the_right_one(qtbot, tmp_path):
    browse(qtbot, tmp_path, 60, 1024, 500, 32 << 20)


def test_fast_steps_over_files_with_previews(qtbot, tmp_path):
    browse(qtbot, tmp_path, 6, 2304, 200, 80 << 20)


@pytest.mark.slow
def test_500_fast_steps_over_60_large_files(qtbot, tmp_path):
    browse(qtbot, tmp_path, 60, 4096, 500, 256 << 20)


def test_frames_of_a_stack_are_prefetched_with_one_header(qtbot, loader, tmp_path, monkeypatch):
    from core.images import source

    opened = []
    open_source = source.open_source
    monkeypatch.setattr(source, "open_source", lambda path: opened.append(path) or open_source(path))
    path = tmp_path / "s.mrcs"
    write_mrc(path, np.stack([np.full((20, 30), k, np.float32) for k in range(9)]), 1.0)
    with qtbot.waitSignal(loader.loaded):
        loader.request(path, 4)
    loader.prefetch_frames(path, [5, 3, 6, 99])
    qtbot.waitUntil(lambda: loader._thread._cache.stats().items == 4)
    hits = loader._thread._cache.stats().hits
    with qtbot.waitSignal(loader.loaded) as got:
        loader.request(path, 6)
    assert got.args[1].levels[0][0, 0] == 6
    assert loader._thread._cache.stats().hits == hits + 1
    assert opened == [path]


@pytest.fixture
def hanging(files, monkeypatch):
    """The first file hangs whoever opens it, as one on a dead network disk does, until the end of the test."""
    from core.images import source

    open_source, entered, release = source.open_source, threading.Event(), threading.Event()

    def hang(path):
        if path == files[0]:
            entered.set()
            release.wait(60)
        return open_source(path)

    monkeypatch.setattr(source, "open_source", hang)
    yield entered
    release.set()
    for thread in stuck._left:
        thread.wait(10_000)


def test_a_file_that_hangs_does_not_keep_others_from_being_shown(qtbot, loader, files, hanging):
    loader._watch.setInterval(50)
    old = loader._thread
    loader.request(files[0])
    assert hanging.wait(10)
    for number in (1, 2):
        with qtbot.waitSignal(loader.loaded) as got:
            ticket = loader.request(files[number])
        assert (got.args[0], got.args[1].name) == (ticket, f"m{number}.mrc")
    assert old.isRunning()
    assert stuck.any_left()
    with qtbot.waitSignal(loader.failed) as told:  # asked for again it hangs no second thread
        ticket = loader.request(files[0])
    assert told.args[0] == ticket
    assert "m0.mrc does not answer" in told.args[1].message
    loader.prefetch([files[0], files[3]])
    qtbot.waitUntil(lambda: loader._thread._cache.stats().items == 3)


def test_a_neighbour_that_hangs_gives_way_too(qtbot, loader, files, hanging):
    loader._watch.setInterval(50)
    loader.prefetch([files[0]])
    assert hanging.wait(10)
    with qtbot.waitSignal(loader.loaded) as got:
        loader.request(files[1])
    assert got.args[1].name == "m1.mrc"


def test_a_wish_for_the_slow_file_itself_waits(qtbot, loader, files, hanging):
    loader._watch.setInterval(20)
    loader.prefetch([files[0]])
    assert hanging.wait(10)
    thread = loader._thread
    loader.request(files[0])
    qtbot.waitUntil(lambda: not loader._watch.isActive())
    assert loader._thread is thread
    assert not stuck.any_left()


def test_stopping_does_not_wait_for_what_hangs(qtbot, files, hanging, monkeypatch):
    monkeypatch.setattr(stuck, "WAIT_MS", 50)
    loader, answers = ImageLoader(ImageCache(64 << 20)), []
    loader.failed.connect(lambda *answer: answers.append(answer))
    loader.request(files[0])
    assert hanging.wait(10)
    old = loader._thread
    loader.stop()
    loader.stop()
    assert not loader._thread.isRunning()
    assert old.isRunning()
    assert stuck.any_left()
    assert answers == []


def test_the_program_ends_although_a_thread_hangs(tmp_path):
    program = """
import sys, time
from PySide6.QtCore import QCoreApplication, QTimer
from core.images import source
from core.images.cache import ImageCache
from workers import stuck
from workers.image_loader import ImageLoader
from workers.thumbnail_loader import ThumbnailLoader
from workers.task import run_task, wait_for_all
stuck.WAIT_MS = 100
app = QCoreApplication([])
began = []
def hang(*_):
    began.append(1)
    time.sleep(600)
source.open_source = source.file_key = hang
loader, thumbnails = ImageLoader(ImageCache(1 << 20)), ThumbnailLoader(ImageCache(1 << 20))
loader.request("a.mrc")
thumbnails.ask(["a.mrc"])
run_task(hang, print, print)
timer = QTimer()
timer.timeout.connect(lambda: app.exit(7) if len(began) == 3 else None)
timer.start(10)
code = app.exec()
wait_for_all(100)
from app.startup import finish
sys.exit(finish(code))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (7, "")
