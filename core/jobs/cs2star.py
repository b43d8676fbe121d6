"""Job `cs2star`: CryoSPARC's particle datasets as RELION STAR files.

What is found and converted is core/cryosparc's business; here are the parameters, the loop over jobs, the report.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from core.errors import InputError, ParamError
from core.jobs.base import JobContext
from core.jobs.lock import exclusive
from core.params import Params, ui

if TYPE_CHECKING:
    from core.cryosparc.find import Job
    from core.cryosparc.tables import Tables

_ANGLE_BINS = (48, 24)  # of rot and tilt
_DEFOCUS_BINS = 60
_READING = 0.4  # share of a job's time


class Cs2StarParams(Params):
    """Convert CryoSPARC's particles (.cs) to RELION's (.star)."""

    project: Path = Field(
        description="CryoSPARC job folder (J24), export folder, .csg file or .cs file.",
        json_schema_extra=ui(label="CryoSPARC job or file", dialog="either", pattern="CryoSPARC (*.cs *.csg)"),
    )
    output: Path = Field(
        description="Folder for the STAR files; every job gets its own folder class1, class2, ... in it.",
        json_schema_extra=ui(dialog="folder"),
    )
    jobs: int = Field(
        1,
        ge=1,
        le=999,
        description="Number of jobs to convert: J24 and 3 convert J24, J25 and J26.",
        json_schema_extra=ui(label="Number of jobs"),
    )
    micrographs_are: Literal["cryosparc", "motioncor"] = Field(
        "cryosparc",
        description="cryosparc: in RELION you use the micrographs that CryoSPARC used. motioncor: you use others of "
        "the same movies that lie upside-down to them (MotionCor or RELION after CryoSPARC's Patch Motion).",
        json_schema_extra=ui(label="Micrographs in RELION"),
    )
    y_value: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Height of the micrographs for Invert.star (default: as the dataset says).",
        json_schema_extra=ui(label="Micrograph height", unit="px"),
    )
    passthrough: tuple[Path, ...] = Field(
        (),
        description="Passthrough files (.cs) of the same job (default: those beside it).",
        json_schema_extra=ui(dialog="files", pattern="CryoSPARC (*.cs)"),
    )
    drop_unmatched: bool = Field(
        False,
        description="Leave out particles that a passthrough file does not know, instead of stopping.",
        json_schema_extra=ui(label="Leave out particles without partner"),
    )
    keep_uid: bool = Field(
        False,
        description="Add CryoSPARC's number of every particle as a column (vitreousCryosparcUid).",
        json_schema_extra=ui(label="Keep CryoSPARC's uid", advanced=True),
    )
    relion: Literal["3.1", "3.0"] = Field(
        "3.1",
        description="3.1: RELION 3.1 to 5, with an optics table. 3.0: RELION 3.0 and before, one table.",
        json_schema_extra=ui(label="RELION version", advanced=True),
    )
    overwrite: bool = Field(False, description="Replace STAR files of an earlier conversion.")


def run(params: Cs2StarParams, ctx: JobContext) -> dict[str, Any]:
    """Convert job after job; what is written is whole."""
    from core.cryosparc import find, outputs

    jobs, absent = find.jobs(params.project, params.jobs)
    if len(jobs) > 1 and params.passthrough:
        raise ParamError(
            "--passthrough belongs to one job.", "Convert the jobs one by one.", fields=("passthrough", "jobs")
        )
    for name in absent:
        ctx.warn(f"There is no {name} beside {params.project.name}: left out.")
    with exclusive(params.output):
        taken = [path for job in jobs for path in outputs.existing(params.output / job.folder)]
        if taken and not params.overwrite and not ctx.continued:
            raise ParamError(
                f"--output: {taken[0].name} is in {taken[0].parent} already.",
                "Choose another folder, or --overwrite.",
                fields=("output", "overwrite"),
            )
        folder = next((path for path in taken if path.is_dir()), None)
        if folder is not None:
            raise ParamError(f"--output: {folder} is a folder.", "Choose another folder.", fields=("output",))
        done, refused = [], None
        for i, job in enumerate(jobs):
            try:
                done.append(_convert(params, ctx, job, i, len(jobs)))
            except InputError as err:  # the others of a series can still be converted
                if len(jobs) == 1:
                    raise
                refused = refused or err
                ctx.warn(f"{job.source.name} was not converted: {err.message}")
        if refused is not None and not done:
            raise refused
    return {
        "summary": "; ".join(one["summary"] for one in done),
        "output": str(params.output),
        "star": done[0]["files"][0],
        "particles": sum(one["particles"] for one in done),
        "reconstructable": any(one["reconstructable"] for one in done),
        "why_not": next((one["why_not"] for one in done if one["why_not"]), ""),
        "jobs": done,
    }


def _convert(params: Cs2StarParams, ctx: JobContext, job: Job, number: int, count: int) -> dict[str, Any]:
    from core.cryosparc import conversion, find, outputs, report, single_table
    from core.cryosparc.tables import Options

    label = job.source.name
    part = ctx.part(number / count, (number + 1) / count, label)
    chosen = find.choose(job.source, params.passthrough)
    part.step(0, 1, f"Reading {chosen.why}")
    mirrored = params.micrographs_are == "motioncor"
    made = conversion.run(
        chosen,
        Options(params.y_value, mirrored, params.keep_uid),
        params.drop_unmatched,
        progress=lambda done, total: part.step(_READING * done / max(total, 1), 1, "Reading"),
    )
    tables = made.tables
    _preview(ctx, tables, f"-{number + 1}" if number else "")
    if params.relion == "3.0":
        single_table.join_optics(tables)
    files, kept = outputs.variants(tables)
    if kept:
        tables.warnings.append(f"{kept} names keep CryoSPARC's number: without it two files would share a name.")
    conversion.check(tables, chosen.main)
    for text in tables.warnings:
        ctx.warn(text if count == 1 else f"{label}: {text}")
    folder = params.output / job.folder
    text = report.report(chosen, made.joined, tables, list(files), made.rows, mirrored)
    written = outputs.write(
        folder,
        tables,
        files,
        text,
        chosen.main.name,
        lambda done, total: part.step(_READING + (1 - _READING) * done / max(total, 1), 1, "Writing"),
    )
    why_not = report.why_not_reconstructed(tables, mirrored)
    return {
        "summary": report.summary(folder, tables, list(files)),
        "source": str(chosen.main),
        "why": chosen.why,
        "files": [str(path) for path in written],
        "report": text,
        "particles": tables.n,
        "reconstructable": not why_not,
        "why_not": why_not,
        "left_out": tables.dropped,
        "not_written": tables.absent,
        "warnings": tables.warnings,
    }


def _preview(ctx: JobContext, tables: Tables, ending: str) -> None:
    """Views on the sphere and defocus, as counts: what a look at the result needs. `ending` tells the jobs apart."""
    import numpy as np

    columns = tables.particles
    if "rlnAngleTilt" in columns:
        rot, tilt = np.asarray(columns["rlnAngleRot"]), np.asarray(columns["rlnAngleTilt"])
        counts, _, _ = np.histogram2d(tilt, rot, _ANGLE_BINS[::-1], ((0.0, 180.0), (-180.0, 180.0)))
        ctx.preview(f"views{ending}", counts.astype(np.float32))
    if "rlnDefocusU" in columns and tables.n:
        mean_um = (np.asarray(columns["rlnDefocusU"]) + np.asarray(columns["rlnDefocusV"])) / 2e4
        counts, edges = np.histogram(mean_um, _DEFOCUS_BINS)
        ctx.preview(f"defocus{ending}", counts.astype(np.float32), edges_um=[round(float(e), 5) for e in edges])
