"""Job `train`: the training loop of the denoising U-Net, in one place."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from core.errors import InputError, JobStopped, ParamError
from core.jobs.base import JobContext
from core.params import Params, ui

if TYPE_CHECKING:
    import torch

    from core.compute.parallel import Workers
    from core.denoising.dataset import TrainingSet
    from core.denoising.training import Average, StructuralLoss
    from core.denoising.unet import UNet


class TrainParams(Params):
    """Train the denoising U-Net."""

    input: Path = Field(
        description="Training set made by forward.",
        json_schema_extra=ui(dialog="folder", label="Training set"),
    )
    output: Path = Field(description="Folder of the model.", json_schema_extra=ui(dialog="folder"))
    minutes: float = Field(
        5.0,
        gt=0,
        le=10000,
        description="Training time; not used when epochs are given.",
        json_schema_extra=ui(unit="min"),
    )
    epochs: int | None = Field(None, ge=1, le=100_000, description="Train this many epochs instead of a time.")
    batch_size: int = Field(4, ge=1, le=512, description="Pairs in one step.")
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="Peak learning rate of AdamW.", json_schema_extra=ui(advanced=True)
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
    seed: int = Field(0, ge=0, description="Seed of every random choice.", json_schema_extra=ui(advanced=True))


VALIDATE_EVERY = 50  # steps
CHECKPOINT_EVERY_S = float(os.environ.get("VITREOUS_CHECKPOINT_S", "50"))
MICRO_BATCH = 8  # pairs at a time in validation
FIRST_STOP = 0.5  # share of the training before early stopping may act


def run(params: TrainParams, ctx: JobContext) -> dict[str, Any]:
    """Train on fresh pairs, validate on held-out ones, keep the best average; resumes exactly where it was."""
    import torch

    from core.compute.devices import choose_device
    from core.compute.parallel import Workers
    from core.denoising import training
    from core.denoising.cryoddm import CryoddmPairs
    from core.denoising.dataset import TrainingSet
    from core.denoising.unet import UNet

    data = TrainingSet(params.input)
    device = choose_device(params.device)
    resumed = _check_output(params, ctx)
    torch.manual_seed(params.seed)
    net = UNet().on(device)
    average = training.Average(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=params.learning_rate, weight_decay=1e-4)

    ctx.step(0, 1, "Building the clean library")
    pairs = CryoddmPairs(data) if data.method == "cryoddm" else data.pair_maker()
    log_snr = float(np.clip(math.log(data.manifest["snr"]["value"]), *np.log([1e-3, 1e2])))
    if data.method == "cryoddm":
        log_snr = 0.0
    structural = training.StructuralLoss(data.particles, data.recipe.diameter, log_snr, device)
    judge = Judge(data, device)

    state = {"step": 0, "seconds": 0.0, "best_loss": None, "best_step": 0, "plan": _plan(params, data)}
    best = {k: v.clone() for k, v in average.net.state_dict().items()}
    if resumed:
        state, best = training.load_checkpoint(params.output, net, average, optimizer)
        if state["plan"] != _plan(params, data):
            raise ParamError(
                f"{params.output} was trained with other settings ({state['plan']}).",
                "Resume with the same seed, batch size, learning rate and training set, or use a new folder.",
            )
    else:
        ctx.preview("validation_before", judge.picture(average.net), step=0)

    total = params.epochs * _steps_per_epoch(params, data) if params.epochs else None
    clock = time.monotonic() - state["seconds"]
    saved = time.monotonic()

    def share() -> float:
        return state["step"] / total if total else (time.monotonic() - clock) / (60 * params.minutes)

    def save() -> None:
        state["seconds"] = time.monotonic() - clock
        training.save_checkpoint(params.output, net, average, optimizer, best, state)

    stopped_early = False
    drawing = ThreadPoolExecutor(1, "pairs")  # the next batch is drawn while this one is computed
    workers = Workers(device)
    upcoming = drawing.submit(pairs.batch, state["step"], params.batch_size)
    try:
        while share() < 1.0 and not stopped_early:
            step = state["step"]
            rate = training.learning_rate(step, share(), params.learning_rate)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = [t.to(device) for t in upcoming.result()]
            upcoming = drawing.submit(pairs.batch, step + 1, params.batch_size)
            pieces = training.objective(net, batch, structural, step, params, workers.count)
            loss = 0.0
            gradients: list[Any] = []
            for value, gradient in workers.map(training.gradient, pieces):
                ctx.step(share(), 1.0, _message(state, total))
                loss += value
                gradients.append(gradient)
            training.set_gradient(net, gradients)
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            average.update(net, step)
            state["step"] = step = step + 1
            if not math.isfinite(loss):
                raise InputError(
                    f"The training on {params.input} diverged at step {step}.", "Use a lower --learning-rate."
                )
            if step % 5 == 0:
                ctx.metric("loss", loss, step)
                ctx.metric("learning_rate", rate, step)
            if step % VALIDATE_EVERY == 0:
                ctx.step(share(), 1.0, "Validating")
                value = judge.loss(average.net)
                ctx.metric("val_loss", value, step)
                ctx.metric("tslm", structural.whole(average.net, 128), step)
                ctx.preview("validation", judge.picture(average.net), step=step)
                if state["best_loss"] is None or value < state["best_loss"]:
                    state |= {"best_loss": value, "best_step": step}
                    best = {k: v.clone() for k, v in average.net.state_dict().items()}
                waited = (step - state["best_step"]) // VALIDATE_EVERY
                stopped_early = waited >= params.patience and share() > FIRST_STOP
            if time.monotonic() - saved > CHECKPOINT_EVERY_S:
                save()
                saved = time.monotonic()
    except JobStopped:
        if state["step"]:
            save()
        raise
    finally:
        drawing.shutdown(wait=False, cancel_futures=True)
    return _finish(params, ctx, data, state, average, best, structural, judge, save, workers)


def _finish(
    params: TrainParams,
    ctx: JobContext,
    data: TrainingSet,
    state: dict[str, Any],
    average: Average,
    best: dict[str, Any],
    structural: StructuralLoss,
    judge: Judge,
    save: Callable[[], None],
    workers: Workers,
) -> dict[str, Any]:
    """Choose between the last and the best weights, measure them, write the model."""
    import core
    from core.denoising.model import Facts, save_denoiser
    from core.denoising.response import measure_response

    ctx.step(0.99, 1.0, "Measuring the network on the raw particles and the empty patches")
    last = judge.loss(average.net)
    if state["best_loss"] is None or last < state["best_loss"]:
        state |= {"best_loss": last, "best_step": state["step"]}
        best = {k: v.clone() for k, v in average.net.state_dict().items()}
    save()
    average.net.load_state_dict(best)
    ctx.preview("validation", judge.picture(average.net), step=state["step"])
    response = measure_response(average.net, data, structural, workers)
    facts = Facts(
        method=data.method,
        widths=average.net.widths,
        particle_diameter_px=data.manifest["particle_diameter_px"],
        pixel_size_a=data.manifest["pixel_size_a"],
        canonical_diameter=data.recipe.diameter,
        calibration=data.manifest["normalisation"]["calibration"],
        sign=1.0 if data.manifest["contrast"] == "dark" else -1.0,
        snr=math.exp(structural.log_snr),
        gate_threshold=response.gate_threshold,
        steps=state["step"],
        val_loss=state["best_loss"],
        tslm=response.tslm,
        tslm_network=response.tslm_network,
        blank_rms=response.blank_rms,
        specimens=tuple(data.manifest["library"]["specimens"]),
        version=core.__version__,
    )
    path = params.output / "model.safetensors"
    save_denoiser(path, best, facts)
    ctx.metric("tslm", facts.tslm_network, state["step"])
    ctx.step(1.0, 1.0, "Done")
    return {
        "summary": f"Trained {facts.steps} steps; validation loss {facts.val_loss:.3f}; "
        f"structural loss {facts.tslm:+.3f} (network alone {facts.tslm_network:+.3f}); {path}",
        "model": str(path),
        "steps": facts.steps,
        "best_step": state["best_step"],
        "val_loss": facts.val_loss,
        "tslm": facts.tslm,
        "tslm_network": facts.tslm_network,
        "blank_rms": facts.blank_rms,
    }


class Judge:
    """The held-out pairs: their loss, and one of them as a picture."""

    def __init__(self, data: TrainingSet, device: torch.device) -> None:
        import torch

        noisy, target, level = data.validation()
        self.noisy, self.target = (torch.from_numpy(a[:48].copy())[:, None].to(device) for a in (noisy, target))
        self.level = torch.from_numpy(level[:48]).to(device)
        self.shown = int(np.argmax([float(t.std()) for t in self.target]))

    def loss(self, net: UNet) -> float:
        """Mean denoising loss over the held-out pairs."""
        import torch

        from core.denoising.training import denoising_loss

        values = []
        with torch.inference_mode():
            for part in torch.arange(len(self.noisy)).split(MICRO_BATCH):
                output = net(self.noisy[part], self.level[part])
                values += [
                    float(denoising_loss(o[None], t[None])) for o, t in zip(output, self.target[part], strict=True)
                ]
        return float(np.mean(values))

    def picture(self, net: UNet) -> np.ndarray:
        """Input, output and clean target of the same held-out pair: (3, h, w)."""
        import torch

        one = slice(self.shown, self.shown + 1)
        with torch.inference_mode():
            output = net(self.noisy[one], self.level[one])
        return torch.cat([self.noisy[one], output, self.target[one]])[:, 0].float().cpu().numpy()


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
    params.output.mkdir(parents=True, exist_ok=True)
    return held


def _plan(params: TrainParams, data: TrainingSet) -> dict[str, Any]:
    """What must stay the same for a resume to be exact."""
    return {
        "seed": params.seed,
        "batch_size": params.batch_size,
        "learning_rate": params.learning_rate,
        "structural_weight": params.structural_weight,
        "training_set": data.manifest["created"],
    }


def _steps_per_epoch(params: TrainParams, data: TrainingSet) -> int:
    return max(1, math.ceil(data.manifest["pairs_per_epoch"] / params.batch_size))


def _message(state: dict[str, Any], total: int | None) -> str:
    loss = "" if state["best_loss"] is None else f", validation loss {state['best_loss']:.3f}"
    return f"step {state['step'] + 1}{f' of {total}' if total else ''}{loss}"
