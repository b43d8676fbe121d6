"""simulate: what it writes is what its tables say, repeats, stops cleanly, and bad values are one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import AppError, InputError, JobStopped, ParamError
from core.images.source import list_micrographs
from core.io.coordinates import read_particles
from core.io.mrc import open_mrc, read_header, read_image, write_mrc
from core.io.star import read_star
from core.jobs.base import EventWriter, JobContext
from core.jobs.simulate import SimulateParams, run
from core.physics import projection
from core.physics.optics import Optics, ctf_grid
from core.physics.projection import central_slices, project_exact, project_rays, shift_phases, to_images
from core.physics.rotations import matrices

LYSOZYME = Path(__file__).resolve().parents[2] / "resources/library/1aki.pdb.gz"
BOX, PIXEL = 32, 3.0


def simulate(output: Path, stop=lambda: False, continued=False, **values) -> dict:
    run_dir = output.parent / f"run-{output.name}"
    run_dir.mkdir(parents=True, exist_ok=True)
    given = {"model": LYSOZYME, "output": output, "box": BOX, "pixel_size": PIXEL, "views": 40}
    params = SimulateParams.parse(given | values)
    return run(params, JobContext(run_dir, EventWriter(run_dir), stop, continued=continued))


def poses(table: dict) -> np.ndarray:
    return matrices(np.column_stack([table[f"rlnAngle{k}"] for k in ("Rot", "Tilt", "Psi")]))


def told(folder: Path, name: str = "particles") -> tuple[dict, dict, Optics]:
    """The table of particles, the optics table, and the optics they make together."""
    tables = read_star(folder / f"{name}.star")
    table, group = tables["particles"], tables["optics"]
    optics = Optics.of(
        table["rlnDefocusU"], table["rlnDefocusV"], table["rlnDefocusAngle"],
        voltage_kv=float(group["rlnVoltage"][0]), cs_mm=float(group["rlnSphericalAberration"][0]),
        amplitude_contrast=float(group["rlnAmplitudeContrast"][0]), phase_shift_deg=table["rlnPhaseShift"],
        b_factor_a2=table.get("rlnCtfBfactor", 0.0),
    )  # fmt: skip
    return table, group, optics


def expected(folder: Path) -> np.ndarray:
    """Images without noise, from truth.mrc and nothing but what the STAR file says."""
    table, group, optics = told(folder)
    truth, pixel = np.asarray(open_mrc(folder / "truth.mrc")), float(group["rlnImagePixelSize"][0])
    origins = np.column_stack([table["rlnOriginXAngst"], table["rlnOriginYAngst"]]).astype(float) / pixel
    spectra = central_slices(truth, poses(table)) * ctf_grid(optics, len(truth), pixel)
    return to_images(spectra * shift_phases(len(truth), -origins))


def test_images_are_the_truth_at_the_poses_shifts_and_ctfs_of_the_table(tmp_path):
    out = tmp_path / "clean"
    simulate(out, clean=True, shift=4, astigmatism=0.3, phase_shift=30, ctf_b_factor=40)
    stack = np.asarray(open_mrc(out / "particles.mrcs"))
    assert stack.shape == (40, BOX, BOX)
    assert np.abs(stack - expected(out)).max() < 1e-3 * np.abs(stack).max()
    table, group, _ = told(out)
    assert [str(n) for n in table["rlnImageName"][:2]] == ["000001@particles.mrcs", "000002@particles.mrcs"]
    assert sorted(np.bincount(table["rlnRandomSubset"].astype(int))[1:]) == [20, 20]
    assert np.abs(table["rlnOriginXAngst"]).max() <= 4 * PIXEL
    np.testing.assert_allclose(table["rlnDefocusU"] - table["rlnDefocusV"], 3000, atol=1e-3)
    assert int(group["rlnImageSize"][0]) == BOX
    assert stack.var(axis=(1, 2)).mean() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("structural", [False, True])
def test_noise_has_spread_one_and_the_signal_the_asked_ratio_to_it(tmp_path, structural):
    simulate(tmp_path / "o", views=300, snr=0.2, structural_noise=structural)
    signal = expected(tmp_path / "o")
    noise = np.asarray(open_mrc(tmp_path / "o/particles.mrcs")) - signal
    assert noise.std() == pytest.approx(1, rel=0.01)
    assert signal.var(axis=(1, 2)).mean() / noise.var() == pytest.approx(0.2, rel=0.03)
    assert abs(np.corrcoef(signal.ravel(), noise.ravel())[0, 1]) < 0.02
    power = (np.abs(np.fft.rfft2(noise)) ** 2).mean(0) / BOX**2
    if structural:  # ice has the zeros of the CTF and falls with frequency; a quarter of the variance
        assert power[1:5, 1:5].mean() > 1.3
        assert power[12:20, 12:].mean() < 0.95
    else:
        np.testing.assert_allclose(power, 1, atol=0.4)


def test_without_ctf_particles_are_light_and_back_projection_gives_the_truth(tmp_path):
    simulate(tmp_path / "o", clean=True, ctf=False, few=60)
    stack = np.array(open_mrc(tmp_path / "o/particles.mrcs"))
    assert len(stack) == 60
    assert stack[:, 12:20, 12:20].mean() > stack[:, :4].mean() + 1
    table, _, optics = told(tmp_path / "o")
    np.testing.assert_allclose(ctf_grid(optics, BOX, PIXEL), 1, atol=1e-6)  # the table says so too
    volume = torch.zeros((BOX,) * 3, requires_grad=True)
    views = project_rays(volume, torch.from_numpy(poses(table)).float())
    (back,) = torch.autograd.grad((views * torch.from_numpy(stack)).sum(), volume)
    truth = np.asarray(open_mrc(tmp_path / "o/truth.mrc"))
    assert np.corrcoef(back.numpy().ravel(), truth.ravel())[0, 1] > 0.75


def test_a_clean_stack_without_ctf_is_the_plain_projection(tmp_path):
    simulate(tmp_path / "o", clean=True, ctf=False, views=5)
    table, _, _ = told(tmp_path / "o")
    truth = np.asarray(open_mrc(tmp_path / "o/truth.mrc"))
    stack = np.asarray(open_mrc(tmp_path / "o/particles.mrcs"))
    np.testing.assert_allclose(stack, project_exact(truth, poses(table)), atol=1e-3 * stack.max())


def test_views_are_spread_as_asked(tmp_path):
    simulate(tmp_path / "tilt", tilt="-60:60", views=41, clean=True)
    a = poses(told(tmp_path / "tilt")[0])
    tilt = np.degrees(np.arctan2(a[:, 2, 0], a[:, 2, 2]))
    np.testing.assert_allclose(tilt, np.linspace(-60, 60, 41), atol=1e-4)
    np.testing.assert_allclose(a[:, 1], np.tile([0, 1, 0], (41, 1)), atol=1e-6)
    simulate(tmp_path / "cone", cone=30, views=300, clean=True)
    off = np.degrees(np.arccos(poses(told(tmp_path / "cone")[0])[:, 2, 2]))
    assert 25 < off.max() <= 30.001
    simulate(tmp_path / "few", few=7, clean=True)
    assert len(told(tmp_path / "few")[0]["rlnAngleRot"]) == 7
    simulate(tmp_path / "defocus", defocus="0.8:0.9", clean=True, views=50)
    _, _, optics = told(tmp_path / "defocus")
    mean = (optics.defocus_u_a + optics.defocus_v_a) / 2e4
    assert 0.8 <= mean.min() < mean.max() <= 0.9


def test_the_same_seed_gives_the_same_files_whatever_the_batches(tmp_path, monkeypatch):
    names = ("particles.mrcs", "particles.star", "truth.mrc")
    simulate(tmp_path / "a", structural_noise=True)
    simulate(tmp_path / "b", structural_noise=True)
    assert all((tmp_path / "a" / n).read_bytes() == (tmp_path / "b" / n).read_bytes() for n in names)
    simulate(tmp_path / "other", structural_noise=True, seed=1)
    assert (tmp_path / "a/particles.mrcs").read_bytes() != (tmp_path / "other/particles.mrcs").read_bytes()
    monkeypatch.setattr(projection, "views_at_once", lambda box: 7)
    simulate(tmp_path / "small", structural_noise=True)
    one, other = (np.asarray(open_mrc(tmp_path / d / names[0])) for d in ("a", "small"))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_files_say_that_they_are_simulated_and_what_they_are(tmp_path):
    result = simulate(tmp_path / "o", views=3)
    stack, truth = read_header(tmp_path / "o/particles.mrcs"), read_header(tmp_path / "o/truth.mrc")
    assert stack.is_stack
    assert not truth.is_stack
    assert int(truth.header["ispg"]) == 1
    assert stack.pixel_size_a == pytest.approx(PIXEL)
    assert truth.pixel_size_a == pytest.approx(PIXEL)
    assert all(any("simulated" in label for label in info.labels) for info in (stack, truth))
    assert "# simulated by Vitreous" in (tmp_path / "o/particles.star").read_text(encoding="utf-8")
    assert result["simulated"] is True
    assert "simulated" in result["summary"]


def test_a_map_is_a_model_too_and_symmetry_repeats_atoms(tmp_path):
    simulate(tmp_path / "first", views=2)
    simulate(tmp_path / "again", model=tmp_path / "first/truth.mrc", box=24, pixel_size=4.0, views=2, clean=True)
    assert read_header(tmp_path / "again/truth.mrc").pixel_size_a == pytest.approx(4.0)
    simulate(tmp_path / "d2", symmetry="D2", box=64, views=2, clean=True)
    truth = np.asarray(open_mrc(tmp_path / "d2/truth.mrc"))
    turned = truth[:, 1:, 1:][:, ::-1, ::-1]  # half a turn about z
    np.testing.assert_allclose(truth[:, 1:, 1:], turned, atol=1e-4 * truth.max())
    assert "symmetry D2" in (tmp_path / "d2/particles.star").read_text(encoding="utf-8")


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_stop_leaves_nothing_half_done_and_it_can_be_run_again(tmp_path, steps):
    calls = iter(range(1000))
    with pytest.raises(JobStopped):
        simulate(tmp_path / "o", views=400, stop=lambda: next(calls) >= steps)
    assert list((tmp_path / "o").iterdir()) == []
    simulate(tmp_path / "o", views=4)
    assert len(told(tmp_path / "o")[0]["rlnAngleRot"]) == 4


def test_data_that_are_there_are_replaced_only_when_asked(tmp_path):
    simulate(tmp_path / "o", views=3)
    with pytest.raises(ParamError, match="already"):
        simulate(tmp_path / "o", views=4)
    with pytest.raises(ParamError, match="would be replaced"):
        simulate(tmp_path / "o", model=tmp_path / "o/truth.mrc", views=4, overwrite=True)
    with pytest.raises(ParamError, match="Å across"):
        simulate(tmp_path / "o", box=16, pixel_size=1, overwrite=True)
    assert len(told(tmp_path / "o")[0]["rlnAngleRot"]) == 3  # what cannot be made removes nothing
    simulate(tmp_path / "o", views=4, overwrite=True)
    assert len(told(tmp_path / "o")[0]["rlnAngleRot"]) == 4


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"box": 33}, "even number"),
        ({"box": 16, "pixel_size": 1.0}, "Å across"),
        ({"defocus": "3:1"}, "no range"),
        ({"defocus": "deep"}, "no range"),
        ({"tilt": "-100:20"}, "no range"),
        ({"tilt": "0:60", "cone": 20}, "cannot both"),
        ({"symmetry": "Q3"}, "no symmetry"),
        ({"assembly": "9"}, "no assembly"),
        ({"model": "nothing.pdb"}, "does not exist"),
        ({"micrographs": 1, "few": 3}, "not for --micrographs"),
        ({"micrographs": 1, "clean": True}, "not for --micrographs"),
        ({"micrographs": 1, "size": "10,10"}, "no size"),
        ({"micrographs": 1, "size": "256,256", "box": 256}, "too small"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(tmp_path, values, says):
    with pytest.raises(AppError, match=says) as err:
        simulate(tmp_path / "o", **values)
    assert "\n" not in err.value.message
    assert not list((tmp_path / "o").glob("*")) if (tmp_path / "o").exists() else True


def test_models_that_are_none_are_one_sentence(tmp_path):
    (tmp_path / "bad.pdb").write_text("nothing")
    (tmp_path / "bad.cif").write_text("data_x\nloop_")
    (tmp_path / "notes.txt").write_text("nothing")
    write_mrc(tmp_path / "flat.mrc", np.ones((16, 16, 16), np.float32), 2.0, volume=True)
    write_mrc(tmp_path / "image.mrc", np.eye(16, dtype=np.float32), 2.0)
    write_mrc(tmp_path / "nan.mrc", np.full((16, 16, 16), np.nan, np.float32), 2.0, volume=True)
    cube = np.zeros((16, 16, 16), np.float32)
    cube[6:9, 6:9, 6:9] = 1
    write_mrc(tmp_path / "unknown.mrc", cube, None, volume=True)
    for name in ("bad.pdb", "bad.cif", "notes.txt", "flat.mrc", "image.mrc", "nan.mrc"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            simulate(tmp_path / "o", model=tmp_path / name)
    with pytest.raises(InputError, match="pixel size"):
        simulate(tmp_path / "o", model=tmp_path / "unknown.mrc", pixel_size=None)
    with pytest.raises(ParamError, match="for atoms"):
        simulate(tmp_path / "o", model=tmp_path / "unknown.mrc", symmetry="C2")


# ---- micrographs -----------------------------------------------------------------------------------------


def test_micrographs_show_the_particles_dark_where_the_picks_say(tmp_path):
    out = tmp_path / "mics"
    result = simulate(out, micrographs=2, size="320,256", particles_per_micrograph=6, snr=3, views=1)
    files = list_micrographs(out / "micrographs")
    assert [p.name for p in files] == ["sim_0001.mrc", "sim_0002.mrc"]
    table, group, optics = told(out, "picks")
    truth = np.asarray(open_mrc(out / "truth.mrc"))
    assert float(group["rlnMicrographPixelSize"][0]) == PIXEL
    assert result["particles"] == 12
    xy = np.column_stack([table["rlnCoordinateX"], table["rlnCoordinateY"]]).astype(float)
    corner = np.rint(xy).astype(int)
    model = to_images(
        central_slices(truth, poses(table)) * ctf_grid(optics, BOX, PIXEL) * shift_phases(BOX, xy - corner)
    )
    for i, (name, (x, y)) in enumerate(zip(table["rlnMicrographName"], corner, strict=True)):
        image = read_image(out / str(name))
        assert image.shape == (256, 320)
        scores = {
            (dx, dy): np.corrcoef(
                image[y + dy - 16 : y + dy + 16, x + dx - 16 : x + dx + 16].ravel(), model[i].ravel()
            )[0, 1]
            for dx in range(-3, 4)
            for dy in range(-3, 4)
            if 16 <= y + dy <= 256 - 16 and 16 <= x + dx <= 320 - 16
        }
        assert min(scores, key=scores.__getitem__) == (0, 0)  # dark: the opposite of the light model
        assert scores[0, 0] < -0.6
    found = read_particles(out / "picks.star")
    assert sum(len(v) for v in found.values()) == 12


def test_micrographs_hold_electrons_with_shot_noise_and_say_they_are_simulated(tmp_path):
    simulate(tmp_path / "m", micrographs=1, size="512,512", snr=0.05, dose=20, views=1)
    image = read_image(tmp_path / "m/micrographs/sim_0001.mrc")
    dose = 20 * PIXEL**2
    assert image.mean() == pytest.approx(dose, rel=0.1)
    # shot noise and the quarter of ice; detector and gradient change it a little
    fine = image - (np.roll(image, 2, 0) + np.roll(image, -2, 0)) / 2
    assert fine.var() / 1.5 == pytest.approx(dose, rel=0.35)
    info = read_header(tmp_path / "m/micrographs/sim_0001.mrc")
    assert any("simulated" in label for label in info.labels)
    assert info.pixel_size_a == pytest.approx(PIXEL)


def test_stopped_micrographs_go_on_where_they_were(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    asked = {"micrographs": 3, "size": "256,256", "particles_per_micrograph": 5, "views": 1}
    simulate(whole, **asked)
    calls = iter(range(1000))
    with pytest.raises(JobStopped):
        simulate(cut, stop=lambda: next(calls) >= 6, **asked)
    first = cut / "micrographs/sim_0001.mrc"
    assert first.exists()
    assert not (cut / "picks.star").exists()
    before = first.stat().st_mtime_ns
    simulate(cut, continued=True, **asked)
    assert first.stat().st_mtime_ns == before
    for name in ("picks.star", *(f"micrographs/sim_000{i}.mrc" for i in (1, 2, 3))):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
