"""The first choice of Train: how long, and from what the network starts. What is offered follows the training set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.widgets.choice_cards import Choice
from core.denoising.set_kind import GENERIC_PATH, Kind
from core.jobs.train import MINUTES

TITLES = {"quick": "Quick", "quality": "Quality", "scratch": "From scratch"}
NOTES: dict[Kind, str] = {
    "": "",
    "noise-transfer": "",
    "halves": "Noise2Noise on your frame halves.",
    "cryoddm": "This set was built by CryoDDM's scheme, to compare with. No trained model can be its start.",
    "library": "This is a clean library: the result is a generic model, a start for Quick and Quality. It has seen "
    "nobody's noise, so it cannot denoise by itself.",
}


def choices(kind: Kind, minutes: float | None, epochs: int | None, start: str) -> list[Choice]:
    """The cards for a training set of this kind; `minutes`, `epochs` and `start` as the form below has them."""

    def side(mode: str) -> str:
        if epochs:
            return f"{epochs} epochs, set below"
        return f"{minutes:g} min, set below" if minutes else f"{max(1, round(MINUTES[mode]))} min"

    if kind in ("cryoddm", "library"):
        title = "CryoDDM (as published)" if kind == "cryoddm" else "Generic model"
        text = (
            "The published objective on your raw crops, from nothing."
            if kind == "cryoddm"
            else "Learns many specimens under many kinds of noise."
        )
        return [Choice("scratch", title, side("scratch"), text)]
    first = f"Your model {Path(start).name}" if start else "The shipped model"
    missing = "" if start or GENERIC_PATH.is_file() else "The shipped model is not in this installation."
    return [
        Choice("quick", TITLES["quick"], side("quick"), f"{first} learns your noise. For a first look.", missing),
        Choice(
            "quality",
            TITLES["quality"],
            side("quality"),
            "The same, for longer. For the micrographs you will pick from.",
            missing,
        ),
        Choice(
            "scratch",
            TITLES["scratch"],
            side("scratch"),
            f"{first} is where it starts, for half an hour."
            if start
            else "A network that has seen nothing but this "
            "training set. To compare with, or when the shipped model does not fit.",
        ),
    ]


def fitting_mode(mode: str, offered: list[Choice]) -> str:
    """The mode itself when it is offered, otherwise the first that can be chosen."""
    able = [choice.name for choice in offered if not choice.reason]
    return mode if mode in able else able[0]


def in_words(result: Mapping[str, Any]) -> str:
    """What a training has come to, in sentences."""
    steps, loss = result.get("steps", "?"), result.get("val_loss")
    origin = str(result.get("started_from") or "")
    if origin.endswith(f"models/{GENERIC_PATH.name}"):
        origin = "the shipped model"
    text = f"Trained {steps} steps from {origin or 'scratch'}"
    text += f"; validation loss {loss:.3f}." if isinstance(loss, (int, float)) else "."
    whole, alone = result.get("tslm"), result.get("tslm_network")
    if result.get("method") == "generic":
        return f"{text} It has seen nobody's noise: train from it on your own set."
    if not isinstance(whole, (int, float)):
        return text
    text += f" Structural loss (TSLM): {_share(whole)}"
    if isinstance(alone, (int, float)):
        text += f"; the network without your raw detail {_share(alone, short=True)}"
    return text + "."


def _share(part: float, short: bool = False) -> str:
    """ "it removes 3 % of the signal of your mean particle", or adds."""
    verb = "removes" if part >= 0 else "adds"
    amount = f"{abs(part) * 100:.1f} %"
    return f"{verb} {amount}" if short else f"the output {verb} {amount} of the signal of your mean particle"
