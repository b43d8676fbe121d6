"""The 3D prior: what it must do whatever was learnt, how maps are drawn, what is refused, and who is a relative."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from core.denoising.learner import Average, Learner
from core.errors import InputError
from core.physics.density import voxelise
from core.physics.structures import LIBRARY_FOLDER
from core.reconstruction.denoiser import (
    SIGMA_DATA,
    Denoiser,
    denoising_loss,
    depth_to_space,
    draw_sigma,
    preconditioning,
    space_to_depth,
)
from core.reconstruction.leakage import Trained, check, identity, sequences
from core.reconstruction.prior import BUNDLED_PATH, Facts, Prior, _turned, _turned_back, load_prior, save_prior
from core.reconstruction.prior_data import INNER, Entry, Maps, mean_spectrum, read_entry, shell_index
from core.reconstruction.prior_set import Judge, weighted_loss

CPU = torch.device("cpu")
SMALL = (8, 8, 8)


def entry(name: str) -> Entry:
    return read_entry(LIBRARY_FOLDER / f"{name}.pdb.gz")


@pytest.fixture(scope="module")
def maps() -> Maps:
    return Maps([entry("1ubi"), entry("1mbn")], 16, 6.0)


def toss(net: Denoiser) -> Denoiser:
    """A network whose answers are not zero, as those of a new one are."""
    generator = torch.Generator().manual_seed(1)
    for weight in net.parameters():
        weight.data = 0.3 * torch.randn(weight.shape, generator=generator)
    return net


# --- the network ---


def test_without_noise_the_answer_is_the_input_whatever_the_weights_are():
    net = toss(Denoiser(SMALL))
    x = 0.5 * torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        far = [float((net(x, torch.full((2,), s)) - x).abs().max()) for s in (1e-1, 1e-3, 1e-5)]
    assert far[0] > 50 * far[1] > 500 * far[2]
    assert far[2] < 1e-3


def test_preconditioning_keeps_what_the_network_sees_and_answers_at_unit_variance():
    sigma = torch.tensor([1e-3, 0.1, 0.5, 2.0, 50.0])
    skip, out, enter = preconditioning(sigma)
    torch.testing.assert_close(enter**2 * (sigma**2 + SIGMA_DATA**2), torch.ones(5))
    # the target of the network is (clean - skip * noisy) / out: variance 1 at every level
    torch.testing.assert_close(((1 - skip) ** 2 * SIGMA_DATA**2 + skip**2 * sigma**2) / out**2, torch.ones(5))
    assert skip[-1] < 1e-3
    assert abs(float(out[-1]) - SIGMA_DATA) < 1e-3


def test_cells_become_channels_and_come_back():
    maps = torch.arange(2 * 6 * 4 * 8.0).reshape(2, 1, 6, 4, 8)
    cells = space_to_depth(maps)
    assert cells.shape == (2, 8, 3, 2, 4)
    assert cells[0, :, 0, 0, 0].tolist() == maps[0, 0, :2, :2, :2].flatten().tolist()
    torch.testing.assert_close(depth_to_space(cells), maps, rtol=0, atol=0)


def test_an_untrained_network_has_loss_one_on_maps_of_unit_scale(maps):
    clean = torch.from_numpy(maps.batch(16, 0, 0))
    clean *= SIGMA_DATA / clean.square().mean().sqrt()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(clean.shape, generator=generator)
    with torch.no_grad():
        loss = denoising_loss(Denoiser(SMALL), clean, draw_sigma(16, generator), noise)
    assert float(loss) == pytest.approx(1, abs=0.15)


def test_the_loss_falls_in_a_few_steps_on_a_toy_set():
    at = torch.arange(16.0) - 8
    blob = torch.exp(-(at[:, None, None] ** 2 + at[:, None] ** 2 + at**2) / 18)
    clean = (SIGMA_DATA * blob / blob.std()).expand(4, 1, 16, 16, 16)
    torch.manual_seed(0)
    net = Denoiser((16, 16, 16))
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    judged = torch.tensor([0.1, 0.3, 1.0, 2.0]), torch.randn(clean.shape)

    def loss_now() -> float:
        with torch.no_grad():
            return float(denoising_loss(net, clean, *judged))

    before = loss_now()
    for _ in range(30):
        loss = denoising_loss(net, clean, draw_sigma(4, torch.default_generator), torch.randn(clean.shape))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss_now() < 0.6 * before


def test_the_average_follows_the_weights_and_is_not_them():
    net = Denoiser(SMALL)
    average = Average(net)
    before = net.enter.weight.detach().clone()
    with torch.no_grad():
        net.enter.weight += 1
    torch.testing.assert_close(average.net.enter.weight, before)
    average.update(net, step=10**6)
    torch.testing.assert_close(average.net.enter.weight, before + 0.005, rtol=0, atol=1e-6)
    assert not average.net.enter.weight.requires_grad
    learner = Learner(net, 1e-3, {})
    learner.judged(0.5)
    kept = learner.best["enter.weight"].clone()
    with torch.no_grad():
        learner.average.net.enter.weight += 1
    learner.judged(float("nan"))
    learner.judged(0.6)
    torch.testing.assert_close(learner.best["enter.weight"], kept)


# --- maps ---


def test_turning_and_shifting_keep_mass_shape_and_hand():
    maps = Maps([entry("1ubi")], 32, 3.0)
    specimen = maps.entries[0][0]
    mass, n = specimen.weights.sum(), len(specimen.weights)
    first = specimen.positions_a - specimen.positions_a.mean(axis=0)
    rng, places = np.random.default_rng(0), []
    for _ in range(12):
        positions, weights = maps.place(rng)
        copies = len(weights) // n
        assert weights.sum() == pytest.approx(copies * mass)
        assert np.linalg.norm(positions, axis=1).max() < INNER * 96 + 0.75 + 1e-6
        one = positions[:n] - positions[:n].mean(axis=0)
        turn, *_ = np.linalg.lstsq(first, one, rcond=None)
        np.testing.assert_allclose(first @ turn, one, atol=1e-6)
        assert np.linalg.det(turn) == pytest.approx(1)
        places.append((positions, weights))
        volume = voxelise(positions, weights, 32, 3.0, 120.0)
        assert volume.sum() == pytest.approx(weights.sum(), rel=1e-4)
    assert {len(weights) // n for _, weights in places} == {1, 2}


def test_two_specimens_touch_and_do_not_overlap():
    maps = Maps([entry("1ubi")], 32, 3.0)
    n = len(maps.entries[0][0].weights)
    rng = np.random.default_rng(3)
    pairs = [p for p, w in (maps.place(rng) for _ in range(60)) if len(w) == 2 * n]
    assert len(pairs) > 4
    for positions in pairs:
        apart = np.linalg.norm(positions[:n].mean(axis=0) - positions[n:].mean(axis=0))
        assert 15 < apart < 60


def test_a_batch_depends_on_seed_and_step_only_and_has_the_scale_of_the_prior(maps):
    batch = maps.batch(3, 5, 7)
    assert batch.shape == (3, 1, 16, 16, 16)
    assert batch.dtype == np.float32
    np.testing.assert_array_equal(batch, maps.batch(3, 5, 7))
    assert not np.array_equal(batch, maps.batch(3, 5, 8))
    assert not np.array_equal(batch, maps.batch(3, 6, 7))
    spreads = maps.batch(40, 0, 0).std(axis=(1, 2, 3, 4))
    assert np.log(spreads / SIGMA_DATA).std() == pytest.approx(0.12, abs=0.05)
    assert np.median(spreads) == pytest.approx(SIGMA_DATA, rel=0.1)


def test_what_does_not_fit_the_box_is_not_drawn():
    big, small = entry("6vxx"), entry("1ubi")
    assert Maps([big], 32, 3.0).entries == []
    both = Maps([big, small], 32, 3.0)
    assert both.count == 1
    assert Maps([big], 64, 3.0).count > 0


def test_copies_of_a_chain_count_once_and_traces_waters_and_half_atoms_are_known(tmp_path):
    structure = gemmi.read_structure(str(LIBRARY_FOLDER / "1ubi.pdb.gz"))
    atoms = structure[0]["A"].clone()
    for name, apart in (("B", 40.0), ("C", 20.0)):
        copy = atoms.clone()
        copy.name = name
        for residue in copy:
            for atom in residue:
                atom.pos += gemmi.Position(apart, 0, 0)
        structure[0].add_chain(copy)
    structure[0]["A"][0][0].occ = 0.5
    structure.write_pdb(str(tmp_path / "three.pdb"))
    found = read_entry(tmp_path / "three.pdb")
    assert [s.name for s in found.specimens] == ["three:A", "three", "three:A+C"]
    assert len(found.sequences) == 1
    one, three = found.specimens[0], found.specimens[1]
    z = sum(a.element.atomic_number for r in atoms if not r.is_water() for a in r)
    assert one.weights.sum() == pytest.approx(z - 0.5 * structure[0]["A"][0][0].element.atomic_number)
    assert three.weights.sum() == pytest.approx(3 * z, abs=20)
    trace = gemmi.read_structure(str(LIBRARY_FOLDER / "1mbn.pdb.gz"))
    gemmi.Selection("//*//CA").remove_not_selected(trace)
    trace.write_pdb(str(tmp_path / "trace.pdb"))
    assert read_entry(tmp_path / "trace.pdb").specimens == ()


def test_white_noise_has_a_flat_spectrum_of_one():
    rng = np.random.default_rng(0)
    spectrum = mean_spectrum(rng.standard_normal((16, 16, 16)) for _ in range(100))
    assert spectrum.shape == (9,)
    np.testing.assert_allclose(spectrum[1:], 1, atol=0.1)
    assert shell_index(16).max() == 8


def test_the_judge_asks_the_same_every_time(maps, monkeypatch):
    monkeypatch.setattr("core.reconstruction.prior_set.JUDGED_MAPS", 3)
    judge, again = (Judge(maps, CPU, seed=2) for _ in range(2))
    net = Denoiser(SMALL)
    errors = judge.errors(net)
    assert errors == again.errors(net)
    assert list(errors) == [0.1, 0.3, 1.0]
    assert weighted_loss(errors) == pytest.approx(1, abs=0.3)
    assert judge.picture(net).shape == (3, 16, 16)


# --- on disk and in use ---


def facts(**values) -> Facts:
    trained = (Trained("1ubi", ("MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG",)),)
    return replace(Facts(16, 6.0, SMALL, tuple(1.0 / (1 + k) for k in range(9)), trained, steps=3), **values)


@pytest.fixture
def prior_file(tmp_path) -> Path:
    path = tmp_path / "p.safetensors"
    save_prior(path, toss(Denoiser(SMALL)).state_dict(), facts())
    return path


def test_a_prior_comes_back_as_it_was_written(prior_file):
    prior = load_prior(prior_file)
    assert prior.facts == facts()
    assert (prior.box, prior.pixel_size_a) == (16, 6.0)
    assert prior.training_list[0].name == "1ubi"
    assert prior.spectrum.shape == (9,)
    net = toss(Denoiser(SMALL))
    for mine, theirs in zip(prior.net.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


def test_maps_are_denoised_one_by_one_as_arrays_or_tensors(prior_file):
    prior = load_prior(prior_file)
    x = np.random.default_rng(0).standard_normal((3, 16, 16, 16)).astype(np.float32)
    clean = prior.denoise(x, 0.4)
    assert isinstance(clean, np.ndarray)
    assert clean.shape == x.shape
    assert clean.dtype == np.float32
    tensor = prior.denoise(torch.from_numpy(x), 0.4)
    np.testing.assert_array_equal(tensor.numpy(), clean)
    np.testing.assert_array_equal(prior.denoise(x[1:2], 0.4)[0], clean[1])
    assert prior.denoise(x[:0], 0.4).shape == (0, 16, 16, 16)
    assert prior.denoise(np.zeros((1, 24, 24, 24), np.float32), 0.4).shape == (1, 24, 24, 24)
    for bad in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="sigma"):
            prior.denoise(x, bad)
    with pytest.raises(ValueError, match="multiple"):
        prior.denoise(np.zeros((1, 12, 12, 12), np.float32), 0.4)


def test_the_average_of_all_turns_does_not_depend_on_the_orientation(prior_file):
    prior = load_prior(prior_file)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 16, 16, 16)).astype(np.float32))
    assert len({tuple(_turned(x[0], i).flatten()[:50].tolist()) for i in range(24)}) == 24
    for i in range(24):
        torch.testing.assert_close(_turned_back(_turned(x[0], i), i), x[0], rtol=0, atol=0)
    one, all_of_them = (prior.denoise(x, 0.5, turns) for turns in (1, 24))
    turned = x.rot90(1, (1, 3)).rot90(1, (2, 3))
    back = [prior.denoise(turned, 0.5, t).rot90(-1, (2, 3)).rot90(-1, (1, 3)) for t in (1, 24)]
    assert float((back[0] - one).abs().max()) > 0.01
    assert float((back[1] - all_of_them).abs().max()) < 0.02 * float(all_of_them.abs().max())
    with pytest.raises(ValueError, match="turns"):
        prior.denoise(x, 0.5, 25)


def test_an_unknown_grey_scale_is_found(maps):
    spectrum = mean_spectrum(maps.draw(np.random.default_rng(i)) for i in range(60))
    prior = Prior(Denoiser(SMALL), facts(spectrum=tuple(spectrum)))
    rng = np.random.default_rng(99)
    found = [prior.scale_of(37 * maps.draw(rng)) for _ in range(8)]
    np.testing.assert_allclose(found, 37, rtol=0.35)
    volume, noise = maps.draw(rng), 0.3 * rng.standard_normal((16, 16, 16))
    clean = prior.scale_of(volume)
    assert prior.scale_of(volume + noise, resolution_a=30.0) == pytest.approx(clean, rel=0.2)
    corrected = prior.scale_of(volume + noise, noise_power=[0.09] * 9)
    assert abs(corrected - clean) < abs(prior.scale_of(volume + noise) - clean)
    assert corrected == pytest.approx(clean, rel=0.05)
    with pytest.raises(InputError, match="no signal"):
        prior.scale_of(noise, noise_power=[1.0] * 9)
    with pytest.raises(ValueError, match="shape"):
        prior.scale_of(np.zeros((8, 8, 8)))


def rewritten(path: Path, **changes) -> None:
    """The same file with other facts."""
    held = {**json.loads(json.dumps(facts().__dict__, default=lambda t: t.__dict__)), **changes}
    save_file(load_file(path), path, metadata={"format": "vitreous-prior-1", "facts": json.dumps(held)})


@pytest.mark.parametrize(
    "changes",
    [
        {"box": 17},
        {"box": 10**9},
        {"pixel_size_a": 0},
        {"pixel_size_a": "wide"},
        {"widths": [8, 8, 10**7]},
        {"widths": [8, 8]},
        {"widths": [16, 8, 8]},
        {"spectrum": [1.0, 2.0]},
        {"spectrum": [float("nan")] * 9},
        {"trained": [{"name": "1ubi"}]},
        {"trained": "everything"},
        {"trained": [{"name": "1ubi", "sequences": [3]}]},
    ],
    ids=str,
)
def test_facts_that_cannot_be_are_refused_in_one_sentence(prior_file, changes):
    rewritten(prior_file, **changes)
    with pytest.raises(InputError, match=r"p\.safetensors is not a prior") as caught:
        load_prior(prior_file)
    assert caught.value.hint


def test_damaged_and_foreign_files_are_refused_in_one_sentence(prior_file, tmp_path):
    content = prior_file.read_bytes()
    weights = load_file(prior_file)
    cases = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "noise": bytes(range(256)) * 40,
        "pickle": b"\x80\x04K\x01.",
    }
    for name, data in cases.items():
        (tmp_path / f"{name}.safetensors").write_bytes(data)
    rewritten(prior_file)
    load_prior(prior_file)
    save_file(weights, tmp_path / "foreign.safetensors", metadata={"format": "pt"})
    save_file(weights, tmp_path / "bare.safetensors")
    nan = {k: v.clone() for k, v in weights.items()}
    nan["enter.weight"][0, 0, 0, 0, 0] = float("nan")
    meta = {"format": "vitreous-prior-1", "facts": json.dumps(facts().__dict__, default=lambda t: t.__dict__)}
    save_file(nan, tmp_path / "nan.safetensors", metadata=meta)
    save_file({k: v for k, v in weights.items() if k != "enter.bias"}, tmp_path / "less.safetensors", metadata=meta)
    save_file(weights, tmp_path / "json.safetensors", metadata={"format": "vitreous-prior-1", "facts": "{"})
    (tmp_path / "folder.safetensors").mkdir()
    for name in (*cases, "foreign", "bare", "nan", "less", "json", "folder", "missing"):
        with pytest.raises(InputError, match=rf"{name}\.safetensors is not a") as caught:
            load_prior(tmp_path / f"{name}.safetensors")
        assert "\n" not in caught.value.message


# --- relatives ---

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


def mutated(sequence: str, kept: float, rng: random.Random) -> str:
    """Residues replaced at random places, one insertion and one deletion: about `kept` of them are the same."""
    letters = [c if rng.random() < kept else rng.choice(RESIDUES.replace(c, "")) for c in sequence]
    cut, put = len(letters) // 3, 2 * len(letters) // 3
    return "".join(letters[:cut] + letters[cut + 2 : put] + [rng.choice(RESIDUES)] * 3 + letters[put:])


@pytest.fixture(scope="module")
def library() -> list[Trained]:
    return [Trained(n, entry(n).sequences) for n in ("1mbn", "1ubi", "6vxx", "7pbl")]


def test_a_homologue_of_60_percent_is_found_and_its_name_told(library):
    rng = random.Random(0)
    myoglobin = library[0].sequences[0]
    for _ in range(5):
        match = check(mutated(myoglobin, 0.6, rng), library)
        assert match.related
        assert match.name == "1mbn"
        assert 0.5 < match.identity < 0.7
    assert check(myoglobin, library).identity == 1.0


def test_a_domain_inside_a_long_chain_is_found_from_both_sides(library):
    rng = random.Random(1)
    ubiquitin = library[1].sequences[0]
    tail = "".join(rng.choices(RESIDUES, k=300))
    fused = tail[:190] + mutated(ubiquitin, 0.7, rng) + tail[190:]
    assert check([fused], library).name == "1ubi"
    assert check(ubiquitin, [Trained("fused", (fused,))]).related


def test_strangers_pass(library):
    rng = random.Random(2)
    lysozyme = entry("1aki").sequences[0]
    assert not check(lysozyme, library).related
    for length in (60, 120, 250):
        assert not check("".join(rng.choices(RESIDUES, k=length)), library).related
    shuffled = "".join(rng.sample(library[0].sequences[0], 153))
    assert not check(shuffled, library).related


def test_targets_may_be_files_and_bad_ones_are_one_sentence(library, tmp_path):
    match = check(LIBRARY_FOLDER / "1ubi.pdb.gz", library)
    assert (match.name, match.identity) == ("1ubi", 1.0)
    with pytest.raises(InputError, match="not a protein sequence"):
        check("MKT4", library)
    (tmp_path / "bad.pdb").write_text("nothing")
    assert not check(tmp_path / "bad.pdb", library).related
    with pytest.raises(InputError, match="cannot be read"):
        check(tmp_path / "missing.pdb", library)
    assert check(library[0].sequences, []).name == ""


def test_short_chains_and_nucleic_acids_give_nothing_away(tmp_path):
    assert identity("MKTAYIAKQR", "MKTAYIAKQR") == 0.0
    block = (
        "ATOM      1  P    DA A   1       0.000   0.000   0.000  1.00  0.00           P\n"
        "ATOM      2  P    DC A   2       6.000   0.000   0.000  1.00  0.00           P\n"
    )
    (tmp_path / "dna.pdb").write_text(block)
    assert sequences(gemmi.read_structure(str(tmp_path / "dna.pdb"))) == ()


def test_a_modified_residue_has_the_letter_of_its_parent():
    structure = gemmi.read_structure(str(LIBRARY_FOLDER / "1ubi.pdb.gz"))
    before = sequences(structure)[0]
    structure[0]["A"][0].name = "MSE"
    structure[0]["A"][1].name = "ZZZ"
    assert sequences(structure) == ("MX" + before[2:],)


# --- the bundled prior ---


def wiener(noisy: np.ndarray, spectrum: np.ndarray, sigma: float) -> np.ndarray:
    gain = (spectrum / (spectrum + sigma**2))[shell_index(len(noisy))]
    return np.fft.irfftn(gain * np.fft.rfftn(noisy), noisy.shape)


def test_the_bundled_prior_is_small_and_has_not_seen_the_test_proteins():
    prior = load_prior("bundled")
    assert BUNDLED_PATH.stat().st_size <= 3_000_000
    assert (prior.box, prior.pixel_size_a) == (32, 3.0)
    assert len(prior.training_list) >= 60
    assert not check(LIBRARY_FOLDER / "1aki.pdb.gz", prior.training_list).related
    seen = next(t for t in prior.training_list if t.name == "1mbn")
    assert check(seen.sequences, prior.training_list).identity == 1.0


def test_the_bundled_prior_denoises_a_protein_that_it_has_not_seen_better_than_wiener():
    prior = load_prior("bundled")
    maps = Maps([entry("1aki")], 32, 3.0)
    rng = np.random.default_rng(11)
    clean = np.stack([maps.draw(rng) for _ in range(3)])
    for sigma, better in ((0.1, 0.7), (0.3, 0.6), (1.0, 0.8)):
        noisy = clean + sigma * rng.standard_normal(clean.shape).astype(np.float32)
        linear = np.stack([wiener(one, prior.spectrum, sigma) for one in noisy])
        mine = ((prior.denoise(noisy, sigma) - clean) ** 2).mean()
        assert mine < better * ((linear - clean) ** 2).mean()


def test_the_bundled_prior_is_read_by_name_only_where_it_is(tmp_path):
    copy = shutil.copy(BUNDLED_PATH, tmp_path / "other.safetensors")
    assert load_prior(copy).facts == load_prior().facts
