"""Ratios between the programs of benchmarks.cs2star, and its figures as text. Nothing is measured here."""

from __future__ import annotations

from typing import Any

Figures = dict[str, Any]

_TITLES = {"ours": "Vitreous", "starfile": "starfile.write", "pyem": "pyem"}
_FORMS = {"one_file": "one file", "two_files": "two files", "csdat": "CSDAT"}
_HEAD = ("rows", "form", "program", "CPU s", "work CPU s", "rows / CPU s", "peak MB", "wall s", "files", "MB written")


def ratios(found: Figures) -> Figures:
    """How many times as much the others need: CPU of the whole process and of the work alone, and peak memory."""
    mine, other, writer = (found.get(name, {}) for name in ("ours", "pyem", "starfile"))
    pairs = {
        "pyem_to_ours_cpu": (other.get("cpu_s"), mine.get("cpu_s")),
        "pyem_to_ours_work_cpu": (other.get("work_cpu_s"), mine.get("work_cpu_s")),
        "pyem_to_ours_peak": (other.get("peak_mb"), mine.get("peak_mb")),
        "starfile_write_to_ours_work_cpu": (writer.get("write_cpu_s"), mine.get("work_cpu_s")),
        "starfile_to_ours_peak": (writer.get("peak_mb"), mine.get("peak_mb")),
    }
    return {name: round(a / b, 2) for name, (a, b) in pairs.items() if a and b and b > 0}


def text(figures: Figures) -> str:
    """A table of all programs, the ratios, and how conversions stopped."""
    fixed = figures["fixed"]
    rows = [_HEAD]
    for dataset in (fixed | {"form": "one_file"}, *figures["datasets"]):
        rows += [_row(dataset, name) for name in _TITLES if name in dataset]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    for dataset in figures["datasets"]:
        if dataset["ratios"]:
            told = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in dataset["ratios"].items())
            lines.append(f"{dataset['rows']} rows, {_FORMS[dataset['form']]}: {told}")
    lines += ["", *_stops(figures["stopping"])]
    if "pyem" not in fixed:
        lines.append("pyem: not measured (docs/benchmarks.md says how).")
    return "\n".join([*lines, f"load {figures['load_at_begin']} at the begin, {figures['load_at_end']} at the end"])


def _row(dataset: Figures, name: str) -> tuple[str, ...]:
    one = dataset[name]
    first = (str(dataset["rows"]), _FORMS[dataset["form"]], _TITLES[name])
    if "error" in one:
        return (*first, "failed", *[""] * (len(_HEAD) - 4))
    cpu, work = one.get("write_cpu_s", one["cpu_s"]), one.get("write_cpu_s", one.get("work_cpu_s"))
    return (
        *first,
        f"{cpu:.2f}",
        "" if work is None else f"{work:.2f}",
        f"{dataset['rows'] / work:.0f}" if work and work > 0 else "",
        f"{one['peak_mb']:.0f}",
        f"{one.get('write_wall_s', one['wall_s']):.2f}",
        str(one.get("files", 1)),
        f"{one['written_mb']:.1f}" if "written_mb" in one else "",
    )


def _stops(stopping: Figures) -> list[str]:
    lines = [f"Asked to stop a conversion of {stopping['rows']} rows:"]
    for one in stopping["asked"]:
        lines.append(
            f"  at {one['asked_at_share']:4.0%}: {one['state']} after {one['seconds_until_gone_s']:.2f} s, "
            f"{one['whole_files_left']} whole and {one['partial_files_left']} partial files left"
        )
    return lines
