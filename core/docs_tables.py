"""The parameter tables of docs/, written from core/fields.py: `python -m core.docs_tables`.

A page says where: what stands between `<!-- parameters: JOB -->` and `<!-- end -->` is replaced. `--check`
changes nothing and answers 1 when a table is out of date (tests/test_docs.py asks).
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from core.fields import FieldSpec, walk
from core.io.atomic import write_text
from core.jobs.table import job_params

DOCS = Path(__file__).resolve().parents[1] / "docs"
SECTION = re.compile(r"(<!-- parameters: ([a-z0-9-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def table(job: str) -> str:
    """Markdown table of a job's parameters; the rarely needed ones last."""
    specs = sorted(walk(job_params(job)), key=lambda s: s.ui.get("advanced", False))
    lines = ["| flag | default | allowed | meaning |", "|---|---|---|---|"]
    for spec in specs:
        cells = (f"`{spec.flag}`", _default(spec), _allowed(spec), spec.help)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _default(spec: FieldSpec) -> str:
    if spec.required:
        return "needed"
    if spec.default is None or spec.default == ():
        return ""
    if spec.kind == "bool":
        return "on" if spec.default else "off"
    if spec.kind == "numbers":
        return " ".join(f"{v:g}" for v in spec.default)
    return f"{spec.default:g}" if isinstance(spec.default, float) else str(spec.default)


def _allowed(spec: FieldSpec) -> str:
    """What may be given: bounds with the unit, choices, or the kind of path."""
    if spec.kind == "choice":
        return ", ".join(spec.choices)
    if spec.kind == "bool":
        return f"`{spec.flag}`, `--no-{spec.flag[2:]}`"
    if spec.kind in ("int", "float"):
        low, high = ("" if bound is None else f"{bound:.15g}" for bound in (spec.low, spec.high))
        return f"{low} … {high} {spec.unit}".strip()
    if spec.kind == "paths":
        return "folder or files"
    if spec.kind == "path":
        return {"folder": "folder", "either": "folder or file"}.get(spec.ui.get("dialog", ""), "file")
    return "numbers" if spec.kind == "numbers" else "text"


def updated(text: str) -> str:
    """A page with its tables replaced by current ones."""
    return SECTION.sub(lambda m: m[1] + table(m[2]) + m[3], text)


def main(argv: list[str]) -> int:
    """Write the tables, or with --check say which pages are out of date."""
    stale = 0
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = updated(text)
        if new == text:
            continue
        stale += 1
        if "--check" in argv:
            print(f"docs/{page.name} is out of date: run python -m core.docs_tables")
        else:
            write_text(page, new)
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
