"""What can be seen to be wrong in a form before a job starts, and messages in the words of the form.

The rules of single values are the Params classes'; here is only what needs a look at the disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.fields import FieldSpec, walk
from core.params import Params

BASELINES = ("gaussian", "wiener")


def in_words(text: str, model: type[Params]) -> str:
    """Replace the command-line flags in a message by the labels of their fields."""
    for spec in walk(model):
        text = re.sub(rf"{re.escape(spec.flag)}(?![\w-])", f"“{spec.label}”", text)
    return text


def is_baseline(text: str) -> bool:
    """Does a model text name a filter instead of a file?"""
    return text.strip().lower().split(":")[0] in BASELINES


def absolute_text(text: str) -> str:
    """A typed path made absolute: relative to the user's home, for nobody sees where the program was started."""
    text = text.strip()
    if not text or is_baseline(text):
        return text
    path = Path(text).expanduser()
    return str(path if path.is_absolute() else Path.home() / path)


def problems(specs: Mapping[str, FieldSpec], values: Mapping[str, Any]) -> dict[str, str]:
    """Reason by key for paths that are not there, or an output folder that is an input folder."""
    found: dict[str, str] = {}
    inputs: set[Path] = set()
    for key, spec in specs.items():
        value = values.get(key)
        is_path = spec.kind in ("path", "paths") or spec.ui.get("dialog") == "open"
        if key == "output" or not value or not is_path:
            continue
        for text in value if isinstance(value, (list, tuple)) else [value]:
            path = Path(str(text))
            if is_baseline(str(text)) and spec.kind == "text":
                found |= _baseline_problem(key, str(text))
            elif not path.exists():
                found[key] = f"{path} does not exist."
            elif spec.ui.get("dialog") == "open" and path.is_dir():
                found[key] = f"{path} is a folder: choose a file."
            else:
                inputs.add(path if path.is_dir() else path.parent)
                if path.is_dir() and spec.kind == "path":
                    inputs.add(path)
    output = values.get("output")
    if output and Path(str(output)) in inputs and "output" in specs and specs["output"].ui.get("dialog") == "folder":
        found["output"] = "This folder holds the input: choose another one."
    elif output and specs.get("output") and specs["output"].ui.get("dialog") == "folder" and Path(output).is_file():
        found["output"] = "This is a file: choose a folder."
    return found


def _baseline_problem(key: str, text: str) -> dict[str, str]:
    name, colon, number = text.strip().lower().partition(":")
    if name == "wiener":
        return {key: "The Wiener filter takes no number: write wiener."} if colon else {}
    try:
        good = 1 <= float(number.strip().rstrip("aå")) <= 10_000
    except ValueError:
        good = False
    return {} if good else {key: "Write the resolution, 1 to 10000 Å: for example gaussian:30."}


def free_folder(path: Path) -> Path:
    """The path itself when nothing is there, otherwise the first of name-2, name-3, ... that is free."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return path
    stem = re.sub(r"-\d+$", "", path.name)
    return next(n for i in range(2, 10000) if not (n := path.with_name(f"{stem}-{i}")).exists())
