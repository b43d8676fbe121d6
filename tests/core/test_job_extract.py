"""extract: what is cut is what the table says, from raw micrographs only; edges, background, resuming, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import AppError, InputError, JobStopped, ParamError
from core.images.contrast_sign import ContrastSign
from core.images.extraction import Finish, inside, whole_pixels
from core.io.mrc import open_mrc, read_header, read_image, write_mrc
from core.io.particles_star import read_particles_table
from core.io.star import read_star
from core.io.star_write import write_star, write_star_tables
from core.jobs.base import EventWriter, JobContext
from core.jobs.extract import ExtractParams, run
from core.metrics.fsc import half_map_fsc
from core.physics.fourier import fourier_resample
from core.physics.optics import ctf_grid
from core.physics.projection import central_slices, shift_phases, to_images
from core.reconstruction.inputs import open_particles

LYSOZYME = Path(__file__).resolve().parents[2] / "resources/library/1aki.pdb.gz"
BOX, PIXEL = 32, 3.0


def extract(output: Path, stop=lambda: False, continued=False, **values) -> dict:
    run_dir = output.parent / f"run-{output.name}"
    run_dir.mkdir(parents=True, exist_ok=True)
    params = ExtractParams.parse({"output": output, "box": BOX, **values})
    if not continued:
        (run_dir / "job.toml").write_text("", encoding="utf-8")
    return run(params, JobContext(run_dir, EventWriter(run_dir), stop, continued=continued))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """Simulated micrographs of a small protein: dark particles at true positions, poses and CTF."""
    from core.jobs import simulate

    folder = tmp_path_factory.mktemp("simulated")
    asked = {"model": LYSOZYME, "output": folder / "s", "box": BOX, "pixel_size": PIXEL, "micrographs": 4, "snr": 1}
    params = simulate.SimulateParams.parse(asked | {"size": "512,384", "particles_per_micrograph": 60})
    (folder / "run").mkdir()
    simulate.run(params, JobContext(folder / "run", EventWriter(folder / "run")))
    return folder / "s"


def given(simulated: Path) -> dict:
    return {"micrographs": [simulated / "micrographs"], "particles": simulated / "picks.star"}


def expected(simulated: Path, particles, size: int) -> np.ndarray:
    """Noise-free images (n, size, size) of the particles, from truth.mrc and what their table says."""
    truth = np.asarray(open_mrc(simulated / "truth.mrc"))
    spectra = central_slices(truth, particles.matrices) * ctf_grid(particles.optics, BOX, PIXEL)
    images = to_images(spectra * shift_phases(BOX, -particles.origins_a / PIXEL))
    return np.stack([fourier_resample(image, (size, size)) for image in images])


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)])


@pytest.mark.parametrize("size", [BOX, BOX // 2])
def test_extracted_particles_are_the_truth_at_the_poses_and_shifts_of_the_table(simulated, tmp_path, size):
    done = extract(tmp_path / "o", scale_to=size, diameter=24, **given(simulated))
    particles = open_particles(tmp_path / "o/particles.star", contrast="light")
    assert len(particles) == done["particles"] == 240 - done["left_out_edge"]
    assert particles.pixel_size_a == pytest.approx(PIXEL * BOX / size)
    assert done["inverted"] is True
    images, model = particles.read(np.arange(len(particles))), expected(simulated, particles, size)
    right = correlation(images, model)
    assert right.mean() > 0.6
    assert right.min() > 0.3
    # a sign of shifts, x and y, or the middle of the box gone wrong would each cost something
    for moved in (np.roll(model, 1, axis=1), np.roll(model, 1, axis=2), model.transpose(0, 2, 1), np.roll(model, 1, 0)):
        assert correlation(images, moved).mean() < right.mean() - 0.02
    flipped = open_particles(tmp_path / "o/particles.star", contrast="light")
    flipped.origins_a[:] *= -1
    assert correlation(images, expected(simulated, flipped, size)).mean() < right.mean()


def test_the_map_comes_back_from_extracted_particles(simulated, tmp_path, run_job):
    extract(tmp_path / "o", diameter=24, **given(simulated))
    done = run_job("reconstruct", particles=tmp_path / "o/particles.star", output=tmp_path / "map", method="wiener")
    assert done["exit_code"] == 0, done
    found, truth = (np.array(open_mrc(p)) for p in (tmp_path / "map/map.mrc", simulated / "truth.mrc"))
    grid = np.indices(truth.shape) - BOX // 2
    ball = (np.sqrt((grid**2).sum(axis=0)) < 12).astype(np.float32)
    assert np.corrcoef(found[ball > 0], truth[ball > 0])[0, 1] > 0.8
    fsc = half_map_fsc(found, truth, ball, PIXEL)
    resolution = fsc.resolution_a(0.5)
    assert resolution is None or resolution < 9


def test_positions_are_whole_and_the_rest_is_in_the_origins(simulated, tmp_path):
    extract(tmp_path / "o", **given(simulated))
    table = read_particles_table(tmp_path / "o/particles.star")
    before = read_star(simulated / "picks.star")["particles"]
    assert table.xy is not None
    assert table.origins_a is not None
    np.testing.assert_array_equal(table.xy, np.rint(table.xy))
    assert np.abs(table.origins_a).max() <= PIXEL / 2 + 1e-6
    was = {(str(n), round(x, 2), round(y, 2)) for n, x, y in zip(
        before["rlnMicrographName"], before["rlnCoordinateX"], before["rlnCoordinateY"], strict=True)}  # fmt: skip
    particle = table.xy - table.origins_a / PIXEL
    assert table.micrograph is not None
    now = {(str(n), round(x, 2), round(y, 2)) for n, (x, y) in zip(table.micrograph, particle, strict=True)}
    assert len(now & was) > 0.98 * len(now)  # the last digit may round the other way


def test_boxes_move_to_where_the_origins_say_only_when_asked():
    xy, origins = np.array([[100.4, 50.6]]), np.array([[9.0, -6.0]])  # 3 px left of and 2 px below the box's middle
    centre, rest = whole_pixels(xy, origins, 3.0)
    assert centre.tolist() == [[100, 51]]
    np.testing.assert_allclose(centre - rest / 3, [[97.4, 52.6]])
    centre, rest = whole_pixels(xy, origins, 3.0, recentre=True)
    assert centre.tolist() == [[97, 53]]
    np.testing.assert_allclose(centre - rest / 3, [[97.4, 52.6]])


def test_boxes_that_leave_the_micrograph_are_left_out_and_counted(tmp_path):
    write_mrc(tmp_path / "m/a.mrc", np.random.default_rng(0).normal(size=(60, 80)).astype(np.float32), 2.0)
    corners = [(16, 16), (15, 16), (16, 15), (64, 44), (65, 44), (64, 45), (40, 30)]
    xy = np.array(corners, float)
    assert inside(xy.astype(int), 32, (60, 80)).tolist() == [True, False, False, True, False, False, True]
    columns = {"rlnMicrographName": ["a.mrc"] * 7, "rlnCoordinateX": xy[:, 0], "rlnCoordinateY": xy[:, 1]}
    write_star(tmp_path / "p.star", "particles", columns)
    values = {"micrographs": [tmp_path / "m"], "particles": tmp_path / "p.star", "invert": "no", "normalise": False}
    done = extract(tmp_path / "o", **values)
    assert (done["particles"], done["left_out_edge"]) == (3, 4)
    image, stack = read_image(tmp_path / "m/a.mrc"), open_mrc(tmp_path / "o/particles/a.mrcs")
    for (x, y), cut in zip([(16, 16), (64, 44), (40, 30)], stack, strict=True):
        np.testing.assert_array_equal(cut, image[y - 16 : y + 16, x - 16 : x + 16])


def test_background_is_flat_with_mean_zero_and_deviation_one():
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]
    image = (500 + 3 * x - 2 * y + 7 * rng.normal(size=(64, 64))).astype(np.float32)
    image[24:40, 24:40] -= 60
    outside = np.hypot(x - 32, y - 32) > 20
    made = Finish(64, 64, 40, True)(image)
    assert made[outside].mean() == pytest.approx(0, abs=1e-5)
    assert made[outside].std() == pytest.approx(1, abs=1e-5)
    assert np.polyfit(x[outside], made[outside], 1)[0] == pytest.approx(0, abs=1e-3)
    assert made[26:38, 26:38].mean() == pytest.approx(-60 / 7, rel=0.1)
    np.testing.assert_array_equal(Finish(64, 64, 40, False)(image), image)
    assert not Finish(64, 64, 40, True)(np.full((64, 64), 5.0)).round(6).any()


def test_smaller_boxes_keep_the_middle_and_coarse_detail():
    y, x = np.mgrid[:64, :64] - 32
    blob = np.exp(-((x - 3.0) ** 2 + (y + 5.0) ** 2) / 50)
    small = Finish(64, 32, 40, False)(blob)
    np.testing.assert_allclose(small, np.exp(-((2 * x[16:48, 16:48] - 3) ** 2 + (2 * y[16:48, 16:48] + 5) ** 2) / 50), atol=1e-4)  # fmt: skip  # noqa: E501


def seen(shape: str) -> np.ndarray:
    """A light disc with a dark fringe, or a light shell with a dark middle and fringe, as a CTF makes them."""
    y, x = np.mgrid[:64, :64] - 32
    radius = np.hypot(x, y)
    if shape == "disc":
        return 1.0 * (radius < 14) - 0.5 * ((radius >= 14) & (radius < 18))
    return 1.0 * ((radius >= 9) & (radius < 16)) - 0.5 * ((radius < 9) | ((radius >= 16) & (radius < 20)))


@pytest.mark.parametrize("shape", ["disc", "shell"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_light_and_dark_are_told_also_of_hollow_particles(shape, sign):
    contrast = ContrastSign(64)
    for noise in np.random.default_rng(5).normal(size=(200, 64, 64)):
        contrast.add(100 + 7 * (noise + 0.2 * sign * seen(shape)))
    assert contrast.sign == sign


def test_contrast_is_not_told_where_there_is_nothing():
    for seed in range(20):
        contrast = ContrastSign(32)
        for image in np.random.default_rng(seed).normal(size=(60, 32, 32)):
            contrast.add(image)
        assert contrast.sign == 0
    flat = ContrastSign(32)
    for _ in range(3):
        flat.add(np.ones((32, 32)))
    assert flat.sign == 0


@pytest.mark.parametrize(("invert", "turned"), [("auto", True), ("yes", True), ("no", False)])
def test_dark_particles_become_light(simulated, tmp_path, invert, turned):
    done = extract(tmp_path / "o", invert=invert, diameter=24, **given(simulated))
    assert done["inverted"] is turned
    mean = np.concatenate([open_mrc(p) for p in sorted((tmp_path / "o/particles").glob("*.mrcs"))]).mean(axis=0)
    assert bool(mean[12:20, 12:20].mean() > mean[:4].mean()) is turned


def test_light_micrographs_are_not_inverted_and_noise_is_taken_as_dark(data, run_job, tmp_path):
    values = {"micrographs": [data.folder], "particles": data.star, "box": 40}
    for path in data.files:
        write_mrc(path, -read_image(path), pixel_size_a=2.5)
    done = run_job("extract", output=tmp_path / "light", **values)
    assert done["exit_code"] == 0, done
    assert done["result"]["inverted"] is False
    rng = np.random.default_rng(0)
    for path in data.files:
        write_mrc(path, rng.normal(size=read_header(path).shape[1:]).astype(np.float32), pixel_size_a=2.5)
    done = run_job("extract", output=tmp_path / "noise", **values)
    assert done["result"]["inverted"] is True
    assert any("cannot be told whether the particles are dark or light" in e["message"] for e in run_job.of("warning"))


# ---- the table -------------------------------------------------------------------------------------------


def test_poses_ctf_and_columns_that_only_relion_knows_are_kept(data, run_job, tmp_path):
    n = sum(map(len, data.particles.values()))
    rng = np.random.default_rng(4)
    names = [f"Micrographs/{name}" for name, xy in data.particles.items() for _ in xy]
    xy = np.concatenate(list(data.particles.values()))
    columns = {
        "rlnCoordinateX": xy[:, 0] + 0.25, "rlnCoordinateY": xy[:, 1] - 0.25, "rlnMicrographName": names,
        "rlnImageName": [f"{i + 1:06d}@old.mrcs" for i in range(n)], "rlnOriginXAngst": np.full(n, 1.5),
        "rlnOriginYAngst": np.full(n, -2.5), "rlnAngleRot": rng.uniform(0, 90, n).round(4),
        "rlnAngleTilt": np.zeros(n), "rlnAnglePsi": np.zeros(n), "rlnDefocusU": rng.uniform(1e4, 2e4, n).round(2),
        "rlnDefocusV": np.full(n, 1e4), "rlnGroupName": ["group one"] * n, "rlnOpticsGroup": np.full(n, 7),
        "rlnRandomSubset": np.arange(n) % 2 + 1,
    }  # fmt: skip
    optics = {
        "rlnOpticsGroup": [7], "rlnOpticsGroupName": ["a b"], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
        "rlnAmplitudeContrast": [0.1], "rlnMtfFileName": ["mtf.star"], "rlnImagePixelSize": [9.0], "rlnImageSize": [9],
        "rlnMicrographOriginalPixelSize": [1.25],
    }  # fmt: skip
    write_star_tables(data.star, {"optics": optics, "particles": columns})
    done = run_job(
        "extract", micrographs=[data.folder], particles=data.star, box=40, scale_to=20, output=tmp_path / "o"
    )
    assert done["exit_code"] == 0, done
    tables = read_star(tmp_path / "o/particles.star")
    found, group = tables["particles"], tables["optics"]
    assert len(found.lines) == n == done["result"]["particles"]
    order = np.lexsort((columns["rlnAngleRot"],))
    now = np.argsort(found["rlnAngleRot"])
    for name in (
        "rlnAngleRot",
        "rlnDefocusU",
        "rlnGroupName",
        "rlnMicrographName",
        "rlnRandomSubset",
        "rlnOpticsGroup",
    ):
        assert [str(v) for v in found[name][now]] == [str(v) for v in np.array(columns[name], object)[order]]
    np.testing.assert_array_equal(found["rlnCoordinateX"][now], xy[order, 0])
    # the particle stays where it was: position - origin / pixel size
    np.testing.assert_allclose(found["rlnOriginXAngst"], 1.5 - 0.25 * 2.5, atol=1e-5)
    np.testing.assert_allclose(found["rlnOriginYAngst"], -2.5 + 0.25 * 2.5, atol=1e-5)
    assert {k: v[0] for k, v in group.items()} == {
        "rlnOpticsGroup": 7, "rlnOpticsGroupName": "a b", "rlnVoltage": 300, "rlnSphericalAberration": 2.7,
        "rlnAmplitudeContrast": 0.1, "rlnMtfFileName": "mtf.star", "rlnMicrographOriginalPixelSize": 1.25,
        "rlnMicrographPixelSize": 2.5, "rlnImagePixelSize": 5.0, "rlnImageSize": 20, "rlnImageDimensionality": 2,
    }  # fmt: skip
    first = str(found["rlnImageName"][0])
    assert first == "000001@particles/mic_0.mrcs"
    info = read_header(tmp_path / "o/particles/mic_0.mrcs")
    assert info.shape[1:] == (20, 20)
    assert info.pixel_size_a == pytest.approx(5.0)
    open_particles(tmp_path / "o/particles.star", contrast="light")


def test_tables_of_relion_3_0_get_optics_groups_and_origins_in_angstrom(data, run_job, tmp_path):
    n = len(data.particles["mic_0.mrc"])
    columns = {
        "rlnMicrographName": ["mic_0.mrc"] * n, "rlnCoordinateX": data.particles["mic_0.mrc"][:, 0].astype(float),
        "rlnCoordinateY": data.particles["mic_0.mrc"][:, 1].astype(float), "rlnOriginX": np.full(n, 2.0),
        "rlnOriginY": np.full(n, -1.0), "rlnVoltage": [300.0] * (n - 1) + [200.0], "rlnMagnification": np.full(n, 1e4),
        "rlnSphericalAberration": np.full(n, 2.7), "rlnAmplitudeContrast": np.full(n, 0.1),
        "rlnDetectorPixelSize": np.full(n, 5.0), "rlnDefocusU": np.full(n, 1e4), "rlnDefocusV": np.full(n, 1e4),
    }  # fmt: skip
    write_star(data.star, "", columns)
    done = run_job("extract", micrographs=[data.folder], particles=data.star, box=40, output=tmp_path / "o")
    assert done["exit_code"] == 0, done
    table = read_particles_table(tmp_path / "o/particles.star")
    assert table.origins_a is not None
    np.testing.assert_allclose(table.origins_a, np.tile([10.0, -5.0], (n, 1)))  # pixels of images of 5 Å
    assert table.voltage_kv is not None
    assert sorted(table.voltage_kv)[:2] == [200, 300]
    assert sorted(set(read_star(tmp_path / "o/particles.star")["optics"]["rlnOpticsGroup"])) == [1, 2]


def test_names_in_a_relion_project_start_at_its_root(data, run_job, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/default_pipeline.star").touch()
    out = tmp_path / "project/Extract/job1"
    assert run_job("extract", micrographs=[data.folder], particles=data.star, box=40, output=out)["exit_code"] == 0
    names = read_star(out / "particles.star")["particles"]["rlnImageName"]
    assert str(names[0]) == "000001@Extract/job1/particles/mic_0.mrcs"


def test_the_given_pixel_size_counts_and_a_header_that_differs_is_told(data, run_job, tmp_path):
    values = {"micrographs": [data.folder], "particles": data.star, "box": 40}
    done = run_job("extract", pixel_size=2.0, output=tmp_path / "o", **values)
    assert done["result"]["pixel_size_a"] == 2.0
    assert any("--pixel-size says 2 Å per pixel, the headers of 2 micrographs 2.5" in e["message"]
               for e in run_job.of("warning"))  # fmt: skip
    write_mrc(data.files[1], read_image(data.files[1]), pixel_size_a=3.5)
    assert "pixel sizes from 2.5 to 3.5" in run_job("extract", output=tmp_path / "p", **values)["message"]
    for path in data.files:
        write_mrc(path, read_image(path), pixel_size_a=None)
    assert "tell a pixel size" in run_job("extract", output=tmp_path / "q", **values)["message"]


# ---- stopping, resuming, refusing ------------------------------------------------------------------------


APOFERRITIN = Path(__file__).resolve().parents[3] / "shared/data/apoferritin_10146"


@pytest.mark.skipif(not APOFERRITIN.is_dir(), reason="needs the shared micrographs of apoferritin (EMPIAR-10146)")
def test_real_shells_are_dark_in_their_micrographs(tmp_path):
    name = "May08_03.05.02"
    values = {"particles": APOFERRITIN / f"{name}.coords.star", "box": 128, "diameter": 90}
    done = extract(tmp_path / "o", micrographs=[APOFERRITIN / f"{name}.bin_avg.mrc"], **values)
    assert done["inverted"] is True
    assert done["particles"] > 80


@pytest.mark.parametrize("steps", [3, 40, 120, 200])
def test_a_stop_leaves_nothing_half_done_and_the_run_goes_on(simulated, tmp_path, steps):
    extract(tmp_path / "whole", diameter=24, **given(simulated))
    calls = iter(range(100_000))
    with pytest.raises(JobStopped):
        extract(tmp_path / "o", lambda: next(calls) >= steps, diameter=24, **given(simulated))
    left = [p for p in (tmp_path / "o").rglob("*") if p.is_file()]
    assert all(p.suffix == ".mrcs" and p.read_bytes() == whole_of(p, tmp_path).read_bytes() for p in left)
    times = {p: p.stat().st_mtime_ns for p in left}
    extract(tmp_path / "o", continued=True, diameter=24, **given(simulated))
    assert {p: p.stat().st_mtime_ns for p in left} == times  # what was done is not done again
    for path in (tmp_path / "whole").rglob("*.*"):
        assert (tmp_path / "o" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


def whole_of(path: Path, folder: Path) -> Path:
    return folder / "whole/particles" / path.name


def test_a_stop_was_early_enough_to_matter(simulated, tmp_path):
    calls = iter(range(100_000))
    with pytest.raises(JobStopped):
        extract(tmp_path / "o", lambda: next(calls) > 200, **given(simulated))
    done = list((tmp_path / "o/particles").glob("*.mrcs"))
    assert 0 < len(done) < 4


def test_what_is_there_is_replaced_only_when_asked_and_inputs_never(simulated, tmp_path):
    extract(tmp_path / "o", **given(simulated))
    with pytest.raises(ParamError, match="already"):
        extract(tmp_path / "o", **given(simulated))
    extract(tmp_path / "o", overwrite=True, scale_to=16, **given(simulated))
    assert open_particles(tmp_path / "o/particles.star").size == 16
    again = given(simulated) | {"particles": tmp_path / "o/particles.star"}
    with pytest.raises(ParamError, match="never overwritten"):
        extract(tmp_path / "o", overwrite=True, **again)
    assert (tmp_path / "o/particles.star").exists()
    extract(tmp_path / "from-extracted", **again)  # its own output is an input like any other


def test_denoised_micrographs_are_refused(data, run_job, tmp_path):
    out = tmp_path / "denoised"
    assert run_job("predict", micrographs=[data.folder], model="wiener", output=out)["exit_code"] == 0
    done = run_job("extract", micrographs=[out], particles=data.star, box=40, output=tmp_path / "o")
    assert done["exit_code"] == 3
    assert "mic_0.mrc is a denoised micrograph" in done["message"]
    assert "raw" in done["hint"]
    assert not list((tmp_path / "o").rglob("*.mrcs"))


def test_a_micrograph_that_cannot_be_read_is_named_after_the_others_are_done(data, run_job, tmp_path):
    data.files[1].write_bytes(data.files[1].read_bytes()[:5000])
    values = {"micrographs": [data.folder], "particles": data.star, "box": 40, "output": tmp_path / "o"}
    done = run_job("extract", **values)
    assert done["exit_code"] == 3
    assert "mic_1.mrc" in done["message"]
    names = read_star(tmp_path / "o/particles.star")["particles"]["rlnImageName"]
    assert {str(n).partition("@")[2] for n in names} == {"particles/mic_0.mrcs"}
    assert f"The {len(names)} particles of the others" in done["hint"]


def test_particles_of_other_micrographs_are_counted(data, run_job, tmp_path):
    values = {"particles": data.star, "box": 40}
    done = run_job("extract", micrographs=data.files[:1], output=tmp_path / "o", **values)
    assert done["result"]["left_out_unmatched"] == len(data.particles["mic_1.mrc"])
    assert any("on micrographs that were not given" in e["message"] for e in run_job.of("warning"))
    (data.files[0]).rename(data.folder / "other.mrc")
    done = run_job("extract", micrographs=[data.folder / "other.mrc"], output=tmp_path / "p", **values)
    assert "No micrograph name" in done["message"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"box": 33}, "--box 33 is odd"),
        ({"scale_to": 15}, "--scale-to 15 is odd"),
        ({"scale_to": 64}, "larger than --box"),
        ({"diameter": 60}, "leaves no background"),
        ({"box": 600}, "No box of 600 px"),
        ({"particles": "nothing.star"}, "does not exist"),
        ({"micrographs": ["nowhere"]}, "does not exist"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(simulated, tmp_path, values, says):
    with pytest.raises(AppError, match=says) as err:
        extract(tmp_path / "o", **(given(simulated) | values))
    assert "\n" not in err.value.message
    assert not list((tmp_path / "o").rglob("*.star"))


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"rlnMicrographName": ["a.mrc"]}, "no column _rlnCoordinateX"),
        ({"rlnCoordinateX": ["x"], "rlnCoordinateY": [1.0]}, "no number in _rlnCoordinateX"),
        ({"rlnCoordinateX": [1.0], "rlnCoordinateY": [1.0], "rlnTomoName": ["t"]}, "subtomograms"),
        ({"rlnCoordinateX": np.empty(0), "rlnCoordinateY": np.empty(0)}, "no rows"),
    ],
)
def test_tables_without_positions_are_one_sentence(tmp_path, columns, says):
    write_mrc(tmp_path / "m/a.mrc", np.eye(64, dtype=np.float32), 2.0)
    write_star(tmp_path / "p.star", "particles", columns)
    with pytest.raises(InputError, match=says):
        extract(tmp_path / "o", micrographs=[tmp_path / "m"], particles=tmp_path / "p.star")
