"""The checks of the trust panel: measurements of several micrographs become one value, a colour and a sentence each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.denoising import trust_blank, trust_halves, trust_injection, trust_residual, trust_spread
from core.denoising.trust_blank import KINDS, Blank
from core.denoising.trust_halves import Agreement
from core.denoising.trust_injection import Injected
from core.denoising.trust_limits import LIMITS, Verdict, worst
from core.denoising.trust_picking import Threshold
from core.denoising.trust_residual import MeanParticle, Residual
from core.denoising.trust_scene import Template
from core.denoising.trust_spread import NoiseSpread

LEAST_SCORE = 0.02  # of a full particle's score: what is weaker has not been found, however silent the blank is
SIGNAL = 0.05  # SSNR of a band in which signal is said to be seen: a judgement, above the error of a band


@dataclass(frozen=True)
class Number:
    """One number of a check, for the details."""

    label: str
    value: float | None
    unit: str = ""


@dataclass(frozen=True)
class Check:
    """One line of the panel: a value with its unit, a colour, the sentence that gives the reason, and more numbers."""

    key: str
    title: str
    value: float | None
    unit: str
    verdict: Verdict
    reason: str
    numbers: tuple[Number, ...] = ()


def check_invented(
    blanks: Sequence[Sequence[Blank]], thresholds: Sequence[tuple[Threshold, Threshold]], diameter: float
) -> Check:
    """Peaks on empty micrographs above the user's own picking threshold. Of every micrograph: blanks, thresholds."""
    title, unit = "Invented particles", "peaks per Mpx"
    pooled = {kind: trust_blank.pooled(of_kind(blanks, kind), thresholds) for kind in KINDS}
    known = [p.peaks_per_mpx for p in pooled.values() if p.peaks_per_mpx is not None]
    if not known:
        reason = "The output holds nothing that could be picked, neither of the micrographs nor of empty ones."
        return Check("invented", title, None, unit, "info", reason)
    rate, density = max(known), pooled["phase"].picked_per_mpx
    if density:
        verdict = LIMITS["invented_per_pick"].verdict(rate / density)
        beside = f"beside {density:.0f} picked particles per Mpx"
    else:
        verdict = LIMITS["invented_per_square"].verdict(rate * diameter**2 / 1e6)
        beside = f"in {1e6 / diameter**2:.0f} places for a particle per Mpx"
    rule = next(t.rule for t, _ in thresholds if t.score is not None)
    f1 = [t.f1 for t, _ in thresholds if t.f1 is not None]
    start = "No peak was" if rate == 0 else f"{rate:.3g} peaks per Mpx were"
    reason = f"{start} invented on empty micrographs, {beside} (threshold: {rule})."
    numbers = [Number(KINDS[kind], p.peaks_per_mpx, unit) for kind, p in pooled.items()]
    numbers += [Number(f"{KINDS[kind]}, raw", p.raw_peaks_per_mpx, unit) for kind, p in pooled.items()]
    if f1:
        numbers.append(Number("F1 of the picks at the threshold", float(np.mean(f1))))
    return Check("invented", title, rate, unit, verdict, reason, tuple(numbers))


def of_kind(blanks: Sequence[Sequence[Blank]], kind: str) -> list[Blank]:
    """The blank of one kind of every micrograph."""
    return [next(b for b in both if b.kind == kind) for both in blanks]


def check_blank(blanks: Sequence[Blank]) -> Check:
    """How much contrast an empty micrograph comes out with."""
    numbers, over, shares = [], [], []
    for kind, name in KINDS.items():
        these = [b for b in blanks if b.kind == kind]
        shares.append(float(np.mean([b.share for b in these])))
        numbers.append(Number(f"{name}: left of its own spread", shares[-1]))
        ratios = [b.over_particle for b in these if b.over_particle is not None]
        if ratios:
            over.append(float(np.mean(ratios)))
            numbers.append(Number(f"{name}: over particles", over[-1]))
    if over:
        value, limit, what = max(over), "blank_over_particle", "the spread inside your particles"
    else:
        value, limit, what = max(shares), "blank_share", "its own spread"
    reason = f"An empty micrograph comes out with {value:.2f} of {what}: what is left there is not signal."
    return Check("blank", "Blank micrograph", value, "of 1", LIMITS[limit].verdict(value), reason, tuple(numbers))


def check_amplitude(levels: Sequence[Sequence[Injected]], source: str) -> Check:
    """Contrast of known particles after denoising. `levels`: of every micrograph, its readings."""
    title, unit = "Contrast of known particles", "of 1"
    if not levels:
        return _no_room("amplitude", title, unit)
    found = [trust_injection.recovery(parts) for parts in zip(*levels, strict=True)]
    colours: list[Verdict] = [LIMITS[f"amplitude_{r.level:g}"].verdict(r.amplitude) for r in found]
    verdict = worst(*colours)
    full = found[0]
    faint = ", ".join(f"{r.amplitude:.2f} at {r.level:g} of the contrast" for r in found[1:])
    reason = (
        f"Added at empty places ({source}), known particles come back with {full.amplitude:.2f} ± {full.error:.2f} of "
        f"their contrast; {faint}."
    )
    numbers: list[Number] = []
    for r in found:
        name = f"contrast {r.level:g}, SNR {r.snr:.3g}"
        numbers += [
            Number(f"{name}: amplitude", r.amplitude),
            Number(f"{name}: standard error", r.error),
            Number(f"{name}: spread from place to place", r.spread),
            Number(f"{name}: the same spread, raw", r.raw_spread),
            Number(f"{name}: raw amplitude over what was added", r.raw_amplitude),
        ]
    numbers.append(Number("added particles per level", float(full.places)))
    return Check("amplitude", title, full.amplitude, unit, verdict, reason, tuple(numbers))


def _no_room(key: str, title: str, unit: str) -> Check:
    return Check(key, title, None, unit, "info", "There is no empty place with room for a particle: not measured.")


def check_faint(
    levels: Sequence[Sequence[Injected]],
    blanks: Sequence[Sequence[Blank]],
    sigmas: Sequence[float],
    template: Template,
) -> Check:
    """How many added particles stand out from blanks, after denoising and before, at one rate of false alarms."""
    title, unit = "Faint particles found", "% more than raw"
    if not levels:
        return _no_room("faint", title, unit)
    full = float((template.matched**2).sum())  # score of a particle at full contrast, in noise sigmas
    least = [LEAST_SCORE * full * sigma for sigma in sigmas]
    numbers: list[Number] = []
    half, count = (0.0, 0.0), 1
    for i, first in enumerate(levels[0]):
        rates = []
        for raw in (False, True):
            hits = [
                (parts[i].raw_score if raw else parts[i].denoised_score) > max(trust_blank.false_alarm(b, raw), floor)
                for parts, b, floor in zip(levels, blanks, least, strict=True)
            ]
            rates.append(100 * float(np.concatenate(hits).mean()))
            count = sum(map(len, hits))
        numbers += [
            Number(f"contrast {first.level:g}: found after denoising", rates[0], "%"),
            Number(f"contrast {first.level:g}: found on raw data", rates[1], "%"),
        ]
        if first.level == 0.5:
            half = (rates[0], rates[1])
    chance = math.sqrt(sum(rate / 100 * (1 - rate / 100) for rate in half) / count)  # a standard error of the two
    shortfall = (half[0] - half[1]) / 100
    verdict = LIMITS["faint_hits"].verdict(min(shortfall + chance, 0.0))
    reason = (
        f"At half the contrast {half[0]:.0f} % of {count} added particles stand out after denoising, {half[1]:.0f} % "
        "on raw data (template scores that one peak per Mpx of a blank reaches); judged less one standard error."
    )
    return Check("faint", title, half[0] - half[1], unit, verdict, reason, tuple(numbers))


def check_residual(parts: Sequence[Residual], mean: MeanParticle | None) -> Check:
    """What was taken away: is a particle in it?"""
    title = "Particle in the residual"
    bands = trust_residual.pooled_bands(parts)
    unit = "Å" if parts[0].spectra.pixel_size_a else "px"
    numbers = [
        Number(f"{b.resolution:.3g} {unit}: residual power at empty places", b.noise_left_out, "of raw") for b in bands
    ]
    if mean is None:
        reason = "Without picks nobody knows where particles are: look for their outlines in the residual picture."
        return Check("residual", title, None, "of 1", "info", reason, tuple(numbers))
    numbers += [
        Number(f"{b.resolution:.3g} {unit}: residual power at particles", b.at_particles, "of empty raw") for b in bands
    ]
    numbers += [
        Number(f"{b.resolution:.3g} {unit}: signal power taken away", b.removed, "of 1")
        for b in bands
        if b.removed is not None
    ]
    numbers.append(Number("left when contrast is matched first (shape)", mean.shape_left))
    numbers.append(Number("particles averaged", float(mean.particles)))
    highest = max(bands, key=lambda b: b.at_particles or 0.0)
    above = highest.at_particles or 0.0
    verdict = worst(LIMITS["left"].verdict(mean.left), LIMITS["at_particles"].verdict(above))
    reason = f"{mean.left:.2f} of the mean particle is left in raw minus denoised (0 is ideal)"
    if LIMITS["at_particles"].verdict(above) == "green":
        reason += "; at particles no band has more power than empty places."
    else:
        reason += (
            f"; at particles the residual has {above:.2f} times the power of empty places at "
            f"{highest.resolution:.3g} {unit}: signal was taken away there."
        )
    return Check("residual", title, mean.left, "of 1", verdict, reason, tuple(numbers))


def check_agreement(parts: Sequence[Agreement]) -> Check:
    """Denoised halves beside raw halves. Never a resolution."""
    both = trust_halves.pooled(parts)
    verdict = worst(LIMITS["agreement_lost"].verdict(both.lost), LIMITS["agreement_beyond"].verdict(both.beyond))
    reason = (
        f"The denoised halves agree {both.lost:.2f} less than the raw halves where these agree at all, and by "
        f"{both.beyond:.2f} where raw halves do not (agreement, not resolution)."
    )
    numbers = (
        Number("mean loss where the raw halves agree", both.lost),
        Number("agreement where the raw halves have none", both.beyond),
    )
    return Check("agreement", "Agreement of frame halves", both.beyond, "beyond raw", verdict, reason, numbers)


def check_signal(parts: Sequence[Residual]) -> Check:
    """Where there is signal at all: a fact about the data."""
    bands = trust_residual.pooled_bands(parts)
    unit = "Å" if parts[0].spectra.pixel_size_a else "px"
    seen = [b for b in bands if b.ssnr > SIGNAL]
    finest = min((b.resolution for b in seen), default=None)
    reason = (
        "No band has more power than the empty places: particles are faint, or the empty places are not empty."
        if finest is None
        else f"The micrographs have more power than their empty places down to about {finest:.3g} {unit}; finer "
        "detail in the output is not supported by this test."
    )
    numbers = tuple(Number(f"SSNR at {b.resolution:.3g} {unit}", b.ssnr) for b in bands)
    return Check("signal", "Where there is signal", finest, unit, "info", reason, numbers)


def check_suppression(parts: Sequence[Residual], silent: bool = False) -> Check:
    """Background before and after, in dB. No gain of signal to noise."""
    value = float(np.mean([p.suppression_db for p in parts]))
    numbers = []
    ratios = [p.noise_over_particle for p in parts if p.noise_over_particle is not None]
    if ratios:
        raw, made = np.mean(ratios, axis=0)
        numbers = [
            Number("background over particle spread, raw", float(raw)),
            Number("background over particle spread, denoised", float(made)),
        ]
    verdict = LIMITS["suppression_db"].verdict(value)
    if silent:
        reason = "The output holds nothing at all."
        return Check("suppression", "Background suppression", value, "dB", "info", reason, tuple(numbers))
    change = "hardly changed" if verdict != "green" else f"{10 ** (value / 20):.1f} times calmer"
    reason = f"The empty places are {change}; this says nothing of the particles."
    return Check("suppression", "Background suppression", value, "dB", verdict, reason, tuple(numbers))


def check_spread(parts: Sequence[NoiseSpread], draws: int, strength: float, silent: bool = False) -> Check:
    """How far the output depends on the noise that happened to be there."""
    inside = trust_spread.pooled_inside(parts)
    empty = float(np.mean([p.empty for p in parts]))
    how = f"spread of the output when the noise changes ({draws} draws of real noise at {strength:g} of its strength)"
    numbers = (
        Number("over local contrast, inside particles", inside),
        Number("over local contrast, at empty places", empty),
        Number("median spread", float(np.mean([p.typical for p in parts])), "noise sigmas"),
        Number("draws K", float(draws)),
        Number("strength a", strength),
    )
    if silent:
        reason = "The output holds nothing at all, whatever the noise is."
        return Check("spread", "Depends on the noise", None, "of 1", "info", reason)
    if inside is None:
        reason = f"At empty places {empty:.2f} of the local contrast is the {how}; no picks to measure particles on."
        return Check("spread", "Depends on the noise", empty, "of 1", "info", reason, numbers)
    reason = f"Inside particles {inside:.2f} of the local contrast is the {how}."
    return Check(
        "spread", "Depends on the noise", inside, "of 1", LIMITS["noise_spread"].verdict(inside), reason, numbers
    )
