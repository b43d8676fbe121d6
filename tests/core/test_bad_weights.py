"""Weights of unknown origin: ours are used wherever they were saved, all others are one sentence, and no code runs."""

from __future__ import annotations

import json
import os
import pickle
import time
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from core.denoising import parts
from core.denoising.blend import SHELLS
from core.denoising.model import FORMAT, Facts, load_denoiser, load_model, load_network, save_denoiser
from core.denoising.model_files import model_digest
from core.denoising.parts import load_parts
from core.denoising.trust_files import read_trust
from core.denoising.unet import UNet
from core.errors import InputError
from core.io.checkpoint import MOST_PICKLE, read_weights
from core.jobs.table import job_params
from core.physics import library_file
from core.physics.library_file import open_library
from core.physics.phantom import BOX

CPU = torch.device("cpu")
WIDTHS = (8, 8, 8, 8)


def facts(**changes) -> Facts:
    values = {
        "method": "noise-transfer", "widths": WIDTHS, "particle_diameter_px": 24.0, "pixel_size_a": 2.5,
        "canonical_diameter": 24.0, "calibration": 1.0, "sign": 1.0, "snr": 0.5, "steps": 1, "val_loss": 1.0,
        "gate": (-0.5, 0.5), "blend": ((0.3,) * SHELLS, (0.6,) * SHELLS, (0.4,) * SHELLS),
    }  # fmt: skip
    return Facts(**(values | changes))


def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    net = UNet(WIDTHS)
    torch.nn.init.normal_(net.head.weight, std=0.3)
    return net.state_dict()


def facts_beside(path: Path, **changes) -> None:
    path.with_suffix(".json").write_text(json.dumps({"format": FORMAT, **asdict(facts()), **changes}))


def saved(path: Path, content: object, **options) -> Path:
    torch.save(content, path, **options)
    facts_beside(path)
    return path


def rewritten(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """The same archive with other contents: what a forger would do."""
    with zipfile.ZipFile(path) as archive:
        members = [(m.filename, archive.read(m)) for m in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, change(name, content))
    return path


def pickle_of(change: Callable[[bytes], bytes]) -> Callable[[str, bytes], bytes]:
    return lambda name, content: change(content) if name.endswith("/data.pkl") else content


class Bomb:
    """Would write a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


class Weightless(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)
        self.bn = torch.nn.BatchNorm2d(2)


WRAPPINGS = {
    "plain": lambda s: s,
    "ordered": OrderedDict,
    "module.": lambda s: {f"module.{k}": v for k, v in s.items()},
    "compiled": lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
    "state_dict": lambda s: {"epoch": 3, "state_dict": s},
    "model": lambda s: {"model": s, "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]}},
    "model_state_dict": lambda s: {"model_state_dict": {f"module.{k}": v for k, v in s.items()}},
    "ema": lambda s: {"ema": s, "model": {k: torch.zeros_like(v) for k, v in s.items()}},
    "parameters": lambda s: {k: torch.nn.Parameter(v) for k, v in s.items()},
    "float64": lambda s: {k: v.double() for k, v in s.items()},
}


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS.keys())
def test_our_network_saved_by_torch_is_the_same_network(tmp_path, wrap):
    """Widths are read off the shapes, the facts from the JSON beside it; the answers are the same to the last bit."""
    save_denoiser(tmp_path / "ours.safetensors", state(), facts())
    ours = load_denoiser(tmp_path / "ours.safetensors", CPU)
    theirs = load_denoiser(saved(tmp_path / "theirs.pth", wrap(state())), CPU)
    assert theirs.facts == ours.facts
    image = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))
    for mine, other in zip(ours.net(image, torch.zeros(1)), theirs.net(image, torch.zeros(1)), strict=True):
        assert torch.equal(mine, other)


def test_predict_makes_the_same_micrographs_of_pth_and_safetensors(data, run_job, tmp_path):
    save_denoiser(tmp_path / "ours.safetensors", state(), facts())
    saved(tmp_path / "theirs.pt", {"state_dict": state()})
    for name in ("ours.safetensors", "theirs.pt"):
        done = run_job("predict", micrographs=data.files[:1], model=str(tmp_path / name), output=tmp_path / name[:4])
        assert done["exit_code"] == 0, done
    assert (tmp_path / "ours/mic_0.mrc").read_bytes()[1024:] == (tmp_path / "thei/mic_0.mrc").read_bytes()[1024:]
    before = model_digest(tmp_path / "theirs.pt")
    facts_beside(tmp_path / "theirs.pt", snr=0.25)  # kept pieces must not be taken for those of another signal level
    assert model_digest(tmp_path / "theirs.pt") != before


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_short_numbers_are_widened(tmp_path, kind):
    short = {k: v.to(kind) for k, v in state().items()}
    save_file(short, tmp_path / "w.safetensors", metadata={"format": FORMAT, "facts": json.dumps(asdict(facts()))})
    for path in (saved(tmp_path / "w.pth", short), tmp_path / "w.safetensors"):
        got = load_denoiser(path, CPU).net.state_dict()
        assert all(got[k].dtype == torch.float32 and torch.equal(got[k], v.float()) for k, v in short.items())


def test_weights_saved_on_a_gpu_open_without_one(tmp_path):
    path = saved(tmp_path / "gpu.pth", state())
    rewritten(path, pickle_of(lambda p: p.replace(b"X\x03\0\0\0cpu", b"X\x06\0\0\0cuda:0")))
    assert b"cuda:0" in path.read_bytes()
    got = load_denoiser(path, CPU).net.state_dict()
    assert all(torch.equal(got[k], v) for k, v in state().items())


def test_a_training_starts_from_weights_without_facts(tmp_path):
    torch.save(state(), tmp_path / "alone.pth")
    net = load_network(tmp_path / "alone.pth", CPU)
    assert net.widths == WIDTHS
    assert torch.equal(net.head.weight, state()["head.weight"])
    with pytest.raises(InputError, match=r"alone\.pth holds weights alone: alone\.json beside it"):
        load_denoiser(tmp_path / "alone.pth", CPU)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": "another"}, "does not hold the facts"),
        ({"widths": [8, 8, 8]}, "widths"),
        ({"widths": 8}, "int"),
        ({"snr": 0.0}, "snr"),
        ({"sign": 0.5}, "sign"),
        ({"snr": 10**400}, "too large"),
        ({"blend": [[1.0]]}, "gains"),
        ({"gate": None}, "NoneType"),
    ],
)
def test_facts_beside_are_checked(tmp_path, changes, words):
    path = saved(tmp_path / "theirs.pth", state())
    facts_beside(path, **changes)
    with pytest.raises(InputError, match=words) as caught:
        load_denoiser(path, CPU)
    assert "theirs" in caught.value.message


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_a_pickle_that_would_write_a_file_is_not_run(tmp_path, protocol):
    mark = tmp_path / "ran"
    torch.save({**state(), "x": Bomb(mark)}, tmp_path / "zip.pth", pickle_protocol=protocol)
    torch.save({"x": Bomb(mark)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Bomb(mark), protocol))
    (tmp_path / "named.safetensors").write_bytes((tmp_path / "zip.pth").read_bytes())
    for name in ("zip.pth", "old.pth", "bare.pt", "named.safetensors"):
        with pytest.raises(InputError, match="would have to run code; not from a trusted source") as caught:
            load_model(tmp_path / name, CPU)
        assert name in caught.value.message
    assert not mark.exists()
    pickle.loads((tmp_path / "bare.pt").read_bytes())
    assert mark.exists(), "the payload works where it is run"


def test_a_pickle_in_a_picture_of_a_trust_folder_is_not_run(tmp_path):
    (tmp_path / "pictures").mkdir()
    np.save(tmp_path / "pictures/a.npy", np.array([Bomb(tmp_path / "ran")], dtype=object), allow_pickle=True)
    picture = {"key": "a", "group": "g", "title": "t", "levels": [0, 1]}
    answer = {"format": 1, "verdict": "green", "checks": [], "curves": [], "pictures": [picture]}
    (tmp_path / "trust.json").write_text(json.dumps(answer))
    with pytest.raises(InputError):
        read_trust(tmp_path)
    assert not (tmp_path / "ran").exists()


def other_names(count: int = 5) -> dict[str, torch.Tensor]:
    return {f"encoder.{i}.weight": torch.zeros(2, 2) for i in range(count)}


def without(*names: str) -> dict[str, torch.Tensor]:
    return {k: v for k, v in state().items() if k not in names}


def with_nan(value: float = float("nan")) -> dict[str, torch.Tensor]:
    weights = state()
    weights["head.bias"][2] = value
    return weights


STATES = {
    "other network": (other_names(), r"network of 5 tensors \(first encoder.0.weight, encoder.1.weight, encoder.2.wei"),
    "with counters": (Weightless().state_dict(), r"network of 7 tensors \(first \S+, \S+, \S+, \.\.\.\); only"),
    "missing": (without("head.bias", "up.0.0.bias"), r"of 30 tensors, 2 missing \(up.0.0.bias, head.bias\)"),
    "unexpected": (state() | other_names(9), r"9 unexpected \(encoder.0.weight, encoder.1.weight, enc"),
    "shape": (state() | {"head.weight": torch.zeros(4, 8, 3, 3)}, r"1 of another shape \(head.weight\)"),
    "flat": (state() | {"down.1.0.weight": torch.zeros(8)}, "only Vitreous' own U-Net"),
    "whole numbers": (state() | {"head.bias": torch.zeros(5, dtype=torch.int64)}, "int64 in head.bias"),
    "nan": (with_nan(), r"not numbers \(NaN or infinite, in head.bias\)"),
    "infinite": (with_nan(float("inf")), "head.bias"),
    "too large for float32": ({k: v.double() * 1e300 for k, v in state().items()}, "not numbers"),
    "names of many lines": ({"a\nb" * 99: torch.zeros(1)}, r"first a\?ba\?b"),
}


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
@pytest.mark.parametrize(("weights", "words"), STATES.values(), ids=STATES.keys())
def test_weights_that_do_not_fit_are_summed_up_in_one_sentence(tmp_path, weights, words, kind):
    path = saved(tmp_path / f"m.{kind}", weights)
    if kind == "safetensors":
        plain = {k: v.clone() for k, v in weights.items()}
        save_file(plain, path, metadata={"format": FORMAT, "facts": json.dumps(asdict(facts()))})
    with pytest.raises(InputError, match=words) as caught:
        load_denoiser(path, CPU)
    assert path.name in caught.value.message
    assert len(caught.value.message) < len(str(path)) + 300
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def torch_file(path: Path, change: Callable[[Path], object] = lambda path: None) -> bytes:
    torch.save(state(), path)
    change(path)
    return path.read_bytes()


def one_tensor(count: int, side: int, step: int) -> Callable[[Path], object]:
    """A forged pickle: 4 bytes in the archive, a storage that claims `count` numbers, a tensor of `side` over it."""

    def number(value: int) -> bytes:
        return pickle.dumps(value, 2)[2:-1]

    def text(value: str) -> bytes:
        return b"X" + len(value).to_bytes(4, "little") + value.encode()

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + number(count) + b"tQ"
    shape = number(0) + number(side) + b"\x85" + number(step) + b"\x85"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + shape + b"\x89ccollections\nOrderedDict\n)RtR"

    def change(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", b"\x80\x02}" + text("w") + tensor + b"s.")
            archive.writestr("a/version", "3\n")
            archive.writestr("a/data/0", b"\0\0\0\0")

    return change


def doubled(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
        archive.writestr(name.replace("data.pkl", "DATA.PKL"), pickle.dumps({}, 2))


def plain_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("picture.png", b"1234")


HEADER = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
FILES: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "empty": (lambda p: b"", "empty"),
    "web page": (lambda p: b"<!DOCTYPE html><html>" * 9, "web page"),
    "text": (lambda p: b"epoch 1 loss 0.3\n" * 9, "text"),
    "one byte": (lambda p: b"\0", "neither"),
    "noise": (lambda p: np.random.default_rng(0).bytes(999), "neither"),
    "zip cut short": (lambda p: torch_file(p)[:-200], "cut short"),
    "zip begun": (lambda p: torch_file(p)[:40], "cut short"),
    "other zip": (lambda p: torch_file(p, plain_zip), "a zip archive, not a PyTorch file"),
    "compressed": (
        lambda p: torch_file(p, lambda p: rewritten(p, lambda n, c: c, zipfile.ZIP_DEFLATED)),
        "PyTorch did not write",
    ),
    "two pickles": (lambda p: torch_file(p, doubled), "PyTorch did not write"),
    "long pickle": (
        lambda p: torch_file(p, lambda p: rewritten(p, pickle_of(lambda c: c + bytes(3 << 20)))),
        "lists more than the weights",
    ),
    "pickle cut short": (lambda p: torch_file(p, lambda p: rewritten(p, pickle_of(lambda c: c[:-90]))), "cannot be"),
    "storage cut short": (
        lambda p: torch_file(p, lambda p: rewritten(p, lambda n, c: c[:-4] if n.endswith("/data/0") else c)),
        "cannot be read",
    ),
    "memo without end": (
        lambda p: torch_file(p, lambda p: rewritten(p, pickle_of(lambda c: b"\x80\x02}r\xff\xff\xff\x7f."))),
        "cannot be read",
    ),
    "tensor beyond its storage": (lambda p: torch_file(p, one_tensor(1, 9 << 30, 1)), "beyond its storage"),
    "tensor of one number": (lambda p: torch_file(p, one_tensor(1, 9 << 30, 0)), "beyond its storage"),
    "storage that lies": (lambda p: torch_file(p, one_tensor(9 << 30, 1, 1)), "not in the archive"),
    "not weights": (lambda p: torch_file(p, lambda p: torch.save({"loss": [1.0]}, p)), "without the weights"),
    "one tensor": (lambda p: torch_file(p, lambda p: torch.save(torch.zeros(3), p)), "without the weights"),
    "whole module": (lambda p: torch_file(p, lambda p: torch.save(Weightless(), p)), "would have to run code"),
    "numpy inside": (lambda p: torch_file(p, lambda p: torch.save({"a": np.float64(1)}, p)), "would have to run code"),
    "torchscript": (
        lambda p: torch_file(p, lambda p: torch.jit.save(torch.jit.script(torch.nn.Conv2d(1, 1, 1)), str(p))),
        "TorchScript.*would have to run code",
    ),
    "safetensors cut short": (lambda p: save(state())[:-100], "damaged or incomplete"),
    "header cut short": (lambda p: save(state())[:100], "claims"),
    "header of 1 EiB": (lambda p: (1 << 60).to_bytes(8, "little") + HEADER, "claims"),
    "header longer than the file": (lambda p: (len(HEADER) + 99).to_bytes(8, "little") + HEADER, "claims"),
    "header no JSON": (lambda p: (20).to_bytes(8, "little") + b"{" * 20 + bytes(9), "damaged or incomplete"),
    "data that are not there": (lambda p: len(HEADER).to_bytes(8, "little") + HEADER, "damaged or incomplete"),
    "shape that lies": (
        lambda p: len(HEADER).to_bytes(8, "little") + HEADER.replace(b"[4]", b"[9]") + bytes(16),
        "damaged or incomplete",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("make", "words"), FILES.values(), ids=FILES.keys())
def test_files_that_are_no_weights_are_one_sentence_and_cost_little(tmp_path, make, words):
    path = tmp_path / "bad.pth"
    path.write_bytes(make(path))
    facts_beside(path)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=words) as caught:
            load_denoiser(path, CPU)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "bad.pth" in caught.value.message
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    assert peak < 16 << 20


def test_a_pickle_of_nothing_but_brackets_takes_no_time(tmp_path):
    path = tmp_path / "bad.pth"
    torch_file(path, lambda p: rewritten(p, pickle_of(lambda c: b"\x80\x02" + b"]" * (MOST_PICKLE - 9) + b".")))
    began = time.process_time()
    with pytest.raises(InputError, match="without the weights"):
        read_weights(path)
    assert time.process_time() - began < 2


def nested_trust(path: Path) -> object:
    (path.parent / "trust.json").write_text("[" * 100_000)
    return read_trust(path.parent)


READERS = {
    "model": (lambda path: load_model(path, CPU), {"format": FORMAT, "facts": "[" * 100_000}),
    "pieces": (load_parts, {"format": parts.FORMAT, "sigma": "1", "made_by": "[" * 100_000}),
    "library": (open_library, {"format": library_file.FORMAT, "contents": "[" * 100_000}),
    "trust": (nested_trust, {}),
}


@pytest.mark.parametrize(("reader", "metadata"), READERS.values(), ids=READERS.keys())
def test_facts_of_nothing_but_brackets_are_refused(tmp_path, reader, metadata):
    """Deeper than Python follows: json raises RecursionError, which is no ValueError."""
    picture = torch.ones(2, 2)
    tensors = {name: picture.clone() for name in parts.NAMES} if reader is load_parts else state()
    if reader is open_library:
        tensors = {"projections": torch.ones(1, 1, BOX, BOX, dtype=torch.float16)}
    save_file(tensors, tmp_path / "deep.safetensors", metadata=metadata)
    with pytest.raises(InputError):
        reader(tmp_path / "deep.safetensors")


def test_a_tensor_that_lies_inside_its_storage_is_read(tmp_path):
    """What the forged files above are told from."""
    torch_file(tmp_path / "w.pth", one_tensor(1, 1, 1))
    weights = read_weights(tmp_path / "w.pth")
    assert weights.metadata is None
    assert {k: v.tolist() for k, v in weights.tensors.items()} == {"w": [0.0]}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a file that its owner may not read")
def test_a_file_that_may_not_be_read_is_named(tmp_path):
    path = saved(tmp_path / "locked.pth", state())
    path.chmod(0)
    with pytest.raises(InputError, match=r"locked\.pth may not be read"):
        load_denoiser(path, CPU)


def test_the_choosers_of_the_window_list_pytorch_files():
    for job, name in (("predict", "model"), ("trust", "model"), ("train", "start")):
        extra = job_params(job).model_fields[name].json_schema_extra
        assert "*.safetensors *.pth *.pt" in str(extra)
