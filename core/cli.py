"""The command line: one door for every job, built from core/fields.py. No Qt here.

Exit codes: 0 done, 1 a bug, 2 bad parameter, 3 bad input, 4 lacking resource, 5 not launched, 130 stopped.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import core
from core.compute.ranks import this_rank
from core.errors import AppError, InputError, ParamError
from core.fields import FieldSpec, walk
from core.jobs import launch, rundir, stopping
from core.jobs.table import JOBS, SHARED, job_params

PROGRAM = "python main.py"


class Parser(argparse.ArgumentParser):
    """Argument parser whose complaints are one sentence and a next step; ranges may begin below zero."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Read `--tilt -60:60` as `--tilt=-60:60`, where argparse would take the range for a flag."""
        joined: list[str] = []
        for word in sys.argv[1:] if args is None else args:
            if joined and re.fullmatch(r"-[\d.]+:.*", word) and re.fullmatch(r"--[a-z-]+", joined[-1]):
                joined[-1] += f"={word}"
            else:
                joined.append(word)
        return super().parse_known_args(joined, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise ParamError(message[0].upper() + message[1:] + ".", f"See: {self.prog} --help")


def build_parser() -> Parser:
    """All verbs: the jobs of the table, and run, stop, runs, doctor."""
    parser = Parser(
        prog=PROGRAM, description="Vitreous, a studio for cryo-EM micrographs. Without arguments: the window."
    )
    parser.add_argument("--version", action="version", version=core.__version__)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    for name, (_, _, summary) in JOBS.items():
        sub = verbs.add_parser(name, help=summary, description=summary)
        for spec in walk(job_params(name)):
            _add_flag(sub, spec)
        sub.add_argument("--runs", type=Path, metavar="DIR", help="Where the run folder is made.")
        sub.add_argument("--quiet", action="store_true", help="Print nothing but errors and the last line.")
    sub = verbs.add_parser("run", help="Run or continue a run folder.")
    sub.add_argument("folder", type=Path)
    sub.add_argument("--quiet", action="store_true", help="Print nothing.")
    sub = verbs.add_parser("stop", help="Ask a running job to stop.")
    sub.add_argument("folder", type=Path)
    sub = verbs.add_parser("runs", help="List the run folders and their state.")
    sub.add_argument("--runs", type=Path, metavar="DIR", help="Where to look.")
    verbs.add_parser("doctor", help="Check this machine and say what is missing, with the command that mends it.")
    return parser


def _add_flag(parser: argparse.ArgumentParser, spec: FieldSpec) -> None:
    """Values stay text here: Params reports all problems of a command line together."""
    text = spec.help.replace("%", "%%")
    if spec.unit:
        text += f" [{spec.unit}]"
    if not spec.required and spec.default not in (None, "", ()):
        text += f" (default: {spec.default})"
    common: dict[str, Any] = {"dest": spec.key, "help": text, "default": argparse.SUPPRESS}
    if spec.kind == "bool":
        parser.add_argument(spec.flag, action=argparse.BooleanOptionalAction, **common)
    elif spec.kind in ("paths", "numbers"):
        parser.add_argument(spec.flag, nargs="+", metavar="PATH" if spec.kind == "paths" else "X", **common)
    elif spec.kind == "choice":
        parser.add_argument(spec.flag, metavar="|".join(spec.choices), **common)
    else:
        parser.add_argument(spec.flag, metavar=spec.kind.upper(), **common)


def main(argv: list[str]) -> int:
    """Run one command line and return its exit code. Never shows a traceback for a user's mistake."""
    try:
        arguments = vars(build_parser().parse_args(argv))
        return _dispatch(arguments.pop("verb"), arguments)
    except AppError as err:
        say(f"error: {err}", error=True)
        return err.exit_code


def _dispatch(verb: str | None, arguments: dict[str, Any]) -> int:
    if verb in JOBS:
        with stopping.caught():  # from here to the job's own handlers: importing takes seconds on a cold disk
            return _new_run(verb, arguments)
    if verb == "run":
        with stopping.caught():
            folder = rundir.for_rank(arguments["folder"], this_rank().number)
            return _execute(folder, quiet=arguments["quiet"], last_line=not arguments["quiet"])
    if verb == "stop":
        return _stop(arguments["folder"])
    if verb == "runs":
        return _list(arguments["runs"])
    if verb == "doctor":
        from core import doctor

        return doctor.main()
    build_parser().print_help()
    return 2


def _new_run(verb: str, arguments: dict[str, Any]) -> int:
    root, quiet = arguments.pop("runs"), arguments.pop("quiet")
    _check_shared(verb)
    params = job_params(verb).parse(arguments)
    run_dir = rundir.create(verb, params, root.absolute() if root else None)
    return _execute(run_dir, quiet=quiet, last_line=True)


def _check_shared(job: str) -> None:
    """Under torchrun only the jobs that share their work may run: of another, each process would do the whole."""
    if not this_rank().alone and job not in SHARED:
        raise ParamError(
            f"{job} does not share its work between processes.",
            f"Start it without torchrun; with it: {', '.join(SHARED)}.",
        )


def _stop(folder: Path) -> int:
    rundir.read_job(folder)
    info = rundir.inspect(folder)
    if not info.alive:
        say(f"{folder} is not running (it is {info.state}): there is nothing to stop.")
        return 0
    launch.request_stop(folder)
    return 0


def _list(root: Path | None) -> int:
    if root is not None and not root.is_dir():
        raise InputError(f"{root} is not a folder.", "Give the folder that holds the run folders.", root)
    for info in rundir.list_runs(root):
        say(f"{info.state:8} {info.path}  {info.message}")
    return 0


def _execute(run_dir: Path, *, quiet: bool, last_line: bool) -> int:
    from core.jobs.base import execute

    rank = this_rank()
    if not rank.alone:
        _check_shared(rundir.read_job(run_dir)[0])
    if rank.number:  # one process speaks for all
        quiet, last_line = True, False

    def last_words() -> None:
        if last_line:
            say(f"run folder: {run_dir.absolute()}")

    code = execute(run_dir, Printer(quiet), own_process=True, last_words=last_words)
    last_words()
    return code


def say(text: str, end: str = "\n", *, error: bool = False) -> None:
    """Print; when nobody reads any more (a closed pipe, a full disk) the program goes on without printing."""
    stream = sys.stderr if error else sys.stdout
    try:
        try:
            print(text, end=end, file=stream, flush=True)
        except UnicodeEncodeError:  # a terminal without Å
            print(text.encode("ascii", "replace").decode(), end=end, file=stream, flush=True)
    except (OSError, ValueError):
        sink = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - it is the stream from now on
        if error:
            sys.stderr = sink
        else:
            sys.stdout = sink


class Printer:
    """The terminal's reader of the event stream."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._tty = sys.stdout.isatty()
        self._last = 0.0
        self._began = time.monotonic()

    def __call__(self, event: dict[str, Any]) -> None:
        """Show one event."""
        kind = event["kind"]
        if kind == "failed":
            self._end_line()
            if "trace" in event:
                say(event["trace"], error=True)
            say(f"error: {event['message']} {event.get('hint', '')}".rstrip(), error=True)
        elif self._quiet:
            return
        elif kind == "progress":
            self._progress(event)
        elif kind == "warning":
            self._end_line()
            say(f"warning: {event['message']}")
        elif kind in ("finished", "stopped"):
            self._end_line()
            say(event["message"])

    def _progress(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        last = event["done"] >= event["total"]
        if now - self._last < (0.2 if self._tty else 5.0) and not (last and self._tty):
            return
        self._last = now
        share = event["done"] / max(event["total"], 1e-9)
        line = f"{share:4.0%}  {now - self._began:5.0f} s  {event['message']}"
        say(f"\r{line:<100.100}" if self._tty else line, end="" if self._tty else "\n")

    def _end_line(self) -> None:
        if self._tty and self._last:
            say("")
