"""cs2star: not built yet, and it says so."""

from __future__ import annotations

from app.tabs.coming import ComingTab


class Cs2StarTab(ComingTab):
    """Says that the conversion comes next."""

    title = "cs2star"
    sentence = "Converting CryoSPARC's .cs files to RELION's .star files is not built yet. It comes next."
