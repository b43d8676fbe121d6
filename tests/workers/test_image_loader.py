"""The loader: the latest request wins, errors arrive as sentences, threads end, the cache is shared."""

import threading

import numpy as np
import pytest

from core.errors import InputError
from core.images.cache import ImageCache
from core.io.mrc import write_mrc
from workers import image_loader
from workers.image_loader import ImageLoader


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
    build = image_loader.build_pyramid

    def slow_build(image, *args, **kwargs):
        if image[0, 0] == 1:
            entered.set()
            assert release.wait(10)
        try:
            pyramid = build(image, *args, **kwargs)
        except image_loader.Cancelled:
            outcomes.append("cancelled")
            raise
        outcomes.append("built")
        return pyramid

    monkeypatch.setattr(image_loader, "build_pyramid", slow_build)
    loader.request(files[1])
    assert entered.wait(10)
    with qtbot.waitSignal(loader.loaded) as got:
        ticket = loader.request(files[2])
        release.set()
    assert got.args[0] == ticket
    assert outcomes == ["cancelled", "built"]


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
        patched.setattr(image_loader, "build_pyramid", broken)
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
