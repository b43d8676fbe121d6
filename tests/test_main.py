"""The one door, on machines where something is missing: one sentence, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def door(*words: str, path: Path | None = None, isolated: bool = False) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | ({"PYTHONPATH": str(path)} if path else {})
    flags = ["-S"] if isolated else []
    return subprocess.run(
        [sys.executable, *flags, str(ROOT / "main.py"), *words],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("words", [["doctor"], ["train", "--help"], []])
def test_without_packages_the_set_up_is_named(words: list[str]) -> None:
    done = door(*words, isolated=True)
    assert done.returncode == 4
    assert done.stderr.startswith("error: the Python package '")
    assert "make setup" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_system_library_the_doctor_is_named(tmp_path: Path) -> None:
    (tmp_path / "PySide6").mkdir()
    (tmp_path / "PySide6" / "__init__.py").write_text(
        "raise ImportError('libEGL.so.1: cannot open shared object file: No such file or directory')\n"
    )
    done = door(path=tmp_path)
    assert done.returncode == 4
    assert "libEGL.so.1" in done.stderr
    assert "doctor" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_in_our_own_imports_stays_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "PySide6").mkdir()
    (tmp_path / "PySide6" / "__init__.py").write_text("raise ImportError('cannot import name QtCore')\n")
    assert "Traceback" in door(path=tmp_path).stderr


def test_version_and_help() -> None:
    assert door("--version").stdout.strip() == "0.1.0"
    text = door("--help").stdout
    for verb in ("pick-noise", "forward", "train", "predict", "demo", "run", "stop", "runs", "doctor"):
        assert verb in text


def test_from_any_folder(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), "runs", "--runs", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
