"""Thumbnails come in the order wished for, stale wishes are dropped, failures are sentences, the cache is shared."""

import gzip
import threading

import numpy as np
import pytest

from core.images import preview
from core.images.cache import ImageCache
from core.io.mrc import write_mrc
from workers import stuck
from workers.thumbnail_loader import ThumbnailLoader


@pytest.fixture
def files(tmp_path):
    paths = []
    ramp = np.linspace(0, 1, 400, dtype=np.float32)
    for number in range(5):
        paths.append(tmp_path / f"m{number}.mrc")
        write_mrc(paths[-1], np.tile(ramp, (300, 1)), 1.5)
    return paths


@pytest.fixture
def cache():
    return ImageCache(64 << 20)


@pytest.fixture
def loader(qtbot, cache):
    loader = ThumbnailLoader(cache, side=100)
    loader.heard = []
    loader.made.connect(lambda path, picture: loader.heard.append((path, picture)))
    loader.failed.connect(lambda path, message: loader.heard.append((path, message)))
    yield loader
    loader.stop()
    assert not loader._thread.isRunning()


def test_they_come_in_the_order_of_the_wishes_and_are_kept(qtbot, loader, files, cache):
    wishes = [files[3], files[0], files[4]]
    loader.ask(wishes)
    qtbot.waitUntil(lambda: len(loader.heard) == 3)
    assert [path for path, _ in loader.heard] == wishes
    for _, picture in loader.heard:
        assert (picture.shape, picture.dtype) == ((75, 100), np.uint8)
        assert picture[10, 0] < 10 < 245 < picture[10, -1]
    assert cache.stats().items == 3
    loader.ask(wishes[:1])
    qtbot.waitUntil(lambda: len(loader.heard) == 4)
    assert loader.heard[3][1] is loader.heard[0][1]


def test_stale_wishes_are_dropped_and_what_is_nearly_made_is_not_made_twice(qtbot, loader, files, monkeypatch):
    entered, release, made = threading.Event(), threading.Event(), []
    thumbnail = preview.thumbnail

    def slow(path, side, cancelled):
        entered.set()
        assert release.wait(10)
        made.append((path, cancelled()))
        return thumbnail(path, side, cancelled)

    monkeypatch.setattr(preview, "thumbnail", slow)
    loader.ask(files[:4])
    assert entered.wait(10)
    loader.ask([files[4], files[0]])
    release.set()
    qtbot.waitUntil(lambda: len(loader.heard) == 2)
    assert [path for path, _ in loader.heard] == [files[0], files[4]]
    assert made == [(files[0], False), (files[4], False)]
    entered.clear()
    release.clear()
    loader._thread._cache.clear()
    loader.ask([files[1]])
    assert entered.wait(10)
    loader.ask([files[2]])
    release.set()
    qtbot.waitUntil(lambda: len(loader.heard) == 3)
    assert loader.heard[2][0] == files[2]
    assert (files[1], True) in made


def test_failures_are_sentences_and_the_thread_lives_on(qtbot, loader, files, tmp_path, monkeypatch):
    bad = tmp_path / "bad.mrc"
    bad.write_bytes(b"nonsense" * 200)
    packed = tmp_path / "p.mrc.gz"
    packed.write_bytes(gzip.compress(files[0].read_bytes()))
    loader.ask([bad, tmp_path / "missing.mrc", packed])
    qtbot.waitUntil(lambda: len(loader.heard) == 3)
    assert "bad.mrc" in loader.heard[0][1]
    assert "missing.mrc" in loader.heard[1][1]
    assert loader.heard[2][1].shape == (75, 100)

    def broken(*_args):
        raise ZeroDivisionError("bug")

    with monkeypatch.context() as patched:
        patched.setattr(preview, "thumbnail", broken)
        loader.ask([files[1]])
        qtbot.waitUntil(lambda: len(loader.heard) == 4)
    assert "m1.mrc" in loader.heard[3][1]
    loader.ask([files[1]])
    qtbot.waitUntil(lambda: len(loader.heard) == 5)
    assert loader.heard[4][1].shape == (75, 100)


def test_an_empty_wish_drops_everything_and_stop_ends_it(qtbot, loader, files):
    loader.ask([])
    assert not loader._thread.isRunning()
    loader.ask(files)
    loader.ask([])
    loader.stop()
    loader.stop()
    loader.ask(files)
    assert not loader._thread.isRunning()


def test_a_file_that_hangs_is_told_and_the_others_are_made(qtbot, loader, files, monkeypatch):
    release, thumbnail = threading.Event(), preview.thumbnail

    def hang(path, side, cancelled):
        if path == files[1]:
            release.wait(60)
        return thumbnail(path, side, cancelled)

    monkeypatch.setattr(preview, "thumbnail", hang)
    loader._watch.setInterval(100)
    loader.ask(files)
    qtbot.waitUntil(lambda: len(loader.heard) == 5, timeout=10_000)
    answers = dict(loader.heard)
    assert "m1.mrc does not answer" in answers[files[1]]
    assert all(isinstance(answers[path], np.ndarray) for path in files if path != files[1])
    loader.heard.clear()
    loader.ask([files[1]])
    qtbot.waitUntil(lambda: len(loader.heard) == 1)
    assert "does not answer" in loader.heard[0][1]
    release.set()
    for thread in stuck._left:
        thread.wait(10_000)
