"""The trust checks on methods with known answers: doing nothing, erasing everything, a low-pass, one that paints rings.

The micrographs are simulated (white noise, dark discs), but for the job's run on the real demo data.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as ndi
import scipy.signal

from core.denoising import trust, trust_halves, trust_injection, trust_limits
from core.denoising.predict import Gaussian
from core.denoising.trust_blank import Blank, false_alarm, make_blanks, phase_randomised
from core.denoising.trust_files import read_trust, value_text
from core.denoising.trust_picking import best_f1
from core.denoising.trust_residual import measure_residual, pooled_bands
from core.denoising.trust_scene import Runs, make_scene, template_of
from core.denoising.trust_spread import noise_spread
from core.errors import InputError
from core.io.mrc import read_image, write_mrc

DIAMETER, SIDE, PIXEL = 30, 640, 3.0
DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo"


class Made:
    """A method out of a function of the image."""

    def __init__(self, name, function):
        self.name, self.function, self.calls = name, function, 0

    def __call__(self, image, path, pixel_size_a, step):
        self.calls += 1
        step(1, 1)
        return self.function(image).astype(np.float32)


def identity():
    return Made("identity", lambda image: image)


def nothing():
    return Made("nothing", lambda image: np.full_like(image, image.mean()))


def disc_picture(radius=DIAMETER / 2, size=48):
    offset = np.arange(size) - size // 2
    return 1 / (1 + np.exp(np.hypot(offset[:, None], offset[None]) - radius))


def painter(strength=20.0):
    """Smooths, and draws a disc of some strength wherever the noise happens to be dark: a careless network."""
    rng = np.random.default_rng(4)

    def paint(image):
        smooth = ndi.gaussian_filter(image - image.mean(), 5)
        low = (smooth == ndi.minimum_filter(smooth, 25)) & (smooth < -0.5 * smooth.std())
        marks = -1.0 * low * rng.uniform(0.3, 1.0, image.shape)
        rings = scipy.signal.fftconvolve(marks, disc_picture(), mode="same")
        return image.mean() + 0.2 * smooth + strength * rings

    return Made("painter", paint)


def micrograph(seed=0, contrast=0.8):
    """Simulated: noise of deviation 20 around 500, dark discs on a jittered grid, one corner quarter without any."""
    rng = np.random.default_rng(seed)
    image = 500 + 20 * rng.standard_normal((SIDE, SIDE))
    grid = [(x, y) for y in range(40, SIDE - 30, 75) for x in range(40, SIDE - 30, 75) if x < 330 or y < 330]
    places = np.array(grid) + rng.integers(-6, 7, (len(grid), 2))
    shape = disc_picture()
    for x, y in places:
        top, left = y - 24, x - 24
        image[max(top, 0) : top + 48, max(left, 0) : left + 48] -= (
            20 * contrast * shape[max(-top, 0) :, max(-left, 0) :]
        )
    return image.astype(np.float32), places.astype(float)


@pytest.fixture(scope="module")
def scene():
    image, places = micrograph()
    return make_scene(Path("mic.mrc"), image, PIXEL, DIAMETER, places)


@pytest.fixture(scope="module")
def bare():
    """The same micrograph without picks."""
    return make_scene(Path("mic.mrc"), micrograph()[0], PIXEL, DIAMETER, np.empty((0, 2)))


def asked(method, *scenes, halves=None):
    template = template_of(scenes)
    runs = Runs(method, 1, lambda *_: None)
    examined = [trust.examine(runs, s, template, halves) for s in scenes]
    answer = trust.judge(examined, template)
    return answer, {c.key: c for c in answer.checks}


def test_doing_nothing_is_measured_as_doing_nothing(scene):
    method = identity()
    answer, checks = asked(method, scene)
    assert checks["amplitude"].value == pytest.approx(1, abs=1e-4)
    assert checks["residual"].value == pytest.approx(0, abs=1e-4)
    assert checks["suppression"].value == pytest.approx(0, abs=1e-3)
    assert checks["faint"].value == 0
    numbers = {n.label: n.value for n in checks["blank"].numbers}
    assert numbers["random phases: left of its own spread"] == pytest.approx(1, abs=1e-4)
    assert numbers["mosaic of empty places: left of its own spread"] == pytest.approx(1, abs=1e-4)
    assert checks["suppression"].verdict == "amber"
    assert answer.verdict == "amber"
    assert method.calls == trust.runs_needed(halves=False)


def test_erasing_everything_is_red_and_says_that_the_particles_are_gone(scene):
    answer, checks = asked(nothing(), scene)
    assert answer.verdict == "red"
    assert checks["amplitude"].value == pytest.approx(0, abs=1e-4)
    assert checks["residual"].value == pytest.approx(1, abs=1e-4)
    assert checks["residual"].verdict == "red"
    assert checks["blank"].value == 0
    assert checks["invented"].value is None
    assert "Contrast of known particles" in answer.reason
    json.dumps([c.value for c in answer.checks], allow_nan=False)


def test_a_low_pass_calms_the_background_and_keeps_the_particles(scene):
    answer, checks = asked(Gaussian(20), scene)
    assert checks["suppression"].value > 6
    assert 0.7 < checks["amplitude"].value < 1.05
    assert abs(checks["residual"].value) < 0.3
    assert checks["invented"].value is not None
    assert checks["invented"].verdict == "green"
    assert checks["spread"].value < 0.8
    assert answer.verdict in ("green", "amber")
    levels = [n.value for n in checks["amplitude"].numbers if n.label.endswith("amplitude")]
    assert np.ptp(levels) < 0.12  # a linear filter treats faint and strong alike


def test_invented_rings_are_red(scene):
    answer, checks = asked(painter(), scene)
    assert answer.verdict == "red"
    assert checks["invented"].verdict == "red"
    assert checks["invented"].value > 10
    assert "invented" in checks["invented"].reason


def test_halving_the_contrast_is_seen_in_amplitude_and_residual(scene):
    half = Made("half", lambda image: image.mean() + 0.4 * (image - image.mean()))
    _, checks = asked(half, scene)
    assert checks["amplitude"].value == pytest.approx(0.4, abs=0.01)
    assert checks["amplitude"].verdict == "red"
    assert checks["residual"].value == pytest.approx(0.6, abs=0.01)
    shape = next(n.value for n in checks["residual"].numbers if "shape" in n.label)
    assert shape == pytest.approx(0, abs=1e-3)


def test_a_gate_that_drops_faint_particles_is_caught(scene):
    """Shows what is strong after smoothing and nothing else: perfect on its own blank, blind to faint particles."""

    def gate(image):
        smooth = ndi.gaussian_filter(image - image.mean(), 4)
        strong = ndi.maximum_filter(-smooth, 15) > 9.0
        return image.mean() + np.where(strong, smooth, 0)

    _, checks = asked(Made("gate", gate), scene)
    labels = {n.label: n.value for n in checks["amplitude"].numbers}
    strong = next(v for k, v in labels.items() if k.startswith("contrast 1,") and k.endswith(": amplitude"))
    faint = next(v for k, v in labels.items() if k.startswith("contrast 0.25") and k.endswith(": amplitude"))
    assert strong > 0.5
    assert faint < 0.3
    assert checks["amplitude"].verdict != "green"


def test_without_picks_fewer_checks_are_made_and_that_is_said(bare):
    answer, checks = asked(Gaussian(20), bare)
    assert any(m.startswith("No picks") for m in answer.missing)
    assert checks["residual"].value is None
    assert checks["residual"].verdict == "info"
    assert checks["invented"].value is not None
    assert "half the response" in checks["invented"].reason
    assert 0.6 < checks["amplitude"].value < 1.1
    assert asked(nothing(), bare)[0].verdict == "red"
    assert answer.mean is None


def test_blanks_have_the_spectrum_of_the_empty_places_and_no_particle(scene):
    rng = np.random.default_rng(5)
    coloured = ndi.gaussian_filter(rng.standard_normal((400, 500)), 1.5)
    patches = np.stack([coloured[i : i + 50, j : j + 50] for i in range(0, 400, 50) for j in range(0, 500, 50)])
    field = phase_randomised(patches.astype(np.float32), (301, 420), rng)
    assert field.shape == (301, 420)
    assert field.std() == pytest.approx(coloured.std(), rel=0.1)
    beside = [np.mean(f[:, 2:] * f[:, :-2]) / f.var() for f in (field, coloured)]
    assert beside[0] == pytest.approx(beside[1], abs=0.05)
    for blank in make_blanks(scene).values():
        assert blank.shape == scene.image.shape
        assert blank.mean() == pytest.approx(scene.image.mean(), abs=2)
        assert blank.std() == pytest.approx(20, rel=0.1)


def test_particles_are_added_clear_of_the_picked_ones(scene):
    places = trust_injection.places_for(scene)
    assert len(places) >= 10
    distance = [np.hypot(*(scene.particles - p).T).min() for p in places]
    assert min(distance) >= trust_injection.CLEAR * DIAMETER
    apart = [np.hypot(*(np.delete(places, i, 0) - p).T).min() for i, p in enumerate(places)]
    assert min(apart) >= trust_injection.APART * DIAMETER


def test_every_place_sees_every_level_and_raw_reads_what_was_added(scene):
    template = template_of([scene])
    read = trust_injection.inject(Runs(identity(), 3, lambda *_: None), scene, template)
    assert [r.level for r in read] == list(trust_injection.LEVELS)
    assert {len(r.raw) for r in read} == {len(trust_injection.places_for(scene))}
    assert read[0].raw.mean() == pytest.approx(1, abs=0.1)
    assert read[0].snr == pytest.approx(16 * read[2].snr)


def test_bands_of_white_noise_have_no_signal_and_a_low_pass_takes_the_fine_ones(scene):
    flat = measure_residual(scene, scene.flat)
    assert all(b.noise_left_out == 0 for b in pooled_bands([flat]))
    smooth = ndi.gaussian_filter(scene.flat, 1.2)
    found = pooled_bands([measure_residual(scene, smooth)])
    assert found[0].noise_left_out < 0.2
    assert found[-1].noise_left_out > 0.95
    assert found[-1].ssnr == pytest.approx(0, abs=0.05)
    assert found[0].ssnr > 0.3
    assert found[0].resolution > found[-1].resolution >= 2 * PIXEL
    erased = pooled_bands([measure_residual(scene, np.zeros_like(scene.flat))])
    assert erased[0].at_particles is not None
    assert trust_limits.LIMITS["at_particles"].verdict(erased[0].at_particles) == "amber"
    assert erased[0].removed == pytest.approx(1, abs=1e-6)


def test_halves_of_independent_noise_agree_by_chance_only():
    rng = np.random.default_rng(8)
    even, odd = (500 + rng.standard_normal((2, SIDE, SIDE))).astype(np.float32)
    scene = make_scene(Path("mic.mrc"), even, PIXEL, DIAMETER, np.empty((0, 2)))
    found = trust_halves.agreement(Runs(Gaussian(20), 2, lambda *_: None), scene, even, odd)
    assert np.abs(found.raw).mean() < 0.05
    assert np.abs(found.denoised).mean() < 0.05
    assert found.lost < 0.02
    assert abs(found.beyond) < 0.05


def test_halves_that_share_particles_agree_and_a_method_that_draws_the_same_into_both_is_amber(scene):
    rng = np.random.default_rng(9)
    image = ndi.gaussian_filter(micrograph(contrast=1.5)[0], 3)  # coarse detail is shared, fine detail is not
    even, odd = ((image + 10 * rng.standard_normal(image.shape)).astype(np.float32) for _ in range(2))
    _, checks = asked(identity(), scene, halves=(even, odd))
    assert checks["agreement"].verdict == "green"
    drawn = 30 * rng.standard_normal(image.shape)
    _, checks = asked(Made("drawer", lambda i: i + drawn[: i.shape[0], : i.shape[1]]), scene, halves=(even, odd))
    assert checks["agreement"].verdict == "amber"
    assert "not resolution" in checks["agreement"].reason


def test_halves_are_paired_by_name_and_must_fit(scene):
    mics = [Path("a/mic_1.mrc"), Path("a/mic_2.mrc")]
    found = trust_halves.pair_halves(mics, [Path("e/mic_1_EVN.mrc"), Path("e/mic_2.mrc")], [Path("o/mic_1_ODD.mrc")])
    assert found == {mics[0]: (Path("e/mic_1_EVN.mrc"), Path("o/mic_1_ODD.mrc"))}
    small = np.zeros((100, 100), np.float32)
    with pytest.raises(InputError, match="100 x 100"):
        trust_halves.agreement(Runs(identity(), 2, lambda *_: None), scene, small, small)


def test_the_spread_over_draws_is_the_noise_itself_for_identity_and_nothing_for_a_constant(scene):
    runs = Runs(identity(), 8, lambda *_: None)
    found = noise_spread(runs, scene, scene.flat, draws=8)
    assert found.typical == pytest.approx(1, abs=0.15)  # first order: the spread of y + a n, over a, is the noise
    assert found.empty == pytest.approx(1, abs=0.1)
    still = noise_spread(Runs(Made("still", lambda i: scene.image), 8, lambda *_: None), scene, scene.flat, draws=4)
    assert still.typical == 0
    assert still.inside == 0


def test_thresholds_and_false_alarms():
    hits = np.array([True, True, False, True, False, False])
    scores = np.array([9.0, 8, 7, 6, 5, 4])
    assert best_f1(hits, scores, 3) == (6.0, pytest.approx(6 / 7))
    assert best_f1(np.zeros(4, bool), np.arange(4.0), 3)[0] is None
    blank = Blank("phase", 1.0, None, np.array([5.0, 4, 3]), np.empty(0), 2.0, None, np.zeros((1, 1)), np.zeros((1, 1)))
    assert false_alarm([blank], raw=False) == 3  # two peaks on two megapixels reach more
    assert false_alarm([blank], raw=True) == 0


def test_every_limit_has_green_inside_amber():
    for name, limit in trust_limits.LIMITS.items():
        assert limit.amber[0] <= limit.green[0] <= limit.green[1] <= limit.amber[1], name
    assert trust_limits.worst("green", "info", "amber") == "amber"
    assert trust_limits.worst("info", "green") == "green"
    assert value_text(None, "dB") == "not measured"
    assert value_text(17.84, "dB") == "17.8 dB"


def test_values_that_are_not_numbers_are_refused(scene):
    with pytest.raises(InputError, match="not numbers"):
        asked(Made("nan", lambda image: np.full_like(image, np.nan)), scene)


# -- the job ----------------------------------------------------------------------------------------------


def test_the_job_on_the_real_demo_data(run_job, tmp_path):
    out = tmp_path / "trust"
    values = {"micrographs": [DEMO], "model": "gaussian:30", "output": out, "particle_diameter": 80, "most": 1}
    done = run_job("trust", **values, particles=DEMO / "particles.star")
    assert done["exit_code"] == 0, done
    result = done["result"]
    assert result["verdict"] in ("green", "amber")
    assert "extract from raw" in result["summary"]
    checks = {c["key"]: c for c in result["checks"]}
    assert checks["invented"]["value"] == 0
    assert 0.6 < checks["amplitude"]["value"] < 1
    assert 0.1 < checks["residual"]["value"] < 0.35  # the low-pass takes some of the ring
    page = (out / "report.html").read_text()
    assert "For seeing and picking; extract from raw." in page
    assert page.count("data:image/png") == 12
    assert not re.search(r"(src|href)=\"?http", page)
    folder = read_trust(out)
    assert folder.facts["verdict"] == result["verdict"]
    assert {p.group for p in folder.pictures} == {"micrograph", "residual", "spread", "particles", "blank"}
    assert len(list(out.glob("residual_*.mrc"))) == len(list(out.glob("spread_*.mrc"))) == 1
    assert not list(out.rglob("*.partial"))


def test_the_job_with_boxes_halves_and_no_picks(data, run_job, tmp_path, training_set):
    for name in ("even", "odd"):
        (tmp_path / name).mkdir()
        for i, file in enumerate(data.files):
            image = read_image(file)
            noisy = image + 20 * np.random.default_rng([i, len(name)]).standard_normal(image.shape)
            write_mrc(tmp_path / name / f"{file.stem}_{name}.mrc", noisy.astype(np.float32), pixel_size_a=2.5)
    done = run_job(
        "trust",
        micrographs=[data.folder],
        model="wiener",
        output=tmp_path / "out",
        noise=data.noise,
        even=tmp_path / "even",
        odd=tmp_path / "odd",
        particle_diameter=data.diameter,
        most=2,
    )
    assert done["exit_code"] == 0, done
    facts = read_trust(tmp_path / "out").facts
    assert "agreement" in {c["key"] for c in facts["checks"]}
    assert "given" in facts["settings"]["Empty places"]
    assert any(m.startswith("No picks") for m in facts["missing"])
    assert len(facts["micrographs"]) == 2


def test_bad_inputs_get_one_sentence(data, run_job, tmp_path):
    base = {"micrographs": [data.folder], "model": "gaussian:30", "output": tmp_path / "out", "particle_diameter": 24}
    cases = [
        ({"even": tmp_path}, 2, "belong together"),
        ({"output": data.folder}, 2, "raw micrographs"),
        ({"particle_diameter": 200}, 2, "third of a micrograph"),
        ({"model": str(tmp_path / "none.safetensors")}, 3, "none.safetensors"),
        ({"particles": DEMO / "particles.star"}, 3, "No micrograph name"),
        ({"even": data.folder, "odd": DEMO}, 3, "half in both"),
        ({"noise": tmp_path / "none.star"}, 3, "none.star"),
    ]
    for changes, code, words in cases:
        done = run_job("trust", **(base | changes))
        assert (done["exit_code"], words in done["message"]) == (code, True), done
    assert not (tmp_path / "out/trust.json").exists()


def test_a_folder_from_elsewhere_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_trust(tmp_path)
    for text in ("{", "[]", '{"format": 1, "verdict": "green", "checks": 3}', '{"format": 99}'):
        (tmp_path / "trust.json").write_text(text)
        with pytest.raises(InputError, match="not the result"):
            read_trust(tmp_path)
