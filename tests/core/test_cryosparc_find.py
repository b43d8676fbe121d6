"""Which dataset of a folder is converted, and how several datasets of the same particles are joined."""

from __future__ import annotations

from pathlib import Path

import cs_files
import numpy as np
import pytest

from core.cryosparc import find
from core.cryosparc.conversion import run
from core.cryosparc.particles import read_particles
from core.cryosparc.tables import Options
from core.errors import InputError


def folder(root: Path, *names: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        cs_files.save(root / name, cs_files.particles(3))
    return root


@pytest.mark.parametrize(
    ("names", "main", "others", "word"),
    [
        (["cryosparc_P1_J24_000_particles.cs", "cryosparc_P1_J24_003_particles.cs"], 1, [], "last of 2 iterations"),
        # numbers, not text: 9 comes before 62, and any digit count does
        (["J24_009_particles.cs", "J24_00062_particles.cs", "J24_1_particles.cs"], 1, [], "(number 62)"),
        (["J24_002_particles.cs", "J24_passthrough_particles.cs", "J24_002_volume.cs"], 0, [1], "J24_passthrough"),
        (["particles_selected.cs", "particles_excluded.cs"], 0, [], "selected"),
        (
            ["particles_selected.cs", "J9_passthrough_particles_selected.cs", "J9_passthrough_particles_excluded.cs"],
            0,
            [1],
            "selected",
        ),
        (["J24_particles_exported.cs", "J24_passthrough_particles_exported.cs"], 0, [1], "export"),
        (["extracted_particles.cs", "micrographs_incomplete.cs"], 0, [], "only particles"),
        (["split_0.cs"], 0, [], "part of the split"),
        (["J7_004_particles.cs", "J8_passthrough_particles.cs"], 0, [], "(number 4)"),
    ],
)
def test_the_right_dataset_and_why(tmp_path, names, main, others, word):
    chosen = find.choose(folder(tmp_path / "J24", *names))
    assert chosen.main.name == names[main]
    assert [path.name for path in chosen.others] == [names[i] for i in others]
    assert names[main] in chosen.why
    assert word in chosen.why


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["split_0.cs", "split_1.cs"], "several sets"),
        (["J5_class_00_00062_particles.cs", "J5_class_01_00062_particles.cs"], "several sets"),
        (["particles_excluded.cs"], "no particle dataset"),
        ([], "no particle dataset"),
    ],
)
def test_no_guess_where_several_or_none_would_do(tmp_path, names, words):
    with pytest.raises(InputError, match=words) as caught:
        find.choose(folder(tmp_path / "J5", *names))
    assert str(tmp_path / "J5") in caught.value.message
    assert caught.value.hint


def test_a_project_folder_lists_its_jobs(tmp_path):
    for i in (2, 10, 9):
        folder(tmp_path / f"J{i}", "J_001_particles.cs")
    with pytest.raises(InputError, match="project with jobs J2, J9, J10"):
        find.choose(tmp_path)


def test_a_series_of_jobs_names_those_that_are_absent(tmp_path):
    for i in (24, 26):
        folder(tmp_path / f"J{i}", "J_001_particles.cs")
    jobs, absent = find.jobs(tmp_path / "J24", 4)
    assert [(job.source.name, job.folder) for job in jobs] == [("J24", "class1"), ("J26", "class3")]
    assert absent == ["J25", "J27"]
    with pytest.raises(InputError, match="is not a job folder"):
        find.jobs(tmp_path, 2)


def test_a_csg_file_is_followed(tmp_path):
    rows = cs_files.particles(6)
    cs_files.save(tmp_path / "J2_particles_exported.cs", cs_files.only(rows, "alignments3D/", "ctf/"))
    cs_files.save(tmp_path / "J2_passthrough_particles_exported.cs", cs_files.only(rows, "blob/", "location/"))
    group = tmp_path / "J2_particles_exported.csg"
    group.write_text(
        "group:\n  name: particles\nresults:\n"
        "  blob:\n    metafile: '>J2_passthrough_particles_exported.cs'\n    num_items: 6\n"
        "  alignments3D:\n    metafile: '>J2_particles_exported.cs'\n",
        encoding="utf-8",
    )
    chosen = find.choose(group)
    assert chosen.main.name == "J2_particles_exported.cs"
    assert "rlnImageName" in run(chosen, Options()).tables.particles
    chosen.main.unlink()
    chosen.others[0].unlink()
    with pytest.raises(InputError, match="not beside it"):
        find.choose(group)
    group.write_text("group: none\n", encoding="utf-8")
    with pytest.raises(InputError, match="lists no dataset"):
        find.choose(group)


# ---- joining --------------------------------------------------------------------------------------------


def split(root: Path, rows: np.ndarray, other: np.ndarray | None = None) -> find.Chosen:
    """Alignments in the main file, the rest in a passthrough file whose rows are in another order."""
    main = cs_files.save(root / "J24_001_particles.cs", cs_files.only(rows, "alignments3D/", "sym_expand/"))
    rest = rows if other is None else other
    order = np.random.default_rng(3).permutation(len(rest))
    cs_files.save(root / "J24_passthrough_particles.cs", cs_files.only(rest, "blob/", "ctf/", "location/")[order])
    return find.choose(main)


def test_a_passthrough_file_makes_the_whole(tmp_path):
    rows = cs_files.particles(40)
    whole = run(find.choose(cs_files.save(tmp_path / "whole" / "all.cs", rows)), Options()).tables
    made = run(split(tmp_path, rows), Options())
    assert made.tables.particles.keys() == whole.particles.keys()
    for label, values in whole.particles.items():
        if isinstance(values, np.ndarray):
            np.testing.assert_array_equal(made.tables.particles[label], values, err_msg=label)
    assert (made.joined[0].matched, made.joined[0].missing, made.joined[0].unused) == (40, 0, 0)


def test_rows_without_a_partner_stop_the_job_until_it_is_told(tmp_path):
    rows = cs_files.particles(40)
    chosen = split(tmp_path, rows, rows[:30])
    with pytest.raises(InputError, match="10 of 40 particles") as caught:
        run(chosen, Options())
    assert "--drop-unmatched" in caught.value.hint
    made = run(chosen, Options(), drop_unmatched=True)
    assert made.tables.n == 30
    assert any("10 particles have no partner" in text for text in made.tables.warnings)


def test_no_shared_uid_is_an_error(tmp_path):
    rows, others = cs_files.particles(8), cs_files.particles(8)
    others["uid"] += np.uint64(1000)
    with pytest.raises(InputError, match="knows none of the 8 particles"):
        run(split(tmp_path, rows, others), Options(), drop_unmatched=True)
    with pytest.raises(InputError, match="knows none of the 8 particles"):
        run(split(tmp_path, rows, rows[:0]), Options(), drop_unmatched=True)


def test_duplicates_never_multiply_rows(tmp_path):
    rows = cs_files.particles(12)
    twice = np.concatenate([rows, rows[:5]])
    made = run(split(tmp_path, rows, twice), Options())
    assert made.tables.n == 12
    assert made.joined[0].duplicates == 5
    made = run(split(tmp_path / "b", twice, rows), Options())
    assert made.tables.n == 17
    assert any("5 uids stand twice" in text for text in made.tables.warnings)


def test_symmetry_expanded_particles_find_their_source(tmp_path):
    rows = cs_files.particles(10)
    expanded = np.repeat(rows, 4)
    copies = cs_files.table(
        {name: expanded[name] for name in expanded.dtype.names}
        | {"uid": np.arange(40, dtype=np.uint64) + 5, "sym_expand/src_uid": expanded["uid"]}
    )
    made = run(split(tmp_path, copies, rows), Options())
    assert made.tables.n == 40
    assert made.joined[0].by_source
    assert made.joined[0].missing == 0


def test_the_alignment_of_the_job_itself_counts(tmp_path):
    """A passthrough file may hold an older alignment, also of a better kind: it must not replace the job's result."""
    rows = cs_files.particles(6)
    flat = cs_files.table(
        {
            "uid": rows["uid"],
            "alignments2D/pose": np.ones(6, "f4"),
            "alignments2D/shift": np.ones((6, 2), "f4"),
            "alignments2D/class": np.full(6, 7, "u4"),
        }
    )
    one, two = cs_files.save(tmp_path / "3d.cs", rows), cs_files.save(tmp_path / "2d.cs", flat)
    made = run(find.choose(one, (two,)), Options()).tables
    assert "rlnAngleTilt" in made.particles
    assert any("2d.cs has alignments2D, which was not used" in text for text in made.warnings)
    made = run(find.choose(two, (one,)), Options()).tables
    assert "rlnAngleTilt" not in made.particles
    assert set(made.particles["rlnClassNumber"]) == {8}
    assert "rlnRandomSubset" not in made.particles  # no part of the other alignment is mixed in
    assert any("3d.cs has alignments3D, which was not used" in text for text in made.warnings)


def test_reading_in_blocks_is_the_same_as_at_once(tmp_path, monkeypatch):
    path = cs_files.save(tmp_path / "p.cs", cs_files.particles(50))
    whole = read_particles(str(path))
    monkeypatch.setattr("core.cryosparc.particles.BLOCK_ROWS", 7)
    seen: list[tuple[int, int]] = []
    parts = read_particles(str(path), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 50) for i in range(0, 50, 7)]
    for name, values in whole.numbers.items():
        np.testing.assert_array_equal(parts.numbers[name], values)
    for name, found in whole.texts.items():
        assert parts.texts[name].values == found.values
        np.testing.assert_array_equal(parts.texts[name].which, found.which)
    assert read_particles(str(path), limit=9).n == 9


def test_passthrough_files_of_classes_are_one_in_several(tmp_path):
    """Of a heterogeneous refinement: each class has its own, and together they know all particles."""
    rows = cs_files.particles(30)
    cs_files.save(tmp_path / "J42_00062_particles.cs", cs_files.only(rows, "alignments3D/"))
    for i in range(3):
        one = cs_files.only(rows[i::3], "blob/", "location/", "ctf/")
        cs_files.save(tmp_path / f"J42_passthrough_particles_class_{i}.cs", one)
        cs_files.save(tmp_path / f"J42_class_0{i}_00062_particles.cs", cs_files.only(rows[i::3], "alignments3D/"))
    whole = run(find.choose(tmp_path / "J42_00062_particles.cs"), Options())
    assert whole.tables.n == 30
    assert whole.joined[0].missing == 0
    assert "rlnCoordinateX" in whole.tables.particles
    part = find.choose(tmp_path / "J42_class_01_00062_particles.cs")
    assert [path.name for path in part.others] == ["J42_passthrough_particles_class_1.cs"]
    assert run(part, Options()).tables.n == 10


def test_parts_of_a_split_are_no_iterations(tmp_path):
    rows = cs_files.particles(6)
    for i in range(2):
        cs_files.save(tmp_path / f"J8_split_{i}_particles.cs", rows)
        cs_files.save(tmp_path / f"split_{i}.cs", cs_files.only(rows, "alignments3D/"))
        cs_files.save(tmp_path / f"J8_passthrough_split_{i}.cs", cs_files.only(rows, "blob/"))
    with pytest.raises(InputError, match="several sets"):
        find.choose(tmp_path)
    assert [path.name for path in find.choose(tmp_path / "split_1.cs").others] == ["J8_passthrough_split_1.cs"]
