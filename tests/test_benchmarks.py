"""`make bench` finds the benchmarks, prints JSON, and says when one failed."""

from __future__ import annotations

import json

import pytest

from benchmarks import __main__ as bench


def test_every_benchmark_is_found_and_a_wrong_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert "startup" in bench.names()
    assert bench.main(["no-such"]) == 2
    assert "startup" in capsys.readouterr().err


def test_figures_are_json_and_a_failure_is_an_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "names", lambda: ["missing"])
    assert bench.main([]) == 1
    figures = json.loads(capsys.readouterr().out)
    assert "No module named" in figures["missing"]["error"]
    assert figures["machine"]["cores"] >= 1
