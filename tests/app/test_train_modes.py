"""Train's cards: what is offered follows the training set, the form follows the card, and the bar the minutes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt

from app.tabs import train_modes
from app.widgets.run_bar import planned_left
from core.jobs.train import MINUTES


@pytest.fixture
def train(qtbot, session, monkeypatch, tmp_path: Path):
    from app.tabs.train import TrainTab

    (tmp_path / "generic.safetensors").write_bytes(b"")
    monkeypatch.setattr(train_modes, "GENERIC_PATH", tmp_path / "generic.safetensors")
    tab = TrainTab(session)
    qtbot.addWidget(tab)
    tab.resize(1200, 800)
    tab.show()
    qtbot.waitExposed(tab)
    return tab


def make_set(folder: Path, **manifest) -> Path:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def titles(tab) -> list[str]:
    return [card.radio.text() for card in tab.modes.cards if card.isVisibleTo(tab)]


def test_three_ways_and_a_click_anywhere_on_a_card_chooses(qtbot, train) -> None:
    assert titles(train) == ["Quick", "Quality", "From scratch"]
    assert [card.side.text() for card in train.modes.cards] == ["1 min", "10 min", "30 min"]
    assert train.modes.current() == train.form.raw("mode") == "quick"
    assert not train.form.rows["mode"].editor.isVisible()
    qtbot.mouseClick(train.modes.cards[2], Qt.MouseButton.LeftButton)
    assert train.form.raw("mode") == "scratch"
    assert not train.form.rows["mode"].reset.isVisible()  # the cards are the only control
    qtbot.keyClick(train.modes.cards[2].radio, Qt.Key.Key_Up)
    assert train.form.raw("mode") == "quality"
    train.form.set_values({"minutes": 3.5})
    assert train.modes.cards[1].side.text() == "3.5 min, set below"
    train.form.set_values({"mode": "quick"})  # a run that is shown again
    assert train.modes.current() == "quick"


@pytest.mark.parametrize(
    ("manifest", "offered", "note"),
    [
        ({"method": "noise-transfer"}, ["Quick", "Quality", "From scratch"], ""),
        ({"method": "noise-transfer", "halves": {"snr": 0.1}}, ["Quick", "Quality", "From scratch"], "Noise2Noise"),
        ({"method": "cryoddm"}, ["CryoDDM (as published)"], "CryoDDM"),
    ],
)
def test_the_set_decides_what_is_offered(qtbot, train, tmp_path, manifest, offered, note) -> None:
    train.form.set_values({"input": str(make_set(tmp_path / "set", **manifest))})
    qtbot.waitUntil(lambda: train._kind != "", timeout=10_000)
    assert titles(train) == offered
    assert (note in train.note.text()) if note else not train.note.isVisible()
    assert train.form.raw("mode") == ("scratch" if len(offered) == 1 else "quick")


def test_a_library_makes_a_generic_model_and_another_set_brings_the_three_back(qtbot, train, tmp_path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "library.safetensors").write_bytes(b"")
    train.form.set_values({"input": str(library)})
    qtbot.waitUntil(lambda: titles(train) == ["Generic model"], timeout=10_000)
    assert "nobody's noise" in train.note.text()
    train.form.set_values({"input": str(make_set(tmp_path / "set", method="noise-transfer"))})
    qtbot.waitUntil(lambda: len(titles(train)) == 3, timeout=10_000)
    assert train.modes.current() == train.form.raw("mode")


def test_without_the_shipped_model_only_what_works_can_be_chosen(qtbot, train, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(train_modes, "GENERIC_PATH", tmp_path / "nothing.safetensors")
    train._show_modes()
    assert [card.isEnabled() for card in train.modes.cards] == [False, False, True]
    assert "not in this installation" in train.modes.cards[0].text.text()
    assert train.form.raw("mode") == "scratch"
    train.form.set_values({"start": str(tmp_path / "mine.safetensors")})
    assert train.modes.cards[0].isEnabled()
    assert "mine.safetensors" in train.modes.cards[0].text.text()


def test_the_time_left_is_the_modes_own_unless_minutes_are_given() -> None:
    for mode, minutes in MINUTES.items():
        assert planned_left("train", {"mode": mode}, 0.5) == pytest.approx(30 * minutes)
    assert planned_left("train", {}, 0.25) == pytest.approx(45 * MINUTES["quick"])
    assert planned_left("train", {"mode": "scratch", "minutes": 2.0}, 0.5) == pytest.approx(60)
    assert planned_left("train", {"mode": "scratch", "epochs": 3}, 0.5) is None
    assert planned_left("demo", {}, 0.5) is None


def test_when_the_time_is_over_the_bar_promises_none(qtbot) -> None:
    """What is measured after the last step takes a time that nobody planned."""
    from types import SimpleNamespace

    from app.widgets.run_bar import RunBar

    bar = RunBar()
    qtbot.addWidget(bar)
    bar._reported = time.time()
    worker: Any = SimpleNamespace(job="train", params={"mode": "quality"}, fraction=0.5)
    assert bar._left(worker) in ("5:00 left", "4:59 left")
    worker.fraction = 0.999
    assert bar._left(worker) == "finishing"


def test_the_summary_says_in_words_what_was_lost() -> None:
    result = {
        "steps": 812, "val_loss": 0.3123, "tslm": 0.021, "tslm_network": -0.08,
        "started_from": "models/generic.safetensors",
    }  # fmt: skip
    assert train_modes.in_words(result) == (
        "Trained 812 steps from the shipped model; validation loss 0.312. Structural loss (TSLM): the output removes "
        "2.1 % of the signal of your mean particle; the network without your raw detail adds 8.0 %."
    )
    assert "from scratch" in train_modes.in_words(result | {"started_from": ""})
    generic = train_modes.in_words(result | {"method": "generic", "tslm": 0.0})
    assert "TSLM" not in generic
    assert "nobody's noise" in generic


def test_warnings_are_seen_while_the_job_runs_and_stay_to_be_found(qtbot, session, fake_tab) -> None:
    """What a job warns of before it begins (noise unlike the model's) must not pass by in the status line."""
    tab = fake_tab(session)
    qtbot.addWidget(tab)
    tab.show()
    assert not tab.run_bar.warnings.isVisible()
    tab._on_warning("The noise of these micrographs is not the model's.")
    assert tab.banner.isVisible()
    assert tab.banner.property("state") == "warning"
    assert "not the model's" in tab.banner.text.text()
    assert tab.run_bar.warnings.text() == "⚠ 1 warning"
    for number in range(9):
        tab._on_warning(f"a{number}.mrc is odd.")
    assert "and 5 more in the log" in tab.banner.hint.text()
    qtbot.mouseClick(tab.banner.close_button, Qt.MouseButton.LeftButton)
    qtbot.mouseClick(tab.run_bar.warnings, Qt.MouseButton.LeftButton)
    assert tab.banner.isVisible()
    tab._on_done({"summary": "Reported."})
    assert tab.banner.property("state") == "warning"
    assert "not the model's" in tab.banner.hint.text()
    assert tab.run_bar.warnings.isVisible()
