"""Small simulated data sets for the job tests, and a way to run a job in this process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage as ndi

from core.io.mrc import write_mrc
from core.io.star_write import write_star
from core.jobs import rundir
from core.jobs.base import execute
from core.jobs.table import job_params


class Runner:
    """Runs a job through its run folder, as the command line does, and keeps what it reported."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[dict[str, Any]] = []

    def __call__(self, job: str, **values: Any) -> dict[str, Any]:
        """Run to the end; returns the final event, with `exit_code` 0 when it finished."""
        run_dir = rundir.create(job, job_params(job).parse(values), self.root)
        self.events = []
        code = execute(run_dir, self.events.append)
        return {"exit_code": code, "run_dir": run_dir, **self.events[-1]}

    def of(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        """The events of one kind (and name) of the last run."""
        return [e for e in self.events if e["kind"] == kind and (not name or e.get("name") == name)]


@pytest.fixture
def run_job(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "runs")


def simulated_micrograph(shape: tuple[int, int], centres: np.ndarray, diameter: float, seed: int) -> np.ndarray:
    """Dark discs with soft rims on coloured noise of sigma 1 and an ice gradient, in counts around 500."""
    rng = np.random.default_rng(seed)
    noise = ndi.gaussian_filter(rng.standard_normal(shape), 0.7)
    image = noise / noise.std()
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    for x, y in centres:
        image -= 0.9 / (1 + np.exp((np.hypot(xx - x, yy - y) - diameter / 2) / 1.5))
    return (500 + 20 * image + 0.02 * xx).astype(np.float32)


class DataSet:
    """Two simulated micrographs of different, non-square, odd sizes, with picks: simulated, not real data."""

    diameter = 24

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "micrographs"
        self.folder.mkdir(parents=True)
        self.star = folder / "particles.star"
        self.noise = folder / "noise.star"
        rng = np.random.default_rng(0)
        rows: dict[str, list] = {"rlnMicrographName": [], "rlnCoordinateX": [], "rlnCoordinateY": []}
        self.particles = {}
        for i, shape in enumerate([(401, 300), (320, 443)]):
            grid = [(x, y) for y in range(30, shape[0] - 29, 60) for x in range(30, shape[1] // 2, 60)]
            centres = np.array(grid) + rng.integers(-5, 6, (len(grid), 2))
            name = f"mic_{i}.mrc"
            image = simulated_micrograph(shape, centres, self.diameter, seed=i)
            write_mrc(self.folder / name, image, pixel_size_a=2.5)
            self.particles[name] = centres
            for x, y in centres:
                rows["rlnMicrographName"].append(f"MotionCorr/job002/{name}")
                rows["rlnCoordinateX"].append(float(x))
                rows["rlnCoordinateY"].append(float(y))
        write_star(self.star, "particles", rows)

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*.mrc"))


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    return DataSet(tmp_path / "data")


def prepare(folder: Path) -> DataSet:
    """Simulated micrographs with noise boxes, and a finished forward run on them in `training-set` beside them."""
    data = DataSet(folder)
    values = {"micrographs": [data.folder], "particles": data.star}
    forward = values | {"noise": data.noise, "particle_diameter": data.diameter, "output": folder / "training-set"}
    jobs = [("pick-noise", values | {"box_size": 24, "output": data.noise, "seed": 1}), ("forward", forward)]
    for job, parameters in jobs:
        done = Runner(folder / "runs")(job, **parameters)
        assert done["exit_code"] == 0, done
    return data


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: forward takes seconds."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder)
    return folder


@pytest.fixture
def training_set(data: DataSet, prepared: Path) -> Path:
    """A finished forward run on the simulated micrographs, this test's own copy."""
    shutil.copy(prepared / "noise.star", data.noise)
    return Path(shutil.copytree(prepared / "training-set", data.folder.parent / "training-set"))


@pytest.fixture
def generic(tmp_path: Path) -> Path:
    """A small stand-in for the shipped generic model: random weights, quick sums."""
    import torch

    from core.denoising.model import GENERIC, Facts, save_denoiser
    from core.denoising.unet import UNet

    torch.manual_seed(5)
    net = UNet((8, 8, 8, 8))
    torch.nn.init.normal_(net.head.weight, std=0.02)
    facts = Facts(
        method=GENERIC, widths=net.widths, particle_diameter_px=32.0, pixel_size_a=None, canonical_diameter=32.0,
        calibration=1.0, sign=1.0, snr=0.12, steps=1, val_loss=1.0,
    )  # fmt: skip
    save_denoiser(tmp_path / "generic/generic.safetensors", net.state_dict(), facts)
    return tmp_path / "generic/generic.safetensors"
