"""Parameters are written once: what Params, fields and command line of every job must agree on."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field

from core import cli
from core.errors import InputError, ParamError
from core.fields import KINDS, FieldSpec, walk
from core.jobs import rundir
from core.jobs.table import JOBS, job_params
from core.params import Params, read_toml, write_toml

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch",
    "scipy",
    "pandas",
    "starfile",
    "pyqtgraph",
    "PySide6",
    "OpenGL",
    "mrcfile",
    "tifffile",
    "gemmi",
)
EVERY_JOB = sorted(JOBS)


def sample(spec: FieldSpec) -> Any:
    """A legal value of a field, as text (flags and forms give text), unlike the default."""
    if spec.kind in ("int", "float"):
        low, high = spec.low, spec.high
        if low is not None and high is not None:
            value = low + (high - low) / 4
        else:
            value = (low or 0) + 2
        return str(int(value) + 1 if spec.kind == "int" else value)
    return {
        "bool": not spec.default,
        "text": "some text",
        "path": "folder/file with blank.star",
        "paths": ["a.mrc", "b/c.mrc"],
        "numbers": ["1", "2.5"],
        "choice": spec.choices[-1] if spec.choices else "",
    }[spec.kind]


def subparser(job: str) -> argparse.ArgumentParser:
    parser = cli.build_parser()
    action = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return action.choices[job]


@pytest.mark.parametrize("job", EVERY_JOB)
def test_every_field_is_one_of_the_closed_kinds_and_explains_itself(job: str) -> None:
    specs = list(walk(job_params(job)))
    assert specs
    for spec in specs:
        assert spec.kind in KINDS
        assert len(spec.help) > 5, spec.key
        assert spec.help.endswith("."), spec.help
        assert set(spec.ui) <= {"label", "unit", "dialog", "pattern", "advanced"}, spec.key
        if spec.kind in ("path", "paths"):
            assert spec.ui.get("dialog") in ("open", "folder", "either", "save", "files"), (
                f"{spec.key} has no dialog hint"
            )


@pytest.mark.parametrize("job", EVERY_JOB)
def test_flags_are_the_fields(job: str) -> None:
    flags = {s for a in subparser(job)._actions for s in a.option_strings if s.startswith("--")}
    switches = {f"--no-{s.key.replace('_', '-')}" for s in walk(job_params(job)) if s.kind == "bool"}
    assert flags - switches == {s.flag for s in walk(job_params(job))} | {"--help", "--runs", "--quiet"}


@pytest.mark.parametrize("job", EVERY_JOB)
def test_values_survive_the_job_file(job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = job_params(job)
    params = model.parse({s.key: sample(s) for s in walk(model)})
    write_toml(tmp_path / "job.toml", params.to_toml_dict())
    monkeypatch.chdir("/")  # a job file means the same from every folder
    assert model.parse(read_toml(tmp_path / "job.toml")) == params


@pytest.mark.parametrize("job", EVERY_JOB)
def test_optional_fields_left_empty_are_the_defaults(job: str) -> None:
    model = job_params(job)
    needed = {s.key: sample(s) for s in walk(model) if s.required}
    single = [s for s in walk(model) if not s.required and s.kind not in ("paths", "numbers", "bool")]
    assert model.parse(needed | {s.key: "  " for s in single}) == model.parse(needed)


@pytest.mark.parametrize("job", EVERY_JOB)
def test_defaults_are_legal(job: str) -> None:
    model = job_params(job)
    needed = {s.key: sample(s) for s in walk(model) if s.required}
    given = {s.key: s.default for s in walk(model) if not s.required and s.default is not None}
    model.parse(needed | given)


@pytest.mark.parametrize("job", EVERY_JOB)
def test_all_missing_flags_come_in_one_sentence(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    missing = [s.flag for s in walk(job_params(job)) if s.required]
    if not missing:
        pytest.skip("nothing is required")
    assert cli.main([job]) == 2
    text = one_line(capsys)
    assert all(flag in text for flag in missing)


@pytest.mark.parametrize("job", EVERY_JOB)
def test_numbers_outside_their_bounds_are_refused(job: str) -> None:
    model = job_params(job)
    needed = {s.key: sample(s) for s in walk(model) if s.required}
    for spec in walk(model):
        if spec.low is None or spec.kind not in ("int", "float"):
            continue
        with pytest.raises(ParamError) as caught:
            model.parse(needed | {spec.key: str(spec.low - 1)})
        assert caught.value.fields == (spec.key,)
        assert spec.flag in caught.value.message


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    err = capsys.readouterr().err.strip()
    assert err.startswith("error: ")
    assert "\n" not in err
    assert "Traceback" not in err
    assert "pydantic" not in err.lower()
    return err


BAD_LINES = {
    "unknown verb": ["deniose"],
    "unknown flag": ["train", "--input", "a", "--output", "b", "--minuets", "3"],
    "no value": ["train", "--input"],
    "word for a number": ["train", "--input", "a", "--output", "b", "--minutes", "long"],
    "number too small": [
        "pick-noise",
        "--micrographs",
        "a",
        "--particles",
        "b",
        "--output",
        "c",
        "--box-size",
        "2",
    ],
    "fraction for a whole number": ["train", "--input", "a", "--output", "b", "--batch-size", "2.5"],
    "not a choice": ["forward", "--method", "magic"],
    "empty path": ["train", "--input", "", "--output", "b"],
    "not a number": ["train", "--input", "a", "--output", "b", "--minutes", "nan"],
    "infinite": ["train", "--input", "a", "--output", "b", "--learning-rate", "inf"],
    "stray word": ["train", "--input", "a", "--output", "b", "c"],
    "run without folder": ["run"],
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_a_bad_command_line_is_one_sentence_and_makes_no_run_folder(
    line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line) == 2
    one_line(capsys)
    assert not rundir.runs_root().exists()


def test_a_range_that_begins_below_zero_is_a_value_and_no_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["simulate", "--model", "no.pdb", "--output", str(tmp_path / "o"), "--tilt", "-60:60", "--cone", "20"]
    assert cli.main([*line, "--runs", str(tmp_path)]) == 2
    assert "--tilt and --cone cannot both be meant" in capsys.readouterr().err


def test_several_bad_values_are_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--input", "a", "--batch-size", "many", "--minutes", "-1"]) == 2
    text = one_line(capsys)
    assert "--output is needed" in text
    assert "--batch-size" in text
    assert "many" in text
    assert "--minutes" in text


@pytest.mark.parametrize("line", [["run", "no-such-folder"], ["stop", "no-such-folder"]], ids=["run", "stop"])
def test_a_folder_that_is_not_there(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(line) == 3
    assert "no-such-folder" in one_line(capsys)


@pytest.mark.parametrize("text", ["job = ", 'job = "train"\n', 'version = 99\njob = "train"\n[params]\n', b"\xff\xfe"])
def test_a_folder_with_a_foreign_job_file(
    text: str | bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cli.main(["run", str(tmp_path)]) == 3
    assert "job.toml" in one_line(capsys)


def test_runs_lists_every_run_with_its_state(
    fake_jobs: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = rundir.create("fake", fake_jobs.FakeParams(), tmp_path)
    assert cli.main(["runs", "--runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == ["queued", str(run_dir)]


def test_help_of_every_job_names_units_defaults_and_a_percent_sign(
    fake_jobs: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for job in JOBS:
        with pytest.raises(SystemExit) as done:
            cli.main([job, "--help"])
        assert done.value.code == 0
    text = capsys.readouterr().out
    assert "50 % of the time" in text
    assert "[px]" in text
    assert "(default: 3)" in text


def test_paths_become_absolute_where_the_command_is_typed(
    fake_jobs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "me"))
    params = fake_jobs.FakeParams.parse({"output": "a/../b.mrc", "files": ["c.mrc", "~/d.mrc"]})
    assert params.output == tmp_path / "b.mrc"
    assert params.files == (tmp_path / "c.mrc", tmp_path / "me" / "d.mrc")


def test_params_are_frozen_and_refuse_strangers(fake_jobs: Any) -> None:
    with pytest.raises(ParamError, match="--colour is not a parameter here"):
        fake_jobs.FakeParams.parse({"colour": "red"})
    with pytest.raises(ValueError, match="frozen"):
        fake_jobs.FakeParams().number = 4


def test_a_job_file_that_is_missing_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_toml(tmp_path / "job.toml")


def test_the_walker_refuses_a_kind_nobody_can_show() -> None:
    class Odd(Params):
        table: dict[str, int] = Field(description="No form shows this.")

    class Factory(Params):
        files: tuple[Path, ...] = Field(default_factory=tuple, description="A default nobody can print.")

    for model in (Odd, Factory):
        with pytest.raises(TypeError):
            list(walk(model))


def test_the_walker_tells_bounds_choices_and_optional() -> None:
    class Some(Params):
        side: int | None = Field(None, gt=0, le=64, description="A side.")
        colour: Literal["red", "blue"] = Field("red", description="A colour.")

    side, colour = walk(Some)
    assert (side.kind, side.low, side.high, side.optional, side.required) == ("int", 0, 64, True, False)
    assert (colour.kind, colour.choices, colour.default, colour.flag) == (
        "choice",
        ("red", "blue"),
        "red",
        "--colour",
    )


@pytest.mark.parametrize(
    "code",
    [
        "import core.cli",
        "import core.cli; core.cli.build_parser()",
        "import runpy; sys.argv = ['main.py', '--version']; runpy.run_path('main.py', run_name='__main__')",
        "import core.jobs.base, core.jobs.launch",
    ],
)
def test_the_command_line_begins_without_heavy_packages(code: str) -> None:
    script = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print('LOADED', *[m for m in {HEAVY!r} if m in sys.modules]))\n"
        f"{code}\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1].split() == ["LOADED"]
