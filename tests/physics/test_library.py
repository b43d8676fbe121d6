"""The kinds of the clean library, structures from disk, and the library as a file."""

import gzip
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from core.errors import InputError, ParamError
from core.physics.assemblies import ASSEMBLIES, THROUGH, make
from core.physics.library_file import open_library, save_library
from core.physics.phantom import BOX, KINDS, Library, build_library, planned, specimens
from core.physics.shapes import point_group
from core.physics.specimen import MOST_POINTS
from core.physics.structures import LIBRARY_FOLDER, load_structures, read_structure


@pytest.fixture(scope="module")
def library():
    return build_library(seed=2, phantoms=80, views=3)


@pytest.fixture(scope="module")
def proteins():
    return [x - x.mean(0) for x, _ in load_structures().values() if len(x) < 3000]


def test_every_kind_is_there_and_fits_the_box(library):
    assert set(library.kinds) == set(KINDS)
    edge = np.ones((BOX, BOX), bool)
    edge[3:-3, 3:-3] = False
    for name, kind, images in zip(library.names, library.kinds, library.projections.astype(np.float32), strict=True):
        assert np.isfinite(images).all(), name
        for image in images:
            inside = image[image > 0.1 * image.max()]
            assert inside.mean() == pytest.approx(1, abs=0.01), name
            assert inside.size > 20, name
            if kind not in THROUGH:
                assert image[edge].sum() < 0.03 * image.sum(), name


def test_what_runs_through_the_box_reaches_far_out(library):
    radius = np.hypot(*np.indices((BOX, BOX)) - (BOX - 1) / 2)
    for kind in THROUGH:
        images = library.projections[[k == kind for k in library.kinds]].astype(np.float32).reshape(-1, BOX, BOX)
        assert np.mean([image[(radius > 24) & (radius < 27)].max() > 0.4 for image in images]) > 0.9
        assert (images[:, radius > 31.6] == 0).all()  # faded, not cut


def test_specimens_do_not_look_alike(library):
    """Coverage of the box varies widely, and hardly any two projections correlate above 0.9."""
    images = library.projections[:, 0].astype(np.float32)
    covered = (images > 0.3).mean(axis=(1, 2))
    assert np.percentile(covered, 90) > 3 * np.percentile(covered, 10)
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(axis=0)  # what all of them share, a blob in the middle, is no likeness
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    alike = (flat @ flat.T)[np.triu_indices(len(flat), 1)]
    assert np.mean(alike > 0.9) < 0.01


@pytest.mark.parametrize("kind", ["shell", "vesicle"])
def test_hollow_specimens_are_stronger_at_the_rim_than_in_the_centre(kind):
    radius = np.hypot(*np.indices((BOX, BOX)) - (BOX - 1) / 2)
    hollow = 0
    drawn = list(specimens(4, 12, 6, kinds=(kind,)))
    for _, _, images in drawn:
        profile = images.astype(np.float32).mean(axis=0)
        ring = [profile[(radius >= r) & (radius < r + 2)].mean() for r in range(0, 26, 2)]
        hollow += max(ring[4:]) > 1.1 * np.mean(ring[:3])
    assert hollow >= 0.9 * len(drawn)


@pytest.mark.parametrize("kind", list(ASSEMBLIES))
def test_assemblies_are_finite_and_small_enough(kind, proteins):
    for seed in range(4):
        made = make(kind, np.random.default_rng(seed), proteins)
        assert 100 < len(made.points) <= MOST_POINTS
        assert made.points.shape == (len(made.weights), 3)
        assert np.isfinite(made.points).all()
        assert (made.weights >= 0).all()
        assert (made.span is not None) == (kind in THROUGH)


@pytest.mark.parametrize(("name", "order"), [("tetrahedral", 12), ("octahedral", 24), ("icosahedral", 60)])
def test_point_groups_are_closed(name, order):
    group = point_group(name)
    assert len(group) == order
    products = np.einsum("aij,bjk->abik", group, group).reshape(-1, 9)
    nearest = np.abs(products[:, None] - group.reshape(-1, 9)).max(axis=2).min(axis=1)
    assert nearest.max() < 1e-6


def test_excluding_drops_what_was_named_and_changes_nothing_else(library):
    out = ("shell", "6vxx", library.names[-1])
    less = build_library(2, 80, 3, exclude=out)
    same = library.without(out)
    assert less.names == same.names
    assert less.kinds == same.kinds
    np.testing.assert_array_equal(less.projections, same.projections)
    assert not {"shell"} & set(less.kinds)
    assert not {"6vxx", library.names[-1]} & set(less.names)
    with pytest.raises(ParamError, match="Nothing is left"):
        library.without(KINDS)


def test_the_plan_holds_exactly_what_was_asked_for():
    for phantoms in (0, 1, 7, 123):
        assert len(planned(phantoms, 0, {"a": 0})) == phantoms + 1
    assert {k for _, k in planned(40, 0, {"a": 0}, kinds=("ring", "coil"))} == {"ring", "coil"}


def test_a_library_comes_back_from_its_file(library, tmp_path):
    path = save_library(tmp_path, library, {"seed": 2})
    again = open_library(tmp_path)
    np.testing.assert_array_equal(again.projections, library.projections)
    assert (again.names, again.kinds) == (library.names, library.kinds)
    listed = json.loads((tmp_path / "library.json").read_text(encoding="utf-8"))
    assert [s["name"] for s in listed["specimens"]] == list(library.names)
    assert path.name == "library.safetensors"


def test_damaged_and_foreign_files_are_refused_in_a_sentence(library, tmp_path):
    path = save_library(tmp_path, Library(library.projections[:2], library.names[:2], library.kinds[:2]), {})
    whole = path.read_bytes()
    for content in (whole[:-100], whole[:40], b"", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"library\.safetensors"):
            open_library(path)
    save_file({"projections": np.zeros((1, 1, BOX, BOX), np.float16)}, path)
    with pytest.raises(InputError, match="not a clean library"):
        open_library(path)
    bad = {"format": "vitreous-library-1", "contents": json.dumps({"specimens": []})}
    save_file({"projections": np.zeros((1, 1, BOX, BOX), np.float16)}, path, metadata=bad)
    with pytest.raises(InputError, match="lists 0 specimens"):
        open_library(path)
    save_file({"projections": np.full((1, 1, BOX, BOX), np.nan, np.float16)}, path, metadata=bad)
    with pytest.raises(InputError):
        open_library(path)
    with pytest.raises(InputError, match="does not exist"):
        open_library(tmp_path / "none.safetensors")


def test_structures_are_read_as_pdb_and_as_mmcif(tmp_path):
    import gemmi

    plain = tmp_path / "mine.pdb"
    plain.write_bytes(gzip.decompress((LIBRARY_FOLDER / "1ubi.pdb.gz").read_bytes()))
    structure = gemmi.read_structure(str(plain))
    structure.make_mmcif_document().write_file(str(tmp_path / "other.cif"))
    found = load_structures(tmp_path)
    assert set(found) == {"mine", "other"}
    for positions, numbers in found.values():
        assert len(positions) == 602
        assert set(numbers) == {6, 7, 8, 16}
    np.testing.assert_allclose(found["mine"][0], found["other"][0], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.pdb", b""),
        ("text.pdb", b"this is no structure\n" * 10),
        ("broken.cif", b"data_x\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1\n"),
        ("binary.cif", bytes(range(256)) * 4),
        ("short.pdb.gz", gzip.compress(b"ATOM" * 1000)[:-20]),
        ("not_packed.pdb.gz", b"ATOM"),
    ],
)
def test_bad_structures_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        load_structures(tmp_path)


def test_folders_without_structures_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no structure"):
        load_structures(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        load_structures(tmp_path / "none")


def test_specimens_of_the_benchmarks_are_refused_under_any_name(tmp_path):
    shutil.copy(LIBRARY_FOLDER / "1ubi.pdb.gz", tmp_path / "1AKE.pdb.gz")
    with pytest.raises(InputError, match="specimen of the benchmarks"):
        load_structures(tmp_path)
    text = gzip.decompress((LIBRARY_FOLDER / "1ubi.pdb.gz").read_bytes()).decode()
    head = "HEADER    IRON STORAGE                            28-NOV-90   1FHA              \n"
    title = "TITLE     SOLVING THE STRUCTURE OF HUMAN H FERRITIN\n"
    body = "".join(line for line in text.splitlines(True) if line.startswith(("ATOM", "END")))
    for start in (head, title):
        renamed = tmp_path / "innocent.pdb"
        renamed.write_text(start + body)
        with pytest.raises(InputError, match="specimen of the benchmarks"):
            read_structure(renamed)
