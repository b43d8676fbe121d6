"""The noise model: contaminated boxes out, clean ones kept, no alarm over chance, and fingerprints of noises."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage as ndi

from core.denoising.canonical import to_canonical
from core.denoising.noise_fingerprint import (
    NoiseFingerprint,
    fingerprint_distance,
    fingerprint_of_micrograph,
    noise_mismatch,
    pool_fingerprints,
)
from core.denoising.noise_model import describe_noise
from core.denoising.noise_notes import NoiseNotes
from core.denoising.noise_screen import LEAST_KEPT, screen_boxes
from core.images.source import open_source
from core.io.coordinates import read_noise_boxes, write_noise_boxes
from core.io.mrc import open_mrc, write_mrc

DEMO = Path(__file__).resolve().parents[2] / "resources" / "demo"
BOX = 32
NAMES = {i: f"mic_{i}.mrc" for i in range(9)}


def noise_image(seed: int, shape=(640, 640), blur: float = 0.8) -> np.ndarray:
    image = ndi.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), blur)
    return (image / image.std()).astype(np.float32)


def grid(shape, box: int) -> np.ndarray:
    rows, cols = (np.arange(box // 2, n - box + box // 2 + 1, box) for n in shape)
    return np.stack(np.meshgrid(cols, rows), axis=-1).reshape(-1, 2)


def patches_of(image: np.ndarray, box: int = BOX) -> np.ndarray:
    return np.stack([image[y - box // 2 : y - box // 2 + box, x - box // 2 : x - box // 2 + box]
                     for x, y in grid(image.shape, box)])  # fmt: skip


# ---- which boxes are used ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_planted_contamination_is_left_out_and_clean_boxes_are_kept(seed):
    image = 500 + 20 * noise_image(seed)
    boxes = grid(image.shape, 64)[:60]
    yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
    x, y = boxes[3]
    image -= 40 * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 12.0**2))  # a particle
    x, y = boxes[20]
    image[y : y + 3, x : x + 3] += 600  # hot pixels
    x, y = boxes[33]
    image[y - 32 : y + 32, x - 32 : x + 32] += np.linspace(-60, 60, 64)[None]  # an edge
    x, y = boxes[47]
    image[y - 32 : y + 32, x - 32 : x + 32] += 30 * noise_image(seed + 50, (64, 64), 1.5)  # another spectrum
    found = screen_boxes(image.astype(np.float32), boxes, 64)
    planted = np.isin(np.arange(60), [3, 20, 33, 47])
    assert not found.kept[planted].any(), found.reasons
    assert found.kept[~planted].sum() >= 53  # few clean ones go by chance
    assert all(bool(r) == bool(c) == (not k) for r, c, k in zip(found.reasons, found.codes, found.kept, strict=True))
    assert found.codes[20] == "pixels"
    assert all(len(r) > 20 and r.endswith((".", "?")) for r in np.array(found.reasons, object)[planted])


def test_never_more_than_half_and_never_down_to_fewer_than_four():
    image = noise_image(1, (256, 512))
    boxes = grid(image.shape, 64)
    yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
    for i, (x, y) in enumerate(boxes[: int(0.8 * len(boxes))]):
        image -= (3 + 0.2 * i) * np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 10.0**2))
    found = screen_boxes(image, boxes, 64)
    assert 1 <= (~found.kept).sum() <= len(boxes) // 2
    few = screen_boxes(image, boxes[-8:-2], 64)
    assert few.kept.sum() >= LEAST_KEPT
    assert screen_boxes(image, boxes[:3], 64).kept.all()
    assert screen_boxes(image, boxes[:0], 64).reasons == []


def test_boxes_without_any_noise_do_not_break_it():
    rows, cols = np.mgrid[:300, :300]
    with np.errstate(all="raise", under="ignore"):
        screen_boxes((rows * 1000.0 + cols).astype(np.float32), grid((300, 300), 30), 30)


# ---- do the patches agree? -----------------------------------------------------------------------------


@pytest.mark.parametrize("box", [12, 25, 32])
@pytest.mark.parametrize("blur", [0.0001, 0.8, 2.0])
def test_gaussian_noise_of_one_spectrum_gives_no_alarm(box, blur):
    for seed in range(4):
        image = noise_image(seed, (10 * box, 8 * box), blur)
        model = describe_noise(patches_of(image, box), np.repeat(np.arange(4), 20), NAMES)
        assert model.disagreement < 0.05
        assert model.warning() == ""
        assert (model.low > 0.6).all()  # about 1: the deviation of 80 patches is not known better
        assert np.median(model.high) < 1.3


def test_two_spectra_among_the_patches_of_one_micrograph_are_told():
    fine, coarse = patches_of(noise_image(0, blur=0.6)), patches_of(noise_image(1, blur=1.0))
    mixed = np.concatenate([fine[:40], coarse[:40]])
    model = describe_noise(mixed, np.zeros(80, int), NAMES)
    assert model.disagreement > 0.2
    assert "mic_0.mrc" in model.warning()
    assert "Å" in model.warning(3.0)
    assert (model.high / model.low).max() > 1.5


def test_one_micrograph_with_another_noise_is_named():
    patches = np.concatenate([patches_of(noise_image(i, blur=1.0 if i == 2 else 0.8))[:30] for i in range(4)])
    model = describe_noise(patches, np.repeat(np.arange(4), 30), NAMES)
    assert "mic_2.mrc" in model.warning()
    assert model.warning().index("mic_2.mrc") < model.warning().find("mic_1.mrc") % 10_000
    worst = max(model.micrograph_disagreement, key=lambda n: model.micrograph_disagreement[n].max())
    assert worst == "mic_2.mrc"


def test_the_spread_is_measured_beyond_chance():
    """Patches whose power varies by a known factor: a Gaussian of 0.3 in the log."""
    rng = np.random.default_rng(3)
    patches = patches_of(noise_image(5, (1600, 1600), 0.0001)) * np.exp(0.15 * rng.standard_normal(2500))[:, None, None]
    model = describe_noise(patches, np.zeros(2500, int), NAMES)
    assert np.median(model.high) == pytest.approx(math.exp(1.2816 * 0.3), rel=0.05)
    assert model.disagreement == pytest.approx(math.exp(2 * 1.2816 * 0.3) - 1, rel=0.15)
    np.testing.assert_allclose(model.power, 1.0 * np.exp(0.3**2 / 2), rtol=0.15)


# ---- fingerprints --------------------------------------------------------------------------------------


def fingerprint(image: np.ndarray, pixel: float | None = 1.5, diameter: float = 64.0) -> NoiseFingerprint:
    scale = pixel and pixel * diameter / 32
    found = fingerprint_of_micrograph(to_canonical(image.astype(np.float32), diameter), 32.0, scale, pixel)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def coloured() -> np.ndarray:
    return noise_image(7, (800, 900), 1.2) + 0.5 * noise_image(8, (800, 900), 6.0)


def test_scale_offset_and_rotation_do_not_change_a_fingerprint(coloured):
    one = fingerprint(coloured)
    for other in (7 * coloured + 300, np.rot90(coloured), coloured[::-1], -coloured):
        distance = fingerprint_distance(one, fingerprint(np.ascontiguousarray(other)))
        assert distance.worst < 0.12
        assert distance.score < 0.25
    same = fingerprint_distance(one, one)
    assert (same.worst, same.mean_log, same.tilt, same.shape) == (0, 0, 0, 0)


def test_distances_are_symmetric_and_read_as_they_say():
    flat = NoiseFingerprint(tuple([None] * 4 + [1.0] * 8 + [None] * 3))
    doubled = NoiseFingerprint(tuple([None] * 4 + [2.0] + [1.0] * 7 + [None] * 3))
    there, back = fingerprint_distance(flat, doubled), fingerprint_distance(doubled, flat)
    assert there.worst == pytest.approx(1.0, abs=0.02)
    assert there.worst == pytest.approx(back.worst)
    assert there.tilt == pytest.approx(-back.tilt)
    assert there.shape == pytest.approx(back.shape)
    assert fingerprint_distance(flat, NoiseFingerprint(flat.power, "cycles/px")).score == math.inf


def test_json_and_nonsense(coloured):
    one = fingerprint(coloured)
    again = NoiseFingerprint.from_dict(json.loads(json.dumps(one.as_dict(), allow_nan=False)))
    assert fingerprint_distance(one, again).worst < 1e-3
    assert again.pixel_size_a == 1.5
    good = one.as_dict()
    for change in ({"power": []}, {"power": [None] * 15}, {"edges": [1, 2]}, {"unit": "x"}, {"power": ["a"] * 15}):
        with pytest.raises(ValueError, match="."):
            NoiseFingerprint.from_dict({**good, **change})
    with pytest.raises(ValueError, match="fingerprint"):
        NoiseFingerprint.from_dict({})


def test_masked_places_do_not_count(coloured):
    masked = coloured + 10
    masked[:, :400] = 0
    assert fingerprint_distance(fingerprint(coloured), fingerprint(masked)).score < 0.4
    assert fingerprint_of_micrograph(to_canonical(np.zeros((300, 300), np.float32), 64), 32.0) is None


@pytest.fixture(scope="module")
def demo() -> dict[str, np.ndarray]:
    return {p.name: open_source(p).read(0) for p in sorted(DEMO.glob("*.mrc.gz"))}


def test_real_micrographs_of_one_session_are_alike_and_other_noise_is_not(demo):
    one = {name: fingerprint(image, 1.5, 80) for name, image in demo.items()}
    whole = pool_fingerprints(list(one.values()))
    assert whole is not None
    assert whole.micrographs == 3
    for name, here in one.items():
        assert noise_mismatch(whole, here) == ""
        others = pool_fingerprints([f for n, f in one.items() if n != name])
        assert others is not None
        assert noise_mismatch(others, here) == ""
        assert all(fingerprint_distance(here, f).score < 0.8 for f in one.values())
    first = next(iter(demo.values())).astype(np.float32)
    binned = first.reshape(first.shape[0] // 2, 2, first.shape[1] // 2, 2).mean(axis=(1, 3))
    coarser = binned.reshape(binned.shape[0] // 2, 2, binned.shape[1] // 2, 2).mean(axis=(1, 3))
    white = noise_image(0, first.shape, 0.0001)
    others = {
        "white": fingerprint(white, 1.5, 80),
        "slightly coloured": fingerprint(noise_image(0, first.shape, 0.7), 1.5, 80),
        "strongly coloured": fingerprint(noise_image(0, first.shape, 2.0), 1.5, 80),
        "binned, but said not to be": fingerprint(binned, 1.5, 80),
        "binned": fingerprint(binned, 3.0, 40),
    }
    for what, other in others.items():
        assert noise_mismatch(whole, other), what
    assert "pixel size" in noise_mismatch(whole, others["binned"])
    nothing_fine = fingerprint_of_micrograph(to_canonical(coarser, 20, 1.0, 32.0), 32.0, 3.75, None)
    assert nothing_fine is not None
    assert noise_mismatch(whole, nothing_fine)


# ---- in the job ----------------------------------------------------------------------------------------


def forward(data, run_job, output):
    return run_job(
        "forward", micrographs=[data.folder], particles=data.star, noise=data.noise, particle_diameter=24, output=output
    )


def test_forward_leaves_planted_boxes_out_and_says_so(data, run_job, tmp_path):
    run_job("pick-noise", micrographs=[data.folder], particles=data.star, box_size=24, output=data.noise, seed=1)
    plain = forward(data, run_job, tmp_path / "plain")["result"]
    boxes = read_noise_boxes(data.noise)
    centres = {f.name: np.asarray(boxes.positions[f.name]) for f in data.files}
    name = data.files[1].name
    spoilt = centres[name][2].astype(int)
    image = np.asarray(open_mrc(data.files[1])).copy()
    yy, xx = np.mgrid[: image.shape[0], : image.shape[1]]
    image -= 60 * np.exp(-((xx - spoilt[0]) ** 2 + (yy - spoilt[1]) ** 2) / (2 * 5.0**2)).astype(np.float32)
    write_mrc(data.files[1], image, 2.5)
    write_noise_boxes(data.noise, centres, 24)
    done = forward(data, run_job, tmp_path / "out")
    assert done["exit_code"] == 0, done
    told = [(b["micrograph"], b["x"], b["y"]) for b in done["result"]["left_out"]]
    assert (name, *spoilt) in told
    assert done["result"]["noise_boxes_left_out"] == len(told)
    assert len(told) <= plain["noise_boxes_left_out"] + 3
    assert f"{len(told)} noise boxes left out" in done["message"]
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    crops = [c for c in manifest["crops"] if c["set"] == "s3"]
    assert [(c["micrograph"], c["x"], c["y"]) for c in crops if "left_out" in c] == told
    model = manifest["noise_model"]
    assert model["patches"] == len(crops) - len(told)
    assert len(model["power"]) == len(model["percentile_10"]) == len(model["frequency_cycles_per_px"])
    fingerprint = NoiseFingerprint.from_dict(model["fingerprint"])
    assert fingerprint.pixel_size_a == pytest.approx(2.5)
    assert fingerprint.micrographs == 2


def test_the_demo_has_one_noise_with_a_few_boxes_left_out(demo):
    from core.denoising.patches import pick_boxes
    from core.io.coordinates import read_particles

    picks = read_particles(DEMO / "particles.star")
    notes = NoiseNotes(64, 80.0, 32.0, 1.5)
    patches, group = [], []
    for i, (name, image) in enumerate(demo.items()):
        xy = np.asarray(picks[name], float)
        found = pick_boxes(image, xy, 64, 80.0, 8.0, 40, np.random.default_rng(0), diameter=80.0, pixel_size_a=1.5)
        boxes = np.concatenate([found.centres, xy[30:32]])  # two of them on particles
        used = notes.screen(name, image, boxes, np.arange(len(boxes)), xy[:30])
        assert not {tuple(p) for p in xy[30:32]} & {tuple(p) for p in used}
        assert len(used) >= 0.7 * len(found.centres)
        canonical = to_canonical(image, 80)
        notes.measure(name, canonical)
        for x, y in canonical.centres(used):
            patches.append(canonical.image[round(y) - 12 : round(y) + 13, round(x) - 12 : round(x) + 13])
            group.append(i)
    stack = np.stack([p / np.std(patches) for p in patches])
    model = notes.finish(stack, np.array(group), dict(enumerate(demo)))
    assert model.disagreement < 0.2
    assert notes.warnings() == []
    assert "unlisted particle" in notes.summary()
