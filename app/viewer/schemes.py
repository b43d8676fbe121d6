"""Which button and key does what while picking: the presets of Default, RELION, EMAN2 and cellpose.

Data only; gestures.py reads it for every press and the key sheet writes it out. The presets follow the manuals
and the behaviour of those programs; what they leave free does the same in all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from PySide6.QtCore import Qt

LEFT, MIDDLE, RIGHT = Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton, Qt.MouseButton.RightButton
PLAIN = Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier
MODIFIERS = CTRL | SHIFT | ALT | Qt.KeyboardModifier.MetaModifier  # those that distinguish bindings

Press = tuple[Qt.MouseButton, Qt.KeyboardModifier]


@dataclass(frozen=True)
class Bind:
    """What a press becomes: `click` when the pointer stays, `drag` when it moves; "" is nothing.

    Clicks: add, erase, select, menu, vertex, clear. Drags: pan, add, move, erase, band, measure.
    `on_box` replaces it where the press hits a box.
    """

    click: str = ""
    drag: str = ""
    on_box: Bind | None = None


@dataclass(frozen=True)
class Scheme:
    """The whole mapping. `wheel`: zoom, size or contrast; `comma`: what , and . change."""

    name: str
    buttons: Mapping[Press, Bind]
    wheel: Mapping[Qt.KeyboardModifier, str]
    comma: str = "contrast"
    double_click_fits: bool = False
    about: str = ""

    def bind(self, button: Qt.MouseButton, modifiers: Qt.KeyboardModifier, on_box: bool) -> Bind:
        """What a press does."""
        found = self.buttons.get((button, modifiers & MODIFIERS), Bind())
        return found.on_box if on_box and found.on_box is not None else found


_BOX = Bind("select", "move")
_ERASE = Bind("erase", "erase")
_BAND = Bind("", "band")
_WHEEL = {PLAIN: "zoom", SHIFT: "zoom", CTRL: "size", ALT: "contrast"}

DEFAULT = Scheme(
    "Default",
    {
        (LEFT, PLAIN): Bind("add", "pan", _BOX),
        (LEFT, SHIFT): _ERASE,
        (LEFT, CTRL): _ERASE,
        (LEFT, ALT): _BAND,
        (MIDDLE, PLAIN): Bind("erase", "pan"),
        (RIGHT, PLAIN): Bind("menu"),
    },
    _WHEEL,
    about="Clicks add, drags move or pan",
)
RELION = replace(
    DEFAULT,
    name="RELION",
    buttons={
        (LEFT, PLAIN): Bind("add", "add", _BOX),
        (LEFT, SHIFT): _ERASE,
        (LEFT, CTRL): Bind("menu"),
        (LEFT, ALT): _BAND,
        (MIDDLE, PLAIN): Bind("erase", "measure"),
        (MIDDLE, SHIFT): Bind("", "pan"),
        (RIGHT, PLAIN): Bind("menu"),
    },
    about="As in its manual picking: middle button deletes and measures",
)
EMAN2 = replace(
    DEFAULT,
    name="EMAN2",
    buttons={
        (LEFT, PLAIN): Bind("add", "add", _BOX),
        (LEFT, SHIFT): _ERASE,
        (LEFT, CTRL): _ERASE,
        (LEFT, ALT): _BAND,
        (MIDDLE, PLAIN): Bind("menu", "pan"),
        (RIGHT, PLAIN): Bind("menu", "pan"),
    },
    about="As in its boxer: a box can be placed and dragged in one movement, the right button pans",
)
CELLPOSE = replace(
    DEFAULT,
    name="cellpose",
    buttons={
        (LEFT, PLAIN): Bind("select", "pan", _BOX),
        (LEFT, SHIFT): _ERASE,
        (LEFT, CTRL): _ERASE,
        (LEFT, ALT): _BAND,
        (MIDDLE, PLAIN): Bind("erase", "pan"),
        (RIGHT, PLAIN): Bind("add"),
        (RIGHT, CTRL): Bind("menu"),
    },
    comma="size",
    double_click_fits=True,
    about="The right button adds, a double click shows the whole micrograph",
)
SCHEMES: dict[str, Scheme] = {s.name: s for s in (DEFAULT, RELION, EMAN2, CELLPOSE)}

# Tools change the left button only; everything else stays.
TOOLS: dict[str, Bind | None] = {
    "pick": None,
    "select": Bind("select", "band", Bind("select", "move")),
    "polygon": Bind("vertex", "pan"),
    "hand": Bind("", "pan"),
    "measure": Bind("clear", "measure"),
}


def scheme(name: str) -> Scheme:
    """The preset of that name, Default for an unknown one."""
    return SCHEMES.get(name, DEFAULT)


# -- words for the key sheet --------------------------------------------------------------------------------

_BUTTON_WORDS = {LEFT: "left", MIDDLE: "middle", RIGHT: "right"}
_KEY_WORDS = {CTRL: "Ctrl+", SHIFT: "Shift+", ALT: "Alt+", PLAIN: ""}
_WORDS = {
    "add": "add a box",
    "select": "select a box",
    "move": "move a box",
    "erase": "delete boxes",
    "band": "select boxes in a frame",
    "pan": "pan",
    "measure": "measure a distance",
    "menu": "menu",
}


def sheet(chosen: Scheme) -> list[tuple[str, str]]:
    """(press, what it does) for every press of a scheme, in the order of `_WORDS`."""
    rows: list[tuple[str, str]] = []
    for (button, keys), bind in chosen.buttons.items():
        where = _KEY_WORDS[keys] + _BUTTON_WORDS[button]
        for each, place in ((bind, ""), (bind.on_box, " on a box")):
            if each is not None:
                rows += [(f"{where} {way}{place}", action) for action, way in _presses(each, place)]
    order = list(_WORDS)
    return [(how, _WORDS[action]) for how, action in sorted(rows, key=lambda item: order.index(item[1]))]


def _presses(bind: Bind, place: str) -> list[tuple[str, str]]:
    """(action, click or drag); selecting empty ground is no news."""
    if bind.click and bind.click == bind.drag:
        return [(bind.click, "click or drag")]
    both = ((bind.click, "click"), (bind.drag, "drag"))
    return [(action, way) for action, way in both if action and (place or action != "select")]
