"""The viewer beside others in one run: `python -m benchmarks.viewer [--json] [--size N] [--quick]`.

Starts a virtual X server; every painter and size runs in a process of its own, in turns. What is measured lives in
viewer_frames.py, viewer_open.py and viewer_browse.py, what is wanted in viewer_targets.py.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import viewer_targets, virtual_display, x11_count
from benchmarks.__main__ import machine
from benchmarks.virtual_display import VirtualDisplay

ROOT = Path(__file__).resolve().parents[1]
NAPARI = "VITREOUS_NAPARI_PYTHON"
OURS = ("raster", "gl")
PAINTERS = (*OURS, "pyqtgraph_plot", "pyqtgraph_imageview", "pixmap", "napari")
ONCE = ("gl",)  # software OpenGL is told, not judged
PARTS = ("frames", "opening", "x11", "browsing", "gpu")
Shape = tuple[int, int]


@dataclass(frozen=True)
class Plan:
    """What one run measures; shapes are (ny, nx)."""

    main: Shape = (8192, 8192)
    others: tuple[Shape, ...] = ((4096, 4096),)
    large: Shape | None = (8184, 11520)  # ours only
    rounds: int = 2  # of the main and the large size; of the others one
    frames: int = 20
    painters: tuple[str, ...] = PAINTERS
    parts: tuple[str, ...] = PARTS
    opening: tuple[tuple[int, int], ...] = ((4096, 6), (8192, 5))  # side, files (the first is not counted)
    x11_side: int = 4096
    browsing: tuple[int, int, int] = (60, 4096, 500)  # files, side, presses
    timeout_s: float = 240.0


QUICK = Plan(
    main=(2048, 2048), others=(), large=None, rounds=1, frames=2, painters=("raster", "pyqtgraph_plot"),
    opening=((1024, 2),), x11_side=1024, browsing=(12, 512, 40), timeout_s=60.0,
)  # fmt: skip


def name_of(shape: Shape) -> str:
    """Width x height, as people say it."""
    return f"{shape[1]}x{shape[0]}"


@dataclass(frozen=True)
class Runner:
    """Starts the children: on `display`, with settings of their own in `folder`."""

    display: str
    folder: Path
    timeout_s: float
    software: bool = True

    def run(self, module: str, *arguments: object, python: str = sys.executable, **more: str) -> dict[str, Any]:
        """The JSON line of one child, or {"error": why}."""
        print(f"{module} {' '.join(map(str, arguments[:2]))} ...", file=sys.stderr, flush=True)
        command = [python, "-m", f"benchmarks.{module}", *map(str, arguments)]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=self._environment() | more,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not done within {self.timeout_s:.0f} s"}
        except OSError as error:
            return {"error": f"could not be started: {error}"}
        try:
            return json.loads(done.stdout.splitlines()[-1])
        except (ValueError, IndexError):
            return {"error": (done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1]}

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("QT_", "WAYLAND_", "VITREOUS_"))}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        own = {"VITREOUS_CONFIG_DIR": str(self.folder / "config"), "VITREOUS_RUNS": str(self.folder / "runs")}
        shown = {"DISPLAY": self.display, "QT_QPA_PLATFORM": "xcb", "QT_SCALE_FACTOR": "1", "QT_FONT_DPI": "96"}
        gl = {"LIBGL_ALWAYS_SOFTWARE": "1", "LP_NUM_THREADS": "2"} if self.software else {}
        return kept | threads | own | shown | gl


def measure() -> dict[str, Any]:
    """All figures of the default plan."""
    return run(Plan())


def run(plan: Plan) -> dict[str, Any]:
    """All figures of a plan, or {"error": why there are none}."""
    missing = virtual_display.missing()
    if missing:
        return {"error": missing}
    began, figures = time.monotonic(), _about(plan)
    with tempfile.TemporaryDirectory(prefix="vitreous-bench-") as name:
        folder = Path(name)
        with VirtualDisplay("+extension", "GLX", "+render") as display:
            runner = Runner(display.name, folder, plan.timeout_s)
            if "frames" in plan.parts:
                figures["frames"] = _frames(plan, runner)
            if "opening" in plan.parts:
                figures["opening"] = {str(side): _opening(runner, side, count) for side, count in plan.opening}
            if "browsing" in plan.parts:
                with _scratch(folder) as files:
                    figures["browsing"] = runner.run(
                        "viewer_browse", *plan.browsing, files, QT_QPA_PLATFORM="offscreen"
                    )
        if "x11" in plan.parts:
            figures["x11"] = _x11(plan, folder)
        if "gpu" in plan.parts:
            figures["gpu"] = _gpu(plan, folder)
    figures["targets"] = viewer_targets.judge(figures)
    figures["machine"]["load_after"] = _load()
    figures["seconds"] = round(time.monotonic() - began, 1)
    return figures


def _about(plan: Plan) -> dict[str, Any]:
    from importlib import metadata

    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    versions = {name: metadata.version(name) for name in ("pyqtgraph", "PyOpenGL")}
    about = {
        "main": name_of(plan.main),
        "large": name_of(plan.large) if plan.large else "",
        "view_px": "1200x900",
        "frames": plan.frames,
        "rounds": plan.rounds,
        "opening": [str(side) for side, _ in plan.opening],
    }
    return {"machine": machine() | versions | {"cpu": cpu}, "plan": about, "frames": {}}


def _load() -> list[float] | None:
    return [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for big files, gone when they have been measured."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name)


def _opening(runner: Runner, side: int, count: int) -> dict[str, Any]:
    with _scratch(runner.folder) as files:
        return runner.run("viewer_open", side, count, files)


# -- frames -------------------------------------------------------------------------------------------------


def _frames(plan: Plan, runner: Runner) -> dict[str, dict[str, Any]]:
    """{size: {painter: figures}}; the rounds go through all painters, so that a busy machine hits all alike."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for number in range(plan.rounds):
        for shape in (plan.main, *plan.others, *([plan.large] if plan.large else [])):
            if number and shape in plan.others:
                continue
            for painter in plan.painters:
                if (shape == plan.large and painter not in OURS) or (number and painter in ONCE):
                    continue
                figures = _painter(plan, runner, painter, shape, number > 0)
                found.setdefault(name_of(shape), {}).setdefault(painter, []).append(figures)
    return {size: {name: merged(rounds) for name, rounds in painters.items()} for size, painters in found.items()}


def _painter(plan: Plan, runner: Runner, painter: str, shape: Shape, only_frames: bool) -> dict[str, Any]:
    python = sys.executable
    if painter == "napari":
        python = os.environ.get(NAPARI, "")
        if not python:
            return {"skipped": f"set {NAPARI} to the python of an environment with napari"}
    arguments = [painter, f"{shape[0]}x{shape[1]}", "--frames", plan.frames]
    return runner.run("viewer_frames", *arguments, *(["--only-frames"] if only_frames else []), python=python)


def merged(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One painter's rounds: of times the best (the machine disturbs upwards only), of memory the largest."""
    good = [r for r in rounds if "error" not in r and "skipped" not in r]
    if not good:
        return rounds[0]
    result = dict(good[0])
    for key, value in result.items():
        others = [r[key] for r in good if key in r]
        if key.endswith("_mb"):
            result[key] = max(others)
        elif isinstance(value, dict) and "wall_ms" in value:
            result[key] = {name: min(other[name] for other in others) for name in value}
    failures = [r["error"] for r in rounds if "error" in r]
    return result | ({"failed_rounds": failures} if failures else {})


def _x11(plan: Plan, folder: Path) -> dict[str, Any]:
    """Bytes per frame through a socket, without shared memory."""
    found: dict[str, Any] = {}
    shape = f"{plan.x11_side}x{plan.x11_side}"
    with VirtualDisplay("-extension", "MIT-SHM", "+render") as display:
        for painter in ("raster", viewer_targets.REFERENCE):
            if painter not in plan.painters:
                continue
            file = folder / f"bytes-{painter}"
            counter = x11_count.ByteCounter(display.number, file)
            runner = Runner(f":{counter.number}", folder, plan.timeout_s)
            arguments = [painter, shape, "--frames", min(plan.frames, 10), "--only-frames"]
            found[painter] = runner.run("viewer_frames", *arguments, VITREOUS_X11_COUNTER=str(file))
            counter.close()
    return found


def _gpu(plan: Plan, folder: Path) -> dict[str, Any]:
    """Both of our painters on the real display at 3840 x 2160, when a graphics card draws there."""
    from app.viewer.gl_probe import probe

    display = os.environ.get("DISPLAY", "")
    answer = probe() if display else {"ok": False, "reason": "no display"}
    if not answer["ok"] or answer["software"]:
        return {"reason": answer["reason"] or "software OpenGL"}
    runner = Runner(display, folder, plan.timeout_s, software=False)
    arguments = [f"{plan.main[0]}x{plan.main[1]}", "--frames", plan.frames, "--view", "3840x2160", "--only-frames"]
    found = {painter: runner.run("viewer_frames", painter, *arguments) for painter in OURS}
    walls = [[viewer_targets.value(found[p], s, "wall_ms") for s in viewer_targets.SCENARIOS] for p in OURS]
    ratios = [viewer_targets.ratio(raster, gl) for raster, gl in zip(*walls, strict=True)]
    known = [r for r in ratios if r is not None]
    return found | {"renderer": answer["renderer"], "slowest_ratio": min(known, default=None)}


# -- command line -------------------------------------------------------------------------------------------


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    if options.size:
        side = options.size
        plan = dataclasses.replace(
            plan, main=(side, side), others=(), large=None, opening=((side, 5),), x11_side=min(side, plan.x11_side)
        )
    for key in ("painters", "parts"):
        chosen = getattr(options, key)
        if chosen:
            plan = dataclasses.replace(plan, **{key: tuple(chosen)})
    return plan


def main(argv: Sequence[str] | None = None) -> int:
    """Run and print; 1 when our own viewer could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    parser.add_argument("--size", type=int, default=0, metavar="N", help="only N x N pixels")
    parser.add_argument("--quick", action="store_true", help="a few frames of a small picture: does it work?")
    parser.add_argument("--painters", nargs="+", choices=PAINTERS, help="only these")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="only these")
    options = parser.parse_args(argv)
    figures = run(_plan(options))
    if "targets" not in figures:
        print(figures["error"], file=sys.stderr)
        return 1
    print(json.dumps(figures, indent=2) if options.json else viewer_targets.text(figures))
    ours = [painters.get("raster", {}) for painters in figures["frames"].values()]
    return 1 if any("error" in found for found in ours) else 0


if __name__ == "__main__":
    sys.exit(main())
