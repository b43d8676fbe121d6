"""The pages: tables are up to date, links lead somewhere, and every command line shown can be parsed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from core import cli, docs_tables
from core.jobs.table import JOBS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_tables_of_parameters_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    code = docs_tables.main(["--check"])
    assert code == 0, capsys.readouterr().out


def test_every_job_has_its_table() -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in PAGES)
    assert {m[2] for m in docs_tables.SECTION.finditer(text)} == set(JOBS)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands() -> list[str]:
    """Every `python main.py ...` inside a code block, continued lines joined."""
    found = []
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                match = re.search(r"python main\.py (\S.*)", line)
                if match:
                    found.append(match[1])
    return found


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_commands_shown_can_be_parsed(line: str) -> None:
    arguments = vars(cli.build_parser().parse_args(shlex.split(line, comments=True)))
    verb = arguments.pop("verb")
    if verb in JOBS:
        cli.job_params(verb).parse({k: v for k, v in arguments.items() if k not in ("runs", "quiet")})
