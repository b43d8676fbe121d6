"""The methods, each as the commands that its users would type, and how they are run on a folder of micrographs.

A stage that is done is not run again: `stages.json` in the method's folder holds its command and what it took.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.denoise.child import ROOT, run

TOPAZ = "VITREOUS_TOPAZ_PYTHON"
OUTSIDE = ("topaz", "wiener_known")  # programs that are no jobs of the product
SWEEP_A = (15, 20, 30, 40, 60)
FORWARD = (
    "forward", "--micrographs", "{training}", "--particles", "{particles}", "--noise", "{noise}",
    "--particle-diameter", "{diameter}", "--output", "{work}/set", "--seed", "{seed}",
)  # fmt: skip
TRAIN = ("train", "--input", "{work}/set", "--output", "{work}/model", "--seed", "{seed}")
PREDICT = ("predict", "--micrographs", "{micrographs}", "--output", "{output}", "--model")
NETWORK = (*PREDICT, "{work}/model/model.safetensors")


@dataclass(frozen=True)
class Method:
    """A name, what it is, and its commands in order; {words} are filled in from `Task`."""

    name: str
    label: str
    commands: tuple[tuple[str, ...], ...]
    needs: str = ""  # a flag that the train job must have, or "topaz"


def _gaussian(resolution: int) -> Method:
    command = (*PREDICT, f"gaussian:{resolution}")
    return Method(f"gaussian{resolution}", f"Gaussian {resolution} Å", (command,))


METHODS = {
    m.name: m
    for m in (
        *map(_gaussian, SWEEP_A),
        Method("wiener", "Wiener", ((*PREDICT, "wiener", "--noise", "{noise}"),)),
        Method("wiener_known", "Wiener, diameter known", (
            ("wiener_known", "{micrographs}", "--noise", "{noise}", "--diameter", "{diameter}",
             "--output", "{output}"),)),
        Method("topaz", "Topaz U-Net, pretrained", (
            ("topaz", "denoise", "{micrographs}", "-o", "{output}", "-d", "-1", "-j", "1"),), "topaz"),
        Method("quick", "Vitreous Quick", (FORWARD, (*TRAIN, "--mode", "quick"), NETWORK), "--mode"),
        Method("quality", "Vitreous Quality", (FORWARD, (*TRAIN, "--mode", "quality"), NETWORK), "--mode"),
        Method("scratch", "Vitreous from scratch", (
            FORWARD, (*TRAIN, "--mode", "scratch", "--minutes", "{minutes}"), NETWORK)),
        Method("cryoddm", "CryoDDM (as published)", (
            (*FORWARD, "--method", "cryoddm"), (*TRAIN, "--minutes", "{minutes}"), NETWORK)),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """What a method works on. `micrographs` are denoised; training sees `training` only."""

    micrographs: list[Path]
    training: list[Path]
    particles: Path
    noise: Path
    diameter_px: float
    work: Path  # the methods' folders are made in it
    minutes: float = 5.0
    seed: int = 0

    def output(self, name: str) -> Path:
        """Where a method's denoised micrographs are."""
        return self.work / name / "denoised"


@functools.lru_cache(maxsize=4)
def missing(needs: str) -> str:
    """Why a method with these needs cannot run; empty when it can."""
    if not needs:
        return ""
    if needs == "topaz":
        python = os.environ.get(TOPAZ, "")
        return "" if python and Path(python).exists() else f"set {TOPAZ} to the python of an environment with Topaz"
    from core.jobs.train import TrainParams

    known = needs.removeprefix("--").replace("-", "_") in TrainParams.model_fields
    return "" if known else f"the train job has no {needs}"


def denoise(method: Method, task: Task) -> dict[str, Any]:
    """Run what is not done yet. {"stages": {...}} with CPU seconds, or with "skipped" or "error" and the reason."""
    why = missing(method.needs)
    if why:
        return {"skipped": why}
    folder = task.work / method.name
    notes = folder / "stages.json"
    done = json.loads(notes.read_text(encoding="utf-8")) if notes.exists() else {}
    stages: dict[str, Any] = {}
    for command in method.commands:
        arguments = _filled(command, method, task)
        stage = "predict" if command[0] in OUTSIDE else command[0]
        before = done.get(stage)
        if before and before["command"] == arguments:
            stages[stage] = before
            continue
        done = {}  # what follows was made from something else
        _clear(stage, folder)
        print(f"  {method.label}: {stage} ...", file=sys.stderr, flush=True)
        took = run(_program(command[0], folder) + arguments, folder / f"{stage}.log")
        if took.error:
            return {"stages": stages, "error": f"{stage}: {took.error}"}
        stages[stage] = asdict(took) | {"command": arguments}
        notes.write_text(json.dumps(stages, indent=1), encoding="utf-8")
    return {"stages": stages}


def _program(job: str, folder: Path) -> list[str]:
    if job == "topaz":
        # its command under another name would need the folder of its scripts
        return [os.environ[TOPAZ], "-c", "from topaz.main import main; main()"]
    if job in OUTSIDE:
        return [sys.executable, "-m", f"benchmarks.denoise.{job}"]
    return [sys.executable, str(ROOT / "main.py"), job, "--runs", str(folder / "runs"), "--quiet"]


def _filled(command: tuple[str, ...], method: Method, task: Task) -> list[str]:
    """The arguments behind the job's name; lists of files take several places."""
    lists = {"{micrographs}": task.micrographs, "{training}": task.training}
    words = {
        "particles": task.particles, "noise": task.noise, "diameter": f"{task.diameter_px:.1f}",
        "work": task.work / method.name, "output": task.output(method.name), "minutes": task.minutes,
        "seed": task.seed,
    }  # fmt: skip
    out: list[str] = []
    for word in command[1:]:
        out += [str(p) for p in lists[word]] if word in lists else [word.format(**words)]
    return out


def _clear(stage: str, folder: Path) -> None:
    """Results of other commands are no start for this one."""
    for name in {"forward": ("set", "model", "denoised"), "train": ("model", "denoised")}.get(stage, ("denoised",)):
        shutil.rmtree(folder / name, ignore_errors=True)


def cpu_seconds(stages: dict[str, Any], *names: str) -> float | None:
    """CPU seconds of some stages (all when none is named)."""
    values = [s["cpu_s"] for n, s in stages.items() if not names or n in names]
    return None if not values or None in values else round(sum(values), 1)
