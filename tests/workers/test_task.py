"""A task answers in the GUI thread, turns failures into AppErrors, and is silent once its owner is gone."""

from __future__ import annotations

import threading

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
