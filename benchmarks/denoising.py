"""All denoisers on the same images in one run: `python -m benchmarks.denoising [--json]`; see docs/benchmarks.md.

python -m benchmarks.denoising simulate FOLDER --specimen ribosome --seed 1
python -m benchmarks.denoising evaluate FOLDER NAME=DENOISED_FOLDER ...
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.denoise.specimens import SPECIMENS, Specimen, from_map


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run a part, or all of it."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["simulate"]:
        return _simulate(arguments[1:])
    return _evaluate(arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
