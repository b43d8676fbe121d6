"""Job `simulate`: particle images, or whole micrographs, of a structure or map, with the truth beside them.

    particles.mrcs  particles.star  truth.mrc       simulate: what reconstruction reads, light on dark
    micrographs/sim_0001.mrc ...  picks.star  truth.mrc       simulate --micrographs N: dark on light, as raw ones

Everything says that it is simulated. The table of particles is written last: a folder that has it is complete. The
same parameters give the same files; what was stopped begins anew, micrographs go on where they were.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from core.errors import ParamError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, ui

if TYPE_CHECKING:
    import numpy as np

    from core.jobs.simulate_output import Plan
    from core.physics.model import Model

_DEFOCUS = (0.1, 10.0)  # µm
_AT_ONCE = 64  # images of noise between two looks at a stop
_SHOWN = 25  # images of the preview
_SIDES = (256, 8192)  # px of a micrograph


class SimulateParams(Params):
    """Simulate particle images or micrographs of a known structure."""

    model: Path = Field(
        description="Structure (.pdb, .cif) or map (.mrc).",
        json_schema_extra=ui(dialog="open", pattern="Structures and maps (*.pdb *.cif *.ent *.mrc *.map *.gz)"),
    )
    output: Path = Field(description="Folder of the simulated data.", json_schema_extra=ui(dialog="folder"))
    views: int = Field(1000, ge=1, le=5_000_000, description="Number of particle images.")
    box: int | None = Field(
        None,
        ge=16,
        le=512,
        description="Box, even (default: 1.5 times the structure).",
        json_schema_extra=ui(unit="px"),
    )
    pixel_size: float | None = Field(
        None,
        gt=0.1,
        le=50,
        description="Pixel size (default: that of the map; 2 Å for a structure).",
        json_schema_extra=ui(unit="Å/px"),
    )
    snr: float = Field(
        0.1, gt=0, le=1e6, description="Variance of the signal, CTF and all, over that of the noise, over an image."
    )
    clean: bool = Field(False, description="No noise.")
    ctf: bool = Field(True, description="Images are seen through a CTF.")
    defocus: str = Field(
        "1:2.5", description="Range of defocus, lowest:highest, underfocus.", json_schema_extra=ui(unit="µm")
    )
    tilt: str = Field(
        "",
        description="A single-axis tilt series of one particle, first:last, in --views even steps.",
        json_schema_extra=ui(unit="°"),
    )
    cone: float | None = Field(
        None,
        gt=0,
        le=90,
        description="Only views within this angle of the map's z axis.",
        json_schema_extra=ui(unit="°"),
    )
    few: int | None = Field(
        None, ge=1, le=1000, description="Only so many views, spread as evenly as can be (instead of --views)."
    )
    structural_noise: bool = Field(
        False, description="A quarter of the noise variance is ice, seen through the CTF; the rest is white."
    )
    shift: float = Field(
        0.0,
        ge=0,
        le=64,
        description="Particles lie up to so far off the middle of their images, along x and y.",
        json_schema_extra=ui(unit="px"),
    )
    symmetry: str = Field(
        "C1", description="Repeat the atoms about the file's own axes: C1, Cn, Dn, T, O, I (RELION's axes)."
    )
    assembly: str = Field("", description="Name of a biological assembly of the file to build, for instance 1.")
    micrographs: int = Field(0, ge=0, le=10_000, description="Write so many whole micrographs instead of particles.")
    size: str = Field(
        "2048,2048", description="Width and height of a micrograph.", json_schema_extra=ui(unit="px", advanced=True)
    )
    particles_per_micrograph: int | None = Field(
        None,
        ge=1,
        le=20_000,
        description="Particles on a micrograph (default: a quarter of its area).",
        json_schema_extra=ui(advanced=True),
    )
    dose: float = Field(
        40.0, gt=0, le=1000, description="Electrons, for micrographs.", json_schema_extra=ui(unit="e/Å²", advanced=True)
    )
    b_factor: float | None = Field(
        None,
        ge=0,
        le=5000,
        description="Blur of the atoms (default: 16 times the squared pixel size).",
        json_schema_extra=ui(unit="Å²", advanced=True),
    )
    ctf_b_factor: float = Field(
        0.0, ge=0, le=5000, description="Envelope of the CTF.", json_schema_extra=ui(unit="Å²", advanced=True)
    )
    astigmatism: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Difference of defocus U and V, at random angles.",
        json_schema_extra=ui(unit="µm", advanced=True),
    )
    phase_shift: float = Field(
        0.0, ge=0, le=180, description="Phase plate.", json_schema_extra=ui(unit="°", advanced=True)
    )
    voltage: float = Field(300.0, ge=60, le=400, description="Voltage.", json_schema_extra=ui(unit="kV", advanced=True))
    cs: float = Field(
        2.7, ge=0, le=10, description="Spherical aberration.", json_schema_extra=ui(unit="mm", advanced=True)
    )
    amplitude_contrast: float = Field(
        0.1, ge=0, le=1, description="Amplitude contrast.", json_schema_extra=ui(advanced=True)
    )
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of every random choice.", json_schema_extra=ui(advanced=True)
    )
    overwrite: bool = Field(False, description="Replace simulated data that are in the folder.")


def run(params: SimulateParams, ctx: JobContext) -> dict[str, Any]:
    """Check, make the density, and write particles or micrographs."""
    from core.jobs import simulate_output as output
    from core.physics.model import load_model

    plan = _plan(params)
    ctx.step(0, 1, f"Reading {params.model.name}")
    with exclusive(params.output):
        model = load_model(
            params.model, params.box, params.pixel_size, params.b_factor, params.symmetry, params.assembly
        )
        output.clear(params.output, params.model, params.overwrite or ctx.continued, keep_micrographs=ctx.continued)
        if params.micrographs:
            return _micrographs(params, ctx, model, plan)
        return _particles(params, ctx, model, plan)


# ---- what is asked ---------------------------------------------------------------------------------------


def _plan(params: SimulateParams) -> Plan:
    """The views and ranges that are asked for; ParamError where two of them cannot be meant together."""
    from core.jobs.simulate_output import Plan

    chosen = [k for k in ("tilt", "cone", "few") if getattr(params, k) not in ("", None)]
    if len(chosen) > 1:
        raise ParamError(
            f"--{chosen[0]} and --{chosen[1]} cannot both be meant.", "Choose one of them.", fields=tuple(chosen)
        )
    if params.micrographs and (chosen or params.clean or not params.ctf or params.shift):
        taken = chosen[0] if chosen else "clean" if params.clean else "shift" if params.shift else "ctf"
        raise ParamError(
            f"--{taken} is for particle images, not for --micrographs.", "Leave it out.", fields=(taken, "micrographs")
        )
    defocus = _range(params.defocus, "defocus", *_DEFOCUS)
    width, height = _size(params.size)
    tilt = _range(params.tilt, "tilt", -90, 90) if params.tilt else (0.0, 0.0)
    if params.few is not None:
        return Plan(params.few, "even", (0.0, 180.0), defocus, (height, width))
    if params.cone is not None:
        return Plan(params.views, "cone", (0.0, params.cone), defocus, (height, width))
    return Plan(params.views, "tilt" if params.tilt else "random", tilt, defocus, (height, width))


def _range(text: str, key: str, low: float, high: float) -> tuple[float, float]:
    """Two numbers with a colon between, lowest first, or one number for both."""
    try:
        first, last = (float(part) for part in (text.split(":") if ":" in text else (text, text)))
    except ValueError:
        first, last = 1.0, 0.0
    if not low <= first <= last <= high:
        raise ParamError(
            f"--{key}: {text} is no range.", f"Give lowest:highest, from {low:g} to {high:g}.", fields=(key,)
        )
    return first, last


def _size(text: str) -> tuple[int, int]:
    parts = text.replace("x", ",").split(",")
    try:
        width, height = (int(part) for part in (parts if len(parts) > 1 else parts * 2))
    except ValueError:
        width = height = 0
    low, high = _SIDES
    if not all(low <= side <= high and side % 2 == 0 for side in (width, height)):
        raise ParamError(
            f"--size: {text} is no size of a micrograph.",
            f"Give width,height: even numbers from {low} to {high}.",
            fields=("size",),
        )
    return width, height


# ---- particles -------------------------------------------------------------------------------------------


def _particles(params: SimulateParams, ctx: JobContext, model: Model, plan: Plan) -> dict[str, Any]:
    import numpy as np

    from core.io.mrc import MrcStackWriter
    from core.jobs import simulate_output as output
    from core.physics import particle_images as images
    from core.physics.projection import views_at_once

    views = output.draw_views(params, plan, model)
    variance = images.signal_variance(model.volume, model.pixel_size_a, views)
    gain = float(np.sqrt((1.0 if params.clean else params.snr) / variance))  # noise has spread 1, or signal without it
    volume = model.volume * np.float32(gain)
    n, box, pixel = len(views), volume.shape[0], model.pixel_size_a
    output.write_truth(params.output, volume, pixel, model.words)
    path = params.output / output.STACK
    with MrcStackWriter(path, n, box, box, pixel, f"simulated particles of {params.model.name}") as writer:
        step = views_at_once(box)
        for first in range(0, n, step):
            ctx.step(first, n, f"{first} of {n} images")
            batch, transfer = images.signals(volume, pixel, views.take(slice(first, first + step)))
            for start in range(0, 0 if params.clean else len(batch), _AT_ONCE):
                ctx.step(first + start, n, f"{first + start} of {n} images")
                some = slice(start, min(start + _AT_ONCE, len(batch)))
                numbers = range(first + some.start, first + some.stop)
                batch[some] += images.noise(numbers, transfer[some], pixel, params.seed, params.structural_noise)
            for image in batch:
                writer.append(image)
            if first == 0:
                ctx.preview("particles", batch[:_SHOWN])
    star = output.write_particles(params, views, model, gain)
    ctx.step(1, 1, "Done")
    noise = "without noise" if params.clean else f"at SNR {params.snr:g}"
    return {
        "summary": f"{n} simulated images of {params.model.name}, {box} px of {pixel:g} Å, {noise}; {star}",
        "output": str(params.output),
        "star": str(star),
        "truth": str(params.output / output.TRUTH),
        "simulated": True,
        "particles": n,
        "box": box,
        "pixel_size_a": pixel,
        "snr": None if params.clean else params.snr,
        "model": model.words,
    }


# ---- micrographs -----------------------------------------------------------------------------------------


def _micrographs(params: SimulateParams, ctx: JobContext, model: Model, plan: Plan) -> dict[str, Any]:
    import numpy as np

    from core.io.mrc import write_mrc
    from core.jobs import simulate_output as output
    from core.physics import exposure
    from core.physics.micrographs import micrograph

    fields, asked = output.draw_fields(params, plan, model, lambda i: ctx.step(0, 1, f"Placing particles, {i + 1}"))
    if min(len(field.xy) for field in fields) < asked:
        ctx.warn(f"Not all of {asked} particles find room on every micrograph: some hold fewer.")
    dose = params.dose * model.pixel_size_a**2
    noise = exposure.relative_noise(plan.shape, dose)
    gain = float(np.sqrt(params.snr / output.field_variance(model, fields)) * noise)
    output.write_truth(params.output, model.volume, model.pixel_size_a, model.words)
    for i, field in enumerate(fields):
        ctx.step(i, len(fields), f"{i + 1} of {len(fields)} micrographs")
        path = params.output / output.MICROGRAPHS / output.micrograph_name(i)
        if ctx.continued and path.exists():
            continue
        rng = np.random.default_rng([params.seed, 13, i])
        counts = micrograph(model.volume, model.pixel_size_a, field, plan.shape, gain, params.dose, rng)
        write_mrc(path, counts, model.pixel_size_a, label=f"simulated micrograph of {params.model.name}")
        if i == 0:
            ctx.preview("micrograph", _reduced(counts))
    star = output.write_picks(params, fields, model)
    ctx.step(1, 1, "Done")
    particles = sum(len(field.xy) for field in fields)
    height, width = plan.shape
    return {
        "summary": f"{len(fields)} simulated micrographs of {width} x {height} px with {particles} particles of "
        f"{params.model.name} at SNR {params.snr:g}; {star}",
        "output": str(params.output),
        "micrographs": str(params.output / output.MICROGRAPHS),
        "star": str(star),
        "truth": str(params.output / output.TRUTH),
        "simulated": True,
        "particles": particles,
        "particle_diameter_px": round(model.diameter_px, 1),
        "box": model.volume.shape[0],
        "pixel_size_a": model.pixel_size_a,
        "snr": params.snr,
        "model": model.words,
    }


def _reduced(image: np.ndarray) -> np.ndarray:
    """About 512 px of an image, by means of squares."""
    step = max(1, max(image.shape) // 512)
    height, width = (n // step * step for n in image.shape)
    return image[:height, :width].reshape(height // step, step, width // step, step).mean(axis=(1, 3))
