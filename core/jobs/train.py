"""Job `train`: the training loop of the denoising U-Net, in one place."""

from __future__ import annotations

import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

import core
from core.errors import InputError, JobStopped, ParamError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, ui

if TYPE_CHECKING:
    import torch

    from core.compute.parallel import Workers
    from core.denoising.dataset import TrainingSet
    from core.denoising.judge import Judge
    from core.denoising.learner import Learner
    from core.denoising.library_set import LibrarySet
    from core.denoising.model import Facts
    from core.denoising.training import StructuralLoss
    from core.denoising.unet import UNet


class TrainParams(Params):
    """Train the denoising U-Net."""

    input: Path = Field(
        description="Training set made by forward, or a clean library (for a generic model).",
        json_schema_extra=ui(dialog="folder", label="Training set"),
    )
    output: Path = Field(description="Folder of the model.", json_schema_extra=ui(dialog="folder"))
    mode: Literal["quick", "quality", "scratch"] = Field(
        "quick",
        description="quick: the generic model learns your noise in 1 minute; quality: in 10 minutes; "
        "scratch: a network that has seen nothing, 30 minutes.",
    )
    minutes: float | None = Field(
        None,
        gt=0,
        le=10000,
        description="Training time instead of the mode's own; not used when epochs are given.",
        json_schema_extra=ui(unit="min"),
    )
    start: Path | None = Field(
        None,
        description="Model to start from instead of the generic one.",
        json_schema_extra=ui(
            dialog="open", pattern="Model (*.safetensors *.pth *.pt)", advanced=True, label="Start from"
        ),
    )
    epochs: int | None = Field(None, ge=1, le=100_000, description="Train this many epochs instead of a time.")
    batch_size: int = Field(6, ge=1, le=512, description="Pairs in one step.")
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Peak learning rate of AdamW (default: 2e-3 from scratch, 1e-3 from a trained model).",
        json_schema_extra=ui(advanced=True),
    )
    structural_weight: float = Field(
        0.2,
        ge=0,
        le=10,
        description="Weight of the structural loss on the raw particles (TSLM) in the objective.",
        json_schema_extra=ui(advanced=True, label="TSLM weight"),
    )
    patience: int = Field(
        20,
        ge=1,
        le=10000,
        description="Stop early after this many validations without improvement.",
        json_schema_extra=ui(advanced=True),
    )
    device: str = Field("auto", description="auto, cpu, or cuda:0.")
    resume: bool = Field(False, description="Continue the training that the output folder holds.")
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of every random choice.", json_schema_extra=ui(advanced=True)
    )


MINUTES = {
    "quick": 0.85,  # the whole job takes about a minute
    "quality": 10.0,
    "scratch": 30.0,
}
RATES = {True: 1e-3, False: 2e-3}  # peak learning rate: from a trained model, from scratch
VALIDATE_EVERY = 50  # steps
CHECKPOINT_EVERY_S = float(os.environ.get("VITREOUS_CHECKPOINT_S", "50"))
WORST_LOSS = 1.5  # validation loss above which nothing was learnt
FEW_STEPS = 100
FIRST_STOP = 0.5  # share of the training before early stopping may act


def run(params: TrainParams, ctx: JobContext) -> dict[str, Any]:
    """Train on fresh pairs, validate on held-out ones, keep the best average; resumes exactly where it was."""
    with exclusive(params.output):
        return _train(params, ctx)


def _train(params: TrainParams, ctx: JobContext) -> dict[str, Any]:
    """The job, with the output folder held: here is the loop."""
    import torch

    from core.compute.devices import choose_device
    from core.compute.parallel import Workers
    from core.denoising.judge import Judge
    from core.denoising.learner import Learner
    from core.denoising.training import StructuralLoss, objective

    ctx.step(0, 1, "Reading the training set")
    data = _open_set(params)
    device = choose_device(params.device)
    resumed = _check_output(params, ctx)
    torch.manual_seed(params.seed)
    net, started_from = _start(params, data, device)
    if not started_from and params.mode != "scratch":
        ctx.warn(f"A set of the method {data.method} is trained from nothing: --mode {params.mode} only sets the time.")
    ctx.step(0, 1, "Building the clean library")
    pairs = data.pairs()
    structural = None
    if data.particles is not None:
        structural = StructuralLoss(data.particles, data.recipe.diameter, data.log_snr, device)
    judge = Judge(data, device)
    learner = Learner(net, params.learning_rate or RATES[bool(started_from)], _plan(params, data, started_from))
    if resumed:
        learner.restore(params.output)
    else:
        ctx.preview("validation_before", judge.picture(learner.average.net), step=0)

    total = params.epochs * math.ceil(data.pairs_per_epoch / params.batch_size) if params.epochs else None
    clock = Clock(params, learner, total)
    workers = Workers(device)
    drawing = ThreadPoolExecutor(1, "pairs")  # the next batch is drawn while this one is computed
    upcoming = drawing.submit(pairs.batch, learner.step, params.batch_size)
    try:
        while clock.share() < 1.0 and not _stale(learner, params, clock.share()):
            batch = upcoming.result().to(device)
            upcoming = drawing.submit(pairs.batch, learner.step + 1, params.batch_size)
            pieces = objective(learner.net, batch, structural, learner.step, params, workers.count)
            loss = learner.learn(
                pieces, clock.share(), workers, lambda: ctx.step(clock.share(), 1.0, _message(learner, total))
            )
            step = learner.step
            if not math.isfinite(loss):
                raise InputError(
                    f"{params.input}: the training diverged at step {step}.", "Use a lower --learning-rate."
                )
            if step % 5 == 0:
                of_halves = data.halves is not None and step % 2  # their noise bounds this loss from below
                ctx.metric("loss_halves" if of_halves else "loss", loss, step)
                ctx.metric("learning_rate", learner.rate, step)
            if step % VALIDATE_EVERY == 0:
                ctx.step(clock.share(), 1.0, "Validating")
                _validate(ctx, learner, judge, structural)
            if clock.checkpoint_due():
                clock.save()
    except JobStopped:
        if learner.step:
            clock.save()
        raise
    finally:
        drawing.shutdown(wait=False, cancel_futures=True)
    learner.judged(judge.loss(learner.average.net))
    clock.save()
    if learner.best_loss is None or learner.best_loss > WORST_LOSS:
        raise InputError(
            f"{params.input}: the training learnt nothing (validation loss {judge.last:.3g}; removing everything "
            "gives about 1).",
            "Use a lower --learning-rate or more time, in a new folder.",
        )
    if learner.step < FEW_STEPS:
        ctx.warn(f"Only {learner.step} steps were trained: train longer before you judge the result.")
    ctx.metric("val_loss", judge.last, learner.step)
    ctx.step(0.99, 1.0, "Measuring the network on known signals, the raw particles and the empty patches")
    learner.average.net.load_state_dict(learner.best)
    ctx.preview("validation", judge.picture(learner.average.net), step=learner.best_step)
    facts = _facts(data, learner, structural, started_from, workers)
    return _write_model(params, ctx, learner, facts)


def _validate(ctx: JobContext, learner: Learner, judge: Judge, structural: StructuralLoss | None) -> None:
    """Judge the average's weights on the held-out pairs, and show how they do."""
    learner.judged(judge.loss(learner.average.net))
    ctx.metric("val_loss", judge.last, learner.step)
    if structural is not None:
        ctx.metric("tslm", structural.whole(learner.average.net, 128), learner.step)
    ctx.preview("validation", judge.picture(learner.average.net), step=learner.step)


def _open_set(params: TrainParams) -> TrainingSet | LibrarySet:
    """The training set, or the clean library for a generic model."""
    from core.denoising.dataset import TrainingSet
    from core.denoising.library_set import LibrarySet, is_library

    if is_library(params.input):
        return LibrarySet(params.input, params.seed)
    return TrainingSet(params.input)


def _start(params: TrainParams, data: TrainingSet | LibrarySet, device: torch.device) -> tuple[UNet, str]:
    """The network to train, and the name of the model it comes from ("" when it has seen nothing)."""
    from core.denoising.model import GENERIC_PATH, load_network
    from core.denoising.unet import UNet

    from_nothing = params.mode == "scratch" or data.method in ("generic", "cryoddm")
    if params.start is None and from_nothing:
        return UNet().on(device), ""
    path = params.start or GENERIC_PATH
    if params.start is None and not path.is_file():
        raise InputError(
            f"The generic model that --mode {params.mode} starts from is missing ({path}).",
            "Use --mode scratch, or give a model with --start.",
            path,
        )
    return load_network(path, device).train().requires_grad_(True), path.parent.name + "/" + path.name


def _facts(
    data: TrainingSet | LibrarySet,
    learner: Learner,
    structural: StructuralLoss | None,
    started_from: str,
    workers: Workers,
) -> Facts:
    """What the model must know; the best weights are measured on the user's own data where there are any."""
    from core.denoising.library_set import LibrarySet
    from core.denoising.model import Facts

    facts = Facts(
        widths=learner.net.widths,
        steps=learner.step,
        val_loss=learner.best_loss or 0.0,
        started_from=started_from,
        version=core.__version__,
        **data.facts(),
    )
    if structural is None or isinstance(data, LibrarySet):
        return facts
    from core.denoising.response import measure_response

    response = measure_response(learner.average.net, data, structural, workers)
    return replace(facts, **response.as_facts())


def _write_model(params: TrainParams, ctx: JobContext, learner: Learner, facts: Facts) -> dict[str, Any]:
    """Write model.safetensors and say what was measured."""
    from core.denoising.model import GENERIC, save_denoiser

    path = params.output / "model.safetensors"
    save_denoiser(path, learner.best, facts)
    ctx.step(1.0, 1.0, "Done")
    summary = f"Trained {facts.steps} steps; validation loss {facts.val_loss:.3f}; "
    if facts.method != GENERIC:
        ctx.metric("tslm", facts.tslm_network, learner.step)
        summary += f"structural loss {facts.tslm:+.3f} (network alone {facts.tslm_network:+.3f}); "
    return {
        "summary": f"{summary}{path}",
        "model": str(path),
        "mode": params.mode,
        "method": facts.method,
        "started_from": facts.started_from,
        "steps": facts.steps,
        "best_step": learner.best_step,
        "val_loss": facts.val_loss,
        "tslm": facts.tslm,
        "tslm_network": facts.tslm_network,
        "blank_rms": facts.blank_rms,
    }


class Clock:
    """How much of the training is done: by steps when epochs are given, otherwise by time (earlier runs included)."""

    def __init__(self, params: TrainParams, learner: Learner, total: int | None) -> None:
        self.params, self.learner, self.total = params, learner, total
        self._began = time.monotonic() - learner.seconds
        self._saved = time.monotonic()

    def share(self) -> float:
        """0 at the start, 1 at the end."""
        if self.total:
            return self.learner.step / self.total
        return (time.monotonic() - self._began) / (60 * (self.params.minutes or MINUTES[self.params.mode]))

    def checkpoint_due(self) -> bool:
        """Has it been long since the last checkpoint?"""
        return time.monotonic() - self._saved > CHECKPOINT_EVERY_S

    def save(self) -> None:
        """Write the checkpoint."""
        self.learner.seconds = time.monotonic() - self._began
        self.learner.save(self.params.output)
        self._saved = time.monotonic()


def _stale(learner: Learner, params: TrainParams, share: float) -> bool:
    """No better validation for a long time, and at least half of the training is done."""
    return share > FIRST_STOP and (learner.step - learner.best_step) // VALIDATE_EVERY >= params.patience


def _check_output(params: TrainParams, ctx: JobContext) -> bool:
    """True when a training is to be resumed; refuses to overwrite one that was not meant."""
    held = (params.output / "checkpoint.safetensors").is_file()
    again = params.resume or ctx.continued
    if held and not again:
        raise ParamError(
            f"{params.output} already holds a training.",
            "Add --resume to continue it, or choose another folder.",
            fields=("output", "resume"),
        )
    if params.resume and not held:
        ctx.warn(f"{params.output} holds no training to resume: starting from the beginning.")
    return held


def _plan(params: TrainParams, data: TrainingSet | LibrarySet, started_from: str) -> dict[str, Any]:
    """What must stay the same for a resume to be exact."""
    return {
        "seed": params.seed,
        "batch_size": params.batch_size,
        "learning_rate": params.learning_rate,
        "structural_weight": params.structural_weight,
        "started_from": started_from,
        "training_set": data.created,
    }


def _message(learner: Learner, total: int | None) -> str:
    loss = "" if learner.best_loss is None else f", validation loss {learner.best_loss:.3f}"
    return f"step {learner.step + 1}{f' of {total}' if total else ''}{loss}"
