"""What a user can believe of a denoiser on their own data, without ground truth: all checks, and one traffic light.

Works through the Method protocol alone, so that a network and a linear filter are asked the same questions. The
measurements are in trust_blank, trust_injection, trust_residual, trust_halves and trust_spread; the limits in
trust_limits. None of the numbers is a resolution or a signal-to-noise ratio of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from core.denoising import trust_checks as checks
from core.denoising.trust_blank import Blank, blank_test, middle_part
from core.denoising.trust_halves import Agreement, agreement, pooled
from core.denoising.trust_injection import LEVELS, Injected, inject
from core.denoising.trust_limits import Verdict, worst
from core.denoising.trust_picking import Threshold, silent, threshold_on_injected, threshold_on_picks
from core.denoising.trust_residual import MeanParticle, Residual, mean_particle, measure_residual, pooled_bands
from core.denoising.trust_scene import Runs, Scene, Template
from core.denoising.trust_spread import DRAWS, STRENGTH, NoiseSpread, noise_spread

ADVICE = "For seeing and picking; extract from raw."


@dataclass(frozen=True, eq=False)
class Examined:
    """One micrograph, measured. `maps` are whole (h, w) micrographs; clear them when they are written."""

    scene: Scene
    threshold: Threshold
    raw_threshold: Threshold
    blanks: list[Blank]
    injected: list[Injected]
    residual: Residual
    agreement: Agreement | None
    spread: NoiseSpread
    silent: bool  # the denoised micrograph holds nothing
    maps: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """`y` (m,) over frequency `x` (m,), 1/Å or 1/px; `group` says which plot it belongs to."""

    group: str
    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Trust:
    """The answer: the light, the reason, the checks, what could not be checked, curves and mean particles."""

    verdict: Verdict
    reason: str
    checks: tuple[checks.Check, ...]
    missing: tuple[str, ...]
    curves: tuple[Curve, ...]
    mean: MeanParticle | None


def runs_needed(halves: bool, draws: int = DRAWS) -> int:
    """How often one micrograph is denoised."""
    return 1 + len(LEVELS) + 2 + draws + (2 if halves else 0)


def examine(
    runs: Runs,
    scene: Scene,
    template: Template,
    halves: tuple[np.ndarray, np.ndarray] | None = None,
    draws: int = DRAWS,
    strength: float = STRENGTH,
    seed: int = 0,
) -> Examined:
    """Run every check that one micrograph allows."""
    denoised = runs(scene.image, scene, "denoising")
    injected = inject(runs, scene, template)
    if scene.picked and template.own:
        threshold = threshold_on_picks(denoised, scene, template)
        raw_threshold = threshold_on_picks(scene.flat, scene, template)
    else:
        full = injected[0] if injected else None
        nothing = np.empty(0)
        threshold = threshold_on_injected(nothing if full is None else full.denoised_score)
        raw_threshold = threshold_on_injected(nothing if full is None else full.raw_score)
    blanks = blank_test(runs, scene, denoised, template, seed)
    residual = measure_residual(scene, denoised)
    spread = noise_spread(runs, scene, denoised, draws, strength, seed)
    both = agreement(runs, scene, *halves) if halves is not None else None
    maps = {
        "denoised": denoised,
        "residual": scene.flat - denoised,
        "spread": spread.spread,
        "spread_over_signal": spread.ratio,
    }
    return Examined(
        scene, threshold, raw_threshold, blanks, injected, residual, both, spread, silent(denoised, scene), maps
    )


def judge(examined: Sequence[Examined], template: Template, draws: int = DRAWS, strength: float = STRENGTH) -> Trust:
    """One answer from all micrographs; the light is the worst of the checks."""
    diameter = examined[0].scene.diameter
    residuals = [e.residual for e in examined]
    mean = mean_particle(residuals, template, diameter)
    blanks = [b for e in examined for b in e.blanks]
    thresholds = [(e.threshold, e.raw_threshold) for e in examined]
    with_room = [e for e in examined if e.injected]
    levels = [e.injected for e in with_room]
    nothing = all(e.silent for e in examined)
    halves = [e.agreement for e in examined if e.agreement is not None]
    found = [
        checks.check_invented([e.blanks for e in examined], thresholds, diameter),
        checks.check_amplitude(levels, template.source),
        checks.check_faint(levels, [e.blanks for e in with_room], [e.scene.sigma for e in with_room], template),
        checks.check_residual(residuals, mean),
        checks.check_blank(blanks),
        checks.check_spread([e.spread for e in examined], draws, strength, nothing),
        *([checks.check_agreement(halves)] if halves else []),
        checks.check_suppression(residuals, nothing),
        checks.check_signal(residuals),
    ]
    colours: list[Verdict] = [c.verdict for c in found]
    verdict = worst(*colours)
    return Trust(verdict, _reason(found, verdict), tuple(found), _missing(examined), _curves(residuals, halves), mean)


def _reason(found: Sequence[checks.Check], verdict: Verdict) -> str:
    """The first check that has the colour of the whole, or what green means."""
    if verdict in ("amber", "red"):
        worst_one = next(c for c in found if c.verdict == verdict)
        others = sum(c.verdict == verdict for c in found) - 1
        more = "" if not others else f" ({others} more {'check is' if others == 1 else 'checks are'} {verdict}.)"
        return f"{worst_one.title}: {worst_one.reason}{more}"
    return "No check found anything wrong on these micrographs. That is no proof for others."


def _missing(examined: Sequence[Examined]) -> tuple[str, ...]:
    """What could not be checked, or less well, and why."""
    out = []
    if not any(e.scene.picked for e in examined):
        out.append(
            "No picks: particles in the residual and their spread are not measured, and a soft disc stands for the "
            "particle. Give the picks for the whole test."
        )
    guessed = {e.scene.found for e in examined if e.scene.found != "given"}
    if guessed:
        out.append(f"Empty places: {'; '.join(sorted(guessed))}.")
    if not any(e.agreement for e in examined):
        out.append("No frame halves: their agreement is not measured.")
    if not all(e.injected for e in examined):
        out.append("Some micrographs have no empty place with room for an added particle.")
    return tuple(out)


def _curves(residuals: Sequence[Residual], halves: Sequence[Agreement]) -> tuple[Curve, ...]:
    bands = pooled_bands(residuals)
    x = tuple(b.frequency for b in bands)
    out = [
        Curve("residual", "residual at empty places", x, tuple(b.noise_left_out for b in bands)),
        Curve("signal", "SSNR", x, tuple(b.ssnr for b in bands)),
    ]
    at = [b.at_particles for b in bands if b.at_particles is not None]
    if len(at) == len(bands):
        out.insert(1, Curve("residual", "residual at particles", x, tuple(at)))
    if halves:
        both = pooled(halves)
        f = tuple(both.frequency.tolist())
        out += [
            Curve("agreement", "denoised halves", f, tuple(both.denoised.tolist())),
            Curve("agreement", "raw halves", f, tuple(both.raw.tolist())),
            Curve("agreement", "chance (3 sigma)", f, tuple(both.noise.tolist())),
        ]
    return tuple(out)


def shown_part(scene: Scene) -> tuple[slice, slice]:
    """Rows and columns of the part of a micrograph that is shown: a few diameters, from its middle."""
    rows, columns = middle_part(scene.image.shape, scene.diameter)
    return rows, columns
