"""Job `train-prior`: the 3D prior of Reconstruct, learnt from structures; the training loop in one place."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

import core
from core.errors import InputError, JobStopped, ParamError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, ui

if TYPE_CHECKING:
    import torch

    from core.denoising.learner import Learner
    from core.reconstruction.denoiser import Denoiser
    from core.reconstruction.prior_set import Judge, TrainingSet

VALIDATE_EVERY = 100  # steps
WORST_LOSS = 0.9  # held-out loss above which nothing was learnt
LEAST_BOX_IN_BFLOAT16 = 32  # the CPU's bfloat16 gradients of images of 2 x 2 x 2 come out wrong now and then
READING = 0.05  # share of the job before the training


class TrainPriorParams(Params):
    """Train the 3D prior of Reconstruct on structures."""

    structures: Path = Field(
        description="Folder with structures (.pdb, .cif, or .gz of them).", json_schema_extra=ui(dialog="folder")
    )
    output: Path = Field(
        description="File of the prior.", json_schema_extra=ui(dialog="save", pattern="Prior (*.safetensors)")
    )
    test_structures: Path | None = Field(
        None,
        description="Folder with the structures you will test on: nothing above 25 % sequence identity to them is "
        "learnt from.",
        json_schema_extra=ui(dialog="folder"),
    )
    exclude: str = Field("", description="Leave out structures whose file name begins so, separated by commas.")
    box: int = Field(
        32, ge=16, le=128, description="Side of the maps, a multiple of 8.", json_schema_extra=ui(unit="px")
    )
    pixel_size: float = Field(3.0, ge=0.5, le=20, description="Voxel size of the maps.", json_schema_extra=ui(unit="Å"))
    minutes: float = Field(30.0, gt=0, le=10000, description="Training time.", json_schema_extra=ui(unit="min"))
    steps: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Train this many steps instead of a time.",
        json_schema_extra=ui(advanced=True),
    )
    batch_size: int = Field(4, ge=1, le=256, description="Maps in one step.", json_schema_extra=ui(advanced=True))
    learning_rate: float = Field(
        2e-3, gt=0, le=1, description="Peak learning rate of AdamW.", json_schema_extra=ui(advanced=True)
    )
    device: str = Field("auto", description="auto, cpu, or cuda:0.")
    resume: bool = Field(False, description="Continue the training whose checkpoint lies beside the output.")
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of every random choice.", json_schema_extra=ui(advanced=True)
    )

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies while the prior is trained."""
        return self.output.with_name(self.output.stem + ".training")


def run(params: TrainPriorParams, ctx: JobContext) -> dict[str, Any]:
    """Learn from maps drawn anew for every step; stopping keeps the best prior so far, and resuming goes on exactly."""
    if params.output.suffix != ".safetensors":
        raise ParamError(
            f"--output {params.output.name} does not end in .safetensors.", "Choose such a name.", fields=("output",)
        )
    if params.box % 8:
        raise ParamError(f"--box: {params.box} is no multiple of 8.", "Give 32, 40, 48 ...", fields=("box",))
    with exclusive(params.folder):
        return _train(params, ctx)


def _train(params: TrainPriorParams, ctx: JobContext) -> dict[str, Any]:
    """The job, with the checkpoint's folder held: here is the loop."""
    import torch

    from core.compute.devices import choose_device
    from core.compute.parallel import Workers
    from core.denoising.learner import Learner
    from core.jobs.clock import Clock
    from core.reconstruction.denoiser import Denoiser
    from core.reconstruction.prior_set import Judge, open_set

    device = choose_device(params.device)
    resumed = _check_output(params, ctx)
    data = open_set(
        params.structures,
        params.test_structures,
        params.exclude.replace(",", " ").split(),
        params.box,
        params.pixel_size,
        params.seed,
        lambda share, text: ctx.step(READING * share, 1.0, text),
    )
    _tell(data, ctx)
    torch.manual_seed(params.seed)
    learner = Learner(Denoiser().on(device), params.learning_rate, _plan(params, data))
    if resumed:
        learner.restore(params.folder)
    best = Best(params, data, learner, Judge(data.held_out, device, params.seed))
    clock = Clock(learner, params.folder, params.minutes, params.steps)
    workers = Workers(device)
    drawing = ThreadPoolExecutor(1, "maps")  # the next maps are drawn while these are learnt from
    upcoming = drawing.submit(data.maps.batch, params.batch_size, params.seed, learner.step)
    try:
        while clock.share() < 1.0:
            clean = torch.from_numpy(upcoming.result()).to(device)
            upcoming = drawing.submit(data.maps.batch, params.batch_size, params.seed, learner.step + 1)
            share = clock.share()
            pieces = _objective(learner.net, clean, params.seed, learner.step, workers.count)
            loss = learner.learn(pieces, share, workers, lambda: _progress(ctx, learner, clock.share()))
            if not math.isfinite(loss):
                raise InputError(f"The training diverged at step {learner.step}.", "Use a lower --learning-rate.")
            if learner.step % 5 == 0:
                ctx.metric("loss", loss, learner.step)
                ctx.metric("learning_rate", learner.rate, learner.step)
            if learner.step % VALIDATE_EVERY == 0:
                best.judge(ctx, lambda: _progress(ctx, learner, clock.share()))
            if clock.checkpoint_due():
                clock.save()
    except JobStopped:
        if learner.step:
            clock.save()
        raise
    finally:
        drawing.shutdown(wait=False, cancel_futures=True)
    best.judge(ctx, lambda: None)
    clock.save()
    return _finish(params, ctx, data, best)


def _objective(net: Denoiser, clean: torch.Tensor, seed: int, step: int, parts: int) -> list[tuple[Denoiser, Any]]:
    """The loss of one step in parts that can be computed side by side; its noise depends on (seed, step) only."""
    import torch

    from core.compute.devices import reduced_precision
    from core.reconstruction.denoiser import denoising_loss, draw_sigma

    generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    count, device = len(clean), clean.device
    sigma = draw_sigma(count, generator).to(device)
    noise = torch.randn(clean.shape, generator=generator).to(device)
    size = -(-count // parts)

    def part_loss(part: slice) -> torch.Tensor:
        with reduced_precision(device) if clean.shape[-1] >= LEAST_BOX_IN_BFLOAT16 else nullcontext():
            loss = denoising_loss(net, clean[part], sigma[part], noise[part])
        return loss * (len(clean[part]) / count)

    return [(net, partial(part_loss, slice(i, i + size))) for i in range(0, count, size)]


def _progress(ctx: JobContext, learner: Learner[Denoiser], share: float) -> None:
    loss = "" if learner.best_loss is None else f", held-out loss {learner.best_loss:.3f}"
    ctx.step(READING + (0.99 - READING) * min(share, 1.0), 1.0, f"step {learner.step + 1}{loss}")


class Best:
    """The prior file: the best weights so far, written whenever held-out maps say that they got better."""

    def __init__(self, params: TrainPriorParams, data: TrainingSet, learner: Learner[Denoiser], judge: Judge) -> None:
        self.params, self.data, self.learner = params, data, learner
        self.examine = judge
        self.errors: dict[float, float] = {}
        self.spectrum = tuple(float(f"{power:.6g}") for power in data.spectrum(params.seed))

    def judge(self, ctx: JobContext, between: Callable[[], None]) -> None:
        """Judge the average's weights on the held-out maps, show how they do, and write them if they are the best."""
        from core.reconstruction.prior_set import weighted_loss

        learner, net = self.learner, self.learner.average.net
        errors = self.examine.errors(net, between)
        learner.judged(weighted_loss(errors))
        ctx.metric("val_loss", weighted_loss(errors), learner.step)
        for sigma, error in errors.items():
            ctx.metric(f"mse_sigma_{sigma:g}", error, learner.step)
        ctx.preview("denoised", self.examine.picture(net), step=learner.step)
        if learner.best_step == learner.step and self.learnt:
            self.errors = errors
            self.write()

    @property
    def learnt(self) -> bool:
        """Whether anything was."""
        return self.learner.best_loss is not None and self.learner.best_loss <= WORST_LOSS

    def write(self) -> None:
        """Write the best weights with everything that must be known about them."""
        from core.reconstruction.prior import Facts, save_prior

        params, learner = self.params, self.learner
        facts = Facts(
            box=params.box,
            pixel_size_a=params.pixel_size,
            widths=learner.net.widths,
            spectrum=self.spectrum,
            trained=self.data.trained,
            held_out=self.data.held_out_names,
            left_out=self.data.left_out,
            steps=learner.best_step,
            seed=params.seed,
            val_loss=learner.best_loss or 0.0,
            held_out_mse=tuple(self.errors.items()),
            version=core.__version__,
        )
        save_prior(params.output, learner.best, facts)


def _tell(data: TrainingSet, ctx: JobContext) -> None:
    """What is left out is said, one line for each."""
    for name, reason in data.left_out:
        ctx.warn(f"{name} is left out: {reason}.")
    if not data.held_out_names:
        ctx.warn(f"Only {len(data.trained)} structures: the held-out loss is that of the training structures.")


def _check_output(params: TrainPriorParams, ctx: JobContext) -> bool:
    """True when a training is to be resumed; refuses to overwrite what was not meant."""
    held = (params.folder / "checkpoint.safetensors").is_file()
    again = params.resume or ctx.continued
    if (held or params.output.exists()) and not again:
        raise ParamError(
            f"{params.output if params.output.exists() else params.folder} is there already.",
            "Add --resume to continue the training, or choose another name.",
            fields=("output", "resume"),
        )
    if params.resume and not held:
        ctx.warn(f"{params.folder} holds no training to resume: starting from the beginning.")
    return held


def _plan(params: TrainPriorParams, data: TrainingSet) -> dict[str, Any]:
    """What must stay the same for a resume to be exact."""
    return {
        "seed": params.seed,
        "batch_size": params.batch_size,
        "learning_rate": params.learning_rate,
        "box": params.box,
        "pixel_size": params.pixel_size,
        "structures": [entry.name for entry in data.trained],
    }


def _finish(params: TrainPriorParams, ctx: JobContext, data: TrainingSet, best: Best) -> dict[str, Any]:
    """Say what was measured; the prior is written already, unless the best of a resumed training was."""
    learner = best.learner
    if not best.learnt:
        raise InputError(
            f"The training learnt nothing in {learner.step} steps (held-out loss {learner.best_loss or math.nan:.2f}; "
            "1 is that of an untrained network).",
            "Go on with --resume and more --minutes.",
        )
    if not best.errors or not params.output.exists():
        net = learner.average.net
        net.load_state_dict(learner.best)
        best.errors = best.examine.errors(net)
        best.write()
    ctx.step(1.0, 1.0, "Done")
    told = ", ".join(f"{error:.3f} at {sigma:g}" for sigma, error in best.errors.items())
    return {
        "summary": f"Trained {learner.step} steps on {len(data.trained)} structures ({data.maps.count} chains and "
        f"assemblies); held-out error over signal by noise: {told}; {params.output}",
        "prior": str(params.output),
        "steps": learner.step,
        "best_step": learner.best_step,
        "val_loss": learner.best_loss,
        "held_out_mse": {f"{sigma:g}": error for sigma, error in best.errors.items()},
        "trained": [entry.name for entry in data.trained],
        "held_out": list(data.held_out_names),
        "left_out": dict(data.left_out),
    }
