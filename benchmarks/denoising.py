"""All denoisers on the same images in one run: `python -m benchmarks.denoising [--json]`; see docs/benchmarks.md.

`denoising simulate FOLDER` and `denoising evaluate FOLDER NAME=DENOISED ...` are its parts. What is measured lives in
benchmarks/denoise/, what is wanted in benchmarks/denoise/verdict.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.denoise import verdict
from benchmarks.denoise.specimens import SPECIMENS, Specimen, from_map

BASELINES = (
    "gaussian15",
    "gaussian20",
    "gaussian30",
    "gaussian40",
    "gaussian60",
    "wiener",
    "wiener_known",
)  # always run
OTHERS = ("topaz", "quick", "quality", "scratch", "cryoddm")


@dataclass(frozen=True)
class Plan:
    """What one run measures."""

    specimens: tuple[Specimen, ...] = tuple(SPECIMENS.values())
    seeds: int = 3
    micrographs: int = 3
    side: int = 1024  # px, of simulated micrographs
    faint: float = 0.15
    methods: tuple[str, ...] = OTHERS
    minutes: float = 5.0  # training of scratch and cryoddm
    real: bool = True
    apoferritin: Path | None = None  # folder of micrographs; the bundled ones without it
    speed_side: int = 4096
    pick_noise: bool = False
    keep: Path | None = None


QUICK = Plan(seeds=1, micrographs=2, minutes=1.0, speed_side=2048)


def measure() -> dict[str, Any]:
    """The short plan without any training: `make bench` stays short."""
    return run(replace(QUICK, methods=()))


def run(plan: Plan) -> dict[str, Any]:
    """All figures of a plan, and the verdict."""
    from benchmarks.__main__ import machine
    from benchmarks.denoise.real import run_real
    from benchmarks.denoise.simulate import Settings
    from benchmarks.denoise.simulated import run_set, summarised

    began = time.monotonic()
    chosen = (*BASELINES, *plan.methods)
    figures: dict[str, Any] = {"machine": machine(), "plan": _about(plan), "simulated": {}}
    lines: list[dict[str, Any]] = []
    with _folder(plan) as folder:
        for specimen in plan.specimens:
            sets = []
            for seed in range(1, plan.seeds + 1):
                print(f"{specimen.name}, seed {seed}", file=sys.stderr, flush=True)
                settings = Settings(seed, plan.side, plan.micrographs, faint=plan.faint)
                place = folder / f"{specimen.name}-{seed}"
                sets.append(run_set(specimen, settings, place, chosen, plan.minutes, plan.pick_noise))
            summary = summarised(sets)
            figures["simulated"][specimen.name] = summary | {"seeds": sets}
            lines += verdict.simulated(specimen.name, summary["methods"])
            lines += verdict.budgets(specimen.name, summary["methods"])
        if plan.real:
            print("apoferritin", file=sys.stderr, flush=True)
            figures["real"] = run_real(plan.apoferritin, folder / "apoferritin", chosen, plan.minutes, 0)
            lines += verdict.real(figures["real"]["methods"])
        figures["speed"] = _speed(plan, folder)
        lines += verdict.speed(figures["speed"])
    figures["verdict"] = lines
    figures["seconds"] = round(time.monotonic() - began, 1)
    return figures


def _about(plan: Plan) -> dict[str, Any]:
    return {
        "specimens": [s.name for s in plan.specimens], "seeds": plan.seeds, "micrographs": plan.micrographs,
        "side_px": plan.side, "faint_share": plan.faint, "minutes": plan.minutes, "picked_noise": plan.pick_noise,
    }  # fmt: skip


@contextlib.contextmanager
def _folder(plan: Plan) -> Iterator[Path]:
    """Where everything is made: the kept folder, or one that goes away."""
    if plan.keep:
        plan.keep.mkdir(parents=True, exist_ok=True)
        yield plan.keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="vitreous-denoise-") as name:
        yield Path(name)


def _speed(plan: Plan, folder: Path) -> dict[str, Any]:
    """Topaz and the networks that were trained on the first set of the first specimen."""
    from benchmarks.denoise.speed import run_speed

    first = folder / f"{plan.specimens[0].name}-1"
    names = [n for n in ("quick", "quality", "scratch") if n in plan.methods]
    models = {n: first / n for n in names if (first / n / "model" / "model.safetensors").exists()}
    if not models and "topaz" not in plan.methods:
        return {}
    return run_speed(folder / "speed", plan.speed_side, models)


def text(figures: dict[str, Any]) -> str:
    """The figures as tables."""
    parts = []
    for name, found in figures["simulated"].items():
        limit = found["bounds"]
        parts.append(
            f"{name} (simulated); the best radial linear filter would reach {limit['snr_db'][0]:.2f} dB on the field, "
            f"{limit['snr_inside_db'][0]:.2f} dB inside particles"
        )
        parts.append(verdict.table(found["methods"], verdict.COLUMNS))
    if "real" in figures:
        parts.append(f"apoferritin, real micrographs ({figures['real']['source']})")
        parts.append(verdict.table(figures["real"]["methods"], verdict.REAL_COLUMNS))
    if figures["speed"]:
        parts.append("prediction: " + json.dumps(figures["speed"]))
    parts.append(verdict.verdict_text(figures["verdict"]))
    return "\n\n".join(parts)


def plain(value: Any) -> Any:
    """JSON without NaN, which is no JSON."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _specimen(options: argparse.Namespace) -> Specimen:
    if options.volume:
        return from_map(options.volume, options.name, options.pixel_size, options.snr, options.particles)
    return SPECIMENS[options.specimen]


def _simulate(argv: Sequence[str]) -> int:
    from benchmarks.denoise.simulate import Settings, simulate

    parser = argparse.ArgumentParser(prog="denoising simulate", description="Write one simulated data set.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--specimen", choices=list(SPECIMENS), default="ribosome")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--size", type=int, default=1024, metavar="PX")
    parser.add_argument("--micrographs", type=int, default=3)
    parser.add_argument("--faint", type=float, default=0.15, help="share of particles at half contrast")
    _add_volume(parser)
    options = parser.parse_args(argv)
    settings = Settings(options.seed, options.size, options.micrographs, faint=options.faint)
    facts = simulate(_specimen(options), options.folder, settings)
    count = sum(len(m["xy"]) for m in facts["micrographs"])
    print(f"{options.folder}: {count} particles of {facts['diameter_px']:.1f} px, {facts['pixel_size_a']} A/px")
    return 0


def _add_volume(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--volume", type=Path, metavar="FILE.mrc", help="another specimen, with --name")
    parser.add_argument("--name", default="volume")
    parser.add_argument("--pixel-size", type=float, default=3.0, metavar="A", help="of the micrographs of --volume")
    parser.add_argument("--snr", type=float, default=0.06, help="of --volume")
    parser.add_argument("--particles", type=int, default=45, help="of --volume, on 1024 x 1024 px")


def _evaluate(argv: Sequence[str]) -> int:
    from benchmarks.denoise.evaluate import bounds, evaluate

    parser = argparse.ArgumentParser(prog="denoising evaluate", description="Score folders of denoised micrographs.")
    parser.add_argument("folder", type=Path, help="made by simulate")
    parser.add_argument("methods", nargs="*", metavar="NAME=FOLDER")
    parser.add_argument("--no-poses", action="store_true")
    options = parser.parse_args(argv)
    found: dict[str, Any] = {"raw": evaluate(options.folder, None, not options.no_poses)}
    for method in options.methods:
        name, _, folder = method.partition("=")
        found[name] = evaluate(options.folder, Path(folder or name), not options.no_poses)
    print(json.dumps({"bounds": bounds(options.folder), "methods": found}, indent=1))
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    given = {k: getattr(options, k) for k in ("seeds", "micrographs", "side", "minutes", "speed_side", "faint")}
    specimens = tuple(SPECIMENS[n] for n in options.specimens or SPECIMENS)
    if options.volume:
        specimens = (*(specimens if options.specimens else ()), _specimen(options))
    methods = plan.methods if options.methods is None else tuple(options.methods)
    return replace(
        plan, specimens=specimens, methods=methods, real=options.real, apoferritin=options.apoferritin,
        pick_noise=options.pick_noise, keep=options.keep, **{k: v for k, v in given.items() if v is not None},
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object (the tables go to stderr)")
    parser.add_argument("--quick", action="store_true", help="one seed, two micrographs, a minute of training")
    parser.add_argument("--specimens", nargs="+", choices=list(SPECIMENS), help="only these")
    parser.add_argument("--methods", nargs="*", choices=OTHERS, help="beside Gaussian and Wiener; none: only those")
    parser.add_argument("--seeds", type=int, help="simulated sets per specimen (3)")
    parser.add_argument("--micrographs", type=int, help="per set, beside one blank (3)")
    parser.add_argument("--size", type=int, dest="side", metavar="PX", help="of simulated micrographs (1024)")
    parser.add_argument("--minutes", type=float, help="training of scratch and cryoddm (5)")
    parser.add_argument("--faint", type=float, help="share of particles at half contrast (0.15)")
    parser.add_argument("--pick-noise", action="store_true", help="noise boxes by the pick-noise job")
    parser.add_argument("--apoferritin", type=Path, metavar="DIR", help="real micrographs (the three of the demo)")
    parser.add_argument("--no-real", dest="real", action="store_false")
    parser.add_argument("--speed-size", type=int, dest="speed_side", metavar="PX", help="of the speed test (4096)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep everything; what is done is not done again")
    _add_volume(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a part, or all of it; 1 when a method failed."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["simulate"]:
        return _simulate(arguments[1:])
    if arguments[:1] == ["evaluate"]:
        return _evaluate(arguments[1:])
    options = _parser().parse_args(arguments)
    figures = run(_plan(options))
    print(text(figures), file=sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps(plain(figures), indent=1))
    tables = [found["methods"] for found in figures["simulated"].values()]
    tables += [figures["real"]["methods"]] if "real" in figures else []
    return 1 if any("error" in m or "failed_seeds" in m for methods in tables for m in methods.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
