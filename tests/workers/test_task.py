"""A task answers in the GUI thread, turns failures into AppErrors, and is silent once its owner is gone."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from PySide6.QtCore import QObject, QThread

from core.errors import AppError, InputError
from workers.task import run_task, wait_for_all


@pytest.fixture(autouse=True)
def _application(qapp) -> None:
    """Signals between threads need an application."""


def test_done_arrives_in_the_gui_thread(qtbot) -> None:
    seen = []
    run_task(lambda: QThread.currentThread(), lambda t: seen.append((t, QThread.currentThread())), seen.append)
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    worked_in, answered_in = seen[0]
    assert worked_in is not answered_in
    assert answered_in is QThread.currentThread()


def test_errors_arrive_as_app_errors(qtbot) -> None:
    seen: list[AppError] = []

    def fail(err: BaseException) -> None:
        raise err

    run_task(lambda: fail(InputError("a.star is empty.", "Choose another.")), seen.append, seen.append)
    run_task(lambda: fail(ValueError("odd")), seen.append, seen.append)
    qtbot.waitUntil(lambda: len(seen) == 2, timeout=5000)
    assert {type(e) for e in seen} == {InputError, AppError}


def test_no_answer_after_the_owner_is_gone(qtbot, qapp) -> None:
    owner, gate, seen = QObject(), threading.Event(), []
    task = run_task(lambda: gate.wait(5), seen.append, seen.append, owner)
    del owner
    gate.set()
    task.wait()
    qtbot.wait(50)
    assert seen == []
    wait_for_all()


class Large:
    """Stands for an image."""


@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_kept_of_a_task_that_has_ended(qtbot, owned: bool, fails: bool) -> None:
    owner, seen = QObject(), []

    def start() -> list[weakref.ref]:
        given, wanted = Large(), Large()

        def work() -> Large:
            if fails:
                raise InputError(f"no {type(given).__name__}")
            return given

        task = run_task(work, lambda _: seen.append(type(wanted)), lambda _: seen.append(type(wanted)), owner)
        return [weakref.ref(given), weakref.ref(wanted), weakref.ref(task)]

    if not owned:
        owner = None
    refs = start()
    qtbot.waitUntil(lambda: bool(seen), timeout=5000)
    qtbot.waitUntil(lambda: (gc.collect(), all(ref() is None for ref in refs))[1], timeout=5000)
