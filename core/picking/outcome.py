"""What a picking run says about itself, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import core
from core.picking.search import Candidates, Rules
from core.picking.templates import Templates
from core.picking.threshold import Threshold

SHORT = {  # of exclusion.CODES, for a count
    "edge": "near the border",
    "masked": "masked",
    "area": "in excluded areas",
    "strong": "far too strong",
    "surround": "in rough surroundings",
}


def provenance(denoised: Path | None, template: str, rules: Rules, threshold: Threshold, contrast: str) -> list[str]:
    """Comments for the head of the STAR files: what was searched, for what, and how it was decided."""
    where = f"denoised micrographs in {denoised}" if denoised else "raw micrographs"
    return [
        f"Vitreous {core.__version__} pick-particles: searched on {where}; positions are pixels of the raw micrographs",
        f"template {template}, diameter {rules.diameter:g} px, {contrast} particles, "
        f"at least {rules.spacing:g} px apart",
        f"figure of merit: robust sigmas of the background's scores; threshold {threshold.words}",
    ]


def in_words(left_out: Counter[str]) -> str:
    """The candidates that were strong enough but left out: 12 left out (7 near the border, 5 masked)."""
    if not left_out:
        return "none left out"
    parts = ", ".join(f"{count} {SHORT[code]}" for code, count in left_out.most_common())
    return f"{sum(left_out.values())} left out ({parts})"


def by_template(found: Iterable[Candidates], templates: Templates, threshold: float) -> dict[str, int]:
    """How many picks each class average (view) found, by its number from 1; empty for a single image."""
    if len(templates.images) < 2:
        return {}
    counted = Counter(int(s) + 1 for p in found for s in p.source[p.chosen(threshold)])
    return {str(number): counted[number] for number in sorted(counted)}
