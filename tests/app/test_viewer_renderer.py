"""Which painter is chosen, from what a display says; no display is needed for that."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from app.viewer import gl_probe, renderer

HARDWARE = {"ok": True, "software": False, "renderer": "Mesa Intel UHD", "reason": ""}
SOFTWARE = {"ok": True, "software": True, "renderer": "llvmpipe", "reason": "software OpenGL"}
NOTHING = {"ok": False, "software": False, "renderer": "", "reason": "OpenGL 2.1 is too old"}


@pytest.mark.parametrize(
    ("setting", "answer", "name", "word"),
    [
        ("auto", HARDWARE, "gl", "Intel"),
        ("auto", SOFTWARE, "raster", "software"),
        ("auto", NOTHING, "raster", "too old"),
        ("auto", {}, "raster", "no OpenGL"),
        ("gl", SOFTWARE, "gl", "llvmpipe"),
        ("gl", NOTHING, "raster", "asked for, but: OpenGL 2.1"),
    ],
)
def test_the_choice_and_its_reason(setting, answer, name, word):
    choice = renderer.decide(setting, answer)
    assert choice.name == name
    assert word in choice.why


@pytest.fixture
def probes(monkeypatch):
    """Probes that are started, with an answer of their own."""
    started: list[object] = []
    answers = [HARDWARE]
    monkeypatch.setattr(gl_probe, "start", lambda: started.append(1) or object())
    monkeypatch.setattr(gl_probe, "finish", lambda child, timeout_s: answers[0])
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":77")
    monkeypatch.setattr(renderer.sys, "platform", "linux")
    return started, answers


def test_an_answer_is_remembered_for_its_display(probes, tmp_path, monkeypatch):
    started, _ = probes
    cache = tmp_path / "opengl.json"
    assert renderer.Chooser("auto", cache).choose().name == "gl"
    assert renderer.Chooser("auto", cache).choose().name == "gl"
    assert len(started) == 1
    monkeypatch.setenv("DISPLAY", ":78")
    renderer.Chooser("auto", cache).choose()
    monkeypatch.setenv("MESA_GL_VERSION_OVERRIDE", "2.1")
    renderer.Chooser("auto", cache).choose()
    assert len(started) == 3


def test_who_insists_on_opengl_gets_a_fresh_answer(probes, tmp_path):
    started, answers = probes
    cache = tmp_path / "opengl.json"
    renderer.Chooser("auto", cache).choose()
    answers[0] = NOTHING
    assert renderer.Chooser("gl", cache).choose().name == "raster"
    assert len(started) == 2


def test_no_probe_where_none_is_needed(probes, tmp_path, monkeypatch):
    started, _ = probes
    assert renderer.Chooser("raster", tmp_path / "x.json").choose() == renderer.Choice("raster", "asked for")
    monkeypatch.setenv("DISPLAY", "localhost:10.0")
    assert renderer.Chooser("auto", tmp_path / "x.json").choose() == renderer.Choice("raster", "remote display")
    assert started == []


ODD = ["[" * 100_000, '{"%s": {"time": 1' + "0" * 400 + ', "answer": {"ok": true}}}', '{"%s": {"time": NaN}}']


@pytest.mark.parametrize("content", ["", "[1]", '{"%s": 3}', '{"%s": {"time": 0, "answer": {"ok": true}}}', *ODD])
def test_a_spoilt_or_old_memory_is_asked_anew(probes, tmp_path, content):
    started, _ = probes
    cache = tmp_path / "opengl.json"
    cache.write_text(content % renderer.display_key() if "%s" in content else content)
    assert renderer.Chooser("auto", cache).choose().name == "gl"
    assert len(started) == 1
    assert json.loads(cache.read_text())[renderer.display_key()]["time"] > time.time() - 60


@pytest.mark.parametrize("what", ["too slow", "ended without a word", "not started"])
def test_a_probe_that_said_nothing_is_asked_again_next_time(monkeypatch, tmp_path, what):
    programs = {"too slow": "import time; time.sleep(60)", "ended without a word": "print(1)"}

    def start():
        if what not in programs:
            return None
        return subprocess.Popen([sys.executable, "-c", programs[what]], stdout=subprocess.PIPE, text=True)

    monkeypatch.setattr(gl_probe, "start", start)
    monkeypatch.setattr(renderer, "is_remote", lambda: False)
    cache = tmp_path / "opengl.json"
    choice = renderer.Chooser("auto", cache).choose(0.2 if what == "too slow" else 20)
    assert choice.name == "raster"
    assert not cache.exists()


def test_the_command_line_of_the_window():
    from pathlib import Path

    from app.startup import parse_arguments
    from core.errors import ParamError

    assert parse_arguments(["--renderer", "gl", "a.mrc"]) == ("gl", [Path("a.mrc")])
    assert parse_arguments(["--renderer=raster"]) == ("raster", [])
    for wrong in (["--renderer", "fast"], ["--renderer"], ["--colour"]):
        with pytest.raises(ParamError):
            parse_arguments(wrong)


def test_preferences_change_the_painter_at_once_and_for_the_next_start(window, qtbot, monkeypatch):
    from app.preferences import PreferencesDialog

    monkeypatch.setattr(renderer, "_current", renderer.Choice())
    monkeypatch.setattr(gl_probe, "probe", lambda: NOTHING)
    dialog = PreferencesDialog(window)
    dialog.show()
    dialog.painter.setCurrentIndex(dialog.painter.findData("gl"))
    qtbot.waitUntil(lambda: "too old" in dialog.now.text())
    assert window.home.view.canvas.surface.name == "raster"
    assert window.session.settings.renderer == "gl"
    assert "too old" in window.renderer_label.toolTip()
    dialog.painter.setCurrentIndex(dialog.painter.findData("raster"))
    assert renderer.current().why == "asked for"
    dialog.memory.setValue(512)
    dialog.memory.editingFinished.emit()
    assert window.session.cache.stats().budget_bytes == 512 << 20
    dialog.close()
