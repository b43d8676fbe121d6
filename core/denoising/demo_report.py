"""report.html of the demo: one self-contained page with the table, the pictures and the curves.

Pictures are 8-bit PNG written here with zlib, curves are inline SVG: no plotting library, nothing loaded from outside.
"""

from __future__ import annotations

import base64
import html
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from core.denoising.report import Row
from core.images.contrast import auto_levels, to_8bit
from core.io.atomic import write_text

STYLE = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.35rem .9rem;border-bottom:1px solid #8884;text-align:right}
td:first-child,th:first-child{text-align:left}tr.ours{font-weight:600}.pair{display:grid;gap:.8rem;margin:1rem 0;
grid-template-columns:repeat(auto-fit,minmax(300px,1fr))}figure{margin:0}img{width:100%;image-rendering:auto;
border-radius:4px}figcaption{font-size:.9rem;opacity:.8}.note{border-left:4px solid #d08a2e;padding:.3rem 1rem;
background:#d08a2e1a}svg{width:100%;max-width:640px;height:auto}code{font-size:.95em}
"""


def png(image: np.ndarray) -> bytes:
    """An 8-bit grey (h, w) array as PNG."""
    height, width = image.shape
    rows = np.zeros((height, width + 1), np.uint8)
    rows[:, 1:] = image

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def figure(image: np.ndarray, caption: str) -> str:
    """One grey picture with its own percentile contrast and a caption."""
    data = base64.b64encode(png(to_8bit(image, *auto_levels(image)))).decode()
    text = html.escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def curve(points: Sequence[tuple[float, float]], title: str, x_label: str) -> str:
    """A line plot as SVG; the first and last values are written at their ends."""
    if len(points) < 2:
        return ""
    x, y = np.array(points, float).T
    span_x, span_y = max(np.ptp(x), 1e-12), max(np.ptp(y), 1e-12)
    px, py = 60 + 540 * (x - x.min()) / span_x, 210 - 180 * (y - y.min()) / span_y
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(px, py, strict=True))
    return (
        f'<figure><svg viewBox="0 0 640 250" role="img" aria-label="{html.escape(title)}">'
        f'<polyline fill="none" stroke="#4c8dd6" stroke-width="2" points="{path}"/>'
        f'<g font-size="13" fill="currentColor"><text x="4" y="34">{y.max():.3g}</text>'
        f'<text x="4" y="214">{y.min():.3g}</text><text x="60" y="240">{x.min():.0f}</text>'
        f'<text x="600" y="240" text-anchor="end">{x.max():.0f} {html.escape(x_label)}</text></g></svg>'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
    )


def table(rows: Sequence[Row], ours: str) -> str:
    """The comparison as an HTML table."""
    head = "<tr><th>Method</th><th>Ring AP</th><th>Background</th><th>Blank test</th><th>Suppression</th></tr>"
    body = "".join(
        f"<tr{' class=ours' if r.method == ours else ''}><td>{html.escape(r.method)}</td><td>{r.ring_ap:.3f}</td>"
        f"<td>{r.noise_over_particle:.3f}</td><td>{r.blank_over_particle:.3f}</td>"
        f"<td>{r.suppression_db:.1f} dB</td></tr>"
        for r in rows
    )
    return f"<table>{head}{body}</table>"


def write_report(
    path: Path,
    rows: Sequence[Row],
    ours: str,
    pictures: Sequence[Mapping[str, np.ndarray]],
    curves: Mapping[str, Sequence[tuple[float, float]]],
    facts: Mapping[str, str],
) -> None:
    """Write the page. `pictures`: one mapping caption -> image for each micrograph, equal crops."""
    listed = "".join(f"<li>{html.escape(k)}: {html.escape(v)}</li>" for k, v in facts.items())
    shown = "".join(f'<div class="pair">{"".join(figure(i, c) for c, i in p.items())}</div>' for p in pictures)
    plots = "".join(curve(points, title, "steps") for title, points in curves.items())
    write_text(
        path,
        f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Vitreous demo</title><style>{STYLE}</style>
<h1>Vitreous demo: three real micrographs of apoferritin</h1>
<p>Real data (EMPIAR-10146), a short training on this machine. The network never saw a clean particle of this
specimen: it learnt from simulated particles of other specimens mixed with the background of these micrographs.</p>
<p class="note">Denoised micrographs are for seeing and picking. Extract particles from the raw micrographs.</p>
<h2>All methods on the same micrographs</h2>{table(rows, ours)}
<p>Ring AP: average precision of template picking against the human picks (higher is better; the template of one
micrograph is the mean particle of the others). Background: spread on empty boxes over spread inside particles
(lower is better). Blank test: the same for a micrograph made only of empty patches; what is left there was
invented. Suppression: background against raw. None of these is a resolution.</p>
<h2>Before and after</h2>{shown}<h2>Training</h2>{plots}<h2>Facts</h2><ul>{listed}</ul></html>
""",
    )
