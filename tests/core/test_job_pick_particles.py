"""pick-particles: raw coordinates from denoised images, resuming, failures named at the end, the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.denoising.baselines import gaussian
from core.images.source import open_source
from core.io.coordinates import read_particles
from core.io.mrc import write_mrc
from core.io.picks import candidates_path, read_candidates
from core.io.star import read_star
from core.jobs import rundir
from core.jobs.base import execute

ROOT = Path(__file__).resolve().parents[2]


def denoise(data, folder: Path) -> Path:
    """Gaussian low-passed copies under the names that predict gives."""
    for path in data.files:
        write_mrc(folder / path.name, gaussian(open_source(path).read(0), 10.0, 2.5), pixel_size_a=2.5)
    return folder


def pick(run_job, data, output, **values):
    settings = {"micrographs": [data.folder], "diameter": 24, "output": output, **values}
    return run_job("pick-particles", **settings)


@pytest.mark.parametrize("template", ["blob", "ring"])
@pytest.mark.parametrize("denoised", [False, True])
def test_particles_are_picked_in_raw_pixels(data, run_job, tmp_path, template: str, denoised: bool) -> None:
    values = {"denoised": denoise(data, tmp_path / "denoised")} if denoised else {}
    output = tmp_path / "picks.star"
    done = pick(run_job, data, output, template=template, reference=data.star, **values)
    assert done["exit_code"] == 0, done
    result = done["result"]
    assert result["searched"] == ("denoised" if denoised else "raw")
    assert result["contrast"] == "dark"
    assert result["evaluation"]["precision"] > 0.9
    # a ring measured on the 12 to 20 faint particles of one micrograph is itself noisy
    assert result["evaluation"]["recall"] > (0.9 if template == "blob" else 0.75)
    picked = read_particles(output)
    assert set(picked) == {"mic_0.mrc", "mic_1.mrc"}
    assert sum(len(xy) for xy in picked.values()) == result["picks"] == sum(result["per_micrograph"].values())
    for name, xy in picked.items():
        distance = np.linalg.norm(xy[:, None] - data.particles[name][None], axis=2).min(axis=1)
        assert np.median(distance) < 0.15 * data.diameter  # the noise hides them from the eye
    text = output.read_text()
    assert ("searched on denoised micrographs in" if denoised else "searched on raw micrographs") in text
    assert read_star(output)["optics"]["rlnMicrographPixelSize"].astype(float).tolist() == [2.5]
    merit = read_star(output)["particles"]["rlnAutopickFigureOfMerit"].astype(float)
    assert merit.min() >= result["threshold"] - 1e-3


def test_all_candidates_and_the_histogram_stay_for_another_threshold(data, run_job, tmp_path) -> None:
    done = pick(run_job, data, tmp_path / "picks.star")
    found = read_candidates(candidates_path(tmp_path / "picks.star"))
    scores = np.concatenate([p.score[p.reason == ""] for p in found.values()])
    result = done["result"]
    assert sum(result["histogram"]["counts"]) == len(scores) > result["picks"]
    assert (scores >= result["threshold"]).sum() == result["picks"]
    left_out = sum(int(((p.reason != "") & (p.score >= result["threshold"])).sum()) for p in found.values())
    assert result["left_out"] == left_out == sum(result["left_out_by_reason"].values())
    (preview,) = run_job.of("preview", "scores")
    np.testing.assert_allclose(np.load(preview["path"])[2], result["histogram"]["counts"])
    lower = pick(run_job, data, tmp_path / "lower.star", threshold=result["threshold"] / 2)["result"]
    assert lower["threshold_from"] == "given"
    assert lower["picks"] > result["picks"]


def test_light_particles_and_a_ring_measured_on_the_other_micrographs(data, run_job, tmp_path) -> None:
    for path in data.files:
        write_mrc(path, -open_source(path).read(0), pixel_size_a=2.5)
    done = pick(run_job, data, tmp_path / "picks.star", template="ring", reference=data.star)
    assert done["exit_code"] == 0, done
    assert done["result"]["contrast"] == "light"
    assert done["result"]["template"] == "ring measured from the reference"
    assert done["result"]["evaluation"]["average_precision"] > 0.9
    assert not any("flatter" in e["message"] for e in run_job.of("warning"))
    one = pick(run_job, data, tmp_path / "one.star", template="ring", reference=data.star, micrographs=data.files[:1])
    assert one["exit_code"] == 0, one
    assert any("flatter" in e["message"] for e in run_job.of("warning"))


def test_missing_and_wrong_denoised_files_are_named_after_the_others_are_done(data, run_job, tmp_path) -> None:
    folder, output = denoise(data, tmp_path / "denoised"), tmp_path / "picks.star"
    (folder / "mic_1.mrc").unlink()
    done = pick(run_job, data, output, denoised=folder)
    assert done["exit_code"] == 3
    assert "1 of 2 micrographs" in done["message"]
    assert "mic_1.mrc has no denoised micrograph" in done["message"]
    assert set(read_particles(output)) == {"mic_0.mrc"}
    write_mrc(folder / "mic_1.mrc", np.zeros((64, 65), np.float32), 2.5)
    done = pick(run_job, data, output, denoised=folder, overwrite=True)
    assert "is 65 x 64 px, but the raw mic_1.mrc is 443 x 320 px" in done["message"]
    for file in folder.iterdir():
        file.unlink()
    done = pick(run_job, data, output, denoised=folder, overwrite=True)
    assert (done["exit_code"], "holds no denoised micrograph" in done["message"]) == (3, True)


def test_a_run_that_failed_goes_on_with_what_it_lacked(data, run_job, tmp_path, monkeypatch) -> None:
    folder, output = denoise(data, tmp_path / "denoised"), tmp_path / "picks.star"
    kept = (folder / "mic_1.mrc").read_bytes()
    (folder / "mic_1.mrc").unlink()
    done = pick(run_job, data, output, denoised=folder)
    assert done["exit_code"] == 3
    (folder / "mic_1.mrc").write_bytes(kept)
    from core.picking import search

    searched = []
    real = search.search_micrograph

    def counted(image, *rest):
        searched.append(image.shape)
        return real(image, *rest)

    monkeypatch.setattr(search, "search_micrograph", counted)
    assert execute(done["run_dir"]) == 0
    assert searched == [(320, 443)]
    assert set(read_particles(output)) == {"mic_0.mrc", "mic_1.mrc"}
    once = pick(run_job, data, tmp_path / "once.star", denoised=folder)
    assert once["result"]["picks"] == rundir.inspect(done["run_dir"]).result["picks"]
    lines = [[line for line in p.read_text().splitlines() if line] for p in (output, tmp_path / "once.star")]
    assert lines[0] == lines[1]


def test_areas_drawn_on_home_are_kept_out_of(data, run_job, tmp_path) -> None:
    from core.io.marks import write_marks

    polygon = np.array([(0.0, 0.0), (150.0, 0.0), (150.0, 200.0), (0.0, 200.0)])
    write_marks(tmp_path / "a.marks.json", {"mic_0.mrc": [polygon]}, [])
    done = pick(run_job, data, tmp_path / "picks.star", exclude=tmp_path / "a.marks.json")
    xy = read_particles(tmp_path / "picks.star")["mic_0.mrc"]
    assert not ((xy < (150, 200)).all(axis=1)).any()
    assert done["result"]["left_out_by_reason"]["area"] >= 3


def test_class_averages_take_part_by_their_pixel_size(data, run_job, tmp_path) -> None:
    yy, xx = np.mgrid[:64, :64] - 32
    stack = np.stack([1 / (1 + np.exp((np.hypot(xx, yy) - 20) / 2)), np.zeros((64, 64))]).astype(np.float32)
    write_mrc(tmp_path / "classes.mrcs", stack, 1.5)  # 40 px of 1.5 A are the 24 px of 2.5 A
    values = {"template": "class", "template_file": tmp_path / "classes.mrcs", "reference": data.star}
    done = pick(run_job, data, tmp_path / "picks.star", **values)
    assert done["exit_code"] == 0, done
    assert done["result"]["evaluation"]["average_precision"] > 0.9
    assert done["result"]["picks_by_template"] == {"1": done["result"]["picks"]}
    assert any("empty images are left out (2)" in e["message"] for e in run_job.of("warning"))
    done = pick(run_job, data, tmp_path / "small.star", template_pixel_size=0.5, **values)
    assert (done["exit_code"], "13 px of the micrographs across" in done["message"]) == (3, True)


@pytest.mark.parametrize(
    ("change", "code", "word"),
    [
        ({"output": "picks.csv"}, 2, "ends in .star"),
        ({"template": "class"}, 2, "needs its file"),
        ({"template": "map", "template_file": "none.mrc"}, 3, "none.mrc"),
        ({"template": "blob", "template_file": "x.mrc"}, 2, "takes no file"),
        ({"reference": "none.star"}, 3, "none.star"),
        ({"denoised": "nowhere"}, 3, "nowhere"),
        ({"micrographs": ["nowhere"]}, 3, "nowhere"),
        ({"exclude": "none.marks.json"}, 3, "none.marks.json"),
    ],
)
def test_bad_input_ends_with_one_sentence_and_its_code(data, run_job, tmp_path, change, code, word) -> None:
    done = pick(run_job, data, **({"output": tmp_path / "picks.star"} | change))
    assert done["exit_code"] == code, done
    assert word in done["message"] + done.get("hint", "")
    assert "trace" not in done
    assert not (tmp_path / "picks.star").exists()


def test_outputs_are_not_replaced_unasked_and_inputs_never(data, run_job, tmp_path) -> None:
    output = tmp_path / "picks.star"
    assert pick(run_job, data, output)["exit_code"] == 0
    before = output.read_bytes()
    done = pick(run_job, data, output)
    assert (done["exit_code"], done["fields"]) == (2, ["output"])
    assert output.read_bytes() == before
    done = pick(run_job, data, data.star, reference=data.star, overwrite=True)
    assert (done["exit_code"], "never overwritten" in done["message"]) == (2, True)
    candidates = tmp_path / "picks.candidates.star"
    before = candidates.read_bytes()
    done = pick(run_job, data, output, reference=candidates, overwrite=True)
    assert (done["exit_code"], "never overwritten" in done["message"]) == (2, True)
    assert candidates.read_bytes() == before


def test_a_micrograph_smaller_than_a_particle_is_an_error_not_an_empty_one(data, run_job, tmp_path) -> None:
    done = pick(run_job, data, tmp_path / "picks.star", diameter=4000)
    assert (done["exit_code"], "smaller than one particle of 4000 px" in done["message"]) == (3, True), done
    assert not (tmp_path / "picks.star").exists()


def test_an_empty_micrograph_gives_no_picks_and_says_so(run_job, tmp_path) -> None:
    noise = np.random.default_rng(1).standard_normal((500, 500)).astype(np.float32)
    write_mrc(tmp_path / "m.mrc", noise, 1.0)
    done = run_job("pick-particles", micrographs=[tmp_path / "m.mrc"], diameter=50, output=tmp_path / "p.star")
    assert done["exit_code"] == 0, done
    assert done["result"]["picks"] == 0
    assert done["result"]["threshold_from"] == "none"
    assert any("stands out of the noise" in e["message"] for e in run_job.of("warning"))
    write_mrc(tmp_path / "flat.mrc", np.full((200, 200), 3, np.float32), 1.0)
    done = run_job("pick-particles", micrographs=[tmp_path / "flat.mrc"], diameter=50, output=tmp_path / "f.star")
    assert (done["exit_code"], "no contrast (all pixels = 3)" in done["message"]) == (3, True)
    assert not (tmp_path / "f.star").exists()


def test_the_command_line_picks_and_a_second_job_reads_the_picks(data, tmp_path) -> None:
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, ROOT / "main.py", *map(str, words), "--runs", tmp_path / "runs"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )

    done = call("pick-particles", "--micrographs", data.folder, "--diameter", "24", "--output", "picks.star", "--quiet")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "runs" / "pick-particles-0001" / "result.json").read_text())
    assert "particles on 2 of 2 micrographs" in result["summary"]
    done = call(
        *("pick-noise", "--micrographs", data.folder, "--particles", "picks.star", "--box-size", "24"),
        *("--output", "noise.star", "--quiet"),
    )
    assert done.returncode == 0, done.stderr
