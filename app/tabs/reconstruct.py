"""Reconstruct: not built yet, and it says so."""

from __future__ import annotations

from app.tabs.coming import ComingTab


class ReconstructTab(ComingTab):
    """Says that reconstruction comes next."""

    title = "Reconstruct"
    sentence = "3D reconstruction with an honest uncertainty is not built yet. It comes next."
