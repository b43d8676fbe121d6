"""report.html of a trust check: one self-contained page from what trust.json says and the pictures beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.denoising.demo_report import STYLE, png
from core.denoising.trust_files import CURVE_WORDS, LIGHT_WORDS, Picture, value_text
from core.images.contrast import ordered, to_8bit
from core.io.atomic import write_text

MORE_STYLE = """
:root{--green:#1b6e3f;--amber:#805400;--red:#b3261e;--info:#535e6b;--c0:#0b6b7d;--c1:#b5561c;--c2:#6a45b8}
@media (prefers-color-scheme:dark){:root{--green:#6fd09a;--amber:#f0c05a;--red:#ff8f80;--info:#a7b0bd;
--c0:#5cc8d8;--c1:#f0a35a;--c2:#b79cf0}}
.light{border-left:8px solid;padding:.4rem 1rem;margin:1rem 0}.light b{font-size:1.25rem}
.green{color:var(--green);border-color:var(--green)}.amber{color:var(--amber);border-color:var(--amber)}
.red{color:var(--red);border-color:var(--red)}.info{color:var(--info);border-color:var(--info)}
.light p{color:CanvasText;margin:.2rem 0}table.checks td{text-align:left;vertical-align:top}
table.checks td:nth-child(3){white-space:nowrap}table.numbers{font-size:.9rem}
table.numbers td:nth-child(2){text-align:left}
.dot{white-space:nowrap;font-weight:600}h2{margin-top:2rem}
.c0{stroke:var(--c0);fill:var(--c0)}.c1{stroke:var(--c1);fill:var(--c1)}.c2{stroke:var(--c2);fill:var(--c2)}
polyline.c0,polyline.c1,polyline.c2{fill:none;stroke-width:2}polyline.c2{stroke-dasharray:5 4}
text.c0,text.c1,text.c2{stroke:none}
@media print{:root{color-scheme:light;--green:#1b6e3f;--amber:#805400;--red:#b3261e;--info:#535e6b;--c0:#0b6b7d;
--c1:#b5561c;--c2:#6a45b8}body{max-width:none;margin:0;font-size:11pt}figure,tr,.light{break-inside:avoid}
h2{break-after:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
GROUPS = {
    "micrograph": "The micrograph, and what was taken away",
    "residual": "The same, smoothed for the eye",
    "spread": "Spread of the output when the noise changes",
    "particles": "Mean particle",
    "blank": "Blank test",
}
GROUP_NOTES = {
    "micrograph": "Raw and residual share one grey scale. The residual should look like noise, without outlines of "
    "particles.",
    "residual": "Gaussian low-pass of a twentieth of the diameter, one grey scale. A ring or blob on the right where a "
    "particle is on the left is signal that was taken away.",
    "spread": "Right: over the local contrast of the denoised micrograph; white means that as much changes with the "
    "noise as is shown. It is no error bar: what a method always gets wrong, it gets wrong in every draw.",
    "particles": "One grey scale for all three. A ring or blob in the residual is signal that was taken away.",
    "blank": "A micrograph made of your own noise, and what the method makes of it, on the grey scale of the denoised "
    "micrograph above. Whatever shows there was invented.",
}
WIDTH, HEIGHT = 640, 280
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 40


def dot(verdict: str) -> str:
    """The colour of a check, in colour and in words."""
    return f'<span class="dot {verdict}">{"○" if verdict == "info" else "●"} {verdict}</span>'


def checks_table(checks: Sequence[Mapping[str, Any]]) -> str:
    """Light, title, value and reason of every check."""
    rows = "".join(
        f"<tr><td>{dot(c['verdict'])}</td><td>{html.escape(c['title'])}</td>"
        f"<td>{html.escape(value_text(c['value'], c['unit']))}</td><td>{html.escape(c['reason'])}</td></tr>"
        for c in checks
    )
    return f'<table class="checks">{rows}</table>'


def numbers_table(checks: Sequence[Mapping[str, Any]]) -> str:
    """Every number behind the checks."""
    rows = "".join(
        f"<tr><td>{html.escape(c['title'])}</td><td>{html.escape(n['label'])}</td>"
        f"<td>{html.escape(value_text(n['value'], n['unit']))}</td></tr>"
        for c in checks
        for n in c["numbers"]
    )
    return f'<table class="numbers">{rows}</table>'


def figure(picture: Picture) -> str:
    """One picture at its own grey levels."""
    data = base64.b64encode(png(to_8bit(picture.image, *ordered(*picture.levels)))).decode()
    text = html.escape(picture.title)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def plot(group: str, curves: Sequence[Mapping[str, Any]], unit: str) -> str:
    """Curves of one group as SVG: frequency to the right, written as resolution."""
    title, y_label = CURVE_WORDS.get(group, (group, ""))
    x = np.concatenate([c["x"] for c in curves]).astype(float)
    y = np.concatenate([c["y"] for c in curves]).astype(float)
    if x.size < 2:
        return ""
    low, high = min(0.0, float(y.min())), max(1.0 if group != "signal" else 0.1, float(y.max()))
    right = float(x.max())

    def place(fx: float, fy: float) -> tuple[float, float]:
        return (
            LEFT + (WIDTH - LEFT - RIGHT) * fx / right,
            TOP + (HEIGHT - TOP - BOTTOM) * (1 - (fy - low) / max(high - low, 1e-12)),
        )

    lines = []
    for i, curve in enumerate(curves):
        points = " ".join("{:.1f},{:.1f}".format(*place(a, b)) for a, b in zip(curve["x"], curve["y"], strict=True))
        lines.append(f'<polyline class="c{i % 3}" points="{points}"/>')
        at = TOP + 16 + 17 * i
        lines.append(
            f'<text class="c{i % 3}" x="{WIDTH - RIGHT}" y="{at}" text-anchor="end">{html.escape(curve["name"])}</text>'
        )
    ticks = [f'<text x="4" y="{place(0, v)[1] + 4:.1f}">{v:.2g}</text>' for v in (low, high)]
    for part in (0.25, 0.5, 0.75, 1.0):
        at = place(part * right, low)
        anchor = "end" if part == 1.0 else "middle"
        label = f"{1 / (part * right):.3g} {unit}"
        ticks.append(f'<text x="{at[0]:.1f}" y="{HEIGHT - 22}" text-anchor="{anchor}">{label}</text>')
    zero, one = place(0, 0)[1], place(0, 1)[1]
    rules = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{zero:.1f}" y2="{zero:.1f}"/>'
    if low < 1 < high or group == "residual":
        rules += f'<line stroke-dasharray="2 4" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{one:.1f}" y2="{one:.1f}"/>'
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(title)}">'
        f'<g stroke="currentColor" stroke-opacity=".5">{rules}</g><g font-size="13">{"".join(lines)}</g>'
        f'<g font-size="13" fill="currentColor">{"".join(ticks)}</g></svg>'
        f"<figcaption>{html.escape(title)}; {html.escape(y_label)} over resolution</figcaption></figure>"
    )


def write_trust_report(path: Path, facts: Mapping[str, Any], pictures: Sequence[Picture]) -> None:
    """Write the page from trust.json's facts and the pictures."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for curve in facts["curves"]:
        groups.setdefault(curve["group"], []).append(curve)
    plots = "".join(plot(group, curves, facts["unit"]) for group, curves in groups.items())
    shown = ""
    for group, title in GROUPS.items():
        these = [p for p in pictures if p.group == group]
        if these:
            inner = "".join(figure(p) for p in these)
            shown += f'<h2>{title}</h2><p>{html.escape(GROUP_NOTES[group])}</p><div class="pair">{inner}</div>'
    missing = "".join(f"<li>{html.escape(text)}</li>" for text in facts["missing"])
    settings = "".join(f"<li>{html.escape(k)}: {html.escape(str(v))}</li>" for k, v in facts["settings"].items())
    name = html.escape(facts["method"])
    write_text(
        path,
        f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Vitreous trust: {name}</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}{MORE_STYLE}</style>
<h1>What can be believed of {name} on these micrographs</h1>
<div class="light {facts["verdict"]}"><b>● {html.escape(LIGHT_WORDS[facts["verdict"]])} ({facts["verdict"]})</b>
<p>{html.escape(facts["reason"])}</p></div>
<p class="note">{html.escape(facts["advice"])}</p>
<p>Measured on {len(facts["micrographs"])} of your own micrographs, without ground truth. None of these numbers is a
resolution or a gain of signal-to-noise, and green is no proof for other data.</p>
<h2>Checks</h2>{checks_table(facts["checks"])}
{f"<h2>Not measured, or less well</h2><ul>{missing}</ul>" if missing else ""}
<h2>Curves</h2><div class="pair">{plots}</div>{shown}
<h2>All numbers</h2>{numbers_table(facts["checks"])}
<h2>Settings</h2><ul>{settings}</ul></html>
""",
    )
