"""The two themes: contrast, completeness, switching at run time, being remembered."""

from __future__ import annotations

import json

import pytest
from PySide6.QtGui import QColor, QPalette

from app import theme
from app.session import Session, config_dir

PAIRS = [
    ("text", "ground"), ("text", "panel"), ("text", "raised"), ("text", "field"), ("text", "banner"),
    ("muted", "ground"), ("muted", "panel"), ("muted", "field"), ("muted", "banner"),
    ("on_accent", "accent"), ("on_accent", "accent_hover"), ("on_selection", "selection"),
    ("danger", "panel"), ("danger", "ground"), ("warning", "panel"), ("good", "panel"), ("accent", "panel"),
    ("on_stage", "stage"),
]  # fmt: skip
LARGE = [("strong_border", "field"), ("strong_border", "panel"), ("accent", "ground")]
LARGE += [(f"curve{i}", "panel") for i in range(1, 5)]


def _luminance(colour: QColor) -> float:
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.getRgbF()[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(a: str, b: str) -> float:
    """WCAG contrast ratio."""
    high, low = sorted((_luminance(QColor(a)), _luminance(QColor(b))), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", theme.THEMES)
def test_text_keeps_wcag_aa(name: str) -> None:
    tokens = theme.tokens(name)
    low = {f"{a} on {b}": contrast(tokens[a], tokens[b]) for a, b in PAIRS}
    assert {k: round(v, 2) for k, v in low.items() if v < 4.5} == {}
    low = {f"{a} on {b}": contrast(tokens[a], tokens[b]) for a, b in LARGE}
    assert {k: round(v, 2) for k, v in low.items() if v < 3.0} == {}


def test_themes_have_the_same_tokens_and_fill_the_style_sheet() -> None:
    assert theme.tokens("dark").keys() == theme.tokens("light").keys()
    for name in theme.THEMES:
        sheet = theme.style_sheet(name)
        assert "$" not in sheet
        assert f"down-{name}.svg" in sheet


def test_icons_of_the_style_sheet_exist() -> None:
    for name in theme.THEMES:
        for part in theme.style_sheet(name).split("url(")[1:]:
            assert theme.RESOURCES.joinpath(part.split(")")[0]).is_file()


def test_switching_is_seen_at_once_and_remembered(window, qapp) -> None:
    assert theme.current() == "dark"
    window.toggle_theme()
    assert theme.current() == "light"
    assert qapp.palette().color(QPalette.ColorRole.Window) == QColor(theme.tokens("light")["ground"])
    assert Session().settings.theme == "light"


def test_broken_settings_never_block_the_start(qapp) -> None:
    path = config_dir() / "settings.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    for text in ("{not json", "[]", '{"theme": 7, "recent": "x", "cache_mb": -4}', "\x00\xff"):
        path.write_text(text, encoding="latin-1")
        settings = Session().settings
        assert (settings.theme, settings.recent) == ("dark", [])
        assert settings.cache_mb >= 64
    path.write_text(json.dumps({"theme": "light", "unknown": 1}))
    assert Session().settings.theme == "light"
