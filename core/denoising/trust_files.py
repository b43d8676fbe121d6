"""What a trust folder holds, and reading it again: trust.json, report.html, small pictures as .npy. No algorithm here.

The window reads a folder through this module, which imports nothing but numpy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import InputError
from core.io.npy import load_npy

TRUST_FILE, REPORT_FILE, PICTURES = "trust.json", "report.html", "pictures"
FORMAT = 1
VERDICTS = ("red", "amber", "green", "info")
LIGHT_WORDS = {
    "green": "Nothing found against it",
    "amber": "Look closer",
    "red": "Do not rely on it",
    "info": "Nothing to judge",
}
CURVE_WORDS = {  # group of curves -> title, ordinate
    "residual": ("Residual power over that of empty places", "power ratio"),
    "signal": ("Where there is signal: power beyond the empty places (SSNR)", "SSNR"),
    "agreement": ("Agreement of the frame halves (not resolution)", "correlation"),
}
MOST_PIXELS = 1 << 24  # of one picture: a folder from elsewhere must not fill the memory


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture: float32 (h, w) with the grey values that are shown black and white, in what group, and its title."""

    key: str
    group: str
    title: str
    image: np.ndarray
    levels: tuple[float, float]


@dataclass(frozen=True, eq=False)
class TrustFolder:
    """A trust folder as it is read: trust.json as a mapping, and its pictures."""

    folder: Path
    facts: Mapping[str, Any]
    pictures: tuple[Picture, ...]

    @property
    def report(self) -> Path:
        """The page to open in a browser."""
        return self.folder / REPORT_FILE

    def curves(self) -> dict[str, list[dict[str, Any]]]:
        """Curves by group: each has name, x (1/Å or 1/px) and y."""
        found: dict[str, list[dict[str, Any]]] = {}
        for curve in self.facts["curves"]:
            found.setdefault(str(curve["group"]), []).append(curve)
        return found


def read_trust(folder: Path) -> TrustFolder:
    """Read a trust folder, or say in one sentence why it is none."""
    path = folder / TRUST_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        checks = [c["verdict"] in VERDICTS and str(c["title"] + c["reason"] + c["unit"]) for c in facts["checks"]]
        curves = [len(c["x"]) == len(c["y"]) and str(c["group"] + c["name"]) for c in facts["curves"]]
        good = all(checks) and all(curves) and facts["format"] == FORMAT and facts["verdict"] in VERDICTS
        listed = [(str(p["key"]), str(p["group"]), str(p["title"]), p["levels"]) for p in facts["pictures"]]
        pictures = tuple(_picture(folder, *p) for p in listed)
    except FileNotFoundError as err:
        raise InputError(
            f"{err.filename or path} does not exist.", "Run the check again: python main.py trust.", path
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        good, facts, pictures = False, {}, ()
    if not good:
        raise InputError(
            f"{path} is not the result of a trust check of this version.",
            "Run the check again: python main.py trust.",
            path,
        )
    return TrustFolder(folder, facts, pictures)


def _picture(folder: Path, key: str, group: str, title: str, levels: Any) -> Picture:
    if not key.replace("_", "").isalnum():
        raise ValueError("a picture's key is a plain word")
    image = load_npy(folder / PICTURES / f"{key}.npy")
    if image.ndim != 2 or image.size > MOST_PIXELS or image.dtype != np.float32:
        raise ValueError(f"{key} is no picture")
    low, high = (float(v) for v in levels)
    return Picture(key, group, title, np.array(image), (low, high))


def value_text(value: float | None, unit: str) -> str:
    """A number with its unit for people: `0.82 of 1`, `17.8 dB`, `not measured`."""
    if value is None:
        return "not measured"
    if unit in ("dB", "Å", "px"):
        text = f"{value:.1f}"
    elif unit.startswith("%"):
        if value < 0 and "% more" in unit:
            value, unit = -value, unit.replace("% more", "% fewer")
        text = f"{value:.0f}"
    elif value and abs(value) < 0.005:
        text = f"{value:.1e}" if abs(value) > 1e-6 else "0"
    else:
        text = f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return f"{text} {unit}".strip()
