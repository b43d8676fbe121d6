"""Colours of the window: tokens of resources/colours.toml -> QPalette + style sheet, switched at run time.

No other module sets a style sheet; widgets ask for a look through the `role` and `state` properties.
"""

from __future__ import annotations

import functools
import string
import tomllib
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPalette
from PySide6.QtWidgets import QApplication, QWidget

RESOURCES = Path(__file__).resolve().parents[1] / "resources"
THEMES = ("dark", "light")


@functools.cache
def _all_tokens() -> dict[str, dict[str, str]]:
    return tomllib.loads((RESOURCES / "colours.toml").read_text(encoding="utf-8"))


def tokens(theme: str) -> dict[str, str]:
    """Colour tokens of a theme, name -> #rrggbb."""
    return _all_tokens()[theme]


def current() -> str:
    """The theme in use, dark before the first `apply`."""
    app = QApplication.instance()
    return str(app.property("theme") or "dark") if app else "dark"


def colour(token: str) -> QColor:
    """A colour of the theme in use, for widgets that paint themselves."""
    return QColor(tokens(current())[token])


def stage() -> QColor:
    """The ground beside a picture, for every canvas."""
    return colour("stage")


def apply(app: QApplication, theme: str) -> None:
    """Put a theme on the whole application; widgets that paint themselves get a PaletteChange event."""
    theme = theme if theme in THEMES else "dark"
    app.setProperty("theme", theme)
    if app.style().objectName().lower() != "fusion":
        app.setStyle("Fusion")
    app.setPalette(palette(theme))
    app.setStyleSheet(style_sheet(theme))


def palette(theme: str) -> QPalette:
    """The QPalette of a theme, complete enough that Fusion needs no guess."""
    t = {k: QColor(v) for k, v in tokens(theme).items()}
    result = QPalette()
    role = QPalette.ColorRole
    for target, token in {
        role.Window: "ground",
        role.WindowText: "text",
        role.Base: "field",
        role.AlternateBase: "panel",
        role.Text: "text",
        role.Button: "raised",
        role.ButtonText: "text",
        role.BrightText: "danger",
        role.ToolTipBase: "raised",
        role.ToolTipText: "text",
        role.PlaceholderText: "muted",
        role.Highlight: "selection",
        role.HighlightedText: "on_selection",
        role.Link: "accent",
        role.LinkVisited: "accent",
        role.Accent: "accent",
        role.Light: "raised",
        role.Midlight: "raised",
        role.Mid: "border",
        role.Dark: "border",
        role.Shadow: "ground",
    }.items():
        result.setColor(target, t[token])
    for target in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        result.setColor(QPalette.ColorGroup.Disabled, target, t["disabled"])
    return result


@functools.cache
def style_sheet(theme: str) -> str:
    """The style sheet with the tokens of a theme filled in."""
    template = string.Template((RESOURCES / "style.qss").read_text(encoding="utf-8"))
    return template.substitute(tokens(theme), theme=theme, icons=(RESOURCES / "icons").as_posix())


def set_state(widget: QWidget, name: str, value: str) -> None:
    """Set a property the style sheet looks at (`role`, `state`) and draw the widget anew."""
    if widget.property(name) == value:
        return
    widget.setProperty(name, value)
    if widget.testAttribute(Qt.WidgetAttribute.WA_WState_Polished):  # otherwise the first showing does it
        widget.style().unpolish(widget)
        widget.style().polish(widget)


def icon() -> QIcon:
    """The program's icon."""
    return QIcon(str(RESOURCES / "icons" / "vitreous.svg"))
