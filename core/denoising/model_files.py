"""Which files a model consists of, and what tells it from every other: names and bytes alone, without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path


def facts_file(path: Path) -> Path:
    """The JSON file with the facts of a model; what counts where the weights file cannot carry them itself."""
    return path.with_suffix(".json")


def model_digest(path: Path) -> str:
    """Short digest of a model: of its file, and of the facts beside a PyTorch file, which carries none."""
    raw = path.read_bytes()
    content = hashlib.sha256(raw)
    if raw[:2] == b"PK" and facts_file(path).is_file():
        content.update(facts_file(path).read_bytes())
    return content.hexdigest()[:16]
