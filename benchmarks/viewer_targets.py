"""What the viewer must hold, judged on the measured figures, and the tables for people. Measures nothing.

The CPU figures are means per frame of user and system time of the whole process; `pyqtgraph` in a target is its
PlotWidget with an ImageItem, and its ImageView is told beside it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

REFERENCE, OTHER_WIDGET = "pyqtgraph_plot", "pyqtgraph_imageview"
SCENARIOS = ("pan_fit", "pan_full", "zoom", "contrast_fit", "contrast_full")
CRYODDM_CPU_S = 1.65  # loading one 4096 x 4096 micrograph
FULL_PYRAMID_CPU_S = CRYODDM_CPU_S / 3
FIRST_PIXELS_MS = {4096: 60, 8192: 120}

Row = dict[str, Any]
_SIGNS: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le, "<": operator.lt}


def value(figures: Any, *path: str) -> float | None:
    """A number deep inside, or None when it was not measured."""
    for key in path:
        figures = figures.get(key) if isinstance(figures, dict) else None
    return float(figures) if isinstance(figures, (int, float)) else None


def row(figure: str, got: float | None, sign: str, target: float, unit: str = "", note: str = "") -> Row:
    """One line of the table of targets."""
    verdict = "not measured" if got is None else "pass" if _SIGNS[sign](got, target) else "miss"
    shown = None if got is None else float(f"{got:.4g}")
    wanted = f"{sign} {target:.4g} {unit}".strip()
    return {"figure": figure, "value": shown, "target": wanted, "verdict": verdict, "note": note}


def ratio(above: float | None, below: float | None) -> float | None:
    """above / below."""
    return above / below if above is not None and below else None


def _times(number: float | None) -> str:
    return "not measured" if number is None else f"{number:.3g}x"


def judge(figures: dict[str, Any]) -> list[Row]:
    """All targets, in the order of the table they come from."""
    main = figures["frames"].get(figures["plan"]["main"], {})
    rows = [*_contrast(main), *_pans(main), *_zoom(main), *_opening(figures), *_memory(main)]
    rows += [*_correlations(figures), *_bytes(figures), _large(figures, main), *_browsing(figures), *_boxes(main)]
    return [*rows, _gpu(figures)]


def _against(main: Any, painter: str, scenario: str, of: str = "cpu_ms") -> float | None:
    """How many times less time we need than `painter`."""
    return ratio(value(main, painter, scenario, of), value(main, "raster", scenario, of))


def _contrast(main: Any) -> list[Row]:
    rows = []
    for painter, name, target in (
        (REFERENCE, "pyqtgraph ImageItem", 10),
        ("pixmap", "QGraphicsView + pixmap", 80),
        ("napari", "napari", 8),
    ):
        sharp = value(main, "raster", "until_sharp", "contrast_fit", "cpu_ms")
        until = _times(ratio(value(main, painter, "contrast_fit", "cpu_ms"), sharp))
        other = f"ImageView {_times(_against(main, OTHER_WIDGET, 'contrast_fit'))}, " if painter == REFERENCE else ""
        medians = _times(_against(main, painter, "contrast_fit", "cpu_median_ms"))
        note = f"{other}medians {medians}, until nothing more is refined {until}"
        got = _against(main, painter, "contrast_fit")
        rows.append(row(f"contrast at fit, times faster than {name}", got, ">=", target, note=note))
    return rows


def _pans(main: Any) -> list[Row]:
    rows = []
    for scenario, name in (("pan_fit", "pan at fit"), ("pan_full", "pan at 1:1")):
        note = f"ImageView {_times(_against(main, OTHER_WIDGET, scenario))}"
        rows.append(
            row(f"{name}, times faster than pyqtgraph", _against(main, REFERENCE, scenario), ">=", 3, note=note)
        )
        wall = value(main, "raster", scenario, "wall_ms")
        note = "" if wall is None else f"wall {wall:g} ms"
        rows.append(row(f"{name}, CPU per frame", value(main, "raster", scenario, "cpu_ms"), "<", 5, "ms", note))
    return rows


def _zoom(main: Any) -> list[Row]:
    rows = []
    for clock, name in (("cpu", "CPU"), ("wall", "wall")):
        median, high = ("cpu_median_ms", "cpu_p95_ms") if clock == "cpu" else ("wall_ms", "wall_p95_ms")
        got = _against(main, REFERENCE, "zoom", median)
        note = f"ImageView {_times(_against(main, OTHER_WIDGET, 'zoom', median))}"
        sharp = value(main, "raster", "until_sharp", "zoom", median)
        note += "" if sharp is None else f", until nothing more is refined {sharp:.0f} ms"
        rows.append(row(f"zoom step, median {name}, times faster than pyqtgraph", got, ">=", 1, note=note))
        own = ratio(value(main, "raster", "zoom", high), value(main, "raster", "zoom", median))
        rows.append(row(f"zoom step, 95th percentile over own median, {name}", own, "<=", 4))
    return rows


def _opening(figures: Any) -> list[Row]:
    rows = []
    for side, target in FIRST_PIXELS_MS.items():
        got = value(figures, "opening", str(side), "first_ms")
        if got is not None or str(side) in figures["plan"]["opening"]:
            loaded, seen = (value(figures, "opening", str(side), k) for k in ("sharp_ms", "first_frame_correlation"))
            note = "" if loaded is None else f"sharp after {loaded:.0f} ms; correlation of the first frame {seen}"
            rows.append(row(f"file selected to first pixels, {side} x {side}", got, "<=", target, "ms", note))
    got = value(figures, "opening", "4096", "select_to_sharp_cpu_s")
    alone = value(figures, "opening", "4096", "full_pyramid_cpu_s")
    note = "" if alone is None else f"reading and pyramid alone {alone:g} s"
    rows.append(row("file selected to sharp, 4096 x 4096, CPU", got, "<=", FULL_PYRAMID_CPU_S, "s", note))
    return rows


def _memory(main: Any) -> list[Row]:
    rows = []
    for painter, name, target in ((REFERENCE, "pyqtgraph", 0.9), ("pixmap", "QGraphicsView + pixmap", 0.2)):
        with_libraries = ratio(_memory_of(main, "raster"), _memory_of(main, painter))
        without = ratio(value(main, "raster", "memory_mb"), value(main, painter, "memory_mb"))
        note = f"libraries left out {_times(without)}"
        rows.append(row(f"memory over the image, part of {name}'s", with_libraries, "<=", target, note=note))
    return rows


def _memory_of(main: Any, painter: str) -> float | None:
    parts = [value(main, painter, key) for key in ("memory_mb", "libraries_mb")]
    return None if None in parts else sum(p for p in parts if p is not None)


def _correlations(figures: Any) -> list[Row]:
    rows = []
    for size, painters in figures["frames"].items():
        first = value(painters, "raster", "correlation_first_frame")
        others = [value(painters, name, "correlation") for name in (REFERENCE, OTHER_WIDGET, "pixmap", "napari")]
        known = [f"{other:.2f}" for other in others if other is not None]
        note = f"first frame {first}; others {', '.join(known) or 'not measured'}"
        got = value(painters, "raster", "correlation")
        rows.append(row(f"correlation with exact area means, {size}", got, ">=", 0.95, note=note))
    return rows


def _bytes(figures: Any) -> list[Row]:
    rows = []
    for scenario, name in (("pan_fit", "pan at fit"), ("pan_full", "pan at 1:1")):
        ours, theirs = (value(figures, "x11", p, scenario, "bytes") for p in ("raster", REFERENCE))
        note = "" if ours is None or theirs is None else f"{ours / 1024:.0f} KiB against {theirs / 1024:.0f} KiB"
        rows.append(
            row(f"bytes on the X socket, {name}, pyqtgraph's over ours", ratio(theirs, ours), ">=", 40, note=note)
        )
    return rows


def _large(figures: Any, main: Any) -> Row:
    size = figures["plan"]["large"]
    large = figures["frames"].get(size, {})
    ratios = {s: ratio(value(large, "raster", s, "cpu_ms"), value(main, "raster", s, "cpu_ms")) for s in SCENARIOS}
    known = [r for r in ratios.values() if r is not None]
    note = ", ".join(f"{name} {_times(r)}" for name, r in ratios.items()) if known else ""
    title = f"slowest interaction at {size or 'a larger size'} over {figures['plan']['main']}"
    return row(title, max(known, default=None), "<=", 1.5, note=note)


def _browsing(figures: Any) -> list[Row]:
    found = figures.get("browsing") or {}
    right = found.get("right_file")
    growth, budget = value(found, "memory_growth_mb"), value(found, "cache_budget_mb")
    allowed = (budget or 0) + (value(found, "allowance_mb") or 0)
    title = f"{found.get('presses', '')} next/previous presses over {found.get('files', '')} files"
    return [
        row(f"{title}: ends on the right file (1: yes)", None if right is None else float(right), ">=", 1),
        row(f"{title}: late images", value(found, "late_images"), "<=", 0),
        row(f"{title}: memory", growth, "<=", allowed, "MB", f"the cache's budget is {budget or 0:.0f} MB"),
    ]


def _boxes(main: Any) -> list[Row]:
    names = (("fit", "all on the screen"), ("full", "at 1:1"))
    return [
        row(f"pan with 20,000 boxes, {name}, CPU", value(main, "raster", "boxes", key, "cpu_ms"), "<=", 10, "ms")
        for key, name in names
    ]


def _gpu(figures: Any) -> Row:
    found = figures.get("gpu") or {}
    got = value(found, "slowest_ratio")
    note = str(found.get("renderer") or found.get("reason") or "")
    return row("OpenGL on a graphics card, times faster than raster at 3840 x 2160", got, ">=", 3, note=note)


# -- for people ---------------------------------------------------------------------------------------------


def text(figures: dict[str, Any]) -> str:
    """Tables of all frames and of the targets."""
    parts = []
    for size, painters in figures["frames"].items():
        head = ["wall / CPU ms per frame", "first frame", *(s.replace("_", " ") for s in SCENARIOS)]
        lines = [[*head, "zoom p95", "memory MB", "correlation"]]
        lines += [[name, *_cells(found)] for name, found in painters.items()]
        parts.append(f"{size}\n{_table(lines)}")
    lines = [["target", "value", "wanted", "", ""]]
    lines += [
        [r["figure"], "" if r["value"] is None else f"{r['value']:g}", r["target"], r["verdict"], r["note"]]
        for r in figures["targets"]
    ]
    parts.append(_table(lines))
    machine = figures["machine"]
    parts.append(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']} -> {machine['load_after']}; "
                 f"{figures['seconds']:.0f} s")  # fmt: skip
    return "\n\n".join(parts)


def _cells(found: Any) -> list[str]:
    problem = found.get("error") or found.get("skipped")
    if problem:
        return [str(problem)]
    cells = []
    for scenario in ("first_frame", *SCENARIOS):
        wall, cpu = value(found, scenario, "wall_ms"), value(found, scenario, "cpu_ms")
        cells.append(f"{wall:.3g} / {cpu:.3g}" if wall is not None and cpu is not None else "-")
    wall, cpu = value(found, "zoom", "wall_p95_ms"), value(found, "zoom", "cpu_p95_ms")
    cells.append(f"{wall:.3g} / {cpu:.3g}" if wall is not None and cpu is not None else "-")
    memory, seen = _memory_of({"x": found}, "x"), value(found, "correlation")
    return [*cells, "-" if memory is None else f"{memory:.0f}", "-" if seen is None else f"{seen:.3f}"]


def _table(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; a line of one long message does not widen them."""
    widths = [max(len(line[k]) for line in lines if len(line) == len(lines[0])) for k in range(len(lines[0]))]
    widths[0] = max(len(line[0]) for line in lines)
    rows = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) for line in lines)
    return "\n".join(line.rstrip() for line in rows)
