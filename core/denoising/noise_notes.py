"""What forward notes about the empty patches, micrograph by micrograph, and tells at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from core.denoising.canonical import Canonical
from core.denoising.noise_fingerprint import (
    NoiseFingerprint,
    fingerprint_of_micrograph,
    noise_mismatch,
    pool_fingerprints,
)
from core.denoising.noise_model import MOST_NAMES, NoiseModel, describe_noise
from core.denoising.noise_screen import screen_boxes
from core.denoising.patch_words import counted

MOST_LISTED = 200  # boxes in a result; the manifest has all


@dataclass
class NoiseNotes:
    """Filled while the micrographs pass by; `model` is there after `finish`."""

    box: int  # px of the micrographs
    particle_diameter: float  # px of the micrographs
    diameter: float  # canonical px
    pixel_size_a: float | None
    left_out: dict[int, str] = field(default_factory=dict)  # number of the noise crop -> sentence
    places: list[dict[str, Any]] = field(default_factory=list)
    doubtful: dict[str, int] = field(default_factory=dict)  # micrograph -> boxes kept in spite of doubts
    fingerprints: dict[str, NoiseFingerprint] = field(default_factory=dict)
    model: NoiseModel | None = None

    @property
    def canonical_pixel_size_a(self) -> float | None:
        """Of the training scale; None where the micrographs' own is unknown."""
        return self.pixel_size_a and self.pixel_size_a * self.particle_diameter / self.diameter

    def screen(
        self, name: str, image: np.ndarray, boxes: np.ndarray, numbers: np.ndarray, particles: np.ndarray
    ) -> np.ndarray:
        """The boxes (m, 2) that are used of one micrograph's `boxes` (n, 2), whose crops have `numbers` (n,)."""
        found = screen_boxes(image, boxes, self.box, particles, self.particle_diameter, self.pixel_size_a)
        for number, (x, y), code, reason in zip(numbers, boxes, found.codes, found.reasons, strict=True):
            if reason:
                self.left_out[int(number)] = reason
                self.places.append({"micrograph": name, "x": int(x), "y": int(y), "code": code, "reason": reason})
        if found.doubtful:
            self.doubtful[name] = found.doubtful
        return boxes[found.kept]

    def measure(self, name: str, canonical: Canonical) -> None:
        """Take the fingerprint of one micrograph."""
        found = fingerprint_of_micrograph(canonical, self.diameter, self.canonical_pixel_size_a, self.pixel_size_a)
        if found is not None:
            self.fingerprints[name] = found

    def finish(self, patches: np.ndarray, group: np.ndarray, names: dict[int, str]) -> NoiseModel:
        """Describe the patches (m, h, h) that are used; `group` (m,) numbers their micrographs."""
        self.model = describe_noise(patches, group, names)
        return self.model

    @property
    def fingerprint(self) -> NoiseFingerprint | None:
        """Of all micrographs together."""
        return pool_fingerprints(list(self.fingerprints.values()))

    def warnings(self) -> list[str]:
        """What the user should know before training, in sentences."""
        found = []
        if self.doubtful:
            worst = sorted(self.doubtful, key=lambda n: -self.doubtful[n])
            found.append(
                f"Most noise boxes of {_names(worst)} look contaminated; half of them are used all the same. "
                "Pick noise there again, or leave these micrographs out."
            )
        disagreement = self.model.warning(self.canonical_pixel_size_a) if self.model else ""
        odd = self._odd()
        if disagreement:
            found.append(disagreement)
        if odd:
            found.append(
                f"The calm places of {_names(odd)} have another noise than those of the other micrographs. "
                "Train them apart if they come from another session."
            )
        return found

    def _odd(self) -> list[str]:
        """Micrographs that would be warned about if the model had been trained on all the others."""
        if len(self.fingerprints) < 3:
            return []
        everything = self.fingerprint
        assert everything is not None
        return [n for n, one in self.fingerprints.items() if noise_mismatch(everything, one)]

    def reasons(self) -> str:
        """5 spots, 2 unlisted particles."""
        totals = Counter(str(place["code"]) for place in self.places)
        return ", ".join(counted(code, n) for code, n in totals.most_common())

    def summary(self) -> str:
        """A half sentence for the end of a run; "" where there is nothing to tell."""
        if not self.places:
            return ""
        return f"; {len(self.places)} noise boxes left out ({self.reasons()})"

    def result(self) -> dict[str, Any]:
        """For the job's result."""
        return {
            "noise_boxes_left_out": len(self.places),
            "left_out": self.places[:MOST_LISTED],
            "noise_disagreement": round(self.model.disagreement, 4) if self.model else 0.0,
        }

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        whole = self.fingerprint
        return {
            "fingerprint": whole.as_dict() if whole else None,
            "left_out": len(self.places),
            **(self.model.as_dict() if self.model else {}),
        }


def _names(names: list[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
