"""What a folder given to `train` holds, told from its names and its manifest alone: quick, and without torch.

Reading the set itself is dataset.py and library_set.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

Kind = Literal["", "noise-transfer", "halves", "cryoddm", "library"]
GENERIC_PATH = Path(__file__).resolve().parents[2] / "resources" / "models" / "generic.safetensors"


def set_kind(folder: Path) -> Kind:
    """The kind of training set; "" when it is none, or cannot be read."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "library" if (folder / "library.safetensors").is_file() else ""
    except (OSError, ValueError):
        return ""
    if not isinstance(manifest, dict):
        return ""
    method = manifest.get("method")
    if method == "cryoddm":
        return "cryoddm"
    if manifest.get("halves"):
        return "halves"
    return "noise-transfer" if method == "noise-transfer" else ""
