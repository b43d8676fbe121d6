"""STAR reading: equal to starfile's on valid files, some rows and columns at a time, and stopped when asked."""

import gzip
import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
import starfile
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError, JobStopped
from core.io import star_scan, star_text
from core.io.star import TEXT, read_star

SHARED = Path(__file__).resolve().parents[2] / "../shared/data"
FILES = [f for sub in ("star", "particles", "cs2star") for f in sorted((SHARED / sub).glob("*.star*"))]


def assert_as_starfile(path: Path, plain: Path | None = None) -> None:
    """Names, order, values and kinds of values are those of starfile's own reading."""
    theirs = starfile.read(plain or path, always_dict=True, parse_as_string=list(TEXT))
    ours = read_star(path)
    assert list(ours) == list(theirs)
    for name, table in ours.items():
        block = theirs[name]
        assert list(table) == [str(c) for c in block], name
        for column, values in table.items():
            if isinstance(block, dict):
                assert values.tolist() == [block[column]]
                continue
            expected = block[column].to_numpy()
            assert values.dtype == expected.dtype, column
            np.testing.assert_array_equal(values, expected)


@pytest.mark.skipif(not FILES, reason="the shared example files are not here")
@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_example_files_are_read_as_starfile_reads_them(path, tmp_path):
    plain = path
    if path.suffix == ".gz":
        plain = tmp_path / path.stem
        plain.write_bytes(gzip.decompress(path.read_bytes()))
    assert_as_starfile(path, plain)


WORDS = st.text("abcXYZ019._-/@é", min_size=1, max_size=8).filter(lambda t: not t.startswith(("_", "data_", "loop_")))
BLANKED = st.tuples(WORDS, WORDS).map(lambda t: f'"{t[0]} {t[1]}"')
CELLS = {
    "int": st.integers(-(10**9), 10**9).map(str),
    "float": st.floats(-1e9, 1e9).map(lambda v: f"{v:.6f}"),
    "exponent": st.floats(-1e9, 1e9).map(lambda v: f"{v:e}"),
    "nan": st.sampled_from(["nan", "1.5", "2"]),
    "word": WORDS,
    "quoted": BLANKED | st.just('""'),
    "mixed": st.integers(0, 99).map(str) | WORDS,
}
BETWEEN = st.sampled_from([" ", "  ", "\t", " \t "])


@st.composite
def tables(draw) -> str:
    """The text of a file of one to three blocks, in whatever layout."""
    lines = [draw(st.sampled_from(["", "# version 30001", "\ufeff"]))]
    for block in range(draw(st.integers(1, 3))):
        kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=5))
        lines += ["", f"data_block{block}", "", "loop_"]
        lines += [f"_{kind}{i}" + draw(st.sampled_from(["", f" #{i + 1}"])) for i, kind in enumerate(kinds)]
        for _ in range(draw(st.integers(0, 12))):
            row = draw(BETWEEN).join(draw(CELLS[kind]) for kind in kinds)
            lines.append(draw(st.sampled_from(["", " "])) + row + draw(st.sampled_from(["", " ", " # a comment"])))
            lines += draw(st.sampled_from([[], [], [], [""], ["# between"]]))
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n", "\n\n"]))


@settings(max_examples=150, deadline=None)
@given(text=tables(), rows=st.sampled_from([2, 5, 1 << 14]), size=st.sampled_from([64, 1 << 22]))
def test_any_table_is_read_as_starfile_reads_it(tmp_path_factory, text, rows, size):
    path = tmp_path_factory.mktemp("star") / "t.star"
    path.write_bytes(text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(star_scan, "MOST_ROWS", rows)
        patch.setattr(star_text, "BLOCK_BYTES", size)
        assert_as_starfile(path)


def test_a_column_that_becomes_text_late_is_text_as_written_from_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(star_scan, "MOST_ROWS", 2)
    path = tmp_path / "t.star"
    path.write_text("data_\nloop_\n_a\n_b\n1.50 1\n2.50 2\n3.50 3\n4.50 4\nnone 5\n")
    table = read_star(path)[""]
    assert table["a"].tolist() == ["1.50", "2.50", "3.50", "4.50", "none"]
    assert table["b"].tolist() == [1, 2, 3, 4, 5]
    assert list(table) == ["a", "b"]


def test_large_identifiers_keep_their_digits(tmp_path, monkeypatch):
    monkeypatch.setattr(star_scan, "MOST_ROWS", 1)
    path = tmp_path / "t.star"
    path.write_text("data_\nloop_\n_id\n7\n18446744073709551615\n")
    assert read_star(path)[""]["id"].tolist() == [7, 2**64 - 1]


def test_only_the_wanted_columns_are_kept_and_all_are_named(tmp_path):
    path = tmp_path / "t.star"
    path.write_text('data_p\nloop_\n_a #1\n_b #2\n_c #3\n1 "x  y" 3\n# no row\n\n4 z 6\n')
    table = read_star(path, {"c", "b", "elsewhere"})["p"]
    assert dict(table) == {"b": pytest.approx(["x  y", "z"]), "c": pytest.approx([3, 6])}
    assert table.names == ("a", "b", "c")
    assert table.lines.tolist() == [6, 9]


@pytest.mark.parametrize("first", ["data_1/a.mrc", "_a.mrc", "dat", "loop_/a.mrc"])
@pytest.mark.parametrize("wanted", [None, {"rlnMicrographName"}])
def test_rows_that_begin_like_a_header_are_rows(tmp_path, first, wanted):
    path = tmp_path / "t.star"
    path.write_text(f"data_\nloop_\n_rlnMicrographName #1\n_x #2\n_y #3\n{first} 1 2\n{first} 3 4\n")
    assert read_star(path, wanted)[""]["rlnMicrographName"].tolist() == [first, first]


def test_one_very_long_value_among_short_ones(tmp_path):
    path, long = tmp_path / "t.star", "x" * 60_000
    path.write_text("data_\nloop_\n_a\n_b\n" + "s 1\n" * 3000 + f"{long} 2\n")
    values = read_star(path, {"a"})[""]["a"]
    assert values[-1] == long
    assert set(values[:-1]) == {"s"}


def test_a_compressed_file_is_read_by_its_content(tmp_path):
    path = tmp_path / "t.star"
    path.write_bytes(gzip.compress(b"data_\nloop_\n_a\n1\n2\n"))
    assert read_star(path)[""]["a"].tolist() == [1, 2]


def test_equal_texts_are_one_object(tmp_path):
    path = tmp_path / "t.star"
    path.write_text("data_\nloop_\n_rlnMicrographName\n" + "mics/a.mrc\n" * 10)
    assert len({id(v) for v in read_star(path)[""]["rlnMicrographName"]}) == 1


def test_progress_reaches_the_end_and_a_cancel_is_heeded_between_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(star_scan, "MOST_ROWS", 10)
    monkeypatch.setattr(star_text, "BLOCK_BYTES", 100)
    path = tmp_path / "t.star"
    path.write_text("data_\nloop_\n_a\n_b\n" + "1 2\n" * 1000)
    seen: list[tuple[int, int]] = []
    read_star(path, progress=lambda done, total: seen.append((done, total)))
    size = path.stat().st_size
    assert seen[-1] == (size, size)
    assert len(seen) > 20
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(seen))

    asked: list[int] = []
    with pytest.raises(JobStopped):
        read_star(path, progress=lambda done, _: asked.append(done), cancelled=lambda: len(asked) >= 3)
    assert len(asked) == 3


def test_two_threads_read_at_once(tmp_path):
    """starfile's own reading goes through a cache that all threads share and each clears."""
    paths = [tmp_path / f"{i}.star" for i in range(4)]
    for i, path in enumerate(paths):
        path.write_text("data_\nloop_\n_a\n" + f"{i}\n" * 3000)
    found: dict[int, set[int]] = {}

    def work(number: int) -> None:
        for _ in range(5):
            found[number] = found.get(number, set()) | set(read_star(paths[number])[""]["a"].tolist())

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: {i} for i in range(4)}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.star does not exist"):
        read_star(tmp_path / "gone.star")
