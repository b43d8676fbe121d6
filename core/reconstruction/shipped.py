"""Where the learned prior that is shipped lies; importing this loads no network."""

from __future__ import annotations

from pathlib import Path

BUNDLED_PATH = Path(__file__).resolve().parents[2] / "resources" / "models" / "prior32.safetensors"
