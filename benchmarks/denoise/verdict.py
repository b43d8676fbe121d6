"""What is asked of Quick and Quality, held against what was measured; and the tables for reading.

Every figure asked for is one line: asked, measured, and whether it is met (None: not measured).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

ASKED = ("quick", "quality")
BASELINES = ("gaussian_field", "wiener", "wiener_known", "topaz")  # of the whole field
Figures = Mapping[str, Any]
Line = dict[str, Any]


def value(methods: Figures, name: str, figure: str) -> float | None:
    """The mean of one figure; None when it is not there."""
    found = methods.get(name, {}).get(figure)
    number = found[0] if isinstance(found, Sequence) and not isinstance(found, str) else found
    return None if number is None or isinstance(number, str) or math.isnan(number) else float(number)


def best(methods: Figures, names: Sequence[str], figure: str) -> float | None:
    """The highest of some methods."""
    known = [v for v in (value(methods, n, figure) for n in names) if v is not None]
    return max(known, default=None)


def _line(mode: str, where: str, figure: str, measured: float | None, limit: float | None, at_least: bool) -> Line:
    met = None
    if measured is not None and limit is not None:
        met = measured >= limit - 1e-9 if at_least else measured <= limit + 1e-9
    sign = ">=" if at_least else "<="
    asked = f"{sign} {limit:.3f}" if limit is not None else f"{sign} a baseline that was not measured"
    return {"mode": mode, "where": where, "figure": figure, "asked": asked,
            "measured": None if measured is None else round(measured, 4), "met": met}  # fmt: skip


def _plus(base: float | None, more: float) -> float | None:
    return None if base is None else base + more


def simulated(where: str, methods: Figures) -> list[Line]:
    """The lines of one specimen."""
    lines: list[Line] = []

    def ask(mode: str, figure: str, name: str, limit: float | None, at_least: bool = True) -> None:
        lines.append(_line(mode, where, figure, value(methods, mode, name), limit, at_least))

    gauss: Callable[[str], float | None] = lambda figure: value(methods, "gaussian_inside", figure)  # noqa: E731
    raw: Callable[[str], float | None] = lambda figure: value(methods, "raw", figure)  # noqa: E731
    for mode, quick in zip(ASKED, (True, False), strict=True):
        field = best(methods, BASELINES, "snr_db")
        ask(mode, "whole-field SNR, dB", "snr_db", _plus(field, 4 if quick else 6))
        ask(mode, "SNR inside particles, dB", "snr_inside_db", _plus(gauss("snr_inside_db"), -0.5 if quick else 0.5))
        ask(mode, "slope CV", "slope_cv", _plus(raw("slope_cv"), 0.10 if quick else 0.05), at_least=False)
        ask(mode, "blank leak", "blank_leak", 0.3 if quick else 0.1, at_least=False)
        d_prime = gauss("d_prime")
        ask(mode, "picking d'", "d_prime", None if d_prime is None else d_prime * (0.95 if quick else 1.0))
        ask(mode, "pose fraction < 15 degrees", "pose_below_15", _plus(gauss("pose_below_15"), -0.05 if quick else 0.0))
        ask(mode, "mean FSC", "fsc", _plus(raw("fsc"), -0.01) if quick else gauss("fsc"))
        ask(mode, "faint hit rate", "faint_hit_rate", _plus(raw("faint_hit_rate"), -0.05 if quick else 0.0))
    return lines


def real(methods: Figures) -> list[Line]:
    """The lines of the real micrographs."""
    lines: list[Line] = []
    for mode, quick in zip(ASKED, (True, False), strict=True):
        ring = _plus(value(methods, "raw", "ring_ap"), -0.005 if quick else 0.0)
        left = value(methods, mode, "left_in_residual")
        wrong = [value(methods, mode, f"false_rings_per_mpx_{k}") for k in ("phases", "mosaic")]
        known = [v for v in wrong if v is not None]
        lines += [
            _line(mode, "apoferritin", "ring AP", value(methods, mode, "ring_ap"), ring, True),
            _line(mode, "apoferritin", "noise / particle std", value(methods, mode, "noise_over_particle"),
                  0.20 if quick else 0.15, False),
            _line(mode, "apoferritin", "|particle left in residual|", None if left is None else abs(left),
                  0.15 if quick else 0.10, False),
            _line(mode, "apoferritin", "false rings per Mpx on blanks", max(known, default=None), 0.0, False),
        ]  # fmt: skip
    return lines


def speed(figures: Figures) -> list[Line]:
    """Prediction beside Topaz; asked of Quick, or of another network when Quick was not there."""
    ours = next((n for n in ("quick", "quality", "scratch") if "mpx_per_cpu_s" in figures.get(n, {})), "quick")
    fast, memory = (value(figures, "topaz", n) for n in ("mpx_per_cpu_s", "peak_gb"))
    where = f"prediction of {figures.get('side_px')} px, {ours} beside Topaz"
    return [
        _line("quick", where, "Mpx per CPU-s", value(figures, ours, "mpx_per_cpu_s"), fast and 8 * fast, True),
        _line("quick", where, "peak memory, GB", value(figures, ours, "peak_gb"), memory and memory / 3, False),
    ]


def budgets(where: str, methods: Figures) -> list[Line]:
    """Quick trains at most 60 CPU-s, Quality at most 900."""
    limits = zip(ASKED, (60.0, 900.0), strict=True)
    return [_line(m, where, "training, CPU-s", value(methods, m, "train_cpu_s"), limit, False) for m, limit in limits]


COLUMNS = {
    "snr_db": "SNR dB", "snr_inside_db": "inside dB", "slope_cv": "slope CV", "blank_leak": "blank", "d_prime": "d'",
    "faint_hit_rate": "faint", "pose_below_15": "<15 deg", "fsc": "FSC", "frc": "FRC", "train_cpu_s": "train CPU-s",
}  # fmt: skip
REAL_COLUMNS = {
    "ring_ap": "ring AP", "noise_over_particle": "noise/part.", "left_in_residual": "left",
    "false_rings_per_mpx_phases": "false (phases)", "false_rings_per_mpx_mosaic": "false (mosaic)",
}  # fmt: skip


def table(methods: Figures, columns: Mapping[str, str]) -> str:
    """One line per method: mean, and the spread over seeds where it is known."""
    lines = [f"{'method':<18}" + "".join(f"{title:>15}" for title in columns.values())]
    for name, figures in methods.items():
        why = figures.get("skipped") or figures.get("error")
        cells = f"  {why}" if why else "".join(f"{_cell(figures.get(c)):>15}" for c in columns)
        lines.append(f"{name:<18}{cells}")
    return "\n".join(lines)


def _cell(found: Any) -> str:
    if found is None:
        return "-"
    if isinstance(found, Sequence):
        mean, spread = found
        return "-" if math.isnan(mean) else f"{mean:.3f} ±{spread:.3f}"
    return f"{found:.3f}"


def verdict_text(lines: Sequence[Line]) -> str:
    """The judgement as a table."""
    words = {True: "met", False: "MISSED", None: "not measured"}
    out = []
    for x in lines:
        measured = "-" if x["measured"] is None else f"{x['measured']:.3f}"
        out.append(f"{x['mode']:<9}{x['where']:<44}{x['figure']:<32}{x['asked']:<12} {measured:>9}  {words[x['met']]}")
    return "\n".join(out)
