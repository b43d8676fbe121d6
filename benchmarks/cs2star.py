"""The job cs2star beside other writers: CPU seconds, peak memory and wall time of whole processes, and how it stops.

On simulated datasets (cs_data.py) in three forms: one file, two files joined by uid, and CryoSPARC's compressed
container. Ours writes three STAR files and a report; starfile.write writes one of them, from a table in memory; pyem's
csparc2star, a program of its own that is only called where it is installed, writes one. Everything runs with one
thread, in turns; of several rounds the one with the least CPU counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cs_data
from benchmarks.cs2star_table import ratios, text

ROOT = Path(__file__).resolve().parents[1]
ROWS = (100_000, 1_000_000)
FEW_ROWS = 10  # what a conversion costs whatever its size: starting, importing, the run folder
ROUNDS_OF_ROWS = 1_000_000  # so many rows in all rounds together, but
MOST_ROUNDS = 3
FORMS = {"one_file": (cs_data.WHOLE,), "two_files": (cs_data.MAIN, cs_data.PASSTHROUGH), "csdat": (cs_data.PACKED,)}
STOP_AT = (0.0, 0.15, 0.3, 0.45, 0.7, 0.95)  # shares of the job's progress
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
PYEM_PYTHON, PYEM_SCRIPT = "VITREOUS_PYEM_PYTHON", "VITREOUS_PYEM_SCRIPT"

STARFILE_CHILD = """
import json, sys, time
import starfile
tables = starfile.read(sys.argv[1], always_dict=True)
cpu, wall = time.process_time(), time.monotonic()
starfile.write(tables, sys.argv[2], overwrite=True)
print(json.dumps({"write_cpu_s": time.process_time() - cpu, "write_wall_s": time.monotonic() - wall}))
"""

Figures = dict[str, Any]


def measure(rows: Sequence[int] = ROWS) -> Figures:
    """All figures; the data are made in a temporary folder and deleted."""
    if not hasattr(os, "wait4"):
        return {"error": "cs2star is measured on Linux and macOS only: this system does not tell a child's peak memory"}
    figures: Figures = {"load_at_begin": _load()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make(folder / "few", FEW_ROWS)
        fixed = {"rows": FEW_ROWS, "ours": _best(lambda: ours(folder, "few", "one_file"), MOST_ROUNDS)}
        if _pyem_command():
            fixed["pyem"] = _best(lambda: pyem(folder, "few", "one_file"), MOST_ROUNDS)
        figures["fixed"] = fixed
        figures["datasets"] = []
        for n in rows:
            _make(folder / "data", n)
            figures["datasets"] += [_dataset(folder, n, form, fixed) for form in FORMS]
        figures["stopping"] = _stopping(folder, rows[-1])
    return figures | {"load_at_end": _load()}


def _load() -> float:
    return round(os.getloadavg()[0], 2)


def _make(folder: Path, rows: int) -> None:
    _child([sys.executable, "-m", "benchmarks.cs_data", str(folder), str(rows)], folder.parent)


def _dataset(folder: Path, rows: int, form: str, fixed: Figures) -> Figures:
    """Every program on one form of a dataset, in turns."""
    programs: dict[str, Callable[[], Figures]] = {"ours": lambda: ours(folder, "data", form)}
    if form == "one_file":
        programs["starfile"] = lambda: starfile(folder)
    if _pyem_command() and form != "csdat":  # pyem does not read the compressed container
        programs["pyem"] = lambda: pyem(folder, "data", form)
    found: dict[str, list[Figures]] = {name: [] for name in programs}
    for _ in range(max(1, min(MOST_ROUNDS, ROUNDS_OF_ROWS // rows))):
        for name, program in programs.items():
            found[name].append(program())
    best: Figures = {name: _least(of) for name, of in found.items()}
    for name in ("ours", "pyem"):
        if "cpu_s" in best.get(name, {}) and "cpu_s" in fixed[name]:
            best[name]["work_cpu_s"] = round(best[name]["cpu_s"] - fixed[name]["cpu_s"], 3)
    size = sum((folder / "data" / file).stat().st_size for file in FORMS[form])
    return {"rows": rows, "form": form, "dataset_mb": round(size / 1e6, 1), **best, "ratios": ratios(best)}


def _best(program: Callable[[], Figures], rounds: int) -> Figures:
    return _least([program() for _ in range(rounds)])


def _least(found: list[Figures]) -> Figures:
    """The round with the least CPU, or the first that failed."""
    failed = [one for one in found if "error" in one]
    return failed[0] if failed else min(found, key=lambda one: one.get("write_cpu_s", one["cpu_s"]))


# -- the programs -------------------------------------------------------------------------------------------


def ours(folder: Path, data: str, form: str) -> Figures:
    """`main.py cs2star` as a user starts it; `job_cpu_s` is what the job says of itself."""
    main, *others = (str(folder / data / file) for file in FORMS[form])
    command = [sys.executable, "main.py", "cs2star", "--project", main, "--output", str(folder / "out"), "--quiet"]
    runs = folder / "runs"
    beside = ["--passthrough", *others] if others else []
    found = _child([*command, "--overwrite", "--runs", str(runs), *beside], folder)
    found.pop("said")
    result = json.loads(max(runs.glob("cs2star-*")).joinpath("result.json").read_text(encoding="utf-8"))
    files = [Path(file) for job in result["jobs"] for file in job["files"]]
    written = sum(file.stat().st_size for file in files)
    return found | {"job_cpu_s": result["cpu_seconds"], "files": len(files), "written_mb": round(written / 1e6, 1)}


def starfile(folder: Path) -> Figures:
    """The particle table of our last conversion, read and written again; the peak includes reading."""
    table = folder / "out" / "class1" / "particles_relion.star"
    command = [sys.executable, "-c", STARFILE_CHILD, str(table), str(folder / "starfile.star")]
    found = _child(command, folder)
    said = json.loads(found.pop("said"))
    return found | {key: round(value, 3) for key, value in said.items()}


def pyem(folder: Path, data: str, form: str) -> Figures:
    """pyem's csparc2star with its own interpreter."""
    output = folder / "pyem.star"
    try:
        found = _child([*_pyem_command(), *(str(folder / data / file) for file in FORMS[form]), str(output)], folder)
    except RuntimeError as err:
        return {"error": str(err)}
    found.pop("said")
    return found | {"files": 1, "written_mb": round(output.stat().st_size / 1e6, 1)}


def _pyem_command() -> list[str]:
    """From the environment: an interpreter, and a script or the name of a module; or nothing."""
    python, script = os.environ.get(PYEM_PYTHON), os.environ.get(PYEM_SCRIPT)
    if not python or not script:
        return []
    return [python, script] if script.endswith(".py") else [python, "-m", script]


def _child(command: list[str], folder: Path) -> Figures:
    """Run a program; CPU, memory and time of the whole process, and the last line it `said`.

    This process must stay small: a child begins with the peak of the process it was started from.
    """
    log = folder / "child.log"
    with log.open("wb") as stream:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, env=dict(os.environ) | ONE_THREAD, stdout=stream, stderr=stream)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""]
    if process.returncode != 0:
        raise RuntimeError(lines[-1] or f"{command[0]} ended with code {process.returncode}")
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "wall_s": round(wall, 3),
        "peak_mb": round(usage.ru_maxrss * kilobyte / 1e6, 1),
        "said": lines[-1],
    }


# -- stopping -----------------------------------------------------------------------------------------------


def _stopping(folder: Path, rows: int) -> Figures:
    """Seconds from asking to stop until the process is gone, asked at several moments, and what it left behind."""
    from core.cryosparc import outputs
    from core.jobs import launch, rundir
    from core.jobs.table import job_params

    found = []
    for i, share in enumerate(STOP_AT):
        output = folder / f"stopped-{i}"
        params = job_params("cs2star").parse({"project": folder / "data" / cs_data.WHOLE, "output": output})
        run_dir = rundir.create("cs2star", params, folder / "stops")
        process = launch.start(run_dir, threads=1)
        asked_at = _wait_for(rundir.EventReader(run_dir), share, process)
        asked = time.monotonic()
        launch.request_stop(run_dir)
        process.wait(timeout=60)
        seconds = time.monotonic() - asked
        left = [path for path in output.rglob("*") if path.is_file()] if output.exists() else []
        whole = [path for path in left if path.name in outputs.NAMES]
        found.append(
            {
                "asked_at_share": asked_at,
                "seconds_until_gone_s": round(seconds, 3),
                "state": rundir.inspect(run_dir).state,
                "whole_files_left": len(whole),
                "partial_files_left": len(left) - len(whole),
            }
        )
    stopped = [one["seconds_until_gone_s"] for one in found if one["state"] == "stopped"]
    return {"rows": rows, "longest_s": max(stopped, default=None), "asked": found}


def _wait_for(events: Any, share: float, process: subprocess.Popen) -> float:
    """Return the progress of a job as soon as it is past `share`, or the job has ended."""
    done = 0.0
    while process.poll() is None:
        for event in events.read_new():
            if event["kind"] == "progress":
                done = event["done"] / max(event["total"], 1e-9)
                if done >= share:
                    return round(done, 3)
        time.sleep(0.005)
    return round(done, 3)


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print; 1 when it could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, metavar="N", help="rows of the datasets")
    options = parser.parse_args(argv)
    figures = measure(options.rows)
    if "error" in figures:
        print(figures["error"], file=sys.stderr)
        return 1
    print(json.dumps(figures, indent=2) if options.json else text(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
