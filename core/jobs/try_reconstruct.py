"""Job `try-reconstruct`: simulated views of a bundled structure, reconstructed by all four methods beside the truth.

It runs the jobs a user would run, `simulate` and `reconstruct`, and compares with what was simulated. All methods
start from the same statistics of the same images. Simulated data, and everything says so.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from core.io.atomic import write_json
from core.jobs.base import JobContext
from core.jobs.lock import claim
from core.params import Params, ui

if TYPE_CHECKING:
    from core.reconstruction.prior import Prior

SPECIMENS = {"lysozyme": "1aki", "ubiquitin": "1ubi", "myoglobin": "1mbn"}
LIBRARY = Path(__file__).resolve().parents[2] / "resources" / "library"
METHODS = ("backproject", "wiener", "positive", "dps")
WORDS = {
    "backproject": "backprojection",
    "wiener": "Wiener filter",
    "positive": "positive density",
    "dps": "learned prior (DPS)",
}
BOX, PIXEL_SIZE_A = 32, 3.0  # where there is no prior to say
RESULT = "comparison.json"
_SHARES = {"backproject": 1.0, "wiener": 1.0, "positive": 2.0, "dps": 12.0}  # of the time


class TryReconstructParams(Params):
    """Simulate particles of a bundled structure and reconstruct them by all four methods, with the truth beside."""

    specimen: Literal["lysozyme", "ubiquitin", "myoglobin"] = Field(
        "lysozyme", description="Structure that is simulated: 1AKI, 1UBI or 1MBN of the Protein Data Bank."
    )
    output: Path = Field(
        Path("vitreous-try-reconstruct"),
        description="Folder of everything that is made.",
        json_schema_extra=ui(dialog="folder"),
    )
    views: int = Field(200, ge=8, le=20_000, description="Number of simulated images.")
    snr: float = Field(
        0.1,
        gt=0,
        le=1e6,
        description="Variance of the signal over that of the noise, in an image.",
        json_schema_extra=ui(label="SNR"),
    )
    prior: Path | None = Field(
        None,
        description="Learned prior of dps (default: the one that is shipped).",
        json_schema_extra=ui(dialog="open", pattern="Priors (*.safetensors)", advanced=True),
    )
    chains: int = Field(4, ge=1, le=64, description="Samples of dps.", json_schema_extra=ui(advanced=True))
    levels: int = Field(24, ge=4, le=400, description="Noise levels of dps.", json_schema_extra=ui(advanced=True))
    seed: int = Field(
        0, ge=0, le=2**63 - 1, description="Seed of every random choice.", json_schema_extra=ui(advanced=True)
    )


@dataclass(frozen=True)
class Row:
    """One method against the truth. `resolution_a`: where the FSC to the truth falls below .5 (None: nowhere)."""

    method: str
    words: str
    cc_masked: float  # Pearson's correlation inside the mask
    cc_uncentred: float  # the cosine over the whole box
    resolution_a: float | None
    seconds: float
    map: str


def run(params: TryReconstructParams, ctx: JobContext) -> dict[str, Any]:
    """simulate, then reconstruct four times, then the table."""
    claim(params.output, "try-reconstruct")
    prior, relation = _prior(params, ctx)
    simulated = _simulate(params, prior, ctx.part(0.0, 0.08, "Simulating"))
    methods = [m for m in METHODS if m != "dps" or prior is not None]
    rows: list[Row] = []
    whole, done = sum(_SHARES[m] for m in methods), 0.0
    comparison = Comparison(Path(simulated["truth"]), ctx)
    for method in methods:
        first, done = done, done + _SHARES[method]
        part = ctx.part(0.08 + 0.92 * first / whole, 0.08 + 0.92 * done / whole, WORDS[method])
        rows.append(_reconstruct(method, params, Path(simulated["star"]), comparison, part))
    mask = "soft mask around the truth"
    facts = {
        "simulated": True,
        "specimen": params.specimen,
        "views": params.views,
        "snr": params.snr,
        "box": simulated["box"],
        "pixel_size_a": simulated["pixel_size_a"],
        "prior": relation,
        "mask": mask,
        "table": [asdict(row) for row in rows],
    }
    write_json(params.output / RESULT, facts)
    ctx.step(1, 1, "Done")
    return {
        "summary": f"{as_text(rows)}\nSimulated: {params.views} views of {params.specimen} at SNR {params.snr:g}, "
        f"seed {params.seed}. {relation}",
        "output": str(params.output),
        "truth": simulated["truth"],
        "star": simulated["star"],
        **facts,
    }


def as_text(rows: list[Row]) -> str:
    """The table in plain text."""
    head = f"{'method':22} {'CC masked':>10} {'CC uncentred':>13} {'FSC .5 to truth':>16} {'seconds':>8}"
    lines = [
        f"{row.words:22} {row.cc_masked:10.3f} {row.cc_uncentred:13.3f} "
        f"{f'{row.resolution_a:.1f} Å' if row.resolution_a else 'Nyquist':>16} {row.seconds:8.1f}"
        for row in rows
    ]
    return "\n".join([head, *lines])


def _prior(params: TryReconstructParams, ctx: JobContext) -> tuple[Prior | None, str]:
    """The learned prior, where there is one, and whether it has seen a relative of the specimen."""
    from core.reconstruction import leakage
    from core.reconstruction import prior as priors

    ctx.step(0, 1, "Learned prior")
    if params.prior is None and not priors.BUNDLED_PATH.is_file():
        text = "The learned prior that is shipped is not in this installation: three methods are shown."
        ctx.warn(text)
        return None, text
    prior = priors.load_prior(params.prior or priors.BUNDLED)
    ctx.step(0, 1, "Comparing the specimen with what the prior was trained on")
    match = leakage.check(structure(params.specimen), prior.training_list)
    told = f"closest: {match.name}, {match.identity:.0%} identity" if match.name else "no sequence aligns with it"
    if match.related:
        text = f"The prior was trained on a relative of this specimen ({told}): its map says nothing here."
        ctx.warn(text)
    else:
        text = f"No relative of the specimen was in the training of the prior ({told})."
    return prior, text


def structure(specimen: str) -> Path:
    """The bundled file of a specimen."""
    return LIBRARY / f"{SPECIMENS[specimen]}.pdb.gz"


def _simulate(params: TryReconstructParams, prior: Prior | None, ctx: JobContext) -> dict[str, Any]:
    from core.jobs import simulate

    return simulate.run(
        simulate.SimulateParams.parse(
            {
                "model": structure(params.specimen),
                "output": params.output / "particles",
                "box": prior.box if prior is not None else BOX,
                "pixel_size": prior.pixel_size_a if prior is not None else PIXEL_SIZE_A,
                "views": params.views,
                "snr": params.snr,
                "seed": params.seed,
                "overwrite": True,
            }
        ),
        ctx,
    )


def _reconstruct(method: str, params: TryReconstructParams, star: Path, comparison: Comparison, ctx: JobContext) -> Row:
    """One method on the statistics that the first one has counted."""
    import time

    from core.jobs import reconstruct
    from core.reconstruction import outputs

    folder = params.output / method
    folder.mkdir(parents=True, exist_ok=True)
    counted = params.output / METHODS[0] / outputs.STATISTICS
    if method != METHODS[0]:
        shutil.copyfile(counted, folder / outputs.STATISTICS)
    begin = time.monotonic()
    made = reconstruct.run(
        reconstruct.ReconstructParams.parse(
            {
                "particles": star,
                "output": folder,
                "method": method,
                "prior": params.prior,
                "chains": params.chains,
                "levels": params.levels,
                "seed": params.seed,
                "contrast": "light",
                "overwrite": True,
            }
        ),
        ctx,
    )
    return comparison.judge(method, Path(made["map"]), time.monotonic() - begin)


class Comparison:
    """Judges maps against the truth, and shows sections and curves of all so far."""

    def __init__(self, truth: Path, ctx: JobContext) -> None:
        from core.io.mrc import open_mrc
        from core.io.mrc_header import read_header
        from core.metrics.fsc import auto_mask

        self._ctx = ctx
        self._truth = np.asarray(open_mrc(truth), np.float32)
        self._pixel = float(read_header(truth).pixel_size_a or PIXEL_SIZE_A)
        self._mask = auto_mask(self._truth, self._pixel)
        self._slices, self._labels = [self._middle(self._truth)], ["truth"]
        self._curves: list[np.ndarray] = []
        self._show()

    def judge(self, method: str, path: Path, seconds: float) -> Row:
        """Numbers of one map."""
        from core.io.mrc import open_mrc
        from core.metrics.agreement import centred_correlation, uncentred_correlation
        from core.reconstruction import shells

        found = np.asarray(open_mrc(path), np.float32)
        fsc = shells.correlation(found * self._mask, self._truth * self._mask)
        resolution = shells.resolution_a(fsc, len(found), self._pixel, 0.5)
        self._slices.append(self._middle(found))
        self._labels.append(WORDS[method])
        self._curves.append(fsc.astype(np.float32))
        self._show()
        return Row(
            method,
            WORDS[method],
            round(centred_correlation(found, self._truth, self._mask), 4),
            round(uncentred_correlation(found, self._truth), 4),
            None if resolution is None else round(resolution, 2),
            round(seconds, 1),
            str(path),
        )

    @staticmethod
    def _middle(volume: np.ndarray) -> np.ndarray:
        return volume[len(volume) // 2]

    def _show(self) -> None:
        self._ctx.preview("sections", np.stack(self._slices), labels=list(self._labels))
        if self._curves:
            self._ctx.preview(
                "fsc-truth", np.stack(self._curves), labels=self._labels[1:], pixel_size_a=round(self._pixel, 6)
            )
